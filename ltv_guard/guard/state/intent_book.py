"""The intents of one account. It alone writes them: to the journal, and then to memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from ltv_guard.core.model.intents import SPENT, Intent, State
from ltv_guard.core.model.loans import Channel, Direction, LoanKey, Moment, Owner
from ltv_guard.core.ports import Journal
from ltv_guard.core.reconcile.evidence import InFlightWatch
from ltv_guard.core.reconcile.settlement import SettlementTimeouts, is_told_apart
from ltv_guard.guard.state.unwritten_episodes import UnwrittenEpisodes

NONE: Mapping[str, Intent] = {}
LANDED = frozenset({State.CONFIRMED, State.AMBIGUOUS})  # or may have
DAY_MS = 86_400_000
SAME_BODY_MS = 60_000  # what was refused is not asked for again before that
SETTLING_DOWN_MS = 600_000  # so long after an adjustment its loan is checked for freshness


@dataclass(slots=True)
class IntentBook:
    """Mutable, owned by one guard, touched by one cycle at a time.

    Whatever asks the journal raises JournalUnavailable; nothing is remembered then.
    """

    _journal: Journal
    _intents: dict[str, Intent] = field(default_factory=dict)
    _of_loans: dict[LoanKey, dict[str, Intent]] = field(default_factory=dict)
    _watches: dict[str, InFlightWatch] = field(default_factory=dict)
    episodes: UnwrittenEpisodes = field(default_factory=UnwrittenEpisodes)
    tally: Counter[tuple[Direction, State]] = field(default_factory=Counter)
    """What was written by this process: how often a direction came to a state."""

    @property
    def every(self) -> Collection[Intent]:
        """All that are remembered."""
        return self._intents.values()

    @property
    def loans(self) -> Collection[LoanKey]:
        """Those that any of them is of."""
        return self._of_loans.keys()

    def of_loan(self, key: LoanKey) -> Collection[Intent]:
        """Those of one loan; of a transfer, `key` is the wallet's coin."""
        return self._of_loans.get(key, NONE).values()

    def none_is_open(self) -> bool:
        """Whether all that are remembered have ended."""
        return not any(item.is_open for item in self.every)

    def nothing_sent_since(self, moment: Moment) -> bool:
        """Whether we have moved no coins since that moment: nothing is open, and nothing has ended."""
        return not self.sent_since(moment)

    def sent_since(self, moment: Moment) -> list[Intent]:
        """What is open, or has ended since that moment."""
        return [item for item in self.every if item.is_open or item.updated_at_ms >= moment.exchange_ms]

    # To the journal and to memory together.

    async def plan(self, intent: Intent) -> None:
        """Writes a planned intent. Raises AlreadyOpen where its loan has an open one (a rescue: had one)."""
        await self._journal.plan(intent)
        self._note(intent)

    async def write_sent(self, intent: Intent) -> bool:
        """Writes that it is sent, in one commit: a new row, or that which says planned, where it has waited.

        It takes along its loan's episode that waits. False, and nothing is written, while a pause holds for
        its account. A new row: raises as `plan`.
        """
        write = self._journal.mark_sent if intent.intent_id in self._intents else self._journal.write_sent
        written = await self.episodes.write_with(intent, write)
        if written:
            self._note(intent)
        return written

    async def record(self, before: Intent, after: Intent) -> None:
        """Writes a transition. Raises JournalUnavailable if `before` is not what the journal holds.

        What was planned and never waited is in no journal yet: it is planned first. Raises as `plan` then.
        """
        if before.state is State.PLANNED and before.intent_id not in self._intents:
            await self.plan(before)
        await self._journal.record(before, after)
        self._note(after)

    def _note(self, intent: Intent) -> None:
        self.tally[intent.direction, intent.state] += 1
        self.remember([intent])

    async def recall(self, owner: Owner, since_ms: int) -> None:
        """What was written at or after `since_ms` (exchange time), by this process or an earlier one."""
        self.remember(await self._journal.recent_intents(owner, since_ms))

    async def written(self, owner: Owner, since_ms: int) -> dict[str, Intent]:
        """Id -> what the journal holds from `since_ms` on. Remembers nothing."""
        return {item.intent_id: item for item in await self._journal.recent_intents(owner, since_ms)}

    # Memory alone.

    def remember(self, intents: Iterable[Intent]) -> None:
        """Takes intents as the journal has them; nothing is written."""
        for intent in intents:
            self._intents[intent.intent_id] = intent
            self._of_loans.setdefault(intent.key, {})[intent.intent_id] = intent

    def forget_open_but(self, held: Iterable[Intent]) -> None:
        """Drops what is open and is not among those that the journal holds."""
        ids = {item.intent_id for item in held}
        self._forget({item.intent_id for item in self.every if item.is_open} - ids)

    def forget_before(self, exchange_ms: int) -> frozenset[str]:
        """Drops what ended before `exchange_ms`. Returns the ids."""
        old = frozenset(
            item.intent_id for item in self.every if not item.is_open and item.updated_at_ms < exchange_ms
        )
        self._forget(old)
        return old

    def _forget(self, ids: Iterable[str]) -> None:
        for intent_id in ids:
            intent = self._intents.pop(intent_id)
            self._of_loans[intent.key].pop(intent_id)
            if not self._of_loans[intent.key]:
                del self._of_loans[intent.key]
            self._watches.pop(intent_id, None)

    # Watches.

    def watch(self, intent: Intent, now: Moment) -> InFlightWatch:
        """The watch of an open intent; one that was sent by an earlier process is watched from now."""
        return self._watches.setdefault(intent.intent_id, InFlightWatch(since=now))

    def watched(self, intent: Intent, now: Moment) -> InFlightWatch:
        """The same, and nothing is noted."""
        return self._watches.get(intent.intent_id) or InFlightWatch(since=now)

    def keep_watch(self, intent: Intent, watch: InFlightWatch) -> None:
        """Keeps what was seen of an intent in flight, in place of what was kept before."""
        self._watches[intent.intent_id] = watch

    # Which there are.

    def of(self, channel: Channel) -> list[Intent]:
        """The intents of one product and kind."""
        return [item for item in self.every if item.channel == channel]

    def absent(self, channel: Channel, now: Moment) -> list[Intent]:
        """Intents given up as absent within a day: their row may still turn up."""
        return [
            item
            for item in self.of(channel)
            if item.state is State.ABSENT and now.exchange_ms - item.updated_at_ms < DAY_MS
        ]

    def rescued_by(self, rescue: Intent) -> Intent | None:
        """What `rescue` is the rescue of, if that landed and is of the same coin."""
        first = self._intents.get(rescue.rescue_of or "")
        landed = first is not None and first.state is State.CONFIRMED and rescue.was_planned_beside(first)
        same = first is not None and (first.channel, first.coin) == (rescue.channel, rescue.coin)
        return first if landed and same else None

    def beside(self, last: Intent) -> Intent | None:
        """The rescue of `last`, or what it is the rescue of, if that landed too."""
        found = (
            item
            for item in self.of_loan(last.key)
            if item.state in LANDED and (item.was_planned_beside(last) or last.was_planned_beside(item))
        )
        return next(found, None)

    def sibling_changes(self, intent: Intent) -> tuple[Decimal, ...]:
        """What other open intents of the same loan and coin may have moved: a rescue, and what it rescues."""
        return tuple(
            item.change
            for item in self.of_loan(intent.key)
            if item.is_open
            and item.intent_id != intent.intent_id
            and (item.coin, item.channel) == (intent.coin, intent.channel)
        )

    # What they took, and what a new one must differ from.

    def spent_24h(
        self, direction: Direction, now: Moment, begun: Mapping[str, Intent], *, with_collateral: bool = False
    ) -> dict[str, Decimal]:
        """Coins added (repaid, transferred) in the last 24 hours by intents that landed or may have.

        An intent's day begins when its end was known: until then it may still land. `begun`: by id, what may
        not be written down yet.
        """
        spent: dict[str, Decimal] = {}
        for item in {**begun, **self._intents}.values():
            recent = item.is_open or now.exchange_ms - item.updated_at_ms < DAY_MS
            same = item.direction is direction and with_collateral is (item.collateral_coin is not None)
            if recent and same and item.state in SPENT:
                spent[item.coin] = spent.get(item.coin, Decimal(0)) + item.amount
        return spent

    def amounts_in_doubt(
        self, key: LoanKey, coin: str, direction: Direction, timeouts: SettlementTimeouts, now: Moment
    ) -> set[Decimal]:
        """Amounts that a new one must differ from: an intent of that amount could be taken for it."""
        return {
            item.amount
            for item in self.of_loan(key)
            if (item.coin, item.direction) == (coin, direction) and not is_told_apart(item, timeouts, now)
        }

    def refused_lately(self, key: LoanKey, now: Moment, within_ms: int = SAME_BODY_MS) -> list[Intent]:
        """Those of a loan that were refused so lately that the same body is not sent again yet.

        One whose answer, or request, was lost was refused by nobody.
        """
        return [
            item
            for item in self.of_loan(key)
            if _was_refused(item) and now.exchange_ms - (item.signed_at_ms or item.updated_at_ms) < within_ms
        ]

    def last_release_ms(self, key: LoanKey, ends: Collection[State] = (State.CONFIRMED,)) -> int | None:
        """Exchange time at which the loan's last release was known to have ended so; None: none is known."""
        found = (
            item.updated_at_ms
            for item in self.of_loan(key)
            if item.direction is Direction.REDUCE and item.state in ends
        )
        return max(found, default=None)


def landed_lately(item: Intent, now: Moment) -> bool:
    """Whether it landed, or may have, so recently that reads may still show what was before it."""
    return (
        item.state in LANDED
        and item.direction is not Direction.TRANSFER
        and now.exchange_ms - item.updated_at_ms < SETTLING_DOWN_MS
    )


def _was_refused(item: Intent) -> bool:
    """Whether the exchange answered, and did nothing: a code of no table ends as absent."""
    return item.state is State.REJECTED or (item.state is State.ABSENT and item.ret_code is not None)
