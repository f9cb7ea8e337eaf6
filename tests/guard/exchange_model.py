"""An exchange in virtual time, behind the ports: it can answer late, wrongly, stale, or not at all.

It keeps the truth (what was really applied, for which intent) beside what it shows.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import Self

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.errors import (
    ExchangeUnavailable,
    Remedy,
    WriteNotSent,
    WriteOutcomeUnknown,
    WriteRejected,
)
from ltv_guard.core.intents import Intent
from ltv_guard.core.loans import (
    Collateral,
    Debt,
    Direction,
    History,
    HistoryRow,
    Loan,
    LoanBook,
    LoanKey,
    Moment,
    Product,
    Totals,
)
from ltv_guard.core.rules import AddRule, Limits, LoanPolicy, ReduceRule, Rulebook, WalletRules
from ltv_guard.core.settlement import Patience
from ltv_guard.core.valuation import Tier
from ltv_guard.guard import Guard
from ltv_guard.ports import Identity, SignedAdjustment
from ltv_guard.sight import GuardOptions

START_MS = 1_700_000_000_000
WINDOW_MS = 5_000
MARGIN_MS = 2_000
STEP = Decimal("0.00000001")
MAX_LTV = Decimal("0.8")  # a release may not go beyond
HAIRCUT = Decimal("0.9")
POOL = LoanKey(Product.CRYPTO_LOAN, "pool")


class Crash(BaseException):
    """The process dies here."""


@dataclass(slots=True)
class Truth:
    """One loan as it is."""

    key: LoanKey
    collateral: Decimal
    debt: Decimal
    gone: bool = False

    @property
    def counts(self) -> Decimal:
        """What a USD of collateral counts for: a pool has a haircut."""
        return HAIRCUT if self.key.product is Product.CRYPTO_LOAN else Decimal(1)


@dataclass(frozen=True, slots=True)
class View:
    """One loan as it was at `at_ms`."""

    at_ms: int
    collateral: Decimal
    debt: Decimal
    price: Decimal
    gone: bool
    counts: Decimal

    @property
    def ltv(self) -> Decimal:
        return self.debt / (self.collateral * self.price * self.counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of the history: whose it is in truth, and from when on it shows."""

    shown: HistoryRow
    visible_ms: int
    intent_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A write that was admitted and is carried out at `due_ms`."""

    intent: Intent
    due_ms: int


@dataclass(slots=True)
class World:
    """The exchange, its clock and its one user. Every change goes through here."""

    loans: dict[LoanKey, Truth]
    wallet: dict[str, Decimal]
    price: Decimal = Decimal(50_000)
    true_ms: int = START_MS
    monotonic_ms: int = 0
    skew_ms: int = 0
    rows: list[Row] = field(default_factory=list)
    pending: list[Arrival] = field(default_factory=list)
    views: dict[LoanKey, list[View]] = field(default_factory=dict)
    sent: list[Intent] = field(default_factory=list)
    applied: list[str] = field(default_factory=list)
    orders_down: bool = False
    history_down: bool = False
    prices_down: bool = False
    stale_ms: int = 0
    old_ltv_ms: int = 0
    row_lag_ms: int = 0
    prices_off: Decimal = Decimal(1)
    answers: list[str] = field(default_factory=list)
    crash_at: str | None = None
    on_sent: Callable[[Intent], None] = lambda _: None
    _ids: Callable[[], int] = field(default_factory=lambda: itertools.count(1000).__next__)

    def __post_init__(self) -> None:
        self.note()

    # Time

    def advance(self, ms: int) -> None:
        end = self.true_ms + ms
        while due := sorted(
            (item for item in self.pending if item.due_ms <= end), key=lambda item: item.due_ms
        ):
            arrival = due[0]
            self.pending.remove(arrival)
            self._to(max(self.true_ms, arrival.due_ms))
            self.apply(arrival.intent)
        self._to(end)

    def _to(self, true_ms: int) -> None:
        self.monotonic_ms += true_ms - self.true_ms
        self.true_ms = true_ms
        self.note()

    def now(self) -> Moment:
        return Moment(exchange_ms=self.true_ms + self.skew_ms, monotonic_ms=self.monotonic_ms)

    async def sleep(self, seconds: float) -> None:
        self.advance(int(seconds * 1000))

    # The ledger

    def note(self) -> None:
        for key, loan in self.loans.items():
            view = View(self.true_ms, loan.collateral, loan.debt, self.price, loan.gone, loan.counts)
            self.views.setdefault(key, []).append(view)

    def ltv(self, key: LoanKey) -> Decimal:
        loan = self.loans[key]
        return loan.debt / (loan.collateral * self.price * loan.counts)

    def maximum(self, key: LoanKey) -> Decimal:
        loan = self.loans[key]
        free = loan.collateral - loan.debt / (MAX_LTV * self.price * loan.counts)
        return max(Decimal(0), free).quantize(STEP, ROUND_FLOOR)

    def move(self, key: LoanKey, direction: Direction, amount: Decimal, intent_id: str | None) -> bool:
        """Moves collateral, by an intent or by the user's hand; False where it is refused."""
        loan = self.loans[key]
        available = self.wallet["BTC"] if direction is Direction.ADD else self.maximum(key)
        if loan.gone or amount > available:
            return False
        before = self.ltv(key)
        loan.collateral += amount * direction.sign
        self.wallet["BTC"] -= amount * direction.sign
        row = HistoryRow(
            adjust_id=str(self._ids()),
            key=key,
            coin="BTC",
            direction=direction,
            amount=amount,
            at_ms=self.true_ms,
            ltv_before=before,
            ltv_after=self.ltv(key),
        )
        self.rows.append(Row(shown=row, visible_ms=self.true_ms + self.row_lag_ms, intent_id=intent_id))
        self.note()
        return True

    def apply(self, intent: Intent) -> bool:
        done = self.move(intent.key, intent.direction, intent.amount, intent.intent_id)
        if done:
            self.applied.append(intent.intent_id)
        return done

    def liquidate_part(self, key: LoanKey, share: Decimal) -> None:
        loan = self.loans[key]
        sold = (loan.collateral * share).quantize(STEP)
        loan.collateral -= sold
        loan.debt = max(Decimal(1), loan.debt - sold * self.price)
        self.note()

    def repay_part(self, key: LoanKey, share: Decimal) -> None:
        self.loans[key].debt = (self.loans[key].debt * (1 - share)).quantize(Decimal("0.0001"))
        self.note()

    # What it shows

    def view(self, key: LoanKey) -> View:
        return self._view_at(key, self.stale_ms)

    def _view_at(self, key: LoanKey, age_ms: int) -> View:
        past = [view for view in self.views[key] if view.at_ms <= self.true_ms - age_ms]
        return past[-1] if past else self.views[key][0]

    def shown_ltv(self, key: LoanKey) -> Decimal:
        view = self._view_at(key, max(self.stale_ms, self.old_ltv_ms))
        digits = "0.000001" if key.product is Product.CRYPTO_LOAN else "0.0001"
        return view.ltv.quantize(Decimal(digits), ROUND_HALF_UP)

    def last_own_effect_ms(self, key: LoanKey) -> int:
        return max(
            (row.shown.at_ms for row in self.rows if row.shown.key == key and row.intent_id), default=0
        )


