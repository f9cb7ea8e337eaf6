"""Looks, one after the other, for as long as a run lasts: one that fails is told and costs itself alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ltv_guard.core.model.defects import Defect
from ltv_guard.core.model.errors import JournalUnavailable
from ltv_guard.guard.defects import Defects


async def rounds(what: str, look: Callable[[], Awaitable[None]], pause_s: float, defects: Defects) -> None:
    """Until it is cancelled. `what` is said of a look that fails."""
    while True:
        try:
            await look()
        except JournalUnavailable:  # which the daemon tells
            pass
        except Exception as error:  # noqa: BLE001 - told; an odd value must not end what comes after it
            defects.tell(Defect(what=what, error=error))
        await asyncio.sleep(until_next_s(pause_s))


def until_next_s(pause_s: float) -> float:
    """Seconds until the next whole `pause_s` of the loop's clock.

    All looks of one pause come in the same turn of the loop: to wake an idle process costs more than most of
    them do.
    """
    return pause_s - asyncio.get_running_loop().time() % pause_s if pause_s else 0.0
