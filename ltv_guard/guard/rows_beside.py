"""What was sent before a long list, settled by its row while that is read.

The list takes seconds, and as long as something is open no crossing is acted on before it is whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Kind
from ltv_guard.core.ports import Clock
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.needs import Needs
from ltv_guard.guard.reads.haste import MOST_OF_OURS
from ltv_guard.guard.reads.reads import Reads
from ltv_guard.guard.reconciler import Reconciler
from ltv_guard.guard.snapshot import Snapshot
from ltv_guard.guard.state.intent_book import IntentBook

LOOKS, APART_S = 3, 0.5


class RowsBeside:
    """No loan is shown here: a row proves itself, and that there is none proves nothing."""

    def __init__(
        self,
        reads: Reads,
        needs: Needs,
        reconciler: Reconciler,
        intents: IntentBook,
        clock: Clock,
        defects: Defects,
    ) -> None:
        self._reads = reads
        self._needs = needs
        self._reconciler = reconciler
        self._intents = intents
        self._clock = clock
        self._defects = defects

    async def during(self, reading: Coroutine[Any, Any, None]) -> None:
        """Until the loans have been read. Raises JournalUnavailable."""
        if not self._is_of_use(self._sent()):
            await reading
            return
        task = asyncio.create_task(reading)
        try:
            with self._defects.contained("settling beside a list"):
                await self._settle(task)
            await task
        finally:
            task.cancel()

    def _is_of_use(self, sent: list[Intent]) -> bool:
        """Beside a list that may take long, and where no more were sent than a crossing is acted on after."""
        urgent = self._reads.loans.urgent
        return len(sent) <= MOST_OF_OURS and any(urgent.may_take_long(item.key.product) for item in sent)

    async def _settle(self, task: asyncio.Task[None]) -> None:
        for _ in range(LOOKS):
            sent = self._sent()
            if task.done() or not sent or not all(map(_shows_in_a_row, sent)):
                return
            await self._look(sent)
            self._reads.loans.urgent.look_again()
            await asyncio.wait({task}, timeout=APART_S)

    def _sent(self) -> list[Intent]:
        return [item for item in self._intents.every if item.is_open]

    async def _look(self, sent: list[Intent]) -> None:
        found, own = Snapshot(), {item.channel for item in sent}
        wanted = self._needs.to_settle(sent, self._clock.now(), trusted=True)
        await self._reads.histories.read(found, {key: wanted[key] for key in wanted.keys() & own})
        await self._reconciler.settle(sent, found)


def _shows_in_a_row(intent: Intent) -> bool:
    """Whether one with its own id will tell how it ended: the exchange has accepted it."""
    return intent.adjust_id is not None and intent.channel.kind is Kind.ADJUSTMENT
