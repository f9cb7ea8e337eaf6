"""A fleet: real workers, a real PostgreSQL, one sandbox. One dies or stands still: no loan is lost."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
import yaml
from e2e_world import NEEDY, TARGETS, Command, World, command, ran
from fleet_world import LEASE_S, fleet_scenario, guarded, holders, loan_of, names, shared_by_a_fleet, shares
from journal_postgres import end_sessions_of, execute, name_of

if TYPE_CHECKING:
    from conftest import OpenWorld

pytestmark = pytest.mark.slow

ACCOUNTS, WORKERS = 6, 3
BUDGET = 100  # requests in 5 s: less than six accounts would like


async def workers_of(stack: AsyncExitStack, world: World, count: int) -> list[Command]:
    running = [await stack.enter_async_context(command("run", "-c", world.config_file)) for _ in range(count)]
    each = ACCOUNTS // count

    async def even() -> bool:
        return await shares(world.journal_url) == [each] * count

    await world.until(even)
    await world.until(lambda: all(len(guarded(worker)) == each for worker in running))
    return running


def is_safe(world: World, account: str) -> bool:
    number = names(ACCOUNTS).index(account)
    return world.ltv(loan_of(account), user=str(number + 1)) <= TARGETS["add"]


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGSTOP])
async def test_accounts_of_a_worker_that_dies_or_stands_still_are_protected_by_the_others(
    open_a_world: OpenWorld, postgres_url: str, kind: signal.Signals
) -> None:
    async with open_a_world(fleet_scenario(ACCOUNTS)) as world, AsyncExitStack() as stack:
        await shared_by_a_fleet(world, ACCOUNTS, postgres_url)
        lost, *_others = running = await workers_of(stack, world, WORKERS)
        orphans = guarded(lost)
        lost.process.send_signal(kind)
        struck = time.monotonic()
        world.price(NEEDY["add"])

        await world.until(lambda: all(is_safe(world, name) for name in names(ACCOUNTS)))
        took_s = time.monotonic() - struck
        print(f"{kind.name}: all protected after {took_s:.1f} s")  # noqa: T201 - a figure for people
        held = await holders(world.journal_url)
        assert {held[name] for name in orphans}.isdisjoint(
            {line["worker"] for line in lost.events if line["event"] == "lease_taken"}
        )

        if kind is signal.SIGSTOP:  # it wakes up in the middle of a breach, and believes it still holds them
            world.price(Decimal(28000))
            lost.process.send_signal(signal.SIGCONT)
            await world.until(lambda: len(lost.heard("lease_lost")) == len(orphans))
            await world.until(lambda: all(is_safe(world, name) for name in names(ACCOUNTS)))
        await world.until(world.none_is_open)
        for worker in running:
            if worker.process.returncode is None:
                worker.process.terminate()
                assert await worker.ends() == 0
        await world.judge()
        moved = {row.loan_id: row.amount for row in world.effects()}
        assert len(moved) == ACCOUNTS


async def test_an_orderly_end_hands_over_within_two_seconds_and_without_waiting(
    open_a_world: OpenWorld, postgres_url: str
) -> None:
    async with open_a_world(fleet_scenario(ACCOUNTS)) as world, AsyncExitStack() as stack:
        await shared_by_a_fleet(world, ACCOUNTS, postgres_url)
        leaving, *others = await workers_of(stack, world, WORKERS)
        given = guarded(leaving)
        leaving.process.terminate()
        assert await leaving.ends() == 0
        await world.until(lambda: given <= guarded(others[0]) | guarded(others[1]))
        taken = [
            line
            for worker in others
            for line in worker.events
            if line["event"] == "lease_taken" and line["account"] in given
        ]
        assert all(line["orderly"] for line in taken)
        ended = [line for line in leaving.events if line["event"] == "lease_given_back"]
        assert ended[-1]["timestamp"] <= max(line["timestamp"] for line in taken)
        for worker in others:
            worker.process.terminate()
            assert await worker.ends() == 0
        await world.judge()


async def test_a_worker_that_ends_gives_back_each_account_as_soon_as_nothing_of_it_is_in_flight(
    open_a_world: OpenWorld, postgres_url: str
) -> None:
    """One answer is late: the accounts beside it are another's long before it comes."""
    patient = {
        "exchange": {"recv_window_ms": 7000, "request_timeout_s": 6},
        "schedule": {"shutdown_timeout_s": 20},
    }
    async with open_a_world(fleet_scenario(ACCOUNTS), config=patient) as world, AsyncExitStack() as stack:
        await shared_by_a_fleet(world, ACCOUNTS, postgres_url)
        running = await workers_of(stack, world, WORKERS)
        leaving = next(worker for worker in running if "a00" in guarded(worker))
        given = guarded(leaving)
        world.fault("hang_after", endpoint="adjust", user="1", seconds=5, times=1)
        world.price(NEEDY["add"])
        await world.until(lambda: all(is_safe(world, name) for name in names(ACCOUNTS)))
        leaving.process.terminate()
        assert await leaving.ends() == 0
        others = [worker for worker in running if worker is not leaving]
        await world.until(lambda: given <= guarded(others[0]) | guarded(others[1]))

        taken = {
            line["account"]: line
            for worker in others
            for line in worker.heard("lease_taken")
            if line["account"] in given
        }
        back = {line["account"]: line for line in leaving.heard("lease_given_back")}
        assert all(line["orderly"] for line in (*taken.values(), *back.values()))
        quiet = given - {"a00"}
        assert max(taken[name]["timestamp"] for name in quiet) < back["a00"]["timestamp"]
        await world.until(world.none_is_open)
        for worker in others:
            worker.process.terminate()
            assert await worker.ends() == 0
        await world.judge()


