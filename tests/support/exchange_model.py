"""An exchange in virtual time, behind the ports: it can answer late, wrongly, stale, or not at all.

The world keeps the truth (what was really applied, for which intent) beside what it shows.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Self

from exchange_world import HAIRCUT, HELD, OWED, POOL, START_MS, WINDOW_MS, Truth, World

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.errors import ExchangeUnavailable, WriteNotSent, WriteOutcomeUnknown
from ltv_guard.core.model.history import History
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loan_book import ListCutShort, LoanBook
from ltv_guard.core.model.loans import Channel, Collateral, Kind, Loan, LoanKey, Product, Totals
from ltv_guard.core.model.policy import (
    AddRule,
    Limits,
    LoanPolicy,
    ReduceRule,
    Rulebook,
    TransferRules,
    WalletRules,
)
from ltv_guard.core.model.tiers import Tier
from ltv_guard.core.ports import ContractExchange, Hear, Identity, SignedAdjustment
from ltv_guard.core.reconcile.settlement import SettlementTimeouts
from ltv_guard.guard.cycle import Guard
from ltv_guard.guard.sender import AT_ONCE_S
from ltv_guard.guard.snapshot import GuardOptions
from ltv_guard.guard.surroundings import AccountPorts, Surroundings

__all__ = [
    "POLICY",
    "POOL",
    "START_MS",
    "Crash",
    "Truth",
    "World",
    "a_guard",
    "a_world",
    "key_of",
    "with_limits",
]

MARGIN_MS = 2_000
A_WHILE = 20  # turns of the loop


class Crash(BaseException):
    """The process dies here."""


class ModelPath:
    """Implements ports.WritePath."""

    def __init__(self, world: World, channel: Channel) -> None:
        self.world = world
        self.channel = channel

    async def history(self, since_ms: int) -> History:
        world = self.world
        kind_down = {
            Kind.REPAYMENT: world.repayments_down,
            Kind.FIXED_REPAYMENT: world.fixed_repayments_down,
            Kind.TRANSFER: world.transfers_down,
        }
        if world.history_down or kind_down.get(self.channel.kind, False):
            raise ExchangeUnavailable("the history is down")
        world.is_answered()
        rows = world.shown_rows(self.channel.product, self.channel.kind, since_ms)
        return world.as_read(History(rows=rows, began=world.now()))

    async def turn(self) -> bool:
        return self.world.turn_comes()

    async def sign(self, intent: Intent) -> SignedAdjustment:
        if self.world.slow_signings:
            self.world.slow_signings -= 1
            await asyncio.sleep(1.5 * AT_ONCE_S)
        return SignedAdjustment(
            intent_id=intent.intent_id,
            body=_Body(intent),
            headers={},
            signed_at_ms=self.world.now().exchange_ms,
            recv_window_ms=WINDOW_MS,
        )

    async def send(self, signed: SignedAdjustment) -> str | None:
        world, intent = self.world, signed.body.intent  # type: ignore[attr-defined]
        assert intent.channel == self.channel
        if world.crash_at == "before_send":
            world.crash_at = None
            raise Crash
        if world.next_is_not_sent(self.channel.kind):
            raise WriteNotSent("no connection was made")
        world.on_sent(intent)
        world.sent.append(intent)
        answered = world.carry_out(intent)
        if world.crash_at == "after_send":
            world.crash_at = None
            raise Crash
        if answered is None:
            raise WriteOutcomeUnknown("no answer")
        return answered or None


class ModelLoans(ModelPath):
    """Implements ports.LoanExchange."""

    def __init__(self, world: World, product: Product = Product.LEGACY) -> None:
        super().__init__(world, Channel(product, Kind.ADJUSTMENT))
        self.product = product

    async def loans(self, hear: Hear | None = None) -> LoanBook:
        world = self.world
        if world.orders_down or (world.pool_down and self.product is Product.CRYPTO_LOAN):
            raise ExchangeUnavailable("the order list is down")
        began = world.now()
        world.is_answered()
        keys = [key for key in world.loans if key.product is self.product and not world.view(key).gone]
        pages = [keys[at : at + world.rows_per_page] for at in range(0, len(keys), world.rows_per_page)]
        up = pages[: world.pages_up]
        parts = [await self._page(page, hear if len(pages) > 1 else None) for page in up]
        book = LoanBook(
            product=self.product,
            loans=tuple(loan for part in parts for loan in part.loans),
            began=began,
            pages=max(1, len(pages)),
            asked={loan.key: part.began for part in parts for loan in part.loans},
        )
        if len(up) < len(pages) and not world.short:
            why = "a later page is down"
            raise ListCutShort(why, book=replace(book, cut_short=why))
        return book

    async def _page(self, keys: Collection[LoanKey], hear: Hear | None) -> LoanBook:
        """Where the next takes its time, whoever hears of this one may go on meanwhile."""
        loans = tuple(shown_loan(self.world, key) for key in keys)
        page = LoanBook(product=self.product, loans=loans, began=self.world.now())
        if hear is not None:
            hear(page)
        if hear is not None and self.world.page_takes_ms:
            for _ in range(A_WHILE):
                await asyncio.sleep(0)
            self.world.advance(self.world.page_takes_ms)
        return page

    async def loan(self, key: LoanKey) -> LoanBook:
        if self.world.single_down:
            raise ExchangeUnavailable("single loans are down")
        try:
            book = await self.loans()
        except ListCutShort as cut:
            shown = () if self.world.view(key).gone else (shown_loan(self.world, key),)
            return replace(cut.book, loans=shown, pages=1, asked={}, cut_short="")
        if self.world.short and not self.world.view(key).gone:
            return replace(book, loans=(shown_loan(self.world, key),), pages=1)
        return replace(book, loans=tuple(loan for loan in book.loans if loan.key == key), pages=1)

    async def end_of(self, loan: Loan) -> None:
        """The model's exchange does not tell."""

    async def max_reduction(self, loan: Loan, coin: str) -> Decimal:
        return self.world.maximum(loan.key)


