"""At most so many requests in a span of time, and who goes first where more want to leave."""

from __future__ import annotations

import asyncio
import heapq
import time
from bisect import bisect_right, insort
from collections.abc import Awaitable, Callable
from enum import IntEnum


class Priority(IntEnum):
    """Who goes first: writes; what a decision near a trigger needs; looks at such an account; the rest."""

    WRITE = 0
    URGENT = 1
    NEAR = 2
    ORDINARY = 3


DECISION = 8  # urgent requests of an account that go together: about as many as one decision needs


class _Ticket:
    """One that waits. Within a priority those go first whose account had fewer turns.

    Of what is urgent an account's requests go together, in the `place` in which its first one came: a few
    accounts that are helped one after the other are helped sooner than all of them at once.
    """

    __slots__ = ("ahead_s", "called", "is_gone", "kept", "key", "turn")

    def __init__(self, priority: Priority, turn: int, place: int, number: int, *, kept: int) -> None:
        # The rest come a turn later than those near a trigger, and not after all of them: looks at accounts
        # that were helped could go on for ever, and the rest may hold one that nobody knows to be in need.
        is_last = priority is Priority.ORDINARY
        order = place if priority is Priority.URGENT else turn + is_last
        self.key = (min(priority, Priority.NEAR), order, number)
        self.turn = turn
        self.kept = kept
        self.ahead_s = 0.0
        self.called = asyncio.Event()
        self.is_gone = False

    def __lt__(self, other: _Ticket) -> bool:
        return self.key < other.key


