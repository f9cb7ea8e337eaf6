"""Keys: what is wrong with one has a remedy of its own, and its end is told before it comes."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from e2e_world import KEY, SECRET, USER, Tree, World, scenario_of

from ltv_guard.service.check import check

if TYPE_CHECKING:
    from conftest import OpenWorld

CALM = Decimal(52000)


def with_key(**changes: object) -> Tree:
    key = {"key": KEY, "secret": SECRET, "user": USER, "ips": ["127.0.0.1"], **changes}
    return scenario_of(CALM, keys=[key])


async def mends(world: World) -> str:
    """What `check` says is to be mended."""
    return "\n".join(item.mend for item in await check(world.settings()) if not item.good)


@pytest.mark.case(16, 33)
@pytest.mark.parametrize(
    ("ends", "level"),
    [
        ({"expires_in": "2h"}, "critical"),
        ({"expires_in": "2d"}, "warning"),
        pytest.param({"expires_in": "13d"}, "warning", marks=pytest.mark.slow),
        pytest.param({"deadline_days": 20}, None, marks=pytest.mark.slow),
        ({"deadline_days": -1}, None),
    ],
)
async def test_the_end_of_a_key_is_told_though_it_is_bound_to_an_address(
    open_a_world: OpenWorld, ends: dict[str, object], level: str | None
) -> None:
    async with open_a_world(with_key(**ends)) as world:
        async with world.guarded():
            await world.until(lambda: len(world.heard("cycle_finished")) >= 3)
        told = world.heard("key_expires")
        assert [event["level"] for event in told] == ([] if level is None else [level])
        assert all(event["expires_at"].endswith("Z") and event["mend"] for event in told)


@pytest.mark.case(16)
async def test_check_tells_the_end_of_a_key_and_fails_on_its_last_day(open_a_world: OpenWorld) -> None:
    async with open_a_world(with_key(expires_in="2h")) as world:
        (finding,) = [item for item in await check(world.settings()) if "ends at" in item.found]
        assert finding.found.startswith("the key ends at 20")
        assert (finding.good, bool(finding.mend)) == (False, True)


@pytest.mark.slow
@pytest.mark.case(28)
async def test_an_address_a_secret_and_a_name_that_does_not_resolve_have_a_remedy_each(
    open_a_world: OpenWorld,
) -> None:
    output: dict[str, str] = {}
    async with open_a_world(with_key(ips=["192.0.2.1"])) as world:
        output["address"] = await mends(world)
    async with open_a_world(with_key()) as world:
        (world.folder / "main.secret").write_text("another")
        output["secret"] = await mends(world)
        world.configure({"exchange": {"base_url": "https://no-such-host.invalid"}})
        output["name"] = await mends(world)
    remedies = {
        "address": "bind the key to this machine's public address",
        "secret": "copy the secret anew",
        "name": "name can't be looked up",
    }
    for cause, remedy in remedies.items():
        assert [other for other, text in output.items() if remedy in text] == [cause]


@pytest.mark.case(13)
async def test_a_key_that_is_refused_at_the_start_needs_a_human_at_once(open_a_world: OpenWorld) -> None:
    async with open_a_world(scenario_of(CALM)) as world:
        world.fault("http_error", endpoint="key", status=401, body="", applied=False, times=None)
        async with world.guarded():
            await world.until(lambda: bool(world.heard("needs_human")))
            world.exchange.clear_faults()
            await world.until(lambda: bool(world.heard("human_not_needed")))
        assert "does not accept the API key" in world.heard("needs_human")[0]["why"]
