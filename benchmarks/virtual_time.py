"""An event loop on which waiting takes no time, and clocks that go by it: `set_clocks` comes before imports.

Where nothing is ready the clocks jump to what is due next. Sockets are real, and within one process: what one
side has written the other can read at once. So a run is the same each time, but for what comes of chance.
What it leaves out: the time that code takes to run, and that a disk takes to write.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime, tzinfo
from types import ModuleType
from typing import Any, Self

BEGAN_S = 1_800_000_000.0  # of the wall clock


class VirtualSelector(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Nothing to wait for but time, and that is made to pass."""

    now_s = 1000.0  # of all, one after the other: no clock of a process goes back

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        # Never less than a microsecond: code that waits until a float is reached must get there.
        VirtualSelector.now_s += 1e-6 if ready or timeout is None else max(timeout, 1e-6)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """What threads would do is done at once: no time passes until they have."""

    def __init__(self) -> None:
        super().__init__(VirtualSelector())

    def time(self) -> float:
        return VirtualSelector.now_s

    def run_in_executor(  # type: ignore[override]
        self, _executor: object, function: Callable[..., Any], *arguments: object
    ) -> asyncio.Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(function(*arguments))
        except Exception as error:  # noqa: BLE001 - whoever awaits it hears of it
            done.set_exception(error)
        return asyncio.wrap_future(done, loop=self)


class VirtualDatetime(datetime):
    """For modules that ask `datetime` what time it is."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cls.fromtimestamp(time.time(), tz)


def set_clocks() -> None:
    """This process goes by the loop's clock from now on: `time`, as modules have it that come later."""
    time.monotonic = time.perf_counter = lambda: VirtualSelector.now_s
    time.time = lambda: BEGAN_S + VirtualSelector.now_s


def set_clock_of(*modules: ModuleType) -> None:
    """The same for modules that import `datetime`."""
    for module in modules:
        vars(module)["datetime"] = VirtualDatetime
