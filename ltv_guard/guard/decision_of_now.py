"""Who is helped next, and how, by what is known once the turn to write has come."""

from __future__ import annotations

from decimal import Decimal
from itertools import islice

from ltv_guard.core.decide.decision import Decision
from ltv_guard.core.model.loans import Direction, Kind, LoanKey
from ltv_guard.core.reconcile.plausibility import Bearing
from ltv_guard.core.watch.pair_lines import Pair, pair_of
from ltv_guard.core.watch.repriced import repricing
from ltv_guard.core.watch.time_left import Falling, seconds_left
from ltv_guard.guard.announcements import Announcements
from ltv_guard.guard.decider import Decider
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.episodes import Episodes
from ltv_guard.guard.lane import Lane, Prices
from ltv_guard.guard.rereads import Rereads
from ltv_guard.guard.snapshot import Appraised, GuardOptions, Snapshot
from ltv_guard.guard.surroundings import Surroundings

READ_AGAIN = 0.5  # of max_snapshot_age: a loan seen longer ago is read by its id before it is acted on
SEEN_NOW_MS = 500  # the same where the loans are many pages, and a single one is read sooner than all
# A search for whom to help ends once it has tried several, and for so long: the next cycle reads all anew.
SEVERAL, LONGEST_SEARCH_MS = 5, 1000
AT_ONCE = 2  # so many of many pages are read as a turn comes: the first may have been liquidated by then
AT_MOST_LATE_S = 3  # by so much the time that is left to loans may be misjudged
TOO_LATE_S = Decimal("0.1")  # an adjustment that is decided on now has not arrived before


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
            if streamed and not one_page:
                self._rank(snapshot, lane, streamed)
            first = _first_of(snapshot, lane)
            await self._rereads.for_turn(snapshot, lane.product, first)
            prices = snapshot.newest_prices or {}
            lane.read |= dict.fromkeys(lane.decisions if one_page else first, prices)
            listed = {loan.key for loan in snapshot.books[lane.product].loans}
            lane.gone = {key: lane.decisions[key].loan for key in first if key not in listed}
            if one_page:
                await self._decide_all(snapshot, lane)
            self._falling.saw(prices, self._clock.now().monotonic_ms)
            self._rank(snapshot, lane, prices)

    def is_late(self, snapshot: Snapshot, lane: Lane) -> bool:
        """Whether loans of many pages are not what they were, though the turn was free."""
        if self._is_one_page(snapshot, lane):
            return False
        return self._clock.now().ms_since(snapshot.books[lane.product].began) > SEEN_NOW_MS

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
                self._rank(snapshot, lane, snapshot.newest_prices or {})
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
                await self._episodes.keep(lane.owner, snapshot, [decision])
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
        lane.decided(decisions, told=False)

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
        age_ms = self._clock.now().ms_since(snapshot.asked_at(key))
        return age_ms > (READ_AGAIN * self._longest_ms if self._is_one_page(snapshot, lane) else SEEN_NOW_MS)

    def _is_of_the_turn(self, snapshot: Snapshot, lane: Lane, key: LoanKey) -> bool:
        return lane.turn is None or snapshot.asked_at(key).monotonic_ms >= lane.turn.monotonic_ms

    def _rank(self, snapshot: Snapshot, lane: Lane, prices: Prices) -> None:
        """Who asks for this kind of write now, or may once read: whose time ends first, what is odd last.

        Whom prices put beyond liquidation since it was read, or who will be by the time that help is there,
        comes after those that can be saved for certain: to find it gone takes a read, and hundreds may pass
        that line at once. Where one is found gone, whoever had less than twice its time counts as gone too.
        """
        ranks, listed = {}, {loan.key: loan for loan in snapshot.books[lane.product].loans}
        too_late_s = self._too_late_s(lane, prices)
        for key, decision in lane.decisions.items():
            loan = listed.get(key)
            if loan is None:
                continue
            moved = repricing(loan, lane.prices_of(key), prices)
            if decision.kind is lane.kind or self._will_ask(snapshot, lane, decision, loan.ltv * moved):
                left_s = seconds_left(loan.danger * moved, self._falling.speed(loan))
                is_sound = decision.bearing is not Bearing.CONTRADICTED
                is_there = decision.loan.danger >= 1 or left_s > too_late_s.get(pair_of(loan), TOO_LATE_S)
                ranks[key] = (is_sound, is_there, -left_s)
        lane.line_up(sorted(ranks, key=ranks.__getitem__, reverse=True))

    def _too_late_s(self, lane: Lane, prices: Prices) -> dict[Pair | None, Decimal]:
        """By pair of coins: twice the time that was left, as far as was known, to one that is gone by now."""
        found: dict[Pair | None, Decimal] = {}
        for loan in lane.gone.values():
            moved = repricing(loan, lane.prices, prices)
            left_s = seconds_left(loan.danger * moved, self._falling.speed(loan))
            if left_s < AT_MOST_LATE_S:  # others are gone for another reason
                found[pair_of(loan)] = max(2 * left_s, found.get(pair_of(loan), TOO_LATE_S))
        return found

    def _will_ask(self, snapshot: Snapshot, lane: Lane, decision: Decision, ltv: Decimal) -> bool:
        """Whether a loan that was below its trigger when it was decided on is at it by now, by prices."""
        found = snapshot.appraised.get(decision.loan.key)
        if decision.acts or lane.kind is not Kind.ADJUSTMENT or not isinstance(found, Appraised):
            return False
        return found.loan.ltv < found.limits.trigger <= ltv


def _first_of(snapshot: Snapshot, lane: Lane) -> list[LoanKey]:
    """The first who wait, and the first of another pair of coins: their speeds may have changed places."""
    first = lane.waiting[:AT_ONCE]
    listed = {loan.key: pair_of(loan) for loan in snapshot.books[lane.product].loans}
    pairs = {listed.get(key) for key in first}
    other = (key for key in lane.waiting if listed.get(key) not in pairs)
    return first if len(pairs) > 1 else [*first, *islice(other, 1)]
