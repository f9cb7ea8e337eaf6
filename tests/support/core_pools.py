"""A pool as it truly is, and as the exchange shows it: LTV to six decimals, USD to cents.

What coins count for is reckoned here in the plainest way, apart from the code under test.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from core_builders import account, facts, policy

from ltv_guard.core.decide.decide import decide
from ltv_guard.core.decide.decision import Decision
from ltv_guard.core.decide.facts import AccountFacts, LoanFacts
from ltv_guard.core.model.history import HistoryRow, RowStatus
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Additions, Collateral, Debt, Direction, Loan, LoanKey, Product, Totals
from ltv_guard.core.model.policy import LoanPolicy
from ltv_guard.core.model.tiers import UNBOUNDED, Tier

D = Decimal
POOL = LoanKey(Product.CRYPTO_LOAN, "pool")
TARGET = D("0.65")
FLAT = (("0.9", "0", None),)
PRICES = {"USDT": D(1), "USDC": D(1), "BTC": D(50000), "ETH": D(2500)}
PREFERENCE = ("USDT", "USDC", "BTC", "ETH")
STEPS = Sequence[tuple[str, str, str | None]]


def tiers(steps: STEPS) -> tuple[Tier, ...]:
    """From (ratio, from, to): `to` None is without end."""
    return tuple(
        Tier(ratio=D(ratio), lower=D(lower), upper=UNBOUNDED if upper is None else D(upper))
        for ratio, lower, upper in steps
    )


def worth(amount: Decimal, price: Decimal, of: Sequence[Tier], unit: str) -> Decimal:
    """USD that so many coins count for, if tiers are in `unit` (usd or coins)."""
    size, each = (amount * price, D(1)) if unit == "usd" else (amount, price)
    parts = ((min(size, tier.upper) - tier.lower, tier.ratio) for tier in of)
    return sum((max(D(0), part) * each * ratio for part, ratio in parts), D(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """A pool with its exact numbers. Coins without tiers of their own count for 0.9."""

    held: Mapping[str, Decimal]
    debt_usd: Decimal
    steps: Mapping[str, STEPS] = field(default_factory=dict)
    unit: str = "usd"
    prices: Mapping[str, Decimal] = field(default_factory=lambda: dict(PRICES))
    accuracy: int = 8
    additions: Additions = Additions.TAKEN

    def tiers_of(self, coin: str) -> tuple[Tier, ...]:
        return tiers(self.steps.get(coin, FLAT))

    def counted(self, coin: str) -> Decimal:
        return worth(self.held.get(coin, D(0)), self.prices[coin], self.tiers_of(coin), self.unit)

    @property
    def total(self) -> Decimal:
        return sum((self.counted(coin) for coin in self.held), D(0))

    @property
    def ltv(self) -> Decimal:
        return self.debt_usd / self.total

    def plus(self, coin: str, coins: Decimal) -> "Truth":
        return replace(self, held={**self.held, coin: self.held.get(coin, D(0)) + coins})

    def shown(self) -> Loan:
        """The loan as the adapter would build it."""
        names = [*self.held, *(coin for coin in PREFERENCE if coin not in self.held)]
        return Loan(
            key=POOL,
            ltv=self.ltv.quantize(D("0.000001"), ROUND_HALF_UP),
            collateral=tuple(
                Collateral(
                    coin=coin,
                    amount=self.held.get(coin, D(0)),
                    accuracy=self.accuracy,
                    value_usd=cents(self.counted(coin)),
                    tiers=self.tiers_of(coin),
                )
                for coin in names
            ),
            debts=(Debt(coin="USDT", amount=self.debt_usd),),
            margin_call_ltv=D("0.85"),
            liquidation_ltv=D("0.92"),
            totals=Totals(debt_usd=cents(self.debt_usd), collateral_usd=cents(self.total)),
            additions=self.additions,
        )


def cents(usd: Decimal) -> Decimal:
    return usd.quantize(D("0.01"), ROUND_HALF_UP)


def at(ltv: str, held: Mapping[str, str], **changes: Any) -> Truth:  # noqa: ANN401 - fields of Truth
    """A pool of these coins that owes as much as makes this LTV."""
    truth = Truth(held={coin: D(amount) for coin, amount in held.items()}, debt_usd=D(0), **changes)
    return replace(truth, debt_usd=truth.total * D(ltv))


def pool_policy(preference: Sequence[str] = PREFERENCE, **changes: Any) -> LoanPolicy:  # noqa: ANN401 - of policy()
    return replace(policy(**changes), collateral_preference=tuple(preference))


def pool_facts(truth: Truth, rules: LoanPolicy | None = None, **changes: Any) -> LoanFacts:  # noqa: ANN401 - of LoanFacts
    return facts(truth.shown(), rules or pool_policy(), **changes)


def pool_account(
    *loans: LoanFacts,
    wallet: Mapping[str, str],
    prices: Mapping[str, Decimal] | None = None,
    **changes: Any,  # noqa: ANN401 - arguments of account()
) -> AccountFacts:
    found = account(*loans, wallet=wallet, **changes)
    return replace(found, prices=dict(PRICES if prices is None else prices))


def decide_pool(
    truth: Truth,
    wallet: Mapping[str, str],
    rules: LoanPolicy | None = None,
    *,
    of_account: Mapping[str, Any] | None = None,
    **changes: Any,  # noqa: ANN401 - fields of LoanFacts
) -> Decision:
    about = pool_facts(truth, rules, **changes)
    arguments = {"prices": truth.prices, **(of_account or {})}
    (decision,) = decide(pool_account(about, wallet=wallet, **arguments))
    return decision


def pool_intent(loan: Loan, coin: str, amount: str, **changes: Any) -> Intent:  # noqa: ANN401 - fields of Intent
    """An add that was confirmed, planned from `loan`."""
    from core_builders import SENT, START, intent  # noqa: PLC0415 - only here

    held = loan.collateral_in(coin)
    return replace(
        intent(State.CONFIRMED, coin=coin, amount=amount, ltv_before=loan.ltv, before="0"),
        key=POOL,
        coins_before=held.amount if held else D(0),
        adjust_id="27511",
        observed_at_ms=START,
        updated_at_ms=SENT + 300,
        **changes,
    )


def pool_row(before: Loan, after: Loan, sent: Intent, *, status: RowStatus = RowStatus.SUCCESS) -> HistoryRow:
    """The history's row of that add."""
    return HistoryRow(
        adjust_id=sent.adjust_id or "",
        key=POOL,
        coin=sent.coin,
        direction=Direction(sent.direction),
        amount=sent.amount,
        at_ms=(sent.signed_at_ms or 0) + 200,
        ltv_before=before.ltv,
        ltv_after=after.ltv,
        status=status,
    )
