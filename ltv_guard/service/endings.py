"""Waits for what is under way, for so long, and cuts off what goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Collection


async def ended(tasks: Collection[asyncio.Future[None]], within_s: float) -> int:
    """Returns how many of these (one at least) had to be cut off."""
    _, late = await asyncio.wait(tasks, timeout=within_s)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    return len(late)
