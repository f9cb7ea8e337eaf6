"""Whoever sits at a terminal: reads what a command asks there, and types answers."""

from __future__ import annotations

import asyncio
import os
import pty
import sys
import termios
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from e2e_forked import BARE

# The command, with its standard input as the terminal that controls it: where a secret is asked for, and from
# where Ctrl-C comes. Tests that run in the background have children that ignore it.
AT_A_TERMINAL = """
import fcntl, signal, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, signal.default_int_handler)
from ltv_guard.__main__ import main
main()
"""


@dataclass
class Terminal:
    process: asyncio.subprocess.Process
    fd: int
    shown: str = ""
    _read: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self) -> None:
        try:
            self.shown += os.read(self.fd, 65536).decode(errors="replace").replace("\r\n", "\n")
        except OSError:  # the other end is closed
            asyncio.get_running_loop().remove_reader(self.fd)
        self._news.set()

    async def answer(self, question: str, text: str, *, secretly: bool = False, within_s: float = 30) -> None:
        """Waits until it is asked, after all that was answered before.

        `secretly`: and until nothing is shown of what is typed, for what was typed before is thrown away.
        """
        try:
            async with asyncio.timeout(within_s):
                while question not in self.shown[self._read :]:
                    self._news.clear()
                    await self._news.wait()
                while secretly and termios.tcgetattr(self.fd)[3] & termios.ECHO:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"it never asked {question!r}:\n{self.shown}") from None
        self._read = self.shown.index(question, self._read) + len(question)
        os.write(self.fd, f"{text}\n".encode())

    async def answer_all(self, answers: Sequence[tuple[str, str]], *, secrets: Collection[str] = ()) -> None:
        for question, text in answers:
            await self.answer(question, text, secretly=question in secrets)

    async def ends(self, *, within_s: float = 30) -> int:
        async with asyncio.timeout(within_s):
            return await self.process.wait()


@asynccontextmanager
async def at_a_terminal(
    *words: str, folder: Path, environ: Mapping[str, str] | None = None
) -> AsyncIterator[Terminal]:
    """`ltv-guard WORDS` in a folder; what is left of it at the end is killed."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (50, 200))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", AT_A_TERMINAL, *words),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=folder,
        start_new_session=True,
        env={**BARE, "TERM": "dumb", **(environ or {})},
    )
    os.close(theirs)
    terminal = Terminal(process, ours)
    asyncio.get_running_loop().add_reader(ours, terminal.hear)
    try:
        yield terminal
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        asyncio.get_running_loop().remove_reader(ours)
        os.close(ours)