class ModelLoans:
    """Implements ports.LoanExchange."""

    def __init__(self, world: World, product: Product = Product.LEGACY) -> None:
        self.world = world
        self.product = product

    async def loans(self) -> LoanBook:
        world = self.world
        if world.orders_down:
            raise ExchangeUnavailable("the order list is down")
        began = world.now()
        keys = [key for key in world.loans if key.product is self.product]
        loans = tuple(_loan(world, key) for key in keys if not world.view(key).gone)
        return LoanBook(product=self.product, loans=loans, began=began)

    async def history(self, since_ms: int) -> History:
        world = self.world
        if world.history_down:
            raise ExchangeUnavailable("the history is down")
        rows = tuple(
            row.shown
            for row in world.rows
            if row.visible_ms <= world.true_ms
            and row.shown.at_ms >= since_ms
            and row.shown.key.product is self.product
        )
        return History(rows=rows, began=world.now())

    async def max_reduction(self, loan: Loan, coin: str) -> Decimal:
        return self.world.maximum(loan.key)

    async def sign(self, intent: Intent) -> SignedAdjustment:
        return SignedAdjustment(
            intent_id=intent.intent_id,
            body=_Body(intent),
            headers={},
            signed_at_ms=self.world.now().exchange_ms,
            recv_window_ms=WINDOW_MS,
        )

    async def send(self, signed: SignedAdjustment) -> str:
        world, intent = self.world, signed.body.intent  # type: ignore[attr-defined]
        if world.crash_at == "before_send":
            world.crash_at = None
            raise Crash
        answer = world.answers.pop(0) if world.answers else "ok"
        if answer == "not_sent":
            raise WriteNotSent("no connection was made")
        world.on_sent(intent)
        world.sent.append(intent)
        adjust_id = _carry_out(world, intent, answer)
        if world.crash_at == "after_send":
            world.crash_at = None
            raise Crash
        if adjust_id is None:
            raise WriteOutcomeUnknown("no answer")
        return adjust_id


