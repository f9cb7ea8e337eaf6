"""What is begun ahead, and may be waited for by nobody."""

from __future__ import annotations

import asyncio
from typing import Any


def heed(work: asyncio.Future[Any]) -> None:
    """A callback for its end: whoever waits for it hears of what it raised, and else nobody does."""
    if not work.cancelled():
        work.exception()
