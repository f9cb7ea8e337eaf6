"""Who acts when: the turn comes first, then the most urgent loan; each kind of write at its own pace."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

from ltv_guard.core.decide.decision import Decision
from ltv_guard.core.model.intents import State
from ltv_guard.core.model.loans import Channel, Direction, Kind, Owner, Product
from ltv_guard.core.ports import Clock, WritePath
from ltv_guard.guard.adjuster import Adjuster
from ltv_guard.guard.decision_of_now import DecisionOfNow
from ltv_guard.guard.lane import Lane
from ltv_guard.guard.permission import Gate
from ltv_guard.guard.reads.loans import LoanReads
from ltv_guard.guard.snapshot import GuardOptions, Snapshot
from ltv_guard.guard.under_way import UnderWay

LATEST_START = 0.6  # of max_snapshot_age: so long a cycle goes on to begin adjustments
AHEAD_MS = 2_000  # so long before that the next list is begun, where it has many pages
HEED_PRICES_S = 0.1  # how often, while a turn is waited for
LONGEST_OVER_MS = 2_500  # and so much longer it goes on, while that is read
WAIT_FOR_LIST_S = 0.8  # of the second from one turn to the next


class Lanes:
    """An order waits for no pool's turn to write, nor for a transfer's."""

    def __init__(
        self,
        options: GuardOptions,
        paths: Mapping[Channel, WritePath],
        gate: Gate,
        now: DecisionOfNow,
        adjuster: Adjuster,
        clock: Clock,
        *,
        loans: LoanReads,
    ) -> None:
        self._longest_ms = options.max_snapshot_age_ms
        self._paths = paths
        self._gate = gate
        self._now = now
        self._adjuster = adjuster
        self._clock = clock
        self._loans = loans

    async def act(self, owner: Owner, snapshot: Snapshot, decisions: Sequence[Decision]) -> int:
        """How many left, or may have. Raises JournalUnavailable, once all lanes have ended."""
        lanes: dict[tuple[Product, Kind], Lane] = {}
        for decision in decisions:
            product, kind = decision.loan.key.product, decision.kind
            if kind is not None and not self._gate.is_closed_to(product):
                new = Lane(owner=owner, product=product, kind=kind, prices=snapshot.newest_prices or {})
                lanes.setdefault((product, kind), new).waiting.append(decision.loan.key)
        for lane in lanes.values():
            lane.decided(decisions, snapshot.at_rest.decisions, told=True)
        acting = (self._act_in_turn(snapshot, lane) for lane in lanes.values())
        done = await asyncio.gather(*acting, return_exceptions=True)
        snapshot.lanes = tuple(lanes.values())
        failures = [item for item in done if isinstance(item, BaseException)]
        if failures:  # raised only now: the other product's adjustment was not to be cut off
            raise failures[0]
        return sum(item for item in done if isinstance(item, int))

    async def _act_in_turn(self, snapshot: Snapshot, lane: Lane) -> int:
        if lane.kind is not Kind.ADJUSTMENT:
            return await self._turn_by_turn(snapshot, lane)
        with self._loans.acted_on(lane.product):
            return await self._turn_by_turn(snapshot, lane)

    async def _turn_by_turn(self, snapshot: Snapshot, lane: Lane) -> int:
        async with UnderWay(partial(self._adjust, snapshot, lane)) as under_way:
            await self._each_turn(snapshot, lane, under_way)
        return under_way.left

    async def _each_turn(self, snapshot: Snapshot, lane: Lane, under_way: UnderWay) -> None:
        adjusts = lane.kind is Kind.ADJUSTMENT
        began = lane.began = self._clock.now()
        # For no longer than the reading took, where that is slow: others may need help by then.
        span_ms = max(LATEST_START * self._longest_ms, began.ms_since(snapshot.began))
        if snapshot.in_haste:  # the next list is begun after the first
            span_ms = min(span_ms, AHEAD_MS)
        if snapshot.by_pages:  # a worse one may stand on a page that has not come
            span_ms = 0
        while await self._some_wait(snapshot, lane, under_way):
            actions = under_way.left
            over_ms = self._clock.now().ms_since(began) - span_ms
            if actions and (
                self._loans.late_one_has_come  # of the other product: somebody there may be worse off
                or (over_ms >= -AHEAD_MS and await self._may_end(snapshot, lane, over_ms))
            ):
                snapshot.goes_on = True
                break
            if actions and adjusts and not await self._gate.allows_another(snapshot, lane.product):
                break  # the next cycle goes on
            had_to_wait = await self._turn(self._paths[lane.channel])
            beside = bool(under_way.unanswered)
            if self._now.is_to_be_read(snapshot, lane, had_to_wait=had_to_wait, beside=beside):
                await self._now.turn_came(snapshot, lane)
            if self._gate.is_closed_to(lane.product):
                break
            current = await self._now.most_urgent(snapshot, lane)
            if current is None or self._gate.is_closed_to(lane.product):  # by an answer that came meanwhile
                break
            if under_way.unanswered and not self._may_leave_beside(current):
                snapshot.goes_on = True  # once these are answered, by what is read then
                break
            await self._begin(snapshot, under_way, current)

    async def _begin(self, snapshot: Snapshot, under_way: UnderWay, decision: Decision) -> None:
        await under_way.begin(decision, partial(self._may_go_on, snapshot, decision))
        if not self._adjuster.may_be_several(decision.loan.key.product):
            await under_way.all_answered()

    def _may_go_on(self, snapshot: Snapshot, decision: Decision) -> bool:
        """Whether another add may leave before the answer to this one has come."""
        return (
            not snapshot.by_pages  # the next list tells whose turn is next
            and self._gate.are_directions_proven(decision.loan.key.product)
            and self._may_leave_beside(decision)
            and self._adjuster.has_left(decision)
        )

    def _may_leave_beside(self, decision: Decision) -> bool:
        is_add = decision.direction is Direction.ADD
        return is_add and self._adjuster.may_be_several(decision.loan.key.product)

    async def _some_wait(self, snapshot: Snapshot, lane: Lane, under_way: UnderWay) -> bool:
        """Whether a loan waits for a turn; one may come while others are unanswered."""
        while not self._one_waits(snapshot, lane, under_way):
            if not under_way.unanswered:
                return False
            await asyncio.wait(under_way.unanswered, timeout=HEED_PRICES_S)
            self._now.saw_prices()
        return True

    def _one_waits(self, snapshot: Snapshot, lane: Lane, under_way: UnderWay) -> bool:
        """Also whom prices have put at a trigger since, where the list is long, or others are unanswered.

        A turn tells who they are; the next cycle would, where it can begin at once.
        """
        if self._gate.is_closed_to(lane.product):
            return False
        if lane.waiting or not under_way.left or lane.kind is not Kind.ADJUSTMENT:
            return bool(lane.waiting)
        if not (snapshot.is_long(lane.product) or under_way.unanswered):
            return False
        return self._loans.others_crossed(lane.product, lane.tried)

    async def _turn(self, path: WritePath) -> bool:
        """Waits for it, and heeds prices meanwhile. Whether it had to."""
        turn = asyncio.ensure_future(path.turn())
        try:
            while not turn.done():
                await asyncio.wait({turn}, timeout=HEED_PRICES_S)
                self._now.saw_prices()
            return await turn
        finally:
            turn.cancel()

    async def _may_end(self, snapshot: Snapshot, lane: Lane, over_ms: float) -> bool:
        """Whether the next cycle can go on at once: a list of many pages is read while the lane goes on."""
        if snapshot.books[lane.product].pages == 1:
            return over_ms > 0
        # Who is to have the next turn, a list may tell that comes before it.
        within_s = WAIT_FOR_LIST_S if snapshot.by_pages else 0
        return await self._loans.next_comes(lane.product, within_s) or over_ms > LONGEST_OVER_MS

    async def _adjust(self, snapshot: Snapshot, lane: Lane, decision: Decision) -> int:
        after = await self._adjuster.adjust(lane.owner, snapshot, decision)
        if after is None:
            return 0
        if after.state is State.WITHDRAWN:
            snapshot.note_if_too_old(decision, self._clock.now(), self._longest_ms)
            return 0
        if lane.kind is Kind.ADJUSTMENT:
            self._gate.passed(lane.product)
        return 1
