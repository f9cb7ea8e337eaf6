"""A ban that the journal remembers is obeyed by every command, not by the daemon alone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from e2e_world import World, ran
from yarl import URL

from ltv_guard.adapters.journal import open_journal

if TYPE_CHECKING:
    from conftest import OpenWorld


async def banned(world: World, *, for_s: float) -> None:
    journal = await open_journal(world.journal_url, writer=False)
    now_ms = int(time.time() * 1000)
    await journal.remember_ban(URL(world.exchange.url).authority, now_ms + int(for_s * 1000), now_ms)
    await journal.close()


@pytest.mark.parametrize("name", ["plan", "check"])
async def test_a_command_sends_nothing_during_a_ban_and_says_so(open_a_world: OpenWorld, name: str) -> None:
    async with open_a_world() as world:
        await banned(world, for_s=300)
        status, command = await ran(name, "-c", world.config_file)
        assert status == 1, command.output
        assert "HTTP 403" in command.output
        assert "check exchange.base_url" not in " ".join(command.output.split())
        assert not world.exchange.requests


@pytest.mark.parametrize("name", ["plan", "check"])
async def test_a_ban_that_is_over_holds_nothing_up(open_a_world: OpenWorld, name: str) -> None:
    async with open_a_world() as world:
        await banned(world, for_s=-1)
        status, command = await ran(name, "-c", world.config_file)
        assert status == 0, command.output


async def test_a_ban_is_of_the_address_that_requests_left_from(open_a_world: OpenWorld) -> None:
    """A fleet shares a journal: a ban of one address must not hold up those that call from another."""
    async with open_a_world() as world:
        world.configure({"exchange": {"source_address": "127.0.0.2"}})
        async with world.guarded():
            await world.until(lambda: bool(world.heard("cycle_finished")))
            world.fault("http_error", endpoint="orders", status=403)
            await world.until(lambda: bool(world.heard("exchange_banned")))
        for source, status in (("127.0.0.2", 1), ("127.0.0.3", 0), (None, 0)):
            world.configure({"exchange": {"source_address": source}})
            ended, command = await ran("plan", "-c", world.config_file)
            assert ended == status, command.output
