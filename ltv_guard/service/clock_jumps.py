"""This machine's wall clock against its monotonic one: whether it was set, or the machine suspended."""

from __future__ import annotations

import time

import structlog

JUMP_S = 2.0  # a wall clock that parts this far from the monotonic one between two looks has been set

log = structlog.stdlib.get_logger()


class ClockJumps:
    """Remembers how far the two were apart at the last look."""

    def __init__(self) -> None:
        self._apart_s = _apart_s()

    def seen(self) -> bool:
        """Whether it has jumped since the last look, which is told."""
        before, self._apart_s = self._apart_s, _apart_s()
        moved = self._apart_s - before
        if abs(moved) < JUMP_S:
            return False
        log.warning("clock_jumped", seconds=round(moved))
        return True


def _apart_s() -> float:
    return time.time() - time.monotonic()
