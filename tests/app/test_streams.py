"""Signals, pipes and closed streams: whoever reads the log may go away, and the guard goes on."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import structlog
from e2e_world import NEEDY, World, command, scenario_of

from ltv_guard.log import format as logs

if TYPE_CHECKING:
    from conftest import OpenWorld


@asynccontextmanager
async def in_a_shell(world: World, words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`words` in a shell, where $G is the command; only its standard error is kept."""
    process = await asyncio.create_subprocess_shell(
        words,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        executable="/bin/bash",
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": "/nonexistent",
            "G": f"{sys.executable} -m ltv_guard",
            "C": str(world.config_file),
        },
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def told(process: asyncio.subprocess.Process) -> str:
    async with asyncio.timeout(40):
        _, errors = await process.communicate()
    assert b"Traceback" not in errors, errors.decode()
    assert b"Exception ignored" not in errors, errors.decode()
    return errors.decode()


async def test_a_daemon_whose_log_nobody_reads_any_more_goes_on_guarding(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world, in_a_shell(world, "exec $G run -c $C | head -n 1") as process:
        await world.until(lambda: world.exchange.requests.total() > 10)
        world.price(NEEDY["add"])
        await world.until_settled_at_target()
        os.killpg(process.pid, signal.SIGTERM)
        errors = await told(process)
    assert errors.count("the log can't be written (Broken pipe)") == 1


@pytest.mark.parametrize("stream", ["/dev/full", "&-"], ids=["full", "closed"])
async def test_one_cycle_is_made_whatever_becomes_of_its_log(open_a_world: OpenWorld, stream: str) -> None:
    async with (
        open_a_world(scenario_of(NEEDY["add"])) as world,
        in_a_shell(world, f"$G run --once -c $C >{stream}") as process,
    ):
        await told(process)
        assert process.returncode == 0
        assert world.is_at_target()


async def test_a_daemon_with_every_stream_closed_guards(open_a_world: OpenWorld) -> None:
    async with (
        open_a_world(scenario_of(NEEDY["add"])) as world,
        in_a_shell(world, "exec $G run -c $C <&- >&- 2>&-") as process,
    ):
        await world.until_settled_at_target()
        process.terminate()
        await told(process)
        assert process.returncode == 0


@pytest.mark.parametrize("words", ["plan", "plan --json", "check", "journal --json"])
async def test_a_command_into_a_pipe_that_nobody_reads_says_nothing(
    open_a_world: OpenWorld, words: str
) -> None:
    # The pipe's reader is gone before the command writes its first word.
    pipe = f"{{ sleep 0.2; $G {words} -c $C; }} | true; exit ${{PIPESTATUS[0]}}"
    async with open_a_world() as world, in_a_shell(world, pipe) as process:
        assert await told(process) == ""
        assert process.returncode in {0, 1}


async def test_a_signal_ends_one_cycle_that_waits_for_something(open_a_world: OpenWorld) -> None:
    async with open_a_world(scenario_of(NEEDY["add"])) as world:
        world.fault("close_before", endpoint="adjust")
        world.fault("http_error", endpoint="history", times=None)
        async with command("run", "--once", "-c", world.config_file) as once:
            await world.until(lambda: bool(once.heard("adjustment_unknown")))
            asked_at = time.monotonic()
            once.process.send_signal(signal.SIGTERM)
            assert await once.ends() == 1, once.output
            assert time.monotonic() - asked_at < 10
        assert once.events[-1]["event"] == "daemon_stopped"
        assert "Traceback" not in once.output


async def test_a_signal_does_not_wait_for_ever_for_a_read_that_hangs(open_a_world: OpenWorld) -> None:
    slow = {
        "exchange": {"recv_window_ms": 60000, "request_timeout_s": 30},
        "schedule": {"shutdown_timeout_s": 31},
    }
    async with open_a_world(config=slow) as world:
        world.configure({"exchange": {"request_timeout_s": 0.9}, "schedule": {"shutdown_timeout_s": 1}})
        world.fault("slow", endpoint="orders", seconds="0.8", times=None)
        world.fault("http_error", endpoint="orders", times=None)
        async with command("run", "--once", "-c", world.config_file) as once:
            await world.until(lambda: world.exchange.requests.total() > 0)
            once.process.send_signal(signal.SIGTERM)
            assert await once.ends() == 1, once.output
        assert once.events[-1]["event"] == "daemon_stopped"
        assert "Traceback" not in once.output


class Failing(io.StringIO):
    broken = False

    def write(self, text: str) -> int:
        if self.broken:
            raise OSError(28, "No space left on device")
        return super().write(text)


def test_a_log_that_works_again_is_written_again(capsys: pytest.CaptureFixture[str]) -> None:
    stream = Failing()
    logs.configure(style="json", stream=stream)
    log = structlog.stdlib.get_logger()
    try:
        log.info("one")
        stream.broken = True
        log.info("two")
        log.info("three")
        stream.broken = False
        log.info("four")
    finally:
        structlog.reset_defaults()
    assert [word for word in ("one", "two", "three", "four") if word in stream.getvalue()] == ["one", "four"]
    assert capsys.readouterr().err.count("the log can't be written (No space left on device)") == 1


def test_the_scheduler_speaks_up_only_when_something_broke() -> None:
    stream = io.StringIO()
    logs.configure(style="json", stream=stream)
    try:
        logging.getLogger("apscheduler.scheduler").warning("maximum number of running instances reached")
        logging.getLogger("apscheduler.executors.default").error("it raised an exception")
    finally:
        structlog.reset_defaults()
    assert [json.loads(line)["level"] for line in stream.getvalue().splitlines()] == ["error"]
