"""What an earlier process left open, and what a person has said of intents meanwhile."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import structlog

from ltv_guard.core.model.intents import OPEN, Intent, State
from ltv_guard.core.ports import Clock
from ltv_guard.guard.loan_fields import named
from ltv_guard.guard.sender import Sender, withdrawn
from ltv_guard.guard.state.intent_book import IntentBook
from ltv_guard.log.alert_repeater import AlertRepeater

RESOLVED_LOOK_MS = 10_000  # how often it is looked whether a person has resolved what had closed in doubt

# What `journal resolve` may change behind our back.
RESOLVABLE = OPEN | {State.ABSENT, State.AMBIGUOUS}

log = structlog.stdlib.get_logger()


class LeftOpen:
    """Nothing is assumed of what this process did not send itself."""

    def __init__(self, intents: IntentBook, sender: Sender, clock: Clock, alerts: AlertRepeater) -> None:
        self._intents = intents
        self._sender = sender
        self._clock = clock
        self._alerts = alerts
        self._looked_ms: int | None = None

    async def take_over(self, intents: Sequence[Intent]) -> tuple[Intent, ...]:
        """What an earlier process, or a journal that failed in the middle, left. Returns what is to settle.

        Planned never left, so it is withdrawn; sent may have: unknown, unless this process knows better.
        """
        await self._hear_resolutions({intent.intent_id for intent in intents})
        left = []
        for intent in intents:
            if self._sender.in_flight(intent):
                continue
            if intent.state is State.PLANNED:
                after = withdrawn(intent, self._clock.now().exchange_ms, "found planned")
                await self._move(intent, after, "adjustment_withdrawn")
            elif intent.state is State.SENT and self._sender.never_left(intent):
                after = withdrawn(intent, self._clock.now().exchange_ms, "not sent: the journal had failed")
                await self._move(intent, after, "adjustment_withdrawn")
            elif intent.state is State.SENT:
                after = intent.to(State.UNKNOWN, self._clock.now().exchange_ms, ret_msg="found sent")
                left.append(await self._move(intent, after, "adjustment_unknown"))
            else:
                left.append(intent)
        return tuple(left)

    async def _move(self, intent: Intent, after: Intent, event: str) -> Intent:
        await self._intents.record(intent, after)
        log.warning(event, intent_id=intent.intent_id, why=after.ret_msg, **named(intent.key))
        return after

    async def _hear_resolutions(self, open_ids: Collection[str]) -> None:
        """What a person said of intents by `journal resolve`, in another process, is remembered here too."""
        doubted = [
            item
            for item in self._intents.every
            if item.intent_id not in open_ids
            and not self._sender.in_flight(item)
            and item.state in RESOLVABLE
        ]
        now_ms = self._clock.now().monotonic_ms
        rested = self._looked_ms is None or now_ms - self._looked_ms >= RESOLVED_LOOK_MS
        if not any(item.is_open or rested for item in doubted):
            return
        self._looked_ms = now_ms
        # By when they were created: the clock of whoever resolved them may be wrong.
        since = min(item.created_at_ms for item in doubted)
        held = await self._intents.written(doubted[0].owner, since)
        for before in doubted:
            after = held.get(before.intent_id, before)
            if after.state is not before.state:
                self._take_note(before, after)

    def _take_note(self, before: Intent, after: Intent) -> None:
        self._intents.remember([after])
        self._alerts.ended(("slow", after.intent_id))
        log.warning(
            "adjustment_resolved",
            intent_id=after.intent_id,
            intent_state=after.state,
            was=before.state,
            **named(after.key),
        )
