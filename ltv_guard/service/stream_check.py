"""What `check` says of the price stream: whether prices come. Without them the guard is only slower."""

from __future__ import annotations

import asyncio
import time

from ltv_guard.core.ports import PriceStream
from ltv_guard.service.findings import Finding

TRIED = "BTC"  # a coin that every exchange has a price of
LONGEST_S = 8.0


async def examine_stream(stream: PriceStream | None) -> list[Finding]:
    """One finding, or none where no stream is wanted; it is never what a run fails for."""
    if stream is None:
        return []
    began = time.monotonic()
    stream.follow([TRIED])
    running = asyncio.create_task(stream.run())
    try:
        async with asyncio.timeout(LONGEST_S):
            while TRIED not in stream.prices and stream.why_lost is None:
                await stream.moved()
    except TimeoutError:
        pass
    finally:
        running.cancel()
        await asyncio.wait([running])
    if TRIED in stream.prices:
        found = f"{stream.url}, first price after {time.monotonic() - began:.1f} s"
        return [Finding(what="price stream", good=True, found=found)]
    found = f"{stream.url}: {stream.why_lost or 'no price'}"
    mend = "may this machine connect to it? Until then loans are looked at by the clock alone"
    return [Finding(what="price stream", good=True, found=found, mend=mend)]
