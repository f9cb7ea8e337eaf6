"""What happens to a journal: it goes back, is taken away, is held by others; a person is too early."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from e2e_world import NEEDY, ran, scenario_of
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


@pytest.mark.case(55, 19)
async def test_nobody_can_say_that_an_intent_is_absent_while_it_may_still_land(
    open_a_world: OpenWorld,
) -> None:
    async with open_a_world(
        scenario_of(NEEDY["add"]), config={"exchange": {"recv_window_ms": 4000}}
    ) as world:
        world.fault("apply_late", endpoint="adjust", delay_s="3")
        world.fault("http_error", endpoint="history", times=None)
        async with world.guarded():
            await world.until(lambda: bool(world.heard("adjustment_unknown")))
            (intent,) = await world.intents()
            written = f"{intent.intent_id[:8]}-{intent.intent_id[8:12]}".upper()
            resolve = ("journal", "resolve", written, "-c", world.config_file, "--as")
            status, early = await ran(*resolve, "absent")
            assert (status, len(early.errors)) == (1, 1), early.output
            assert f"intent {intent.intent_id} may still take effect: in " in early.output
            status, nameless = await ran(*resolve, "confirmed")
            assert (status, len(nameless.errors)) == (1, 1), nameless.output
            assert "name its row with --adjust-id ID" in nameless.output
            await world.until(lambda: bool(world.effects()))
            row = str(world.effects()[0].adjust_id)
            status, done = await ran(*resolve, "confirmed", "--adjust-id", row)
            assert status == 0, done.output
            await world.until(lambda: bool(world.heard("adjustment_resolved")))
            world.exchange.clear_faults()
            await world.until_quiet()
        assert len((await world.judge())["confirmed"]) == len(world.effects()) == 1
