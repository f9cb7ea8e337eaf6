"""What an account's guard remembers between cycles. A restart loses it without harm: it only waits longer."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from ltv_guard.core.model.intents import SPENT, Intent, State
from ltv_guard.core.model.loans import (
    Channel,
    Direction,
    History,
    HistoryRow,
    Kind,
    Loan,
    LoanKey,
    Moment,
    Product,
)
from ltv_guard.core.reconcile.settlement import (
    DEBT_DRIFT,
    EARLY_MS,
    RESOLVED_WITHIN_MS,
    InFlightWatch,
    SettlementTimeouts,
    is_told_apart,
    row_of,
)
from ltv_guard.guard.lag import Lateness

IN_VAIN = frozenset({State.REJECTED, State.ABSENT})
LANDED = frozenset({State.CONFIRMED, State.AMBIGUOUS})  # or may have
DAY_MS = 86_400_000
FIRST_BACKOFF_MS = 2_000
LASTING_BACKOFF_MS = 10_000  # where nothing will change by the next cycle: the next coin has its turn
PASSING_MS = 8_000  # so long after the first, at the second try or third, a refusal is none of the moment
LONGEST_BACKOFF_MS = 60_000  # a refusal may end at any time, and the loan may have no other coin
SAME_BODY_MS = 60_000  # what was refused is not asked for again before that
FEWER_DECIMALS = (4, 2)  # where the exchange takes no finer amounts, and does not say how fine
UNSEEN = Decimal("0.01")  # of a transfer: so much may be missing where it has arrived
SETTLING_DOWN_MS = 600_000  # so long after an adjustment its loan is checked for freshness


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The exchange refused to take (give) a loan's coin: not tried again before `until_ms` (monotonic).

    It has done so without a break since `since_ms`, last at `at_ms`; `lasting`: for a cause that will not
    pass by itself.
    """

    why: str
    count: int
    since_ms: int
    at_ms: int
    until_ms: int
    lasting: bool


@dataclass(slots=True)
class Bounds:
    """What the exchange's refusals have taught of the amounts that it takes of a coin."""

    decimals: int | None = None
    least: Decimal | None = None
    most: Decimal | None = None


NO_BOUNDS = Bounds()


