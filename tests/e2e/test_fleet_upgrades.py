"""Upgrades of a fleet: worker by worker within one schema; to a newer schema not while a worker lives."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from contextlib import AsyncExitStack
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import yaml
from e2e_world import NEEDY, TARGETS, Command, World, command, ran
from fleet_world import fleet_scenario, guarded, names, shared_by_a_fleet
from journal_postgres import execute

from ltv_guard.adapters.journal.schema import NEWEST

if TYPE_CHECKING:
    from conftest import OpenWorld

pytestmark = pytest.mark.slow

ACCOUNTS, WORKERS = 6, 3
LONGEST_UNGUARDED_S = 5.0


async def even(world: World, workers: list[Command], accounts: int = ACCOUNTS) -> None:
    await world.until(lambda: all(len(guarded(item)) == accounts // len(workers) for item in workers))


def is_safe(world: World, account: str) -> bool:
    number = names(ACCOUNTS).index(account)
    return world.ltv(str(1001 + number), user=str(number + 1)) <= TARGETS["add"]


def longest_unguarded_s(workers: Iterable[Command]) -> dict[str, float]:
    """By account: the longest time between two looks at it, whichever worker had each."""
    looks: defaultdict[str, list[datetime]] = defaultdict(list)
    for worker in workers:
        for line in worker.heard("cycle_finished"):
            looks[line["account"]].append(datetime.fromisoformat(line["timestamp"]))
    return {
        name: max((later - sooner).total_seconds() for sooner, later in pairwise(sorted(times)))
        for name, times in looks.items()
    }


async def restarted(world: World, stack: AsyncExitStack, running: list[Command]) -> list[Command]:
    """One after the other, as docs/fleet.md says. Returns all that ran."""
    every = list(running)
    for _ in range(WORKERS):
        leaving = running.pop(0)
        leaving.process.terminate()
        assert await leaving.ends() == 0
        fresh = await stack.enter_async_context(command("run", "-c", world.config_file))
        running.append(fresh)
        every.append(fresh)
        await even(world, running)
    return every


@pytest.mark.nightly
@pytest.mark.timeout(300)
async def test_while_all_workers_are_restarted_in_turn_no_account_is_unguarded_for_five_seconds(
    open_a_world: OpenWorld, postgres_url: str
) -> None:
    async with open_a_world(fleet_scenario(ACCOUNTS)) as world, AsyncExitStack() as stack:
        await shared_by_a_fleet(world, ACCOUNTS, postgres_url)
        running = [
            await stack.enter_async_context(command("run", "-c", world.config_file)) for _ in range(WORKERS)
        ]
        await even(world, running)
        every = await restarted(world, stack, running)
        took = longest_unguarded_s(every)
        print(f"longest unguarded: { ({name: round(s, 2) for name, s in sorted(took.items())}) }")  # noqa: T201
        assert set(took) == set(names(ACCOUNTS))
        assert max(took.values()) <= LONGEST_UNGUARDED_S

        world.price(NEEDY["add"])  # all of it again, in the middle of a breach
        every = await restarted(world, stack, running)
        await world.until(lambda: all(is_safe(world, name) for name in names(ACCOUNTS)))
        await world.until(world.none_is_open)
        for worker in running:
            worker.process.terminate()
            assert await worker.ends() == 0
        await world.judge()
        moved = defaultdict[str, Decimal](Decimal)
        for row in world.effects():
            moved[row.loan_id] += 1
        assert set(moved.values()) == {1}, "no loan was helped twice"


async def test_a_version_with_a_newer_schema_is_refused_while_a_worker_lives_and_says_what_to_do(
    open_a_world: OpenWorld, postgres_url: str
) -> None:
    async with open_a_world(fleet_scenario(1)) as world:
        await shared_by_a_fleet(world, 1, postgres_url)
        tree = yaml.safe_load(world.config_file.read_text())
        tree["fleet"]["lease_s"] = 60  # it lives, however slow the machine
        world.config_file.write_text(yaml.safe_dump(tree))
        async with command("run", "-c", world.config_file) as old:
            await even(world, [old], accounts=1)
            # As the older version's: the one that comes would have to change the tables.
            await execute(postgres_url, "UPDATE journal_version SET version_num = '0009'")
            status, told = await ran("run", "-c", world.config_file)
            assert status == 1
            assert "stop every daemon on it first, then bring it up to date" in told.output
            assert "whose schema is an older version's" in told.output
            world.price(NEEDY["add"])
            await world.until(lambda: is_safe(world, names(1)[0]), within_s=30)
            await execute(postgres_url, f"UPDATE journal_version SET version_num = '{NEWEST}'")  # noqa: S608 - ours
            await world.until(world.none_is_open)
            old.process.terminate()
            assert await old.ends() == 0
        await world.judge()
