"""The request for the loans leaves first: what is asked for beside it waits a few turns of the loop."""

from __future__ import annotations

import asyncio

LEAVE_WITHIN = 4  # turns of the loop


async def loans_first() -> None:
    """Returns once the request of a cycle that begins now has left."""
    for _ in range(LEAVE_WITHIN):
        await asyncio.sleep(0)
