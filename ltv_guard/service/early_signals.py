"""Signals that come before a command has begun. Imports next to nothing: everything else is slow.

Process 1 of a container has no default handlers: what it has not asked for is not delivered at all.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

_asked_to_reload = False


def install() -> None:
    """From now on SIGTERM ends the process, and a run remembers SIGHUP, until it has handlers of its own."""
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _end)
    if "run" in sys.argv[1:]:
        signal.signal(signal.SIGHUP, _remember)


def was_asked_to_reload() -> bool:
    """Whether SIGHUP came so early: what was read of the configuration may be older."""
    return _asked_to_reload


def _end(_number: int, _frame: FrameType | None) -> None:
    # Nothing is open yet. An exception could be lost in the middle of an import.
    os._exit(0 if "run" in sys.argv[1:] else 128 + signal.SIGTERM)


def _remember(_number: int, _frame: FrameType | None) -> None:
    global _asked_to_reload  # noqa: PLW0603 - a handler has no other place
    _asked_to_reload = True
