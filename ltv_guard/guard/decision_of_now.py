"""Who is helped next, and how, by what is known once the turn to write has come."""

from __future__ import annotations

from ltv_guard.core.decide.decision import Decision
from ltv_guard.core.model.loans import Direction, Kind, LoanKey
from ltv_guard.core.watch.time_left import Falling
from ltv_guard.guard.announcements import Announcements
from ltv_guard.guard.decider import Decider
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.episodes import Episodes
from ltv_guard.guard.lane import Lane, Prices
from ltv_guard.guard.line_up import LineUp
from ltv_guard.guard.rereads import Rereads
from ltv_guard.guard.snapshot import GuardOptions, Snapshot
from ltv_guard.guard.surroundings import Surroundings

READ_AGAIN = 0.5  # of max_snapshot_age: a loan seen longer ago is read by its id before it is acted on
SEEN_NOW_MS = 500  # the same where the loans are many pages, and a single one is read sooner than all
# A search for whom to help ends once it has tried several, and for so long: the next cycle reads all anew.
SEVERAL, LONGEST_SEARCH_MS = 5, 1000


class DecisionOfNow:
    """No amount is reckoned from facts of before its turn, and none from what is too old to act on."""

    def __init__(
        self,
        options: GuardOptions,
        rereads: Rereads,
        decider: Decider,
        episodes: Episodes,
        announcements: Announcements,
        around: Surroundings,
        defects: Defects,
    ) -> None:
        self._longest_ms = options.max_snapshot_age_ms
        self._rereads = rereads
        self._decider = decider
        self._episodes = episodes
        self._announcements = announcements
        self._clock = around.clock
        self._streamed = around.prices
        self._falling = Falling()
        self._defects = defects

    async def turn_came(self, snapshot: Snapshot, lane: Lane) -> None:
        """It was waited for: the loans are not what they were before.

        Where they are one page, they are read again. Of more pages those are that a stream of prices puts
        first, and prices tell who has come before them meanwhile.
        """
        lane.turn = self._clock.now()
        with self._defects.contained("looking again for a turn to write"):
            one_page, streamed = self._is_one_page(snapshot, lane), self._streamed()
            lane.chosen = set()
            if streamed:
                self._falling.saw(streamed, lane.turn.monotonic_ms)
            line_up = LineUp(self._falling, snapshot, lane, streamed)
            if streamed and not one_page:
                lane.line_up(line_up.order())
            first = line_up.first()
            before = snapshot.newest_prices
            await self._rereads.for_turn(snapshot, lane.product, first)
            prices = snapshot.newest_prices or {}
            keys = lane.decisions if one_page else first
            came = [key for key in keys if self._is_of_the_turn(snapshot, lane, key)]
            lane.read |= dict.fromkeys(came, prices)
            listed = {loan.key for loan in snapshot.books[lane.product].loans}
            lane.gone = {key: lane.decisions[key].loan for key in first if key not in listed}
            if one_page:
                await self._decide_all(snapshot, lane)
            elif streamed:  # who was read in this turn was ranked by prices of this turn
                lane.chosen = set(came)
            lane.answered = self._clock.now()
            if prices is not before:
                self._falling.saw(prices, self._clock.now().monotonic_ms)
            line_up = LineUp(self._falling, snapshot, lane, prices)
            line_up.learn()
            lane.line_up(line_up.order())

    def is_to_be_read(self, snapshot: Snapshot, lane: Lane, *, had_to_wait: bool, beside: bool) -> bool:
        """Whether what is decided on is read for this turn. `beside`: others have left, and are unanswered.

        Beside these it may take as long as an answer: loans of one page are read where that is quick, or they
        are old.
        """
        if not lane.waiting:
            return True
        if not self._is_one_page(snapshot, lane):
            return had_to_wait or self._age_ms(snapshot, lane.waiting[0]) > SEEN_NOW_MS
        if not beside:
            return had_to_wait
        took_ms = snapshot.sweep_ms
        if lane.turn is not None and lane.answered is not None:
            took_ms = lane.answered.ms_since(lane.turn)
        is_old = self._age_ms(snapshot, lane.waiting[0]) > READ_AGAIN * self._longest_ms
        return is_old or took_ms <= SEEN_NOW_MS

    def _age_ms(self, snapshot: Snapshot, key: LoanKey) -> int:
        return self._clock.now().ms_since(snapshot.asked_at(key))

    async def most_urgent(self, snapshot: Snapshot, lane: Lane) -> Decision | None:
        """What to do for whom; None: nothing more that this lane could do in this cycle."""
        tried, began = 0, self._clock.now()
        while (key := lane.next()) is not None:
            decision = before = lane.decisions.get(key)  # after an error of ours: if it is not too old
            with self._defects.contained("deciding on facts of now"):
                decision = await self._of_now(snapshot, lane, key)
            if decision is not None:
                return decision
            tried += 1
            if before is not None and self._is_gone(snapshot, lane, key):
                lane.gone[key] = before.loan
                self._rank(snapshot, lane, self._streamed() or snapshot.newest_prices or {})
            # Of hundreds each may take a read, while what is in need elsewhere waits for this cycle to end.
            if tried >= SEVERAL and self._clock.now().ms_since(began) > LONGEST_SEARCH_MS:
                return None
        return None

    async def _of_now(self, snapshot: Snapshot, lane: Lane, key: LoanKey) -> Decision | None:
        read_again = self._is_old(snapshot, lane, key) and await self._rereads.of_one(snapshot, key)
        # Of many pages, the loan that was thought first was read as the turn came.
        if read_again or not (lane.turn is None or self._is_one_page(snapshot, lane)):
            await self._decide_on(snapshot, lane, key)
        decision = lane.decisions.get(key)
        if decision is not None and key not in lane.told:
            decision = await self._borne_out(snapshot, lane, decision)
            if decision is not None and decision.kind is lane.kind:
                self._episodes.note(snapshot, [decision])
                self._announcements.tell_one(snapshot, decision)
        if decision is None or decision.kind is not lane.kind:
            return None
        too_old = snapshot.note_if_too_old(decision, self._clock.now(), self._longest_ms)
        return None if too_old else decision

    async def _borne_out(self, snapshot: Snapshot, lane: Lane, decision: Decision) -> Decision | None:
        """As it stands after one more look, where what was read is out of the ordinary."""
        key, account = decision.loan.key, snapshot.account
        if account is not None and await self._rereads.of_what_is_odd(snapshot, account, [decision]):
            await self._decide_on(snapshot, lane, key)
        return lane.decisions.get(key)

    async def _decide_all(self, snapshot: Snapshot, lane: Lane) -> None:
        _, decisions = await self._decider.decide(snapshot)
        lane.decided(decisions, snapshot.at_rest.decisions, told=False)

    async def _decide_on(self, snapshot: Snapshot, lane: Lane, key: LoanKey) -> None:
        """One among many costs little, so that its facts are as fresh when it leaves."""
        if lane.kind is Kind.TRANSFER:  # several loans share one
            await self._decide_all(snapshot, lane)
        else:
            lane.decided_one(key, self._decider.decide_one(snapshot, key))

    def _is_gone(self, snapshot: Snapshot, lane: Lane, key: LoanKey) -> bool:
        return all(loan.key != key for loan in snapshot.books[lane.product].loans)

    def _is_one_page(self, snapshot: Snapshot, lane: Lane) -> bool:
        return snapshot.books[lane.product].pages == 1

    def _is_old(self, snapshot: Snapshot, lane: Lane, key: LoanKey) -> bool:
        if not self._is_of_the_turn(snapshot, lane, key):
            return True
        decision = lane.decisions.get(key)
        if decision is None or decision.direction is Direction.REDUCE:  # it is as old as the oldest loan
            return False
        now, asked = self._clock.now(), snapshot.asked_at(key)
        if now.ms_since(asked) > READ_AGAIN * self._longest_ms:
            return True
        if self._is_one_page(snapshot, lane):
            return False
        # However slow the answers are: what was read for this turn is not read again as soon as it has come.
        came_ms = now.ms_since(asked if lane.answered is None else lane.answered)
        return min(came_ms, now.ms_since(asked)) > SEEN_NOW_MS

    def _is_of_the_turn(self, snapshot: Snapshot, lane: Lane, key: LoanKey) -> bool:
        return lane.turn is None or snapshot.asked_at(key).monotonic_ms >= lane.turn.monotonic_ms

    def _rank(self, snapshot: Snapshot, lane: Lane, prices: Prices) -> None:
        lane.line_up(LineUp(self._falling, snapshot, lane, prices).order())

    def saw_prices(self) -> None:
        """Between two turns: what prices did meanwhile is known at the next."""
        if streamed := self._streamed():
            self._falling.saw(streamed, self._clock.now().monotonic_ms)
