"""`ltv-guard status` shows what the running daemon sees, and says so where none answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from e2e_world import NEEDY, ORDER, ran
from http_world import a_free_port, served

from ltv_guard.cli.status_table import is_calm

if TYPE_CHECKING:
    from conftest import OpenWorld


async def test_it_shows_the_loans_and_that_nothing_is_wrong(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world, served(world):
        status, said = await ran("status", "-c", world.config_file)
        assert (status, said.errors) == (0, [])
        for word in ("nothing is wrong", ORDER, "0.75", "0.95"):
            assert word in said.output
        status, said = await ran("status", "-c", world.config_file, "--json")
        assert status == 0
        assert json.loads(said.output)["accounts"]["main"]["loans"][0]["loan_id"] == ORDER


async def test_what_is_wrong_is_shown_and_is_exit_status_1(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world, served(world, {"mode": "dry_run"}):
        world.price(NEEDY["add"])
        await world.until(lambda: bool(world.heard("breach_unanswered")))
        status, said = await ran("status", "-c", world.config_file)
        assert status == 1
        for word in ("breach_unanswered", "dry_run", "nothing is sent"):
            assert word in said.output


@pytest.mark.parametrize(("http", "status"), [({"enabled": True}, 1), ({"enabled": False}, 2)])
async def test_where_no_daemon_answers_it_says_what_to_look_at(
    open_a_world: OpenWorld, http: dict[str, bool], status: int
) -> None:
    async with open_a_world() as world:
        world.configure({"http": {**http, "port": a_free_port()}})
        ended, said = await ran("status", "-c", world.config_file)
        assert ended == status
        (sentence,) = said.errors
        assert ("no daemon answers" in sentence) == (status == 1)
        assert ("http.enabled" in sentence) == (status == 2)


def test_all_is_calm_only_without_troubles_and_alerts() -> None:
    assert is_calm({"ready": True, "alerts": []})
    assert not is_calm({"ready": True, "alerts": [{}]})
    assert not is_calm({"ready": False, "alerts": []})
