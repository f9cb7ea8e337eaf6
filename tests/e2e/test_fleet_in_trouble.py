"""Three workers, thirty accounts, and everything that may befall a worker and its wires, during breaches."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
from fleet_troubles import BOUND_S, HANDED_OVER, WINDOW_MS, FleetInTrouble
from fleet_world import fleet_scenario, shared_by_a_fleet
from journal_postgres import PostgresMachine
from pooler import pgbouncer

if TYPE_CHECKING:
    from conftest import OpenWorld

ACCOUNTS, WORKERS = 30, 3
CALM_PACE = {
    "exchange": {"recv_window_ms": WINDOW_MS, "request_timeout_s": 1.6},
    "schedule": {"poll_interval_s": 1, "settle_interval_s": 0.2},
    "policy": {"reduce": {"enabled": False}},
}
FEW = ("killed", "journal half open")
MANY = (
    *("killed", "stopped", "journal cut", "journal half open"),
    *("killed at work", "exchange half open", "server restarted", "journal half open at work"),
)
NIGHT = (
    *("stopped for long", "slow wires", "ended", "exchange cut", *MANY),
    *("killed", "journal cut", *MANY, "ended", "killed", *MANY, "stopped"),
)


async def live_through(
    open_a_world: OpenWorld, server: str, url: str, troubles: Sequence[str], *, pooled: str | None = None
) -> FleetInTrouble:
    """Raises where a loan was forgotten, or got more than it needed, or anything was done twice."""
    scenario = fleet_scenario(ACCOUNTS, funding="9000")
    async with open_a_world(scenario, config=CALM_PACE) as world, AsyncExitStack() as stack:
        await shared_by_a_fleet(world, ACCOUNTS, url)
        machine = await PostgresMachine.of(server)
        fleet = FleetInTrouble(world, stack, machine, accounts=ACCOUNTS, workers=WORKERS, pooled=pooled)
        await fleet.begin()
        for trouble in troubles:
            await fleet.round(trouble)
        await fleet.end()
        await world.judge()
        assert fleet.broken() == []
    print(f"\n{fleet.takeovers()} takeovers in {fleet.figures}")  # noqa: T201 - figures for people
    return fleet


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_of_twenty_accounts_taken_over_none_is_lost_and_nothing_is_done_twice(
    open_a_world: OpenWorld, postgres_server: str, postgres_url: str
) -> None:
    fleet = await live_through(open_a_world, postgres_server, postgres_url, FEW)
    assert fleet.takeovers() >= 20


@pytest.mark.nightly
@pytest.mark.timeout(600)
async def test_behind_pgbouncer_in_transaction_mode_a_fleet_stands_the_same(
    open_a_world: OpenWorld, postgres_server: str, postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pgbouncer(postgres_url, tmp_path_factory.mktemp("pgbouncer")) as pooled:
        fleet = await live_through(
            open_a_world, postgres_server, postgres_url, (*FEW, "server restarted", "ended"), pooled=pooled
        )
    assert fleet.takeovers() >= 20


@pytest.mark.nightly
@pytest.mark.timeout(1800)
async def test_of_two_hundred_accounts_taken_over_none_is_lost_and_nothing_is_done_twice(
    open_a_world: OpenWorld, postgres_server: str, postgres_url: str
) -> None:
    fleet = await live_through(open_a_world, postgres_server, postgres_url, NIGHT)
    assert fleet.takeovers() >= 200
    for trouble, bound_s in (("killed", BOUND_S), ("stopped", BOUND_S), (HANDED_OVER, 2)):
        seconds = sorted(fleet.figures.first_s[trouble])
        assert seconds[(len(seconds) - 1) // 2] <= bound_s, fleet.figures