class _Body(bytes):
    """The bytes of a write, and for the model, whose they are."""

    intent: Intent

    def __new__(cls, intent: Intent) -> Self:
        body = super().__new__(cls, b"{}")
        body.intent = intent
        return body


def _carry_out(world: World, intent: Intent, answer: str) -> str | None:
    """Does with an admitted write what `answer` says. None: nothing came back."""
    if answer == "lost_request":
        return None
    if answer == "refused":
        raise WriteRejected("busy with something", code=177004, remedy=Remedy.NEVER)
    if answer.startswith("late:"):
        world.pending.append(Arrival(intent=intent, due_ms=world.true_ms + int(answer.removeprefix("late:"))))
        return None
    if not world.apply(intent):
        raise WriteRejected("not enough", code=177011, remedy=Remedy.BALANCE)
    return None if answer == "lost_answer" else world.rows[-1].shown.adjust_id


def _loan(world: World, key: LoanKey) -> Loan:
    view = world.view(key)
    pooled = key.product is Product.CRYPTO_LOAN
    value = (view.collateral * view.price * view.counts).quantize(Decimal("0.01"))
    return Loan(
        key=key,
        ltv=world.shown_ltv(key),
        collateral=(
            Collateral(
                coin="BTC",
                amount=view.collateral,
                accuracy=8,
                value_usd=value if pooled else None,
                tiers=(Tier(ratio=HAIRCUT, lower=Decimal(0)),),
            ),
        ),
        totals=Totals(debt_usd=view.debt, collateral_usd=value) if pooled else None,
        debts=(Debt(coin="USDT", amount=view.debt),),
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
        return {coin: self.world.wallet.get(coin, Decimal(0)) for coin in coins}

    async def prices(self) -> Mapping[str, Decimal]:
        if self.world.prices_down:
            raise ExchangeUnavailable("tickers are down")
        return {"BTC": self.world.price * self.world.prices_off, "USDT": Decimal(1)}


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


def a_world(*ltvs: str, wallet: str = "100", pool: str | None = None) -> World:
    """A world whose loans have one BTC each at these LTVs, at 50,000 USD; and a pool, if its LTV is given."""
    loans = {
        key_of(number): Truth(key_of(number), Decimal(1), Decimal(ltv) * 50_000)
        for number, ltv in enumerate(ltvs, start=1)
    }
    if pool is not None:
        loans[POOL] = Truth(POOL, Decimal(1), Decimal(pool) * 50_000 * HAIRCUT)
    return World(loans=loans, wallet={"BTC": Decimal(wallet)})


def a_guard(
    world: World,
    journal: MemoryJournal,
    *,
    policy: LoanPolicy = POLICY,
    wallet: WalletRules = NO_LIMITS,
    account: str = "main",
    live: bool = True,
    continuous: bool = True,
    ids: Callable[[], str] | None = None,
) -> Guard:
    """A guard of that world, as a process that has just started."""
    numbers = itertools.count(len(journal.snapshot().intents) * 1000 + 1)
    seeds = itertools.count(17, 389)
    return Guard(
        GuardOptions(
            account=account,
            environment="testnet",
            live=live,
            continuous=continuous,
            poll_interval_ms=15_000,
            patience=Patience(processing_margin_ms=MARGIN_MS, history_lag_ms=5_000),
        ),
        account=ModelAccount(world),
        products=[ModelLoans(world, product) for product in {key.product: None for key in world.loans}],
        journal=journal,
        clock=world,
        rulebook=Rulebook(default=policy, wallet=wallet),
        new_id=ids or (lambda: f"i{next(numbers)}"),
        seed=lambda: next(seeds),
    )


def with_limits(policy: LoanPolicy, **changes: object) -> LoanPolicy:
    return replace(policy, limits=replace(policy.limits, **changes))  # type: ignore[arg-type]
