"""A key that is bound to one of the machine's addresses: everything leaves from there, by the real daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from e2e_world import KEY, NEAR, SECRET, USER, command, scenario_of
from reload_steps import hup

from ltv_guard.adapters.settings import ConfigError
from ltv_guard.service import compose
from ltv_guard.service import run as app

if TYPE_CHECKING:
    from conftest import OpenWorld

HERE, ELSEWHERE, NOBODYS = "127.0.0.2", "127.0.0.3", "192.0.2.1"
BOUND = [{"key": KEY, "secret": SECRET, "user": USER, "ips": [HERE]}]


async def test_a_key_that_is_bound_to_an_address_guards_from_there(open_a_world: OpenWorld) -> None:
    async with open_a_world(scenario_of(NEAR, keys=BOUND)) as world:
        await world.trust_journal()
        world.configure(
            {
                "exchange": {"source_address": HERE, "stream_url": world.stream_url},
                "schedule": {"fastest_poll_s": 0.1},
            }
        )
        async with world.guarded():
            await world.until(lambda: world.exchange.requests["stream subscribe"] > 0)
            world.price(39_000)
            await world.until_settled_at_target()
        assert set(world.exchange.callers) == {HERE}
        await world.judge()


async def test_an_address_that_the_machine_lacks_is_told_at_the_start(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world:
        world.configure({"exchange": {"source_address": NOBODYS}})
        with pytest.raises(ConfigError, match=r"exchange\.source_address is 192\.0\.2\.1"):
            await app.run_daemon(world.settings())


async def test_an_address_that_vanishes_ends_no_daemon_and_is_told(
    open_a_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compose, "check_source", lambda _: None)  # it was there when the daemon began
    async with open_a_world() as world:
        world.configure({"exchange": {"source_address": NOBODYS, "stream_url": world.stream_url}})
        async with world.guarded():
            await world.until(lambda: bool(world.heard("read_failed") and world.heard("guard_blind")))
        assert "exchange.source_address" in world.heard("read_failed")[0]["mend"]
        assert not world.exchange.callers


@pytest.mark.slow
async def test_another_address_takes_over_at_a_reload_and_one_that_is_not_there_is_refused(
    open_a_world: OpenWorld,
) -> None:
    async with open_a_world() as world:
        world.configure({"exchange": {"source_address": HERE, "stream_url": world.stream_url}})
        async with command("run", "-c", world.config_file) as daemon:
            await world.until(lambda: bool(daemon.heard("cycle_finished")))
            world.configure({"exchange": {"source_address": NOBODYS}})
            refused = await hup(world, daemon)
            assert (refused["event"], "exchange.source_address" in refused["why"]) == ("config_refused", True)
            world.configure({"exchange": {"source_address": ELSEWHERE}})
            assert (await hup(world, daemon))["event"] == "config_reloaded"
            await world.until(lambda: world.exchange.callers[ELSEWHERE] > 3)
            before = world.exchange.callers[HERE]
            looks = len(daemon.heard("cycle_finished"))
            await world.until(lambda: len(daemon.heard("cycle_finished")) > looks + 3)
            assert world.exchange.callers[HERE] == before
            daemon.process.terminate()
            assert await daemon.ends() == 0
