"""Log lines on their way out: a bounded queue, and a thread that writes. Whoever logs never waits.

A reader that stops (a full log driver, Ctrl-S, a pager), a full disk or a slow terminal holds up that thread
and nothing else. What finds no room is dropped and counted; the graver a line, the more room it has.
"""

from __future__ import annotations

import logging
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TextIO

Event = Mapping[str, Any]
Render = Callable[[Event], str]

LEVELS = logging.getLevelNamesMapping()
# How many lines may wait before one of this level is dropped.
ROOM = {"debug": 1000, "info": 2000, "warning": 3000, "error": 3000, "critical": 4000}
HURRIED = 50  # so many lines ahead of it, a critical one goes first
AT_ONCE = 32  # lines in one write
GATHER_S = (
    0.02  # what is logged so close together is written at once: to wake a thread costs more than a line
)
TELL_S = 10.0  # how often the count of dropped lines is told while they go on being dropped


class Outlet:
    """Writes text to a stream that may fail, which is said once on standard error and stops nothing."""

    def __init__(self, stream: TextIO | None, *, unbuffered: bool = False) -> None:
        """`unbuffered` goes round Python's own buffer: a thread that hangs in it would keep its lock."""
        self._stream = stream
        self._descriptor = _descriptor(stream) if unbuffered else None
        self._failed = False

    @property
    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()

    def write(self, text: str) -> bool:
        """Whether it was written."""
        try:
            if self._descriptor is not None:
                _write_all(self._descriptor, text.encode(errors="backslashreplace"))
            elif self._stream is not None:
                self._stream.write(text)
                self._stream.flush()
        except (OSError, ValueError) as error:  # ValueError: it was closed
            if not self._failed:
                self._failed = True
                why = getattr(error, "strerror", None) or error
                say(f"the log can't be written ({why}): going on without it")
            return False
        return True


class LogWriter:
    """The queue and its thread. `put` may be called from any thread, and never waits."""

    def __init__(self, outlet: Outlet, render: Render) -> None:
        self.render = render
        self._outlet = outlet
        self._lines: deque[Event] = deque()
        self._critical: deque[Event] = deque()
        self._dropped = 0
        self._told_at = 0.0
        self._busy = False
        self._work = threading.Event()
        # A daemon thread: one that hangs in a write must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def put(self, event: Event) -> None:
        """Queues a line. Never waits: where the queue is full, the line is dropped and counted."""
        level = event["level"]
        if len(self._lines) + len(self._critical) >= ROOM.get(level, ROOM["info"]):
            self._dropped += 1
            return
        (self._critical if level == "critical" else self._lines).append(event)
        if not self._work.is_set():
            self._work.set()

    def flush(self, within_s: float) -> int:
        """Waits so long for what is queued to be written. Returns how many lines were not."""
        deadline = time.monotonic() + within_s
        while (self._left() or self._busy) and time.monotonic() < deadline:
            time.sleep(0.005)
        return self._left() + self._dropped

    def _left(self) -> int:
        return len(self._lines) + len(self._critical)

    def _run(self) -> None:
        while True:
            self._work.wait()
            self._busy = True
            time.sleep(GATHER_S)
            self._work.clear()
            while events := self._next():
                self._write(events)
            self._busy = False

    def _next(self) -> list[Event]:
        """The oldest lines; critical ones first once others have piled up before them."""
        events: list[Event] = []
        with suppress(IndexError):
            while self._critical and (len(self._lines) > HURRIED or self._is_older()):
                events.append(self._critical.popleft())
        with suppress(IndexError):
            while len(events) < AT_ONCE and not (self._critical and self._is_older()):
                events.append(self._lines.popleft())
        return events

    def _is_older(self) -> bool:
        return not self._lines or self._critical[0]["timestamp"] <= self._lines[0]["timestamp"]

    def _write(self, events: list[Event]) -> None:
        if not self._outlet.write("".join(map(self._rendered, events))):
            self._dropped += len(events)
            return
        now = time.monotonic()
        if self._dropped and (not self._lines or now - self._told_at > TELL_S):
            count, self._dropped, self._told_at = self._dropped, 0, now
            if not self._outlet.write(self._rendered(_dropped(count))):
                self._dropped += count + 1

    def _rendered(self, event: Event) -> str:
        try:
            return self.render(event) + "\n"
        except Exception as error:  # noqa: BLE001 - one odd line must not end all the others
            return f'{{"event": "log_line_unreadable", "level": "error", "why": "{type(error).__name__}"}}\n'


def say(sentence: str) -> None:
    """A last word on standard error, if there is room for it at once."""
    descriptor = _descriptor(sys.stderr)
    with suppress(OSError, ValueError):
        if descriptor is None:
            sys.stderr.write(f"ltv-guard: {sentence}\n")
            sys.stderr.flush()
        elif _has_room(descriptor):
            os.write(descriptor, f"ltv-guard: {sentence}\n".encode(errors="backslashreplace"))


def _dropped(count: int) -> Event:
    return {"event": "log_lines_dropped", "level": "warning", "timestamp": utc_now(), "count": count}


def utc_now() -> str:
    """As structlog's TimeStamper has it."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now := time.time()))}.{int(now % 1 * 1e6):06d}Z"


def _descriptor(stream: TextIO | None) -> int | None:
    try:
        return stream.fileno() if stream is not None else None
    except (OSError, ValueError, AttributeError):  # not backed by a file
        return None


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:  # whoever shares it has made it non-blocking
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()


def _has_room(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0))
