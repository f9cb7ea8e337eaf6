"""SIGHUP reads the configuration again: a good one takes over, a bad one is refused, the rescue goes on."""

from __future__ import annotations

import signal
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from e2e_world import NEEDY, command, scenario_of

from ltv_guard.adapters.journal import open_journal
from ltv_guard.service.reload import changes

if TYPE_CHECKING:
    from conftest import OpenWorld

SMALL = Decimal("0.02")  # of the coin at a time: a rescue that takes a while


async def test_a_bad_file_is_refused_and_a_good_one_takes_over_while_a_loan_is_rescued(
    open_a_world: OpenWorld,
) -> None:
    async with open_a_world(scenario_of(NEEDY["add"])) as world:
        world.configure({"policy": {"limits": {"max_add": {"BTC": str(SMALL)}}}})
        async with command("run", "-c", world.config_file) as daemon:
            await world.until(lambda: len(world.effects()) >= 1)
            good = world.config_file.read_text()
            world.config_file.write_text("policy: {add: {trigger_ltv: 2}}")
            daemon.process.send_signal(signal.SIGHUP)
            await world.until(lambda: bool(daemon.heard("config_refused")))
            assert "policy.add.trigger_ltv" in daemon.heard("config_refused")[0]["why"]
            seen = len(world.effects())
            await world.until(lambda: len(world.effects()) > seen)
            world.config_file.write_text(good)
            world.configure({"policy": {"limits": {"max_add": {"BTC": "5"}}}})
            daemon.process.send_signal(signal.SIGHUP)
            await world.until(lambda: bool(daemon.heard("config_reloaded")))
            changed = daemon.heard("config_reloaded")[0]["changed"]
            assert any("limits.max_add.BTC: 0.02 -> 5" in line for line in changed)
            await world.until_settled_at_target("add")
            assert max(row.amount for row in world.effects()) > 2 * SMALL
            daemon.process.terminate()
            assert await daemon.ends() == 0
        await world.judge()


@pytest.mark.parametrize(
    ("mishap", "parameters"),
    [("slow", {"seconds": "0.6"}), pytest.param("close_after", {}, marks=pytest.mark.slow)],
)
async def test_what_is_in_flight_when_a_good_file_takes_over_is_made_once(
    open_a_world: OpenWorld, mishap: str, parameters: dict[str, str]
) -> None:
    async with open_a_world(scenario_of(NEEDY["add"])) as world:
        world.fault(mishap, endpoint="adjust", **parameters)
        async with command("run", "-c", world.config_file) as daemon:
            await world.until(lambda: bool(world.adjustments_sent()))
            world.configure({"policy": {"add": {"target_ltv": "0.64"}, "reduce": {"enabled": False}}})
            daemon.process.send_signal(signal.SIGHUP)
            await world.until(lambda: len(daemon.heard("daemon_started")) == 2)
            await world.until(world.none_is_open)
            seen = len(daemon.heard("cycle_finished"))
            await world.until(lambda: len(daemon.heard("cycle_finished")) > seen + 2)
            daemon.process.terminate()
            assert await daemon.ends() == 0
        assert Decimal("0.637") < world.ltv() <= Decimal("0.65")
        first = world.effects()[0]
        assert Decimal("0.2147") < first.amount < Decimal("0.216"), "sized for the target of before"
        await world.judge()


async def test_what_changed_is_told_without_a_secret(open_a_world: OpenWorld) -> None:
    async with open_a_world(scenario_of(NEEDY["add"])) as world:
        before = world.settings()
        for name in ("api_secret_file", "rsa_private_key_file"):
            path = getattr(before.accounts["main"], name)
            if path is not None:
                path.write_text("another-secret")
        told = changes(before, world.settings())
        assert told
        assert not any("another-secret" in line for line in told)


async def test_settings_that_cannot_be_begun_with_are_refused_and_the_old_ones_go_on(
    open_a_world: OpenWorld,
) -> None:
    """The new journal is in use by another daemon: the file is good, and starting with it fails."""
    async with open_a_world(scenario_of(NEEDY["add"])) as world:
        other = f"sqlite:///{world.folder / 'other.db'}"
        journal = await open_journal(other, writer=True)
        async with command("run", "-c", world.config_file) as daemon:
            await world.until(lambda: len(world.effects()) >= 1)
            world.configure({"journal": {"url": other}})
            daemon.process.send_signal(signal.SIGHUP)
            await world.until(lambda: bool(daemon.heard("config_refused")))
            seen = len(daemon.heard("cycle_finished"))
            await world.until(lambda: len(daemon.heard("cycle_finished")) > seen + 2)
            daemon.process.terminate()
            assert await daemon.ends() == 0
        await journal.close()
