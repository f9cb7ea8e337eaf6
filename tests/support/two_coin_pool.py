"""A pool of BTC and ETH in the exchange of the model, which may tell late what its coins count for.

Amounts come from a ledger, what they count for and the LTV from another place: those may lag together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal

from exchange_model import HAIRCUT, HELD, OWED, POOL, Kinds, ModelAccount, ModelLoans
from exchange_world import Truth, World

from ltv_guard.core.model.errors import ExchangeUnavailable
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import Collateral, Loan, LoanKey, Totals
from ltv_guard.core.model.tiers import Tier
from ltv_guard.core.ports import Hear

ETHER, ETHER_USD = "ETH", Decimal(2_500)
CENT, SIX_DIGITS = Decimal("0.01"), Decimal("0.000001")
TIERS = (Tier(ratio=HAIRCUT, lower=Decimal(0)),)


@dataclass(slots=True)
class TwoCoins(World):
    """The pool holds `ether` beside BTC; the price of ETH stays as it is. `worth_late_ms`: see above."""

    ether: Decimal = Decimal(0)
    worth_late_ms: int = 0
    _ether_held: list[tuple[int, Decimal]] = field(default_factory=list, init=False)

    def note(self) -> None:
        World.note(self)
        self._ether_held.append((self.true_ms, self.ether))

    def ltv(self, key: LoanKey) -> Decimal:
        return self.ltv_with(key, {})

    def ltv_with(self, key: LoanKey, more: Mapping[str, Decimal]) -> Decimal:
        """As it would be with so many more coins."""
        held = self.loans[key].collateral + more.get(HELD, Decimal(0))
        ether = self.ether + more.get(ETHER, Decimal(0))
        return self.debt_usd(key) / ((held * self.price + ether * ETHER_USD) * HAIRCUT)

    def ether_shown(self, age_ms: int) -> Decimal:
        age_ms = max(age_ms, self._age_ms)
        past = [coins for at_ms, coins in self._ether_held if at_ms <= self.true_ms - age_ms]
        return past[-1] if past else self._ether_held[0][1]

    def counts(self, late_ms: int) -> tuple[Decimal, Decimal]:
        """What BTC and ETH are shown to count for."""
        late_ms = max(self.stale_ms, late_ms)
        view = self._view_at(POOL, late_ms)
        of_each = view.collateral * view.price, self.ether_shown(late_ms) * ETHER_USD
        return (of_each[0] * HAIRCUT).quantize(CENT), (of_each[1] * HAIRCUT).quantize(CENT)

    def shown_ltv(self, key: LoanKey) -> Decimal:
        late_ms = max(self.old_ltv_ms, self.worth_late_ms)
        owed = self._view_at(key, max(self.stale_ms, late_ms)).debt_usd
        return (owed / sum(self.counts(late_ms))).quantize(SIX_DIGITS, ROUND_HALF_UP)

    def apply(self, intent: Intent) -> bool:
        if intent.coin != ETHER:
            return World.apply(self, intent)
        if intent.change > self.wallet[ETHER]:
            return False
        before = self.ltv(intent.key)
        self.ether += intent.change
        self.wallet[ETHER] -= intent.change
        row = self._row(str(self._ids()), intent.key, ETHER, intent.direction, intent.amount, before)
        self._list(row, intent.intent_id)
        self.applied.append(intent.intent_id)
        return True


class _Loans(ModelLoans):
    async def loans(self, hear: Hear | None = None) -> LoanBook:
        world = self.world
        assert isinstance(world, TwoCoins)
        if world.pool_down:
            raise ExchangeUnavailable("the pool is down")
        world.is_answered()
        amounts = {HELD: world.view(POOL).collateral, ETHER: world.ether_shown(world.stale_ms)}
        counts, (debt, debts) = world.counts(world.worth_late_ms), world.shown_debts(POOL)
        loan = Loan(
            key=POOL,
            ltv=world.shown_ltv(POOL),
            collateral=tuple(
                Collateral(coin=coin, amount=amount, accuracy=8, value_usd=usd, tiers=TIERS)
                for (coin, amount), usd in zip(amounts.items(), counts, strict=True)
            ),
            totals=Totals(debt_usd=debt, collateral_usd=sum(counts, Decimal(0))),
            debts=debts,
            margin_call_ltv=Decimal("0.87"),
            liquidation_ltv=Decimal("0.95"),
        )
        return LoanBook(product=self.product, loans=(loan,), began=world.now())


class _Account(ModelAccount):
    async def prices(self, *, again: bool = False) -> Mapping[str, Decimal]:
        return {**await super().prices(again=again), ETHER: ETHER_USD}


TWO_COINS = Kinds(loans=_Loans, account=_Account)  # for `a_guard`


def a_pool_of_two(ltv: str, held: str, ether: str, wallet: Mapping[str, str]) -> TwoCoins:
    """At that LTV, with so many BTC and ETH."""
    counted = (Decimal(held) * 50_000 + Decimal(ether) * ETHER_USD) * HAIRCUT
    return TwoCoins(
        loans={POOL: Truth(POOL, Decimal(held), Decimal(ltv) * counted)},
        wallet={HELD: Decimal(0), ETHER: Decimal(0), OWED: Decimal(0)}
        | {coin: Decimal(amount) for coin, amount in wallet.items()},
        unified={HELD: Decimal(0)},
        ether=Decimal(ether),
    )
