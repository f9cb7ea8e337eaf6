"""What one whole read (all pages of a list) may cost: bytes and time. Its parts have bounds of their own."""

from __future__ import annotations

from collections.abc import Callable

from ltv_guard.core.model.errors import ExchangeUnavailable
from ltv_guard.core.model.loans import Moment

MOST_BYTES = 32 * 1024 * 1024
MS = 1000


class Budget:
    """Spent page by page. `now_ms` is a monotonic clock."""

    def __init__(self, path: str, now_ms: Callable[[], int], seconds: float) -> None:
        self._path = path
        self._now_ms = now_ms
        self._seconds = seconds
        self._ends_ms = now_ms() + int(seconds * MS)
        self._left = MOST_BYTES
        self.asked: Moment | None = None  # when the request of the last answer left

    def check(self) -> float:
        """The seconds that are left. Raises ExchangeUnavailable where there are none."""
        left_ms = self._ends_ms - self._now_ms()
        if left_ms <= 0:
            raise self.too_slow()
        return left_ms / MS

    @property
    def bytes_left(self) -> int:
        """How many bytes may still be read."""
        return self._left

    def spend(self, size: int, asked: Moment | None = None) -> None:
        """Notes an answer of so many bytes, and when it was asked for.

        Raises ExchangeUnavailable where the whole is too large.
        """
        self._left -= size
        self.asked = asked
        if self._left < 0:
            raise ExchangeUnavailable(f"{self._path}: its pages are larger than {MOST_BYTES} bytes together")

    def too_slow(self) -> ExchangeUnavailable:
        """The error for a read that took longer than it may as a whole."""
        return ExchangeUnavailable(
            f"{self._path}: all of its pages together took longer than {self._seconds:g} s"
        )
