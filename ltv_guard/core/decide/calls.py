"""How many requests each worker behind an address may ask the exchange for, so that their sum stays below.

What a worker may ask for stands in the database, and it is its own until it writes down that it needs it
no more, or until its lease is over. So whoever wants more waits for the others to lower theirs. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from ltv_guard.core.model.leases import Worker

LEAST_CALLS = 20
"""Requests in 5 s: what a worker begins with, and goes on with while it hears nothing of the database."""


def even_part(callers: Sequence[Worker], limit: int, now_ms: int) -> int:
    """What each live worker may ask for, of `limit` requests in 5 s that the address may.

    One more worker could begin at once: its first few are kept free.
    """
    alive = sum(item.is_alive(now_ms) for item in callers)
    lost = sum(item.is_lost(now_ms) for item in callers)
    return max(LEAST_CALLS, (limit - _kept_free(lost + 1, limit)) // max(1, alive))


def most_calls(callers: Sequence[Worker], worker: str, limit: int, now_ms: int) -> int:
    """What `worker` may ask for at most, beside what the others may still be asking for. May be 0."""
    others = [item for item in callers if item.name != worker]
    theirs = sum(item.calls for item in others if now_ms < item.calls_until_ms)
    lost = sum(item.is_lost(now_ms) for item in others)
    return max(0, limit - theirs - _kept_free(lost, limit))


def _kept_free(workers: int, limit: int) -> int:
    """For workers that are out of reach and may go on reading. Many that have died take no more than this."""
    return min(LEAST_CALLS * workers, limit // 4)
