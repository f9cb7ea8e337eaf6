"""SIGTERM is obeyed from the first moment, also by process 1 of a container: it has no default handlers."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from e2e_world import World, until

if TYPE_CHECKING:
    from conftest import OpenWorld

UNSHARE = ("unshare", "--pid", "--fork", "--kill-child")
SLOW_TO_IMPORT = "aiohttp"


async def may_unshare() -> bool:
    try:
        trial = await asyncio.create_subprocess_exec(*UNSHARE, "true", stderr=asyncio.subprocess.DEVNULL)
    except FileNotFoundError:
        return False
    return await trial.wait() == 0


@asynccontextmanager
async def process_one(world: World) -> AsyncIterator[tuple[int, asyncio.subprocess.Process]]:
    """The daemon as process 1 of its own namespace: its id out here, and what waits for it."""
    outside = await asyncio.create_subprocess_exec(
        *(*UNSHARE, sys.executable, "-m", "ltv_guard", "run", "-c", str(world.config_file)),
        stdout=asyncio.subprocess.DEVNULL,
        env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/nonexistent"},
    )
    try:
        yield await child_of(outside.pid), outside
    finally:
        with suppress(ProcessLookupError):
            outside.kill()
        await outside.wait()


async def child_of(parent: int) -> int:
    while True:
        children = text_of(parent, f"task/{parent}/children").split()
        if children and "ltv_guard" in text_of(int(children[0]), "cmdline"):
            return int(children[0])
        await asyncio.sleep(0.001)


def text_of(pid: int, name: str) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/{name}").read_text()
    return ""


def heeds(pid: int, number: int) -> bool:
    status = dict(line.split(":\t", 1) for line in text_of(pid, "status").splitlines() if ":\t" in line)
    return bool(int(status.get("SigCgt", "0"), 16) >> (number - 1) & 1)


@pytest.mark.case(29)
@pytest.mark.parametrize("later_s", [0, 0.3, pytest.param(0.8, marks=pytest.mark.slow), 1.5])
async def test_process_one_obeys_sigterm_before_anything_slow(
    open_a_world: OpenWorld, later_s: float
) -> None:
    if not await may_unshare():
        pytest.skip("needs the right to make a namespace")
    async with open_a_world() as world, process_one(world) as (pid, outside):
        mapped = text_of(pid, "maps")
        while not heeds(pid, signal.SIGTERM):
            mapped = text_of(pid, "maps")
            await asyncio.sleep(0.001)
        assert SLOW_TO_IMPORT not in mapped, "it was heeded only after what is slow"
        await asyncio.sleep(later_s)
        os.kill(pid, signal.SIGTERM)
        async with asyncio.timeout(10):
            assert await outside.wait() == 0


@pytest.mark.case(29)
async def test_a_reload_that_is_asked_for_at_once_ends_nothing(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ltv_guard", "run", "-c", str(world.config_file)),
            stdout=asyncio.subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
        )
        await until(lambda: heeds(process.pid, signal.SIGHUP))
        process.send_signal(signal.SIGHUP)
        assert process.stdout is not None
        async with asyncio.timeout(30):
            while b"config_reloaded" not in await process.stdout.readline():
                assert process.returncode is None
        process.terminate()
        await process.communicate()
        assert process.returncode == 0
