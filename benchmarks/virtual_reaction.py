"""Crossings in virtual time (virtual_world.py). Only for `reaction.py --virtual`, which sets the clocks."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path

import virtual_world
import world
from exchanges import UnhurriedExchange
from server import STREAM_PERIOD_S

from ltv_guard.sandbox import parse_scenario, stream

START_S, WITHIN_S, LOOK_S = 3.0, 90.0, 0.02


def reactions(
    borrower: world.Borrower, folder: Path, *, samples: int, rest_s: tuple[float, float], seed: int
) -> list[float | None]:
    """Seconds from each tick to its adjustment's arrival, as reaction.py samples them; None: none came.

    `rest_s`: for how long at least and at most the price rests near the trigger before it crosses.
    """
    folder.mkdir()
    heard: list[virtual_world.Event] = []
    found: list[float | None] = virtual_world.run(
        _reactions(borrower, folder, samples, rest_s, heard), seed, heard
    )
    return found


async def _reactions(
    borrower: world.Borrower,
    folder: Path,
    samples: int,
    rest_s: tuple[float, float],
    heard: list[virtual_world.Event],
) -> list[float | None]:
    stream.PERIOD_S = STREAM_PERIOD_S
    whose = {"user": borrower.name, "loan_id": borrower.loan_id, "key": borrower.key}
    exchange = UnhurriedExchange(parse_scenario(world.scenario([borrower])))
    exchange.start()
    found: list[float | None] = []
    async with virtual_world.serving(exchange) as (bench, url):
        world.guard(borrower, url, folder, world.with_stream(url))
        async with virtual_world.guarding(folder / "config.yaml"):
            await asyncio.sleep(START_S)
            for _ in range(samples + 1):
                await bench.act("ltv", {**whose, "ltv": world.NEAR})
                await asyncio.sleep(random.uniform(*rest_s))
                settled = _settled(heard)
                told = await bench.act("cross", {**whose, "ltv": world.CROSSED, "within_s": WITHIN_S})
                found.append(told["reaction_s"])
                await _until(lambda number=settled + 1: world.is_calm_after(heard, number))  # type: ignore[misc]
    return found[1:]  # the first of a process is not counted


def _settled(heard: list[virtual_world.Event]) -> int:
    return sum(item["event"] == world.SETTLED for item in heard)


async def _until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not is_so() and time.monotonic() < deadline:  # noqa: ASYNC110 - a list signals nothing
        await asyncio.sleep(LOOK_S)
