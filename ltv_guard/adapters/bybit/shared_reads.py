"""What is the same for every key of a host: read by whoever needs it first, and kept for all."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from ltv_guard.core.model.errors import ExchangeUnavailable, NeedsHuman

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept(Generic[T]):
    """What was read, and when it was asked for: monotonic ms."""

    value: T
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    error: ExchangeUnavailable | NeedsHuman
    at_ms: int


class SharedReads:
    """Prices and collateral terms. While one reads, the others wait for that."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._kept: dict[Hashable, Kept[object]] = {}
        self._failed: dict[Hashable, _Failure] = {}
        self._reading: defaultdict[Hashable, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._going_on: set[asyncio.Task[Kept[Any]]] = set()

    async def soon(
        self, name: Hashable, read: Callable[[], Awaitable[T]], *, max_age_ms: int, within_s: float | None
    ) -> Kept[T]:
        """As `get`, but waited for no longer than that: what comes later is kept for the next who asks.

        Raises ExchangeUnavailable too where it has not come by then.
        """
        if within_s is None:
            return await self.get(name, read, max_age_ms=max_age_ms)
        task = asyncio.create_task(self.get(name, read, max_age_ms=max_age_ms))
        self._going_on.add(task)
        task.add_done_callback(self._is_over)
        await asyncio.wait([task], timeout=within_s)
        if not task.done():
            raise ExchangeUnavailable(f"{name}: no answer within {within_s:g} s")
        return task.result()

    def _is_over(self, task: asyncio.Task[Kept[Any]]) -> None:
        self._going_on.discard(task)
        if not task.cancelled():
            task.exception()  # nobody may be left who waits for it

    async def get(self, name: Hashable, read: Callable[[], Awaitable[T]], *, max_age_ms: int) -> Kept[T]:
        """What is kept under `name`, or else what `read` gives, which is kept then.

        What was asked for longer than `max_age_ms` before this call is too old: -1 takes only what is asked
        for from now on, by whomever.

        Raises what `read` raises: that of another, where this one waited for it.
        """
        asked_ms = self._now_ms()
        async with self._reading[name]:
            kept = self._kept.get(name)
            if kept is not None and asked_ms - kept.at_ms <= max_age_ms:
                return cast("Kept[T]", kept)
            failed = self._failed.get(name)
            if failed is not None and failed.at_ms > asked_ms:
                raise failed.error
            at_ms = self._now_ms()
            try:
                value = await read()
            except (ExchangeUnavailable, NeedsHuman) as error:
                self._failed[name] = _Failure(error=error, at_ms=self._now_ms())
                raise
            self._kept[name] = Kept(value=value, at_ms=at_ms)
            return Kept(value=value, at_ms=at_ms)
