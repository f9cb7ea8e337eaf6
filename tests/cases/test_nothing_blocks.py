"""From the first poll to the stop the loop opens, imports and writes nothing, and never reckons for long."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from e2e_world import A_POOL, AN_ORDER, BOTH_PRODUCTS, NEEDY, Command, World, command, merged, scenario_of
from reload_steps import hup

if TYPE_CHECKING:
    from conftest import OpenWorld

WATCHED = Path(__file__).with_name("watched_loop.py")
AT_DEBUG = {"logging": {"level": "DEBUG"}}


def streamed(world: World) -> None:
    world.configure({"exchange": {"stream_url": world.stream_url}})


def reported(report: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(report.read_text())
    return found


async def ended_quietly(world: World, daemon: Command, report: Path) -> None:
    daemon.process.terminate()
    assert await daemon.ends() == 0, daemon.output
    found = reported(report)
    kinds = {item["kind"] for item in found}
    told = "\n".join(
        f"{item['kind']} {item['what']}\n    " + "\n    ".join(item["where"]) for item in found[:8]
    )
    assert not found, f"{len(found)} times, {kinds}:\n{told}"


@pytest.mark.slow
async def test_a_reload_of_accounts_in_files_blocks_nothing(open_a_world: OpenWorld, tmp_path: Path) -> None:
    async with open_a_world(config={"accounts": {}, "accounts_dir": "accounts.d"}) as world:
        folder = world.folder / "accounts.d"
        folder.mkdir()
        for kind in ("key", "secret"):
            (world.folder / f"main.{kind}").rename(folder / f"main.{kind}")
        keys = {"api_key_file": "main.key", "api_secret_file": "main.secret", "products": [AN_ORDER.name]}
        (folder / "main.yaml").write_text(json.dumps(keys))
        report = tmp_path / "report.json"
        async with command(report, "run", "-c", world.config_file, program=(WATCHED,)) as daemon:
            await world.until(lambda: bool(daemon.heard("cycle_failed")))
            (folder / "main.yaml").write_text(json.dumps(keys | {"wallet": {"reserve": {"BTC": "1"}}}))
            (folder / "odd.yaml").write_text("{")
            assert (await hup(world, daemon))["event"] == "config_reloaded"
            await world.until(lambda: bool(daemon.heard("account_refused")))
            await ended_quietly(world, daemon, report)


@pytest.mark.slow
@pytest.mark.case(1, 9)
async def test_a_night_of_adds_releases_rescues_refusals_and_a_defect_blocks_nothing(
    open_a_world: OpenWorld, tmp_path: Path
) -> None:
    scenario = scenario_of()
    scenario["users"]["1"] = merged(scenario["users"]["1"], A_POOL.borrowed)
    both = merged(merged(BOTH_PRODUCTS, AT_DEBUG), {"policy": A_POOL.settings})
    async with open_a_world(scenario, config=both) as world:
        streamed(world)
        report = tmp_path / "report.json"
        async with command(report, "run", "-c", world.config_file, program=(WATCHED,)) as daemon:
            await world.until(lambda: bool(daemon.heard("cycle_failed")))
            for product in (AN_ORDER, A_POOL):
                world.product = product
                world.price(NEEDY["add"])
                await world.until_settled_at_target()
            world.price(NEEDY["reduce"])
            await world.until(lambda: world.ltv() > Decimal("0.53"))
            world.fault("ret_code", endpoint="adjust", code=177015, applied=False)
            world.fault("close_after", endpoint="adjust", after=1)
            world.fault("close_before", endpoint="adjust", after=2)
            world.fault("hang_before", endpoint="history", times=2, seconds="0.5")
            world.price(70000)
            await world.until(lambda: bool(daemon.heard("adjustment_unknown")))
            await world.until_settled_at_target()
            world.fault("not_json", endpoint="orders", times=2)
            world.fault("flood", endpoint="ticks", size=100, times=50)
            world.fault("close_before", endpoint="ticks", after=60)
            world.fault("http_error", endpoint="orders", status=403, seconds=3, after=4)
            await world.until(lambda: bool(daemon.heard("exchange_banned")))
            await ended_quietly(world, daemon, report)


@pytest.mark.slow
async def test_a_night_with_hundreds_of_orders_holds_the_loop_for_no_longer(
    open_a_world: OpenWorld, tmp_path: Path
) -> None:
    scenario = scenario_of()
    first = scenario["users"]["1"]["orders"][0]
    others = [{**first, "order_id": str(2000 + number), "debt": "20000"} for number in range(300)]
    scenario["users"]["1"]["orders"] += others
    async with open_a_world(scenario, config=AT_DEBUG) as world:
        streamed(world)
        report = tmp_path / "report.json"
        async with command(report, "run", "-c", world.config_file, program=(WATCHED,)) as daemon:
            await world.until(lambda: len(daemon.heard("cycle_finished")) > 1)
            world.price(NEEDY["add"])
            await world.until(lambda: len(world.effects()) > 0)
            await ended_quietly(world, daemon, report)
