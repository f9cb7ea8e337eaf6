"""Who acts when: most urgent first, each kind of write at its own pace."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ltv_guard.core.decide.decision import Decision
from ltv_guard.core.model.intents import State
from ltv_guard.core.model.loans import Kind, Owner, Product
from ltv_guard.core.ports import Clock
from ltv_guard.guard.adjuster import Adjuster
from ltv_guard.guard.decision_of_now import DecisionOfNow
from ltv_guard.guard.permission import Gate
from ltv_guard.guard.snapshot import GuardOptions, Snapshot

LATEST_START = 0.6  # of max_snapshot_age: so long a cycle goes on to begin adjustments


class Lanes:
    """A lane is a product's adjustments, repayments or transfers: an order waits for no pool's turn."""

    def __init__(
        self, options: GuardOptions, gate: Gate, now: DecisionOfNow, adjuster: Adjuster, clock: Clock
    ) -> None:
        self._longest_ms = options.max_snapshot_age_ms
        self._gate = gate
        self._now = now
        self._adjuster = adjuster
        self._clock = clock

    async def act(self, owner: Owner, snapshot: Snapshot, decisions: Sequence[Decision]) -> int:
        """How many left, or may have. Raises JournalUnavailable, once all lanes have ended."""
        lanes: dict[tuple[Product, Kind], list[Decision]] = {}
        for decision in decisions:
            product, kind = decision.loan.key.product, decision.kind
            if kind is not None and not self._gate.is_closed_to(product):
                lanes.setdefault((product, kind), []).append(decision)
        acting = (self._act_in_turn(owner, snapshot, lane) for lane in lanes.values())
        done = await asyncio.gather(*acting, return_exceptions=True)
        failures = [item for item in done if isinstance(item, BaseException)]
        if failures:  # raised only now: the other product's adjustment was not to be cut off
            raise failures[0]
        return sum(item for item in done if isinstance(item, int))

    async def _act_in_turn(self, owner: Owner, snapshot: Snapshot, decisions: Sequence[Decision]) -> int:
        actions, began = 0, self._clock.now()
        # For no longer than the reading took, where that is slow: others may need help by then.
        span_ms = max(LATEST_START * self._longest_ms, began.ms_since(snapshot.began))
        for decision in decisions:
            if self._gate.is_closed:
                break
            if actions and self._clock.now().ms_since(began) > span_ms:
                break
            product, adjusts = decision.loan.key.product, decision.kind is Kind.ADJUSTMENT
            if actions and adjusts and not self._gate.allows_another(product):
                break  # the next cycle goes on
            current = await self._now.of(snapshot, decision)
            if current is None:
                continue
            after = await self._adjuster.adjust(owner, snapshot, current)
            if after is None:
                continue
            if after.state is State.WITHDRAWN:
                snapshot.note_if_too_old(current, self._clock.now(), self._longest_ms)
                continue
            actions += 1
            if adjusts:
                self._gate.passed(product)
        return actions
