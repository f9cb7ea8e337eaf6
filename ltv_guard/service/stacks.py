"""Where every task and every thread stands, in words. Opens no source file: a disk may be what hangs."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

MOST_TASKS = 100
MOST_FRAMES = 30


def of_tasks(loop: asyncio.AbstractEventLoop) -> list[str]:
    """A task of the loop each: its name, and what it awaits, outermost first. From any thread."""
    tasks = list(asyncio.all_tasks(loop))
    shown = [f"task {task.get_name()}: {_joined(_awaited(task.get_coro()))}" for task in tasks[:MOST_TASKS]]
    return shown if len(tasks) <= MOST_TASKS else [*shown, f"and {len(tasks) - MOST_TASKS} more tasks"]


def of_threads() -> list[str]:
    """A thread each: its name, and where it stands, outermost first."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return [
        f"thread {names.get(ident, ident)}: {_joined(reversed([*_outwards(frame)]))}"
        for ident, frame in sys._current_frames().items()  # noqa: SLF001 - the documented way to other threads
    ]


def _awaited(awaitable: Any) -> Iterator[FrameType]:  # noqa: ANN401 - a coroutine, a generator or what else can be awaited
    while awaitable is not None:
        for kind in ("cr", "gi", "ag"):
            frame = getattr(awaitable, f"{kind}_frame", None)
            if frame is not None:
                yield frame
        awaitable = next(
            (
                inner
                for name in ("cr_await", "gi_yieldfrom", "ag_await")
                if (inner := getattr(awaitable, name, None)) is not None
            ),
            None,
        )


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _joined(frames: Iterator[FrameType]) -> str:
    """The innermost frames tell most: those are kept."""
    where = [f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname}" for frame in frames]
    return " > ".join(where[-MOST_FRAMES:])
