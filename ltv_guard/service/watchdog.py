"""Ends a daemon that hangs, from a thread of its own: every stack into the log, then exit status 3.

Progress of an account is a cycle that ended, or a request that was answered or given up: each request ends
within its timeout, so a slow exchange, or one with hundreds of loans to read, is no reason to fire. Nor is a
journal that is locked or slow, as long as it ends what it was asked for.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

import structlog

from ltv_guard.guard.defects import Defects
from ltv_guard.log import format as logs
from ltv_guard.service import stacks
from ltv_guard.service.rounds import until_next_s
from ltv_guard.service.sign_of_life import SignOfLife
from ltv_guard.service.systemd import ALIVE, READY, STOPPING, Systemd

STUCK = 3  # the exit status
LOOK_S = 1.0
LONGEST_LOOK_S = 2.0  # a look that took longer: this process was frozen or starved, and not only its loop

log = structlog.stdlib.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """What a daemon has done: whatever differs from the last time is progress. Spans in seconds.

    `progress` is by account; none of them may stand still for longer than `account_s`, nor the loop for
    longer than `loop_s`.
    """

    progress: Mapping[str, Hashable]
    account_s: float
    loop_s: float


# Before the first look, or where none succeeds: the loop alone is judged.
UNSEEN = Signs(progress={}, account_s=60.0, loop_s=60.0)


@dataclass(slots=True)
class Stillness:
    """For how long nothing has moved, counted look by look, so that time in a frozen process is none."""

    _turn: int = -1
    _loop_s: float = 0.0
    _last: dict[str, tuple[Hashable, float]] = field(default_factory=dict)
    _account_s: dict[str, float] = field(default_factory=dict)

    def why_stuck(self, turn: int, signs: Signs, since_s: float) -> str | None:
        """`turn` counts the loop's own signs; `since_s` have passed since the look before."""
        since_s = min(since_s, LONGEST_LOOK_S)
        self._loop_s = self._loop_s + since_s if turn == self._turn else 0.0
        self._turn = turn
        if self._loop_s >= signs.loop_s:
            return f"the event loop has been blocked for {self._loop_s:.0f} s"
        # What was still under a longer bound was allowed to be: a reload that shortens it begins anew.
        now = {name: (done, signs.account_s) for name, done in signs.progress.items()}
        self._account_s = {
            name: self._account_s.get(name, 0.0) + since_s if self._last.get(name) == done else 0.0
            for name, done in now.items()
        }
        self._last = now
        still = [name for name, seconds in self._account_s.items() if seconds >= signs.account_s]
        if not still:
            return None
        return (
            f"no cycle of {', '.join(sorted(still))} has ended for {self._account_s[still[0]]:.0f} s, "
            "nor any request of it"
        )


class Watchdog:
    """`signs` is asked on the loop, every second. `end` is what becomes of a stuck process."""

    def __init__(
        self,
        signs: Callable[[], Signs],
        defects: Defects,
        *,
        life: SignOfLife | None = None,
        look_s: float = LOOK_S,
        end: Callable[[int], object] = os._exit,
    ) -> None:
        self._signs = signs
        self._defects = defects
        self._systemd = Systemd()
        self._life = life
        self._look_s = look_s
        self._end = end
        self._seen = (0, UNSEEN)
        self._stands_down = threading.Event()
        self._closed = threading.Event()

    async def watch(self, stop: asyncio.Event) -> None:
        """Until `stop`: what happens after that is a shutdown, which has a time limit of its own."""
        looking = threading.Thread(
            target=self._look, args=(asyncio.get_running_loop(),), name="watchdog", daemon=True
        )
        looking.start()
        self._systemd.tell(READY)
        turn = 0
        try:
            while not stop.is_set():
                turn += 1
                # Without signs it can't judge the accounts, and must end nothing for their sake.
                signs = replace(self._seen[1], progress={})
                with self._defects.contained("the watchdog"):
                    signs = self._signs()
                self._seen = (turn, signs)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), until_next_s(self._look_s))
        finally:
            self._stands_down.set()
            if stop.is_set():
                self._systemd.tell(STOPPING)

    def close(self) -> None:
        """Watches no more. Its thread ends by itself; it is not waited for."""
        self._stands_down.set()
        self._closed.set()
        if self._life is not None:
            self._life.close()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        stillness, before = Stillness(), time.monotonic()
        while not self._closed.wait(self._look_s):
            now = time.monotonic()
            turn, signs = self._seen
            why = stillness.why_stuck(turn, signs, now - before)
            before = now
            if why is not None and not self._stands_down.is_set():
                self._fire(loop, why)
                return
            self._systemd.tell(ALIVE)
            if self._life is not None:
                self._life.tell()
        self._systemd.close()
        if self._life is not None:
            self._life.close()

    def _fire(self, loop: asyncio.AbstractEventLoop, why: str) -> None:
        try:
            log.critical("daemon_stuck", why=why, stacks=_stacks(loop))
            logs.flush()
        finally:
            self._end(STUCK)


def _stacks(loop: asyncio.AbstractEventLoop) -> list[str]:
    return [*_as_far("tasks", lambda: stacks.of_tasks(loop)), *_as_far("threads", stacks.of_threads)]


def _as_far(kind: str, look: Callable[[], list[str]]) -> list[str]:
    """What could not be looked at must not keep it from being told that the daemon is stuck."""
    try:
        return look()
    except Exception as error:  # noqa: BLE001 - such as tasks that begin and end meanwhile
        return [f"the {kind} could not be looked at: {error!r}"]
