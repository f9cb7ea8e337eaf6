"""A storm in virtual time (virtual_world.py). Only for `storm.py --virtual`, which sets the clocks before."""

from __future__ import annotations

import asyncio
from pathlib import Path

import virtual_world
import world
from exchanges import StormyExchange

from ltv_guard.sandbox import parse_scenario


def weather(plan: world.Tree, changes: world.Tree, folder: Path, *, ends_s: float, seed: int) -> world.Tree:
    """What the server tells of it at the end. `changes` are of the guard's configuration."""
    folder.mkdir()
    told: world.Tree = virtual_world.run(_weather(plan, changes, folder, ends_s), seed)
    return told


async def _weather(plan: world.Tree, changes: world.Tree, folder: Path, ends_s: float) -> world.Tree:
    borrower = world.Borrower(name=next(iter(plan["users"])), orders=1)
    exchange = StormyExchange(parse_scenario({**world.scenario([borrower]), **plan}))
    async with virtual_world.serving(exchange) as (bench, url):
        world.guard(borrower, url, folder, {**changes, **world.with_stream(url)})
        async with virtual_world.guarding(folder / "config.yaml"):
            await asyncio.sleep(ends_s)
            return await bench.tell({"user": borrower.name, "key": borrower.key})
