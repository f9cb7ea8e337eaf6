"""When a request of one account may leave: by the limits of its user, and by the budget of the address."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from math import inf

from ltv_guard.adapters.bybit.address_budget import AddressBudget
from ltv_guard.adapters.bybit.limits import RequestLimits
from ltv_guard.adapters.bybit.windows import Priority
from ltv_guard.adapters.bybit.write_pace import REMEMBERED, WritePace

DECIDING_MS = 5000  # from a write's turn until it is decided, at the longest


class NoRoom(Exception):
    """What must not wait would have to: the address has used up what it may."""


@dataclass(slots=True, kw_only=True)
class OnItsWay:
    """A write. Its turn came at `turn_ms`; it is counted at `counted_at` (monotonic seconds) at the latest.

    `made_at_ms`: the exchange's time that its answer tells, if it does.
    """

    turn_ms: float
    counted_at: float
    made_at_ms: int | None = None


class Turns:
    """The turns of one account. `now_ms` is a monotonic clock."""

    def __init__(
        self, account: str, limits: RequestLimits, address: AddressBudget, now_ms: Callable[[], float]
    ) -> None:
        self._account = account
        self._limits = limits
        self._address = address
        self._now_ms = now_ms
        self._ready_until_ms = 0.0
        self._deciding_until_ms = 0.0
        self._left: dict[str, OnItsWay] = {}
        self._counted: dict[str, float] = {}
        self._reads_took_ms: deque[float] = deque(maxlen=REMEMBERED)
        self._pace: defaultdict[str, WritePace] = defaultdict(WritePace)

    def keep_ready(self, until_ms: int) -> None:
        """Near a trigger: until then its reads go before those of others.

        One of each second is kept for an urgent one, which might have to wait for a second's end otherwise.
        That costs a fifth of the pace, so it is not kept all the time.
        """
        self._ready_until_ms = max(self._ready_until_ms, until_ms)

    @property
    def is_ready(self) -> bool:
        """Whether the account is near a trigger, as `keep_ready` was last told."""
        return self._now_ms() < self._ready_until_ms

    @asynccontextmanager
    async def to_read(self, path: str, *, urgent: bool) -> AsyncIterator[None]:
        """Waits for it; the block is the request, until its answer is there."""
        ready = self.is_ready
        urgent = urgent or self._now_ms() < self._deciding_until_ms
        own = Priority.URGENT if urgent else Priority.ORDINARY
        await self._limits.enter(path, own, kept=1 if ready and not urgent else 0)
        try:
            await self._address.enter(self._priority(urgent=urgent, ready=ready), self._account)
        finally:
            left = self._limits.leave(path)
        began_ms = self._now_ms()
        try:
            yield
            self._reads_took_ms.append(self._now_ms() - began_ms)  # not of one that was given up
        finally:
            self._limits.was_counted(path, left)
            self._address.leave()

    @staticmethod
    def _priority(*, urgent: bool, ready: bool) -> Priority:
        """Looks come after what decisions need: looking again at one that was helped delays no help."""
        if urgent and ready:
            return Priority.URGENT
        return Priority.NEAR if urgent or ready else Priority.ORDINARY

    async def to_write(self, path: str) -> None:
        """Waits for it, and reserves its place."""
        self._deciding_until_ms = 0
        self._pace[path].is_prepared(self._now_ms())
        await self._limits.enter(path, Priority.WRITE)
        try:
            await self._address.reserve(self._account)
        finally:
            counted_at = self._limits.leave(path)
            self._left[path] = OnItsWay(turn_ms=self._now_ms(), counted_at=counted_at)

    async def until_write(self, path: str) -> bool:
        """Waits until a write may leave as soon as it is decided. Whether it had to wait.

        What it is decided by is asked for a little before its turn, and is there as it comes. Only `to_write`
        takes the turn.
        """
        pace = self._pace[path]
        waited = await self._limits.until_room(path, ahead_s=pace.ahead_s)
        waited = await self._address.until_room(self._account) or waited
        pace.prepares(self._now_ms())
        # What is read now is what this write is decided by.
        self._deciding_until_ms = self._now_ms() + DECIDING_MS
        return waited

    @contextmanager
    def writing(self, path: str) -> Iterator[OnItsWay]:
        """The block sends what was signed, to its answer. Raises NoRoom where that would have to wait."""
        if self._address.held_s > 0 or not self._address.uses_reserved():
            raise NoRoom
        now_ms = self._now_ms()
        write = self._left.pop(path, None) or OnItsWay(turn_ms=now_ms, counted_at=-inf)
        stood_s = (now_ms - write.turn_ms) / 1000  # while it was written down: a disk may stand still
        write.counted_at = self._limits.leaves_only_now(path, write.counted_at)
        try:
            yield write
        finally:
            self._address.leave()
        late_s = self._late_s(path, write) - stood_s
        self._counted[path] = self._limits.was_counted(path, write.counted_at, late_s=late_s)

    def _late_s(self, path: str, write: OnItsWay) -> float:
        """So long after its turn had come it may have been counted, beyond the fastest of late."""
        return self._pace[path].answered(
            self._now_ms() - write.turn_ms,
            reads_ms=min(self._reads_took_ms, default=0),
            made_ms=None if write.made_at_ms is None else write.made_at_ms - write.turn_ms,
        )

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """The block sends what waits for no turn. Raises NoRoom where it would have to."""
        if self._address.held_s > 0 or not self._address.enters_now():
            raise NoRoom
        try:
            yield
        finally:
            self._address.leave()

    def observe(self, path: str, headers: Mapping[str, str], now_ms: int) -> None:
        """What any answer tells of the user's limits; `now_ms` is the exchange's time."""
        self._limits.observe(path, headers, now_ms)

    def refuse(self, path: str, headers: Mapping[str, str], now_ms: int, *, whole_address: bool) -> None:
        """Slows down after a refusal, of the user's or of the whole address's requests."""
        if whole_address:
            self._address.refuse(headers, now_ms)
        else:
            # Where the one before was refused as well, the exchange may count those that it refuses.
            alone = self._pace[path].came_too_soon()
            uncounted = self._counted.pop(path, None) if alone else None
            self._limits.refuse(path, headers, now_ms, uncounted=uncounted)
