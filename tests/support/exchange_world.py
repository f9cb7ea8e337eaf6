"""An exchange in virtual time: what it holds in truth, what it shows of that, and what it does with a write.

It can be late, stale or silent. Every change goes through `World`, which keeps whose each one was.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import Any

from ltv_guard.core.model.errors import Remedy, WriteRejected
from ltv_guard.core.model.history import History, HistoryRow, RowStatus
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Debt, Direction, Kind, LoanKey, Moment, Product

START_MS = 1_700_000_000_000
WINDOW_MS = 5_000
STEP = Decimal("0.00000001")
MAX_LTV = Decimal("0.8")  # a release may not go beyond
HAIRCUT = Decimal("0.9")
POOL = LoanKey(Product.CRYPTO_LOAN, "pool")
HELD, OWED = "BTC", "USDT"
HOUR_MS = 3_600_000

REFUSALS = {
    "refused": (177004, Remedy.NEVER),
    "refused_for_now": (177011, Remedy.BALANCE),
    "refused_maximum": (177013, Remedy.MAXIMUM),
    "refused_coin": (148006, Remedy.COIN),
    "refused_key": (10005, Remedy.HUMAN),
    "gone": (177005, Remedy.GONE),
    "in_liquidation": (148031, Remedy.LIQUIDATION),
}


def debt_usd(debt: Decimal, fixed: Mapping[str, Decimal], price: Decimal) -> Decimal:
    """What is owed at that price, with what is fixed, by coin."""
    return debt + fixed.get(OWED, Decimal(0)) + fixed.get(HELD, Decimal(0)) * price if fixed else debt


@dataclass(slots=True)
class Truth:
    """One loan as it is. Beside its `debt` it may owe what is `fixed`, by coin."""

    key: LoanKey
    collateral: Decimal
    debt: Decimal
    gone: bool = False
    fixed: Mapping[str, Decimal] = field(default_factory=dict)

    @property
    def counts(self) -> Decimal:
        """What a USD of collateral counts for: a pool has a haircut."""
        return HAIRCUT if self.key.product is Product.CRYPTO_LOAN else Decimal(1)


def paid_how(intent: Intent) -> dict[str, Any]:
    """What the row of a repayment tells of it."""
    fixed, paid = intent.contract_id is not None, intent.collateral_coin is not None
    return {"with_collateral": paid, "fixed": fixed, "contract_id": intent.contract_id}


@dataclass(frozen=True, slots=True)
class View:
    """One loan as it was at `at_ms`."""

    at_ms: int
    collateral: Decimal
    debt: Decimal
    price: Decimal
    gone: bool
    counts: Decimal
    fixed: Mapping[str, Decimal] = field(default_factory=dict)

    @property
    def debt_usd(self) -> Decimal:
        return debt_usd(self.debt, self.fixed, self.price)

    @property
    def ltv(self) -> Decimal:
        return self.debt_usd / (self.collateral * self.price * self.counts)


@dataclass(frozen=True, slots=True)
class WalletView:
    """The Funding wallet and the Unified account as they were at `at_ms`."""

    at_ms: int
    funding: Mapping[str, Decimal]
    unified: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of the history: whose it is in truth, from when on it shows, and when its effect was there."""

    shown: HistoryRow
    visible_ms: int
    intent_id: str | None
    landed_ms: int | None

    def shown_at(self, of_ms: int) -> HistoryRow:
        """As it was listed then: before it had landed, as being processed, which had moved no LTV."""
        if self.landed_ms is None or self.landed_ms <= of_ms:
            return self.shown
        return replace(self.shown, status=RowStatus.PROCESSING, ltv_after=self.shown.ltv_before)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A write that was admitted and is carried out at `due_ms`; or fails then."""

    intent: Intent
    due_ms: int
    fails: bool = False


@dataclass(slots=True)
class World:
    """The exchange, its clock and its one user. Every change goes through here.

    `answers` is a queue for whatever write comes next, `answers_to` one for a loan, or a kind of write.
    """

    loans: dict[LoanKey, Truth]
    wallet: dict[str, Decimal]
    unified: dict[str, Decimal] = field(default_factory=dict)
    accuracy: int = 8
    price: Decimal = Decimal(50_000)
    hourly_interest: Decimal = Decimal(0)
    true_ms: int = START_MS
    monotonic_ms: int = 0
    skew_ms: int = 0
    rows: list[Row] = field(default_factory=list)
    pending: list[Arrival] = field(default_factory=list)
    views: dict[LoanKey, list[View]] = field(default_factory=dict)
    wallets: list[WalletView] = field(default_factory=list)
    shown_funding: list[tuple[int, Mapping[str, Decimal]]] = field(default_factory=list)  # by when it was
    sent: list[Intent] = field(default_factory=list)
    applied: list[str] = field(default_factory=list)
    refused: list[tuple[Intent, str]] = field(default_factory=list)
    orders_down: bool = False
    pages_up: int | None = None
    short: bool = False  # pages that are down lack without a word
    single_down: bool = False
    pool_down: bool = False
    history_down: bool = False
    repayments_down: bool = False
    fixed_repayments_down: bool = False
    transfers_down: bool = False
    wallet_down: bool = False
    unified_down: bool = False
    prices_down: bool = False
    stale_ms: int = 0
    old_ltv_ms: int = 0
    old_debt_ms: int = 0
    stale_wallet_ms: int = 0
    row_lag_ms: int = 0
    old_rows_ms: int = 0
    replica_ms: int = 0  # so old is what every `replica_each`th read shows: another place answers it
    replica_each: int = 0
    prices_off: Decimal = Decimal(1)
    answers: list[str] = field(default_factory=list)
    answers_to: dict[Kind | LoanKey, list[str]] = field(default_factory=dict)
    crash_at: str | None = None
    on_sent: Callable[[Intent], None] = lambda _: None
    turn_comes: Callable[[], bool] = lambda: False  # waits for a turn to write: whether it had to
    slow_signings: int = 0  # so many more are not signed at once: they stand written as planned meanwhile
    rows_per_page: int = 100
    page_takes_ms: int = 0  # of a list of several that somebody hears page by page
    has_replicas: Callable[[], bool] = lambda: True
    _reads: int = 0
    _age_ms: int = 0
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
            if arrival.fails or not self.apply(arrival.intent):
                self._list_as(arrival.intent, RowStatus.FAILED)
        self._to(end)

    def _to(self, true_ms: int) -> None:
        passed = true_ms - self.true_ms
        self.monotonic_ms += passed
        self.true_ms = true_ms
        if self.hourly_interest:
            for loan in self.loans.values():
                loan.debt += (loan.debt * self.hourly_interest * passed / HOUR_MS).quantize(STEP)
        self.note()

    def now(self) -> Moment:
        return Moment(exchange_ms=self.true_ms + self.skew_ms, monotonic_ms=self.monotonic_ms)

    async def sleep(self, seconds: float) -> None:
        self.advance(int(seconds * 1000))

    # The ledger

    def note(self) -> None:
        for key, loan in self.loans.items():
            view = View(
                self.true_ms,
                loan.collateral,
                loan.debt,
                self.price,
                loan.gone,
                loan.counts,
                fixed=loan.fixed,
            )
            self.views.setdefault(key, []).append(view)
        self.wallets.append(WalletView(self.true_ms, dict(self.wallet), dict(self.unified)))

    def ltv(self, key: LoanKey) -> Decimal:
        loan = self.loans[key]
        return self.debt_usd(key) / (loan.collateral * self.price * loan.counts)

    def debt_usd(self, key: LoanKey) -> Decimal:
        return debt_usd(self.loans[key].debt, self.loans[key].fixed, self.price)

    def maximum(self, key: LoanKey) -> Decimal:
        loan = self.loans[key]
        free = loan.collateral - self.debt_usd(key) / (MAX_LTV * self.price * loan.counts)
        return max(Decimal(0), free).quantize(STEP, ROUND_FLOOR)

    def move(self, key: LoanKey, direction: Direction, amount: Decimal, intent_id: str | None) -> bool:
        """Moves collateral, by an intent or by the user's hand; False where it is refused."""
        loan = self.loans[key]
        available = self.wallet[HELD] if direction is Direction.ADD else self.maximum(key)
        if loan.gone or amount > available:
            return False
        before = self.ltv(key)
        loan.collateral += amount * direction.sign
        self.wallet[HELD] -= amount * direction.sign
        self._list(self._row(str(self._ids()), key, HELD, direction, amount, before), intent_id)
        return True

    def repay(self, key: LoanKey, amount: Decimal, intent_id: str | None) -> bool:
        """Pays debt back from the Funding wallet; False where it is refused."""
        loan = self.loans[key]
        if loan.gone or amount > self.wallet.get(OWED, Decimal(0)) or amount >= loan.debt:
            return False
        loan.debt -= amount
        self.wallet[OWED] -= amount
        self._list(self._row(f"repay-{self._ids()}", key, OWED, Direction.REPAY, amount), intent_id)
        return True

    def transfer(self, coin: str, amount: Decimal, intent_id: str | None) -> bool:
        """Moves coins from the Unified account to the Funding wallet; False where it is refused."""
        if amount > self.unified.get(coin, Decimal(0)):
            return False
        self.unified[coin] -= amount
        self.wallet[coin] = self.wallet.get(coin, Decimal(0)) + amount
        key = LoanKey(Product.FUNDING, coin)
        name = intent_id or f"hand-{self._ids()}"
        self._list(self._row(name, key, coin, Direction.TRANSFER, amount), intent_id)
        return True

    def apply(self, intent: Intent) -> bool:
        if intent.direction is Direction.REPAY:
            done = self.repay(intent.key, intent.amount, intent.intent_id)
        elif intent.direction is Direction.TRANSFER:
            done = self.transfer(intent.coin, intent.amount, intent.intent_id)
        else:
            done = self.move(intent.key, intent.direction, intent.amount, intent.intent_id)
        if done:
            self.applied.append(intent.intent_id)
        return done

    def _row(
        self,
        name: str,
        key: LoanKey,
        coin: str,
        direction: Direction,
        amount: Decimal,
        before: Decimal | None = None,
    ) -> HistoryRow:
        return HistoryRow(
            adjust_id=name,
            key=key,
            coin=coin,
            direction=direction,
            amount=amount,
            at_ms=self.true_ms,
            ltv_before=before,
            ltv_after=None if before is None else self.ltv(key),
        )

    def _list(self, shown: HistoryRow, intent_id: str | None) -> None:
        """Lists what has just taken effect: in its own row where it was listed as being processed."""
        index = self._listed(intent_id)
        if index is None:
            visible = self.true_ms + self.row_lag_ms
            self.rows.append(
                Row(shown=shown, visible_ms=visible, intent_id=intent_id, landed_ms=self.true_ms)
            )
        else:
            row = self.rows[index]
            shown = replace(shown, adjust_id=row.shown.adjust_id, at_ms=row.shown.at_ms)
            self.rows[index] = replace(row, shown=shown, landed_ms=self.true_ms)
        self.note()

    def _list_as(self, intent: Intent, status: RowStatus) -> str:
        """Lists a write that has no effect (yet)."""
        index = self._listed(intent.intent_id)
        if index is not None:
            row = self.rows[index]
            self.rows[index] = replace(row, shown=replace(row.shown, status=status))
            return row.shown.adjust_id
        if status is RowStatus.FAILED:
            return ""  # what was held up within the exchange and then refused is listed nowhere
        name = {
            Kind.ADJUSTMENT: str(self._ids()),
            Kind.REPAYMENT: f"repay-{self._ids()}",
            Kind.FIXED_REPAYMENT: f"repay-fixed-{self._ids()}",
            Kind.TRANSFER: intent.intent_id,
        }[intent.channel.kind]
        before = self.ltv(intent.key) if intent.channel.kind is Kind.ADJUSTMENT else None
        shown = self._row(name, intent.key, intent.coin, intent.direction, intent.amount, before)
        self.rows.append(
            Row(
                shown=replace(shown, status=status, **paid_how(intent)),
                visible_ms=self.true_ms + self.row_lag_ms,
                intent_id=intent.intent_id,
                landed_ms=None,
            )
        )
        return name

    def _listed(self, intent_id: str | None) -> int | None:
        found = (n for n, row in enumerate(self.rows) if intent_id is not None and row.intent_id == intent_id)
        return next(found, None)

    def fail_rows(self) -> None:
        """The history says of everything that it failed."""
        failed = RowStatus.FAILED
        self.rows = [replace(row, shown=replace(row.shown, status=failed)) for row in self.rows]

    def liquidate_part(self, key: LoanKey, share: Decimal) -> None:
        loan = self.loans[key]
        sold = (loan.collateral * share).quantize(STEP)
        loan.collateral -= sold
        loan.debt = max(Decimal(1), loan.debt - sold * self.price)
        self.note()

    def repay_part(self, key: LoanKey, share: Decimal) -> None:
        """Somebody else does, and no row tells."""
        self.loans[key].debt = (self.loans[key].debt * (1 - share)).quantize(Decimal("0.0001"))
        self.note()

    def move_by_hand(self, coin: str, amount: Decimal) -> None:
        """The user takes coins out of the Funding wallet, or (negative) puts some there."""
        self.wallet[coin] = max(Decimal(0), self.wallet.get(coin, Decimal(0)) - amount)
        self.note()

    # What it does with a write

    def carry_out(self, intent: Intent) -> str | None:
        """The id that a write is answered with. None: nothing came back; empty: it was taken, without one.

        Raises WriteRejected.
        """
        answer = self._next_answer(intent)
        name, _, number = answer.partition(":")
        if name == "lost_request":
            return None
        if name in REFUSALS:
            self.refused.append((intent, name))
            code, remedy = REFUSALS[name]
            raise WriteRejected("busy with something", code=code, remedy=remedy)
        if name == "late":
            self.pending.append(Arrival(intent=intent, due_ms=self.true_ms + int(number)))
            return None
        if name in {"pending", "failing", "unheard"}:
            due = self.true_ms + int(number)
            self.pending.append(Arrival(intent=intent, due_ms=due, fails=name == "failing"))
            listed = self._list_as(intent, RowStatus.PROCESSING)
            return None if name == "unheard" else listed
        if not self.apply(intent):
            self.refused.append((intent, "refused_for_now"))
            raise WriteRejected("not enough", code=177011, remedy=Remedy.BALANCE)
        if name == "lost_answer":
            return None
        return self.rows[self._listed(intent.intent_id) or 0].shown.adjust_id

    def next_is_not_sent(self, kind: Kind) -> bool:
        """Whether no connection is made; asked once before each write."""
        queue = self.answers_to.get(kind) or self.answers
        if queue and queue[0] == "not_sent":
            queue.pop(0)
            return True
        return False

    def _next_answer(self, intent: Intent) -> str:
        queue = self.answers_to.get(intent.key) or self.answers_to.get(intent.channel.kind) or self.answers
        return queue.pop(0) if queue else "ok"

    # What it shows

    def is_answered(self) -> None:
        """One read begins: some are answered by an old replica."""
        self._reads += 1
        is_old = self.replica_each and self._reads % self.replica_each == 0 and self.has_replicas()
        self._age_ms = self.replica_ms if is_old else 0

    def view(self, key: LoanKey) -> View:
        return self._view_at(key, self.stale_ms)

    def _view_at(self, key: LoanKey, age_ms: int) -> View:
        age_ms = max(age_ms, self._age_ms)
        past = [view for view in self.views[key] if view.at_ms <= self.true_ms - age_ms]
        return past[-1] if past else self.views[key][0]

    def shown_debts(self, key: LoanKey) -> tuple[Decimal, tuple[Debt, ...]]:
        """What is owed: USD, and by coin."""
        view = self._view_at(key, max(self.stale_ms, self.old_debt_ms))
        fixed = view.fixed.get(OWED, Decimal(0))
        owed = Debt(coin=OWED, amount=view.debt + fixed, fixed=fixed)
        if not view.fixed.get(HELD):
            return view.debt_usd, (owed,)
        held = Debt(coin=HELD, amount=view.fixed[HELD], fixed=view.fixed[HELD])
        return view.debt_usd, (owed, held)

    def shown_ltv(self, key: LoanKey) -> Decimal:
        view = self._view_at(key, max(self.stale_ms, self.old_ltv_ms))
        digits = "0.000001" if key.product is Product.CRYPTO_LOAN else "0.0001"
        return view.ltv.quantize(Decimal(digits), ROUND_HALF_UP)

    def shown_wallet(self) -> WalletView:
        age_ms = max(self.stale_wallet_ms, self._age_ms)
        if not age_ms:
            return WalletView(self.true_ms, dict(self.wallet), dict(self.unified))
        past = [view for view in self.wallets if view.at_ms <= self.true_ms - age_ms]
        return past[-1] if past else self.wallets[0]

    def shown_rows(self, product: Product, kind: Kind, since_ms: int) -> tuple[HistoryRow, ...]:
        of_ms = self.true_ms - max(self.old_rows_ms, self._age_ms)
        return tuple(
            row.shown_at(of_ms)
            for row in self.rows
            if row.visible_ms <= of_ms
            and row.shown.at_ms >= since_ms
            and (row.shown.key.product, row.shown.kind) == (product, kind)
        )

    def as_read(self, history: History) -> History:
        """As a read of it comes out."""
        return history

    def last_own_effect_ms(self, key: LoanKey, kinds: Collection[Kind] = tuple(Kind)) -> int:
        """When something of ours last took effect on the loan (or the wallet's coin); 0 if never."""
        own = (row for row in self.rows if row.shown.key == key and row.intent_id)
        return max((row.landed_ms or 0 for row in own if row.shown.kind in kinds), default=0)
