"""Clients who are slow on purpose: they say nothing, or a letter at a time, or ask and never read."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

HEAD = b"POST /api/v1/pause HTTP/1.1\r\nHost: localhost\r\n"
FORM = HEAD + b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 4000\r\n\r\n"
ASKS = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5
# What each kind of them sends first, and then again and again.
KINDS = ((b"", b""), (HEAD + b"X-Slow: ", b"x"), (FORM, b"a"), (ASKS, ASKS))
PAUSE_S = 0.2
AT_ONCE = 200
CONNECT_S = 5.0


async def come(port: int, many: int) -> int:
    """So many of them, a few hundred at a time, each until it is thrown out. Returns how many got in.

    The last, whom nobody throws out, go once all have come.
    """
    room, came = asyncio.Semaphore(AT_ONCE), 0

    async def one(first: bytes, then: bytes) -> None:
        nonlocal came
        async with room:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(CONNECT_S):
                    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
                came += 1
                await _dawdle(reader, writer, first, then)

    everybody = [asyncio.create_task(one(*KINDS[number % len(KINDS)])) for number in range(many)]
    while sum(not task.done() for task in everybody) > AT_ONCE or came < many // 2:
        await asyncio.wait(everybody, timeout=PAUSE_S, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait(everybody, timeout=1)
    for task in everybody:
        task.cancel()
    await asyncio.wait(everybody)
    return came


async def _dawdle(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes, then: bytes
) -> None:
    try:
        writer.write(first)
        while not (writer.is_closing() or reader.at_eof()):
            await asyncio.sleep(PAUSE_S)
            writer.write(then)
    finally:
        writer.transport.abort()


def memory_of(pid: int) -> int:
    """What a process holds in memory, in bytes."""
    said = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (line,) = [line for line in said.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


def descriptors_of(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