class _Body(bytes):
    """The bytes of a write, and for the model, whose they are."""

    intent: Intent

    def __new__(cls, intent: Intent) -> Self:
        body = super().__new__(cls, b"{}")
        body.intent = intent
        return body


def shown_loan(world: World, key: LoanKey) -> Loan:
    """As the exchange shows it now."""
    view, (debt, debts) = world.view(key), world.shown_debts(key)
    pooled = key.product is Product.CRYPTO_LOAN
    value = (view.collateral * view.price * view.counts).quantize(Decimal("0.01"))
    return Loan(
        key=key,
        ltv=world.shown_ltv(key),
        collateral=(
            Collateral(
                coin=HELD,
                amount=view.collateral,
                accuracy=world.accuracy,
                value_usd=value if pooled else None,
                tiers=(Tier(ratio=HAIRCUT, lower=Decimal(0)),),
            ),
        ),
        totals=Totals(debt_usd=debt, collateral_usd=value) if pooled else None,
        debts=debts,
        margin_call_ltv=Decimal("0.87"),
        liquidation_ltv=Decimal("0.95"),
    )


class ModelAccount:
    """Implements ports.AccountExchange."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def identify(self) -> Identity:
        return Identity(
            user_id="7", vip_level="VIP0", read_only=False, can_withdraw=False, can_adjust=True, ip_bound=True
        )

    async def wallet(self, coins: Collection[str]) -> Mapping[str, Decimal]:
        if self.world.wallet_down:
            raise ExchangeUnavailable("the Funding wallet is down")
        self.world.is_answered()
        shown = self.world.shown_wallet().funding
        self.world.shown_funding.append((self.world.true_ms, shown))
        return {coin: shown.get(coin, Decimal(0)) for coin in coins}

    async def unified(self, coins: Collection[str]) -> Mapping[str, Decimal]:
        if self.world.unified_down:
            raise ExchangeUnavailable("the Unified account is down")
        self.world.is_answered()
        shown = self.world.shown_wallet().unified
        return {coin: shown.get(coin, Decimal(0)) for coin in coins}

    async def prices(self, *, again: bool = False) -> Mapping[str, Decimal]:
        if self.world.prices_down:
            raise ExchangeUnavailable("tickers are down")
        return {HELD: self.world.price * self.world.prices_off, OWED: Decimal(1)}


POLICY = LoanPolicy(
    collateral_preference=("BTC",),
    add=AddRule(trigger_ltv=Decimal("0.75"), target_ltv=Decimal("0.65")),
    reduce=ReduceRule(
        enabled=True,
        trigger_ltv=Decimal("0.40"),
        target_ltv=Decimal("0.55"),
        after_ms=10_000,
        after_foreign_add_ms=30_000,
    ),
    limits=Limits(cooldown_ms=5_000),
)


NO_LIMITS = WalletRules()


def key_of(number: int) -> LoanKey:
    return LoanKey(Product.LEGACY, str(number))


def a_world(
    *ltvs: str,
    wallet: str = "100",
    pool: str | None = None,
    owed: str = "0",
    unified: str = "0",
    held: str = "1",
    accuracy: int = 8,
) -> World:
    """A world whose loans have `held` BTC each at these LTVs, at 50,000 USD; and a pool, if its LTV is given.

    `wallet` BTC and `owed` USDT, which is what the loans owe, lie in the Funding wallet; `unified` BTC in the
    Unified account.
    """
    loans = {
        key_of(number): Truth(key_of(number), Decimal(held), Decimal(held) * Decimal(ltv) * 50_000)
        for number, ltv in enumerate(ltvs, start=1)
    }
    if pool is not None:
        loans[POOL] = Truth(POOL, Decimal(held), Decimal(held) * Decimal(pool) * 50_000 * HAIRCUT)
    return World(
        loans=loans,
        wallet={HELD: Decimal(wallet), OWED: Decimal(owed)},
        unified={HELD: Decimal(unified)},
        accuracy=accuracy,
    )


@dataclass(frozen=True, slots=True)
class Kinds:
    """Of which classes the ports of a model are."""

    account: type[ModelAccount] = ModelAccount
    loans: type[ModelLoans] = ModelLoans
    path: type[ModelPath] = ModelPath


def a_guard(
    world: World,
    journal: MemoryJournal,
    *,
    policy: LoanPolicy = POLICY,
    wallet: WalletRules = NO_LIMITS,
    transfers: TransferRules | None = None,
    account: str = "main",
    live: bool = True,
    continuous: bool = True,
    ids: Callable[[], str] | None = None,
    after: Guard | None = None,
    streamed: Callable[[], Mapping[str, Decimal]] = dict,
    contracts: ContractExchange | None = None,
    kinds: Kinds | None = None,
) -> Guard:
    """A guard of that world, as a process that has just started."""
    kinds = kinds or Kinds()
    numbers = itertools.count(len(journal.snapshot().intents) * 1000 + 1)
    seeds = itertools.count(17, 389)
    products = list({key.product: None for key in world.loans})
    others = [
        *(Channel(product, Kind.REPAYMENT) for product in products),
        Channel(Product.FUNDING, Kind.TRANSFER),
    ]
    if contracts is not None:
        others.append(Channel(Product.CRYPTO_LOAN, Kind.FIXED_REPAYMENT))
    return Guard(
        GuardOptions(
            account=account,
            environment="testnet",
            live=live,
            continuous=continuous,
            poll_interval_ms=15_000,
            timeouts=SettlementTimeouts(processing_margin_ms=MARGIN_MS, history_lag_ms=5_000),
        ),
        AccountPorts(
            account=kinds.account(world),
            products=[kinds.loans(world, product) for product in products],
            others=[kinds.path(world, channel) for channel in others],
            contracts=contracts,
        ),
        Surroundings(
            clock=world,
            new_id=ids or (lambda: f"i{next(numbers)}"),
            seed=lambda: next(seeds),
            prices=streamed,
        ),
        journal=journal,
        rulebook=Rulebook(default=policy, wallet=wallet, transfers=transfers or TransferRules()),
        after=after,
    )


def with_limits(policy: LoanPolicy, **changes: object) -> LoanPolicy:
    return replace(policy, limits=replace(policy.limits, **changes))  # type: ignore[arg-type]
