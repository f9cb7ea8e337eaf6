"""What happens to a journal: it goes back, is taken away, is held by others; a person is too early."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from e2e_world import NEEDY
from journal_postgres import Snapshot

from ltv_guard.adapters.journal import open_journal

if TYPE_CHECKING:
    from conftest import OpenWorld


@pytest.mark.case(41)
async def test_a_server_that_lost_what_was_sent_doubles_nothing(
    open_a_world: OpenWorld, postgres_server: str, postgres_url: str
) -> None:
    await (await open_journal(postgres_url)).close()
    snapshot = Snapshot(postgres_server, postgres_url)
    await snapshot.take()
    config = {
        "journal": {"url": postgres_url.replace("postgres:@", "postgres@")},
        "exchange": {"recv_window_ms": 2000},
    }
    async with open_a_world(config=config, trusted=False) as world, world.guarded():
        await world.until(lambda: any(item["outcome"] == "ok" for item in world.heard("cycle_finished")))
        world.fault("apply_late", endpoint="adjust", delay_s="1.5")
        world.price(NEEDY["add"])
        await world.until(lambda: bool(world.heard("adjustment_unknown")))
        await snapshot.fail_over()
        await world.until(lambda: bool(world.heard("journal_restored")))
        told = world.heard("journal_restored")[0]
        assert (told["level"], told["account"]) == ("critical", "main")
        assert "brought back to before: 1 sent adjustment" in told["why"]
        seen = len(world.heard("cycle_finished"))
        await world.until(
            lambda: any(item["outcome"] == "ok" for item in world.heard("cycle_finished")[seen:])
        )
        assert "waiting" in [item["outcome"] for item in world.heard("cycle_finished")[seen:]]
        await world.until(lambda: bool(world.heard("journal_available")))
        assert world.is_at_target()
        assert len(world.effects()) == len(world.adjustments_sent()) == 1
