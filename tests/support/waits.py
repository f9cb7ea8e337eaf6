"""Waiting for what signals nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(holds: Callable[[], bool], *, within_s: float = 10) -> None:
    """The bound is only there to end a test that failed."""
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