class Window:
    """At most `limit` requests in any `span_s`.

    One counts from when it is let in (`enter`) until `span_s` after it is out (`leave`): wherever between the
    two the exchange counts it, no span of its own holds more.
    """

    def __init__(
        self,
        limit: int,
        span_s: float,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._limit = limit
        self._lower_limit = limit
        self._lower_at = float("inf")
        self._span_s = span_s
        self._monotonic = monotonic
        self._sleep = sleep
        self._held_until = float("-inf")
        self._inside = 0
        self._left: list[float] = []  # in order
        self._queue: list[_Ticket] = []
        self._turn = 0
        self._turns: dict[str, int] = {}
        self._arrivals = 0
        self._places: dict[str, tuple[int, int]] = {}

    @property
    def limit(self) -> int:
        """How many requests in any `span_s`."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        """Those that wait leave room in proportion from now on."""
        for ticket in self._queue:
            ticket.kept = ticket.kept * limit // max(1, self._limit)
        self._limit = limit
        self._call_first()

    @property
    def counted(self) -> int:
        """How many count now."""
        self._forget()
        return self._inside + len(self._left)

    def lower_at(self, at: float, limit: int) -> None:
        """The limit falls to this at that time (monotonic seconds), if it was not set again before."""
        self._lower_at, self._lower_limit = at, limit

    @property
    def held_s(self) -> float:
        """Seconds until requests may leave again; 0 where none is held."""
        return max(0.0, self._held_until - self._monotonic())

    @property
    def room(self) -> int:
        """How many may leave now; 0 where they are held."""
        self._forget()
        return 0 if self.held_s > 0 else max(0, self._limit - self._inside - len(self._left))

    def hold(self, seconds: float) -> None:
        """Lets nobody in for so long, however few there are."""
        self._held_until = max(self._held_until, self._monotonic() + seconds)

    async def enter(
        self, priority: Priority, account: str = "", *, kept: int = 0, ahead_s: float = 0.0
    ) -> None:
        """Waits until one more may leave, and leaves room for `kept` others. Call `leave` afterwards."""
        if self._first() is None and self._wait_s(kept) == 0:
            self._inside += 1
            return
        ticket = self._queued(priority, account, kept)
        ticket.ahead_s = ahead_s
        try:
            while (wait_s := self._wait_of(ticket)) != 0:
                if wait_s is None:  # until others have left, or are out
                    await ticket.called.wait()
                    ticket.called.clear()
                else:
                    await self._sleep(wait_s)
            self._inside += 1
            self._turn = max(self._turn, ticket.turn)
        finally:
            ticket.is_gone = True
            self._call_first()

    def enters_now(self) -> bool:
        """Goes in before all who wait, if that needs no waiting. Call `leave` afterwards, if it does."""
        if self._wait_s(0) != 0:
            return False
        self._inside += 1
        return True

    async def until_room(self, priority: Priority, account: str = "", *, ahead_s: float = 0.0) -> bool:
        """Waits until `ahead_s` before one more may leave. Goes in for nothing. Whether that took waiting."""
        wait_s = self._wait_s(0)
        waits = self._first() is not None or wait_s is None or wait_s > ahead_s
        if waits:
            await self.enter(priority, account, ahead_s=ahead_s)
            self._inside -= 1
            self._call_first()
        return waits

    def leave(self, *, late_s: float = 0.0) -> float:
        """It is out, or will be counted within `late_s` at the latest. Returns when (monotonic seconds)."""
        left = self._monotonic() + late_s
        self._inside -= 1
        insort(self._left, left)
        self._call_first()
        return left

    def counts_from(self, left: float, at: float) -> None:
        """What was taken to be counted at `left` at the latest may be so as late as `at`."""
        self.was_not_counted(left)
        insort(self._left, at)

    def was_counted(self, left: float, at: float | None = None) -> float:
        """What was taken to be counted at `left` at the latest has been by now: its answer is there.

        `at`: it is known to have been by then. Returns since when it counts.
        """
        now = self._monotonic() if at is None else min(at, self._monotonic())
        if now >= left or left not in self._left:
            return left
        self._left.remove(left)
        insort(self._left, now)
        return now

    def was_not_counted(self, at: float) -> None:
        """What was taken to be counted at `at` counts no more."""
        if at in self._left:
            self._left.remove(at)
            self._call_first()

    def goes_in_for(self, left: float) -> bool:
        """One that left at `left` without having sent anything yet goes in after all, in its own place."""
        self._forget()
        if left not in self._left:
            return False
        self._left.remove(left)
        self._inside += 1
        return True

    def _queued(self, priority: Priority, account: str, kept: int) -> _Ticket:
        turn = max(self._turn, self._turns.get(account, 0))
        self._turns[account] = turn + 1
        self._arrivals += 1
        place = self._place_of(account) if priority is Priority.URGENT else 0
        ticket = _Ticket(priority, turn, place, self._arrivals, kept=kept)
        heapq.heappush(self._queue, ticket)
        return ticket

    def _place_of(self, account: str) -> int:
        """It is kept for one decision, and for as long as others wait: who needs more comes after them."""
        if self._first() is None:
            self._places.clear()
        place, left = self._places.get(account, (0, 0))
        if left == 0:
            place, left = self._arrivals, DECISION
        self._places[account] = place, left - 1
        return place

    def _first(self) -> _Ticket | None:
        while self._queue and self._queue[0].is_gone:
            heapq.heappop(self._queue)
        return self._queue[0] if self._queue else None

    def _call_first(self) -> None:
        if (first := self._first()) is not None:
            first.called.set()

    def _wait_of(self, ticket: _Ticket) -> float | None:
        """Seconds until it is let in; None: until others have left, or are out."""
        wait_s = self._wait_s(ticket.kept) if self._first() is ticket else None
        return None if wait_s is None else max(0.0, wait_s - ticket.ahead_s)

    def _wait_s(self, kept: int) -> float | None:
        """Seconds until there is room for one more and for `kept` others; None: one has to get out first."""
        if (held_s := self.held_s) > 0:
            return held_s
        self._forget()
        room_for = 1 + min(kept, max(0, self._limit - 1))  # or it would never get in
        too_many = self._inside + len(self._left) + room_for - self._limit
        if too_many <= 0:
            return 0
        if too_many > len(self._left):
            return None
        now = self._monotonic()
        # What is to be counted later may have been by then (`was_counted`): so soon it is looked at again.
        return max(min(self._left[too_many - 1], now) + self._span_s - now, 1e-6)

    def _forget(self) -> None:
        if self._monotonic() >= self._lower_at:
            self._lower_at = float("inf")
            self._limit = min(self._limit, self._lower_limit)
        if self._left and self._left[0] <= (until := self._monotonic() - self._span_s):
            del self._left[: bisect_right(self._left, until)]