async def test_a_worker_that_joins_gets_its_share_and_no_cycle_of_the_others_fails(
    open_a_world: OpenWorld, postgres_url: str
) -> None:
    async with open_a_world(fleet_scenario(ACCOUNTS)) as world, AsyncExitStack() as stack:
        await shared_by_a_fleet(world, ACCOUNTS, postgres_url)
        (first,) = await workers_of(stack, world, 1)
        second = await stack.enter_async_context(command("run", "-c", world.config_file))
        await world.until(lambda: len(guarded(second)) == ACCOUNTS // 2 == len(guarded(first)))
        status, shown = await ran("workers", "-c", world.config_file, "--json")
        told = json.loads(shown.output)
        assert status == 0
        assert {row["worker"] for row in told["accounts"] if row["last_cycle"]} <= set(
            (await holders(postgres_url)).values()
        )
        assert {row["account"]: row["worker"] for row in told["accounts"]} == await holders(postgres_url)
        assert [row["accounts"] for row in told["workers"] if row["alive"]] == [ACCOUNTS // 2] * 2
        world.price(NEEDY["add"])
        await world.until(lambda: all(is_safe(world, name) for name in names(ACCOUNTS)))
        await world.until(world.none_is_open)
        for worker in (first, second):
            worker.process.terminate()
            assert await worker.ends() == 0
            assert not [line for line in worker.events if line["level"] in {"error", "critical"}]
        await world.judge()
        status, shown = await ran("workers", "-c", world.config_file)
        assert status == 1, "nobody is left"
        assert "nobody" in shown.output


async def test_while_the_journal_is_down_nothing_is_sent_and_all_is_protected_once_it_is_back(
    open_a_world: OpenWorld, postgres_server: str, postgres_url: str
) -> None:
    async with open_a_world(fleet_scenario(ACCOUNTS)) as world, AsyncExitStack() as stack:
        await shared_by_a_fleet(world, ACCOUNTS, postgres_url)
        running = await workers_of(stack, world, WORKERS)
        name = name_of(postgres_url)
        await execute(postgres_server, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await end_sessions_of(postgres_server, name)
        world.price(NEEDY["add"])
        await world.until(lambda: all(worker.heard("journal_unavailable") for worker in running))
        await asyncio.sleep(LEASE_S + 1)  # every lease has run out
        assert world.adjustments_sent() == []

        await execute(postgres_server, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await world.until(lambda: all(is_safe(world, name) for name in names(ACCOUNTS)))
        await world.until(world.none_is_open)
        for worker in running:
            worker.process.terminate()
            assert await worker.ends() == 0
        await world.judge()
        assert len({row.loan_id for row in world.effects()}) == ACCOUNTS


async def test_workers_behind_one_address_never_ask_for_more_than_it_may(
    open_a_world: OpenWorld, postgres_url: str
) -> None:
    """While they come, go and stand still, and all loans breach: the exchange bans at one request more."""
    async with (
        open_a_world(fleet_scenario(ACCOUNTS, limits={"ip_requests": BUDGET})) as world,
        AsyncExitStack() as stack,
    ):
        world.configure({"exchange": {"ip_budget_per_5s": BUDGET}, "schedule": {"poll_interval_s": 1}})
        await shared_by_a_fleet(world, ACCOUNTS, postgres_url)
        leaving, frozen, other = await workers_of(stack, world, WORKERS)
        world.price(NEEDY["add"])
        leaving.process.terminate()
        assert await leaving.ends() == 0
        frozen.process.send_signal(signal.SIGSTOP)
        await world.until(lambda: len(guarded(other)) == ACCOUNTS)
        world.price(Decimal(28000))
        joined = await stack.enter_async_context(command("run", "-c", world.config_file))
        frozen.process.send_signal(signal.SIGCONT)
        await world.until(lambda: all(len(guarded(item)) == 2 for item in (frozen, other, joined)))
        await world.until(lambda: all(is_safe(world, name) for name in names(ACCOUNTS)))
        assert world.exchange.limits.violations["ip"] == 0
        await world.until(world.none_is_open)
        for worker in (frozen, other, joined):
            worker.process.terminate()
            assert await worker.ends() == 0
            assert not worker.heard("exchange_banned")
        assert world.exchange.limits.violations["ip"] == 0
        await world.judge()


async def test_a_reload_changes_every_account_and_accounts_still_come_and_go(
    open_a_world: OpenWorld, postgres_url: str
) -> None:
    async with open_a_world(fleet_scenario(ACCOUNTS)) as world, AsyncExitStack() as stack:
        await shared_by_a_fleet(world, ACCOUNTS, postgres_url)
        first, second = await workers_of(stack, world, 2)
        tree = yaml.safe_load(world.config_file.read_text())
        tree["policy"]["add"] = {"target_ltv": "0.60"}
        world.config_file.write_text(yaml.safe_dump(tree))
        for worker in (first, second):
            worker.process.send_signal(signal.SIGHUP)
        await world.until(lambda: all(len(item.heard("config_reloaded")) == 1 for item in (first, second)))

        tree["fleet"]["lease_s"] = 20
        world.config_file.write_text(yaml.safe_dump(tree))
        second.process.send_signal(signal.SIGHUP)
        await world.until(lambda: bool(second.heard("config_refused")))
        assert "fleet can't be changed" in second.heard("config_refused")[0]["why"]

        first.process.terminate()
        assert await first.ends() == 0
        await world.until(lambda: len(guarded(second)) == ACCOUNTS)
        world.price(NEEDY["add"])
        targeted = Decimal("0.60")
        await world.until(
            lambda: all(world.ltv(str(1001 + n), user=str(n + 1)) <= targeted for n in range(ACCOUNTS))
        )
        await world.until(world.none_is_open)
        second.process.terminate()
        assert await second.ends() == 0
        await world.judge()
