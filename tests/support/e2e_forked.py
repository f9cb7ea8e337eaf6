"""Processes that need not import anything: forked from one that has, once for each worker of the tests.

To start Python and import what a command needs costs most of a second, and a test starts several. What is
forked is a process like any other, with a pid, streams, signals and an exit status of its own, and it runs
the same `__main__`. Tests of the interpreter's own start start it themselves.
"""

from __future__ import annotations

import asyncio
import atexit
import gc
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

MOST = 1 << 18  # bytes of a request: words and environment
PACKAGE = "ltv_guard"
BARE = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
# Imported once it is needed: slow, and few commands need it.
LEFT_OUT = (
    f"{PACKAGE}.__main__",
    f"{PACKAGE}.adapters.journal.migrat",
    f"{PACKAGE}.adapters.apprise_target",
)


class ForkedProcess:
    """What the tests use of `asyncio.subprocess.Process`."""

    def __init__(self, pid: int, stdout: asyncio.StreamReader, stderr: asyncio.StreamReader) -> None:
        self.pid = pid
        self.stdout = stdout
        self.stderr = stderr
        self.returncode: int | None = None
        self.ending: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()

    async def hear_the_end(self, told: socket.socket) -> None:
        with told:
            status = await asyncio.get_running_loop().sock_recv(told, MOST)
        self.returncode = int(status or -signal.SIGKILL)  # nobody tells it, if the process that forks is gone
        self._ended.set()

    async def wait(self) -> int:
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@cache
def _requests() -> socket.socket:
    """To the process that forks, which ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        number = theirs.fileno()
        server = subprocess.Popen([sys.executable, __file__, str(number)], pass_fds=[number], env=BARE)
    atexit.register(server.wait)
    atexit.register(ours.close)
    return ours


async def forked(program: str, words: Sequence[str], environ: Mapping[str, str]) -> ForkedProcess:
    """A process that runs `program`, the package or a file, with these words."""
    loop = asyncio.get_running_loop()
    request = {"program": program, "words": list(words), "environ": dict(environ), "folder": str(Path.cwd())}
    told, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        socket.send_fds(_requests(), [json.dumps(request).encode()], [theirs.fileno()])
    told.settimeout(0)
    comes = asyncio.Event()
    loop.add_reader(told, comes.set)
    await comes.wait()
    loop.remove_reader(told)
    pid, pipes, _, _ = socket.recv_fds(told, MOST, 2)
    readers = [asyncio.StreamReader(), asyncio.StreamReader()]
    for reader, pipe in zip(readers, pipes, strict=True):
        protocol = asyncio.StreamReaderProtocol(reader)
        await loop.connect_read_pipe(lambda protocol=protocol: protocol, os.fdopen(pipe, "rb"))
    process = ForkedProcess(int(pid), *readers)
    process.ending = asyncio.create_task(process.hear_the_end(told))
    return process


# In the process that forks. It has neither threads nor an event loop.


def serve(requests: socket.socket) -> None:
    for module in pkgutil.walk_packages(import_module(PACKAGE).__path__, f"{PACKAGE}."):
        if not module.name.startswith(LEFT_OUT):
            import_module(module.name)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait
    while True:
        data, sockets, _, _ = socket.recv_fds(requests, MOST, 1)
        if not data:
            return
        if os.fork() == 0:
            requests.close()
            told = socket.socket(fileno=sockets[0])
            break
        os.close(sockets[0])
    run(json.loads(data), told)


def run(request: dict[str, Any], told: socket.socket) -> None:
    """Runs the program in a fork; here its pid is told and, once it has ended, its status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    streams = [os.pipe(), os.pipe()]
    pid = os.fork()
    if pid == 0:
        told.close()
        as_if_started(request, [inner for _, inner in streams])
        return
    with suppress(OSError):  # the test is gone
        socket.send_fds(told, [str(pid).encode()], [outer for outer, _ in streams])
    for stream in (each for both in streams for each in both):
        os.close(stream)
    _, status = os.waitpid(pid, 0)
    with suppress(OSError):
        told.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def as_if_started(request: dict[str, Any], outlets: Sequence[int]) -> None:
    """The program with its own streams, environment, folder and words; the interpreter ends as it would."""
    for place, stream in enumerate((os.open(os.devnull, os.O_RDONLY), *outlets)):
        os.dup2(stream, place)
    os.closerange(3, 1024)
    os.environ.clear()
    os.environ.update(request["environ"])
    os.chdir(request["folder"])
    sys.stdin = sys.__stdin__ = open(0)  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", errors="surrogateescape")  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(2, "w", errors="backslashreplace", buffering=1)  # noqa: SIM115
    program = request["program"]
    sys.argv = [program, *request["words"]]
    if program == PACKAGE:
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
