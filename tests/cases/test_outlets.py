"""Whoever reads the log may stop, be slow or be gone: cycles keep their time, and the loan is saved."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import sys
import termios
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from e2e_world import NEEDY, Event, World

if TYPE_CHECKING:
    from conftest import OpenWorld

# The daemon, with room for a few lines only, so that a test need not wait for thousands.
CROWDED = """
from ltv_guard.log import writer as log_writer
log_writer.ROOM = {"debug": 5, "info": 10, "warning": 15, "error": 15, "critical": 20}
from ltv_guard.cli.main import main
main()
"""
AT_DEBUG = {"logging": {"level": "DEBUG"}}
POLL_S = 0.2
ORDERS = "GET /v5/crypto-loan/ongoing-orders"


@asynccontextmanager
async def daemon_on(
    world: World, stdout: int, *, errors: int = asyncio.subprocess.PIPE
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CROWDED, "run", "-c", str(world.config_file)),
        stdout=stdout,
        stderr=errors,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def latest_poll(world: World) -> AsyncIterator[list[float]]:
    """How much later than its interval each read of the loans came, as the exchange sees it."""
    late: list[float] = []

    async def look() -> None:
        seen, at = world.exchange.requests[ORDERS], time.monotonic()
        while True:
            await asyncio.sleep(0.005)
            if world.exchange.requests[ORDERS] != seen:
                now = time.monotonic()
                late.append(max(0.0, now - at - POLL_S))
                seen, at = world.exchange.requests[ORDERS], now

    looking = asyncio.create_task(look())
    try:
        yield late
    finally:
        looking.cancel()


async def saved_and_ended(world: World, process: asyncio.subprocess.Process, outlet: str) -> None:
    """A fall of prices is answered, and SIGTERM is obeyed, whatever became of the log."""
    await world.until(lambda: world.exchange.requests[ORDERS] > 5)
    async with latest_poll(world) as late:
        world.price(NEEDY["add"])
        await world.until_settled_at_target()
        seen = world.exchange.requests[ORDERS]
        await world.until(lambda: world.exchange.requests[ORDERS] > seen + 5)
    print(f"{outlet}: the latest of {len(late)} reads came {max(late) * 1000:.0f} ms late")  # noqa: T201
    process.terminate()
    async with asyncio.timeout(8):
        assert await process.wait() == 0
    await world.judge()


def full_pipe() -> tuple[int, int]:
    """The two ends of a pipe of 4 KiB that holds all it can."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"\n")
    os.set_blocking(writing, True)
    return reading, writing


@pytest.mark.case(1)
async def test_a_pipe_that_nobody_reads_costs_log_lines_and_nothing_else(open_a_world: OpenWorld) -> None:
    reading, writing = full_pipe()
    async with open_a_world(config=AT_DEBUG) as world, daemon_on(world, writing) as process:
        os.close(writing)
        await saved_and_ended(world, process, "a pipe that nobody reads")
        errors = await process.stderr.read() if process.stderr else b""
    os.close(reading)
    assert b"log lines could not be written" in errors
    assert b"Traceback" not in errors
    assert b"Fatal" not in errors


@pytest.mark.slow
@pytest.mark.case(1)
async def test_what_was_dropped_is_told_once_the_log_flows_again(open_a_world: OpenWorld) -> None:
    reading, writing = full_pipe()
    async with open_a_world(config=AT_DEBUG) as world, daemon_on(world, writing) as process:
        os.close(writing)
        await world.until(lambda: world.exchange.requests[ORDERS] > 20)
        events: list[Event] = []
        loop = asyncio.get_running_loop()
        with os.fdopen(reading, "rb") as log:
            while not any(event["event"] == "log_lines_dropped" for event in events):
                line = await loop.run_in_executor(None, log.readline)
                events += [json.loads(line)] if line.strip() else []
            process.terminate()
            async with asyncio.timeout(8):
                assert await process.wait() == 0
    (told,) = [event for event in events if event["event"] == "log_lines_dropped"]
    assert told["count"] > 0
    assert told["level"] == "warning"


@pytest.mark.slow
@pytest.mark.case(1)
async def test_standard_error_in_the_same_full_pipe_holds_up_nothing(open_a_world: OpenWorld) -> None:
    reading, writing = full_pipe()
    async with open_a_world(config=AT_DEBUG) as world, daemon_on(world, writing, errors=writing) as process:
        os.close(writing)
        await saved_and_ended(world, process, "both streams in a pipe that nobody reads")
    os.close(reading)


async def test_a_full_disk_holds_up_nothing(open_a_world: OpenWorld) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    async with open_a_world(config=AT_DEBUG) as world, daemon_on(world, full) as process:
        os.close(full)
        await saved_and_ended(world, process, "a full disk")
        errors = await process.stderr.read() if process.stderr else b""
    assert errors.count(b"No space left on device") == 1


@pytest.mark.slow
async def test_a_closed_terminal_holds_up_nothing(open_a_world: OpenWorld) -> None:
    reading, writing = pty.openpty()
    async with open_a_world(config=AT_DEBUG) as world, daemon_on(world, writing) as process:
        os.close(writing)
        await world.until(lambda: world.exchange.requests[ORDERS] > 2)
        os.close(reading)
        await saved_and_ended(world, process, "a closed terminal")


@pytest.mark.slow
@pytest.mark.case(1)
async def test_a_terminal_that_was_halted_holds_up_nothing(open_a_world: OpenWorld) -> None:
    reading, writing = pty.openpty()
    async with open_a_world(config=AT_DEBUG) as world, daemon_on(world, writing) as process:
        termios.tcflow(writing, termios.TCOOFF)  # Ctrl-S
        await saved_and_ended(world, process, "a halted terminal")
        termios.tcflow(writing, termios.TCOON)
        os.close(writing)
    os.close(reading)


@pytest.mark.slow
async def test_a_slow_reader_holds_up_nothing(open_a_world: OpenWorld) -> None:
    """1 KiB a second."""
    reading, writing = full_pipe()

    async def read_slowly() -> None:
        os.set_blocking(reading, False)
        while True:
            await asyncio.sleep(0.1)
            with suppress(BlockingIOError):
                os.read(reading, 102)

    slow = asyncio.create_task(read_slowly())
    async with open_a_world(config=AT_DEBUG) as world, daemon_on(world, writing) as process:
        os.close(writing)
        await saved_and_ended(world, process, "a reader of 1 KiB a second")
    slow.cancel()
    os.close(reading)
