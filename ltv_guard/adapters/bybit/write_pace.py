"""How soon one write may follow another of its kind, and how long before its turn it is prepared. No I/O.

Where between its leaving and its answer the exchange counts a write, it does not tell. It takes as long to
get there as its fastest answers prove, though, so that two may leave as far apart as they may be counted:
the second comes as much later than it left. Only by what the first took longer than these, it may have been
counted later. Nor was it counted after its answer was made, which tells when that was: what an answer takes
to come back is not held against it. For a few seconds the exchange's clock runs as ours does, but not for an
hour, and it may be set.

They are held a little further apart than that, for a way may yet prove faster than the fastest. Where many
are known, and several were as good as equally fast, most of this is spared. Until a few are known, how long
reads take tells how long the way is: they go to the same host.

After each refusal for their pace they are held further apart, after three as far as can matter, and no time
is believed; and for each thirty in a row that are not refused, less far again: 10 ms more cost one turn in a
hundred. After two refusals while times were believed, none is any more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

REMEMBERED = 30
ENOUGH = 3  # of fewer one answer that took long would pass for the usual
MORE_MS = (0, 0, 30)  # further apart, after so many refusals; after the first nothing is spared
LEAST_AHEAD_MS, MOST_AHEAD_MS = 50, 150
PREPARED = 10  # a list of many pages, which makes its reads late, comes each seventh time or so
SPARED_MS = 8  # of the 10 beyond a second: the time in an answer may err by 1
SPREAD = 3  # so much less for each ms by which the fastest differ
CLOCKS_RUN_ALIKE_MS = 10_000
SET_BACK_MS = 10  # an answer that was made so much sooner than any other tells of a clock that was set
DOUBTED = 2  # refusals while times were believed: one may be a hand that used the turn
MANY, ALIKE = 6, 3  # that are known, and that are to be equally fast
READS_DIFFER_MS = 10  # a write's way may be shorter than a read's by so much


@dataclass(slots=True)
class WritePace:
    """Mutable, of one account and one kind of write. Monotonic ms."""

    _answered_in: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    _made_after: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    _prepared_in: deque[float] = field(default_factory=lambda: deque(maxlen=PREPARED))
    _came_ms: float | None = None
    _refused: int = 0
    _in_a_row: int = 0
    _turn_ms: float = 0.0
    _doubts: int = 0

    @property
    def ahead_s(self) -> float:
        """So long before its turn a write is prepared, in seconds: read for, decided on, written down."""
        longest = max(self._prepared_in, default=0)
        return min(max(longest, LEAST_AHEAD_MS), MOST_AHEAD_MS) / 1000

    def prepares(self, now_ms: float) -> None:
        """Its turn is near."""
        self._came_ms = now_ms

    def is_prepared(self, now_ms: float) -> None:
        """It would leave now."""
        if now_ms - self._turn_ms > CLOCKS_RUN_ALIKE_MS:
            self._made_after.clear()
        self._turn_ms = now_ms
        came_ms, self._came_ms = self._came_ms, None
        if came_ms is not None:
            self._prepared_in.append(now_ms - came_ms)

    def answered(self, took_ms: float, *, reads_ms: float = 0, made_ms: float | None = None) -> float:
        """Seconds that it may have been counted later than the fastest of late, less what is spared.

        Where few are known, beyond what the fastest answer to a read took (`reads_ms`; 0: all that it took).
        `made_ms`: the time that its answer tells, by any clock that began when it left: only what differs
        from one to the next is used. After refusals so much more; after three all that the answer took.
        """
        self._answered_in.append(took_ms)
        if made_ms is not None:
            if made_ms < min(self._made_after, default=made_ms) - SET_BACK_MS:
                self._made_after.clear()
            self._made_after.append(made_ms)
        self._in_a_row += 1
        if self._in_a_row % REMEMBERED == 0:
            self._refused = max(0, self._refused - 1)
        if self._refused >= len(MORE_MS):
            return took_ms / 1000
        later_ms = took_ms - self._sure_ms(took_ms, reads_ms) + MORE_MS[self._refused]
        if made_ms is not None and self._believes_times:
            later_ms = min(later_ms, made_ms - self._fastest_ms(self._made_after))
        return min(later_ms, took_ms) / 1000

    @property
    def _believes_times(self) -> bool:
        return not self._refused and self._doubts < DOUBTED and len(self._made_after) >= ENOUGH

    def _sure_ms(self, took_ms: float, reads_ms: float) -> float:
        """So much of that is not held against it: it was on its way, or is spared."""
        if len(self._answered_in) < ENOUGH:
            return 0 if self._refused else min(took_ms, max(0, reads_ms - READS_DIFFER_MS))
        return self._fastest_ms(self._answered_in)

    def _fastest_ms(self, known: Sequence[float]) -> float:
        """And what is spared."""
        least_ms, *_, alike_ms = sorted(known)[:ALIKE]
        spares = len(known) >= MANY and not self._refused
        return least_ms + (max(0, SPARED_MS - SPREAD * (alike_ms - least_ms)) if spares else 0)

    def came_too_soon(self) -> bool:
        """The exchange refused the one that was answered last. Whether it did not refuse the one before.

        How long a refusal takes tells nothing of how long the others do.
        """
        alone = self._in_a_row > 1
        self._doubts += self._believes_times
        if self._answered_in:
            self._answered_in.pop()
        self._refused, self._in_a_row = min(self._refused + 1, len(MORE_MS)), 0
        return alone
