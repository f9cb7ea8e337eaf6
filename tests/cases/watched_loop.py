"""The command, with its event loop watched: what it opens, imports, looks up or writes, and for how long.

Run as a program of its own: `watched_loop.py REPORT run -c CONFIG`. Watched from the first cycle to the stop.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, TextIO

LONGEST_S = 0.05
BLOCKING = {
    *("open", "import", "os.listdir", "os.scandir", "sqlite3.connect", "subprocess.Popen", "time.sleep"),
    *("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"),
}

found: list[dict[str, Any]] = []
watched_thread: int | None = None
looking_up = False


def blocks(kind: str, what: object) -> None:
    where = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_stack()[-12:-2]]
    found.append({"kind": kind, "what": repr(what)[:300], "where": where})


def hear(event: str, arguments: tuple[object, ...]) -> None:
    global looking_up  # noqa: PLW0603 - a hook has no other place
    if event in BLOCKING and threading.get_ident() == watched_thread and not looking_up:
        looking_up = True  # to put it into words opens files as well
        blocks(event, arguments)
        looking_up = False


class Stream:
    """A stream that tells who writes to it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> object:
        if threading.get_ident() == watched_thread:
            blocks("stream", text)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def watch() -> None:
    from ltv_guard.guard.cycle import Guard  # noqa: PLC0415
    from ltv_guard.service.scheduler import Daemon  # noqa: PLC0415 - a program: what is imported early is not watched

    cycle, decide, finish, run = Guard.cycle, Guard._decide, Daemon._finish, asyncio.events.Handle._run
    descriptors_write = os.write
    decided = 0

    async def watched_cycle(self: Guard) -> Any:  # noqa: ANN401 - as it was
        global watched_thread  # noqa: PLW0603
        watched_thread = threading.get_ident()
        return await cycle(self)

    async def faulty_decide(self: Guard, *args: Any) -> Any:  # noqa: ANN401
        nonlocal decided
        decided += 1
        if decided == 3:
            raise KeyError("a defect")
        return await decide(self, *args)

    async def watched_finish(self: Daemon) -> None:
        global watched_thread  # noqa: PLW0603
        watched_thread = None
        await finish(self)

    def timed_run(self: asyncio.Handle) -> None:
        began = time.thread_time()
        run(self)
        spent = time.thread_time() - began
        if spent > LONGEST_S and threading.get_ident() == watched_thread:
            found.append({"kind": "cpu", "what": f"{spent:.3f} s", "where": [repr(self)[:600]]})

    def watched_write(descriptor: int, data: bytes) -> int:
        if descriptor in {1, 2} and threading.get_ident() == watched_thread:
            blocks("stream", data)
        return descriptors_write(descriptor, data)

    Guard.cycle, Guard._decide, Daemon._finish = watched_cycle, faulty_decide, watched_finish  # type: ignore[method-assign]
    asyncio.events.Handle._run = timed_run  # type: ignore[method-assign]
    os.write = watched_write
    sys.stdout, sys.stderr = Stream(sys.stdout), Stream(sys.stderr)  # type: ignore[assignment]
    sys.addaudithook(hear)


if __name__ == "__main__":
    report = Path(sys.argv.pop(1))
    from ltv_guard.cli.main import main

    watch()
    try:
        main()
    finally:
        report.write_text(json.dumps(found, indent=1))