@dataclass(slots=True)
class Memory:
    """Mutable, owned by one guard, touched by one cycle at a time."""

    intents: dict[str, Intent] = field(default_factory=dict)
    watches: dict[str, InFlightWatch] = field(default_factory=dict)
    histories: dict[Channel, History] = field(default_factory=dict)
    history_old_since: dict[Channel, int] = field(default_factory=dict)
    loans: dict[LoanKey, Loan] = field(default_factory=dict)
    missed: dict[LoanKey, int] = field(default_factory=dict)
    refusals: dict[tuple[LoanKey, Direction, str], Refusal] = field(default_factory=dict)
    shown_as_before: set[LoanKey] = field(default_factory=set)
    lateness: Lateness = field(default_factory=Lateness)
    missing_rows: dict[str, int] = field(default_factory=dict)
    wallet_before: dict[str, Decimal] = field(default_factory=dict)
    suspects: set[str] = field(default_factory=set)  # intents that were answered with a code of no table
    _bounds: dict[tuple[Channel, str], Bounds] = field(default_factory=dict)
    _fresh_since: dict[str, int] = field(default_factory=dict)
    _shown: dict[Hashable, tuple[Decimal, int]] = field(default_factory=dict)
    _doubted_since: dict[str, int] = field(default_factory=dict)
    _echoes_over: set[str] = field(default_factory=set)
    _let_go: set[str] = field(default_factory=set)
    _lacking: dict[str, tuple[Decimal, int, int]] = field(default_factory=dict)
    _owed: dict[LoanKey, dict[str, Decimal]] = field(default_factory=dict)
    _low: dict[LoanKey, tuple[int, int]] = field(default_factory=dict)

    def remember(self, intents: Iterable[Intent]) -> None:
        for intent in intents:
            self.intents[intent.intent_id] = intent

    def forget_open_but(self, held: Iterable[Intent]) -> None:
        """Drops what is open and is not among those that the journal holds."""
        ids = {item.intent_id for item in held}
        for item in [item for item in self.intents.values() if item.is_open and item.intent_id not in ids]:
            del self.intents[item.intent_id]
            self.watches.pop(item.intent_id, None)

    def forget_before(self, exchange_ms: int) -> None:
        """Drops what ended before `exchange_ms`: memory stays flat over days."""
        old = [
            key for key, item in self.intents.items() if not item.is_open and item.updated_at_ms < exchange_ms
        ]
        for key in old:
            del self.intents[key]
            self.watches.pop(key, None)
            self.suspects.discard(key)
            self._echoes_over.discard(key)
            self._let_go.discard(key)
            self.missing_rows.pop(key, None)
            self.lateness.forget(key)
            self.wallet_before.pop(key, None)
            self._lacking.pop(key, None)
            self._doubted_since.pop(key, None)
            self._fresh_since.pop(key, None)

    def watch(self, intent: Intent, now: Moment) -> InFlightWatch:
        """The watch of an open intent; one that was sent by an earlier process is watched from now."""
        return self.watches.setdefault(intent.intent_id, InFlightWatch(since=now))

    def claimed(self, product: Product) -> set[str]:
        """History ids that belong to an intent of ours."""
        ours = [item for item in self.intents.values() if item.key.product is product]
        ids = {item.adjust_id for item in ours if item.adjust_id is not None}
        for item in ours:
            if item.state is State.CONFIRMED and item.adjust_id is None:
                ids |= self._row_of_resolved(item, ids)
        return ids

    def _row_of_resolved(self, intent: Intent, taken: set[str]) -> set[str]:
        """The row of an intent that a person resolved as confirmed, and so without its id."""
        latest = (intent.signed_at_ms or 0) + (intent.recv_window_ms or 0) + RESOLVED_WITHIN_MS
        fitting = [
            row
            for row in self.rows(intent.key)
            if (row.coin, row.direction, row.amount) == (intent.coin, intent.direction, intent.amount)
            and (intent.signed_at_ms or latest) - EARLY_MS <= row.at_ms <= latest
            and row.adjust_id not in intent.seen_ids | taken
        ]
        first = min(fitting, key=lambda row: row.at_ms, default=None)
        return set() if first is None else {first.adjust_id}

    def has_left(self, intent: Intent, wallet: Mapping[str, Decimal] | None) -> bool:
        """Whether the wallet shows that an add's coins are gone from it; not known after a restart."""
        before = self.wallet_before.get(intent.intent_id)
        if before is None or wallet is None or intent.coin not in wallet:
            return False
        return wallet[intent.coin] <= before - intent.amount

    def has_rescue(self, first: Intent) -> bool:
        """Whether the one rescue of this intent was sent."""
        return any(item.rescue_of == first.intent_id for item in self.intents.values())

    def sibling_changes(self, intent: Intent) -> tuple[Decimal, ...]:
        """What other open intents of the same loan and coin may have moved: a rescue, and what it rescues."""
        return tuple(
            item.change
            for item in self.intents.values()
            if item.is_open
            and item.intent_id != intent.intent_id
            and (item.key, item.coin, item.channel) == (intent.key, intent.coin, intent.channel)
        )

    def absent(self, channel: Channel, now: Moment) -> list[Intent]:
        """Intents given up as absent within a day: their row may still turn up."""
        return [
            item
            for item in self.intents.values()
            if item.state is State.ABSENT
            and item.channel == channel
            and now.exchange_ms - item.updated_at_ms < DAY_MS
        ]

    def landed(self, key: LoanKey, now: Moment) -> list[Intent]:
        """The loan's adjustments that landed and whose time before may still be shown, the latest last."""
        return [item for item in self.landed_lately(key, now) if item.intent_id not in self._echoes_over]

    def landed_lately(self, key: LoanKey, now: Moment) -> list[Intent]:
        """All that landed within ten minutes: old facts may turn up for as long, though fresh ones did."""
        found = [
            item
            for item in self.intents.values()
            if item.key == key and item.intent_id not in self._let_go and _landed_lately(item, now)
        ]
        return sorted(found, key=lambda item: item.signed_at_ms or 0)

    def under_way(self, key: LoanKey, now: Moment) -> list[Intent]:
        """The loan's adjustments that were accepted or landed lately: the loan shows them, or will."""
        landed = self.landed_lately(key, now)
        return [*landed, *(item for item in self.intents.values() if item.key == key and _is_accepted(item))]

    def note_rows(self, channel: Channel, history: History) -> None:
        """Since when complete histories lack the rows of what the journal says was confirmed."""
        ids = {row.adjust_id for row in history.rows}
        for item in self.intents.values():
            if item.channel != channel or item.state is not State.CONFIRMED or item.adjust_id is None:
                continue
            if item.adjust_id in ids:
                self.missing_rows.pop(item.intent_id, None)
            elif not (item.awaits_row or history.is_old) and _landed_lately(item, history.began):
                self.missing_rows.setdefault(item.intent_id, history.began.monotonic_ms)

    def without_rows(self, intents: Iterable[Intent], now: Moment, longer_than_ms: int) -> list[Intent]:
        """Those of `intents` whose rows have been missing for longer than that."""
        since = ((item, self.missing_rows.get(item.intent_id, now.monotonic_ms)) for item in intents)
        return [item for item, since_ms in since if now.monotonic_ms - since_ms > longer_than_ms]

    def doubt_again(self, key: LoanKey, intents: Iterable[Intent]) -> None:
        """The loan was shown as it was before them, after fresh facts were: their echoes are not over."""
        self._echoes_over -= {item.intent_id for item in intents}
        self.shown_as_before.add(key)

    def let_go(self, intents: Iterable[Intent]) -> None:
        """What is shown can't be measured by these any more."""
        self._let_go |= {item.intent_id for item in intents}

    def owes_less(self, loan: Loan) -> bool:
        """Whether less is owed than when the loan was last believed, by more than interest moves."""
        now = {debt.coin: debt.amount for debt in loan.debts}
        return any(
            now.get(coin, Decimal(0)) < amount * (1 - DEBT_DRIFT)
            for coin, amount in self._owed.get(loan.key, {}).items()
        )

    def believed(self, loan: Loan) -> None:
        """What is shown of it now is as fresh as can be told."""
        self.shown_as_before.discard(loan.key)
        self._owed[loan.key] = {debt.coin: debt.amount for debt in loan.debts}

    def has_landed_in(self, channel: Channel, now: Moment) -> bool:
        """Whether an adjustment of that kind landed whose time before may still be shown."""
        return any(
            item.channel == channel and item.intent_id not in self._echoes_over and _landed_lately(item, now)
            for item in self.intents.values()
        )

    def beside(self, last: Intent) -> Intent | None:
        """The rescue of `last`, or what it is the rescue of, if that landed too."""
        found = (
            item
            for item in self.intents.values()
            if item.state in LANDED and (item.intent_id == last.rescue_of or item.rescue_of == last.intent_id)
        )
        return next(found, None)

    def saw(self, last: Intent, *, fresh: bool, at: Moment, long_enough_ms: int) -> None:
        """Notes a read of the loan after `last`; once they were fresh for long enough, none is doubted."""
        if not fresh:
            self._fresh_since.pop(last.intent_id, None)
            self._doubted_since.setdefault(last.intent_id, at.monotonic_ms)
            return
        self._doubted_since.pop(last.intent_id, None)
        since = self._fresh_since.setdefault(last.intent_id, at.monotonic_ms)
        if at.monotonic_ms - since >= long_enough_ms:
            self._fresh_since.pop(last.intent_id)
            self._echoes_over.add(last.intent_id)

    def shown_for_ms(
        self, what: Hashable, amount: Decimal, at: Moment, *, within: Decimal = Decimal(0)
    ) -> int:
        """How long the same amount of something (a loan's coin), or nearly, was shown without a break."""
        since = self._shown.get(what)
        if since is None or abs(since[0] - amount) > within:
            since = self._shown[what] = (amount, at.monotonic_ms)
        return at.monotonic_ms - since[1]

    def doubted_for_ms(self, key: LoanKey, now: Moment) -> int:
        """How long what is shown of the loan has not been believed without a break."""
        since = [self._doubted_since.get(item.intent_id) for item in self.landed(key, now)]
        known = [item for item in since if item is not None]
        return now.monotonic_ms - min(known) if known else 0

    def each_doubted_for_ms(self, landed: Iterable[Intent], now: Moment) -> int:
        """How long each of `landed` has been doubted at least: the latest begins the wait anew."""
        since = [self._doubted_since.get(item.intent_id, now.monotonic_ms) for item in landed]
        return now.monotonic_ms - max(since, default=now.monotonic_ms)

    def rows(self, key: LoanKey) -> tuple[HistoryRow, ...]:
        """What the histories show of the loan, of every kind; and adds that are known to be in it."""
        found = [history for channel, history in self.histories.items() if channel.product is key.product]
        shown = tuple(row for history in found for row in history.of(key))
        awaited = [item for item in self.awaiting_rows() if item.key == key]
        return (*shown, *(row_of(item) for item in awaited if item.intent_id not in self._let_go))

    def awaiting_rows(self) -> list[Intent]:
        """Adds that the loan's coins have confirmed, and whose rows no history has shown."""
        awaiting = [item for item in self.intents.values() if item.awaits_row]
        if not awaiting:
            return []
        shown = {(c.product, row.adjust_id) for c, history in self.histories.items() for row in history.rows}
        return [item for item in awaiting if (item.key.product, item.adjust_id) not in shown]

    def row_names(self, key: LoanKey) -> frozenset[str]:
        """What tells the rows apart that are there, understood or not: none is that of a new intent."""
        doubtful = (
            row.name
            for channel, history in self.histories.items()
            if channel.product is key.product
            for row in history.doubtful
        )
        return frozenset(row.adjust_id for row in self.rows(key)) | frozenset(doubtful)

    def amounts_taken(self, key: LoanKey) -> set[Decimal]:
        """Amounts that a new adjustment of the loan had better differ from: all that are remembered of it."""
        ours = {item.amount for item in self.intents.values() if item.key == key}
        return ours | {row.amount for row in self.rows(key)}

    def amounts_in_doubt(
        self, key: LoanKey, coin: str, direction: Direction, timeouts: SettlementTimeouts, now: Moment
    ) -> set[Decimal]:
        """Those of them that it must differ from: an intent of that amount could be taken for it."""
        return {
            item.amount
            for item in self.intents.values()
            if (item.key, item.coin, item.direction) == (key, coin, direction)
            and not is_told_apart(item, timeouts, now)
        }

    def refused_amounts(self, key: LoanKey, direction: Direction, coin: str, now: Moment) -> set[Decimal]:
        """Amounts that were sent in vain within a minute: the same body is not sent again so soon."""
        return {
            item.amount
            for item in self.intents.values()
            if (item.key, item.direction, item.coin) == (key, direction, coin)
            and item.state in IN_VAIN
            and now.exchange_ms - item.updated_at_ms < SAME_BODY_MS
        }

    def spent_24h(self, direction: Direction, now: Moment) -> dict[str, Decimal]:
        """Coins added (repaid, transferred) in the last 24 hours by intents that landed or may have.

        An intent's day begins when its end was known: until then it may still land.
        """
        spent: dict[str, Decimal] = {}
        for item in self.intents.values():
            recent = item.is_open or now.exchange_ms - item.updated_at_ms < DAY_MS
            if recent and item.direction is direction and item.state in SPENT:
                spent[item.coin] = spent.get(item.coin, Decimal(0)) + item.amount
        return spent

    def on_the_way(
        self, wallet: Mapping[str, Decimal] | None, read_at: Moment, *, longest_ms: int
    ) -> dict[str, Intent]:
        """Coin -> the transfer of it that is open; or that landed, and does not show so soon after.

        A wallet that showed it, and then does not, is old for as long: then the coins went somewhere.
        """
        transfers = [item for item in self.intents.values() if item.direction is Direction.TRANSFER]
        landed = [
            item
            for item in transfers
            if item.state is State.CONFIRMED
            and self._may_not_show(item, wallet, read_at, longest_ms)
            and not self._has_arrived(item, wallet or {})
        ]
        return {item.coin: item for item in (*landed, *(item for item in transfers if item.is_open))}

    def _may_not_show(
        self, transfer: Intent, wallet: Mapping[str, Decimal] | None, read_at: Moment, longest_ms: int
    ) -> bool:
        age_ms = read_at.exchange_ms - transfer.updated_at_ms
        if wallet is None or age_ms >= SETTLING_DOWN_MS:
            return age_ms < longest_ms
        now_ms, shown = read_at.monotonic_ms, wallet.get(transfer.coin, Decimal(0))
        last, since_ms, looked_ms = self._lacking.get(transfer.intent_id, (shown, now_ms, now_ms))
        if last != shown or now_ms - looked_ms > 2 * longest_ms:
            since_ms = now_ms
        self._lacking[transfer.intent_id] = (shown, since_ms, now_ms)
        return age_ms < longest_ms or now_ms - since_ms < longest_ms

    def _has_arrived(self, transfer: Intent, wallet: Mapping[str, Decimal]) -> bool:
        """Whether the Funding wallet shows all of the coins, but for what was spent since it was read."""
        spent = sum(
            (
                item.amount
                for item in self.intents.values()
                if item.coin == transfer.coin
                and item.direction in {Direction.ADD, Direction.REPAY}
                and item.state in SPENT
                and item.created_at_ms >= transfer.observed_at_ms
            ),
            Decimal(0),
        )
        missing = transfer.coins_before + transfer.amount - spent - wallet.get(transfer.coin, Decimal(0))
        return missing <= transfer.amount * UNSEEN

    def foreign_add_ms(self, key: LoanKey, now: Moment) -> int | None:
        """How long ago the user added collateral by hand; None: not within what the history shows."""
        claimed = self.claimed(key.product)
        times = [
            row.at_ms
            for row in self.rows(key)
            if row.direction is Direction.ADD and row.adjust_id not in claimed
        ]
        return max(0, now.exchange_ms - max(times)) if times else None

    def low_for(self, key: LoanKey, *, low: bool, seen_at: Moment, longest_gap_ms: int) -> int:
        """Sighted ms that the loan has been low for; time that nobody looked does not count."""
        if not low:
            self._low.pop(key, None)
            return 0
        last, sighted = self._low.get(key, (seen_at.monotonic_ms, 0))
        gap = seen_at.monotonic_ms - last
        sighted += gap if gap <= longest_gap_ms else 0
        self._low[key] = (seen_at.monotonic_ms, sighted)
        return sighted

    def refuse(
        self,
        key: LoanKey,
        direction: Direction,
        coin: str,
        why: str,
        now: Moment,
        *,
        lasting: bool = False,
        rest_ms: int = 0,
    ) -> Refusal:
        """Notes a refusal; each one that follows at once doubles the wait. It is `rest_ms` at least."""
        last = self.refusals.get((key, direction, coin))
        again = last is not None and now.monotonic_ms < last.until_ms + LONGEST_BACKOFF_MS
        count = last.count + 1 if last is not None and again else 1
        first = LASTING_BACKOFF_MS if lasting else FIRST_BACKOFF_MS
        wait = max(min(first * 2 ** (count - 1), LONGEST_BACKOFF_MS), rest_ms)
        refusal = Refusal(
            why=why,
            count=count,
            since_ms=last.since_ms if last is not None and again else now.monotonic_ms,
            at_ms=now.monotonic_ms,
            until_ms=now.monotonic_ms + wait,
            lasting=lasting,
        )
        self.refusals[key, direction, coin] = refusal
        return refusal

    def taken(self, intent: Intent) -> None:
        """The exchange took it: the next refusal is the first again."""
        self.refusals.pop((intent.key, intent.direction, intent.coin), None)

    def passing(self, key: LoanKey | None, direction: Direction, now: Moment) -> frozenset[str]:
        """Coins refused for this loan (None: any) that the exchange may take (give, move) at the next try."""
        return frozenset(
            coin
            for (loan, way, coin), item in self.refusals.items()
            if way is direction
            and key in {None, loan}
            and now.monotonic_ms < item.until_ms
            and not item.lasting
            and now.monotonic_ms - item.since_ms < PASSING_MS
        )

    def refused(self, key: LoanKey, direction: Direction, now: Moment) -> dict[str, str]:
        """Coin -> why the exchange will not take (give) it for this loan for now."""
        return {
            coin: item.why
            for (loan, way, coin), item in self.refusals.items()
            if (loan, way) == (key, direction) and now.monotonic_ms < item.until_ms
        }

    def shunned(self, key: LoanKey, direction: Direction, now: Moment) -> dict[str, str]:
        """Coin -> why it was refused within a minute: tried again where no other coin helps."""
        return {
            coin: item.why
            for (loan, way, coin), item in self.refusals.items()
            if (loan, way) == (key, direction) and now.monotonic_ms < item.at_ms + SAME_BODY_MS
        }

    # What refusals have taught of amounts.

    def bounds(self, channel: Channel, coin: str) -> Bounds:
        return self._bounds.setdefault((channel, coin), Bounds())

    def at_least(self, loan: Loan) -> dict[str, Decimal]:
        """Coin -> less of it was refused as below the exchange's minimum for adding."""
        channel = Channel(loan.key.product, Kind.ADJUSTMENT)
        found = {
            held.coin: self._bounds.get((channel, held.coin), NO_BOUNDS).least for held in loan.collateral
        }
        return {coin: least for coin, least in found.items() if least is not None}

    def coarser(self, intent: Intent, documented: int | None) -> int | None:
        """Notes that its amount was too fine. How many decimals the next may have; None: no fewer will do."""
        exponent = intent.amount.normalize().as_tuple().exponent
        decimals = -exponent if isinstance(exponent, int) else 0
        known = FEWER_DECIMALS if documented is None else (documented, *FEWER_DECIMALS)
        fewer = max((item for item in known if item < decimals), default=None)
        if fewer is not None:
            self.bounds(intent.channel, intent.coin).decimals = fewer
        return fewer


def _landed_lately(item: Intent, now: Moment) -> bool:
    return (
        item.state in LANDED
        and item.direction is not Direction.TRANSFER
        and now.exchange_ms - item.updated_at_ms < SETTLING_DOWN_MS
    )


def _is_accepted(item: Intent) -> bool:
    return item.state is State.ACCEPTED and item.direction is not Direction.TRANSFER
