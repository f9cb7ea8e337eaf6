"""What other commands learn of a running daemon: that it lives, since when, and what pauses it obeys."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from e2e_world import NEEDY, World, ran, scenario_of

from ltv_guard.adapters.journal import MemoryJournal, lockfile, open_journal
from ltv_guard.core.model.errors import JournalUnavailable
from ltv_guard.service import check as checking
from ltv_guard.service import heartbeat
from ltv_guard.service import kill_switch as journals
from ltv_guard.service import run as app
from ltv_guard.service.findings import Finding
from ltv_guard.service.heartbeat import wall_ms

if TYPE_CHECKING:
    from conftest import OpenWorld


async def finding(world: World, what: str) -> Finding:
    return next(item for item in await checking.check(world.settings()) if item.what == what)


class Hanging(MemoryJournal):
    async def end_run(self, run_id: str, at_ms: int) -> None:
        await asyncio.Event().wait()


async def test_a_journal_that_hangs_is_told_and_holds_up_no_end(
    events: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "ENDED_WITHIN_S", 0.05)
    async with asyncio.timeout(5):
        await heartbeat.Heartbeat(Hanging(), "run").end()  # type: ignore[arg-type] # it has what is needed
    (told,) = events
    assert (told["event"], "stuck" in told["why"]) == ("journal_unavailable", True)


async def test_check_shows_the_daemon_that_is_alive_and_since_when(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world:
        assert "none is running" in (await finding(world, "daemon")).found
        began = datetime.now(UTC) - timedelta(seconds=1)
        async with world.guarded():
            await world.until(lambda: bool(world.heard("cycle_finished")))
            found = (await finding(world, "daemon")).found
        assert f"process {os.getpid()} on" in found
        since = datetime.fromisoformat(found.removeprefix("alive since ").partition(" UTC")[0] + "+00:00")
        assert began <= since <= datetime.now(UTC)
        assert "none is running" in (await finding(world, "daemon")).found


async def test_a_pause_is_acknowledged_by_the_daemon_and_check_shows_it(open_a_world: OpenWorld) -> None:
    said: list[str] = []
    async with open_a_world(scenario_of(NEEDY["add"])) as world:
        assert not await journals.pause(world.settings(), None, "look", said.append)
        assert "nothing was stopped" in said[-1]
        async with world.guarded():
            await world.until(lambda: bool(world.heard("guard_paused")))
            assert await journals.pause(world.settings(), "main", "look closer", said.append)
            assert "the running daemon has acknowledged it" in said[-1]
            assert (await finding(world, "daemon")).mend == ""
            assert "main: look closer" in (await finding(world, "journal")).found
            assert not world.exchange.writes


@pytest.mark.slow
async def test_a_pause_for_a_span_is_lifted_by_the_daemon_when_that_is_over(open_a_world: OpenWorld) -> None:
    said: list[str] = []
    async with open_a_world(scenario_of(NEEDY["add"])) as world:
        await journals.pause(world.settings(), None, "look", said.append, for_s=3_600)
        assert "a daemon lifts it at 20" in said[-2]
        async with world.guarded():
            await world.until(lambda: bool(world.heard("guard_paused")))
            assert world.heard("guard_paused")[0]["until"].endswith("Z")
            assert ", until 20" in (await finding(world, "journal")).found
            assert not world.exchange.writes
            await journals.pause(world.settings(), None, "look", said.append, for_s=1)
            await world.until(lambda: bool(world.heard("guard_resumed")))
            await world.until_settled_at_target()


async def test_a_pause_that_is_over_is_lifted_by_the_next_daemon(open_a_world: OpenWorld) -> None:
    async with open_a_world(scenario_of(NEEDY["add"])) as world:
        journal = await open_journal(world.journal_url, writer=False)
        await journal.pause(None, "look", 1, until_ms=2)
        await journal.close()
        assert await app.run_once(world.settings()) == 0
        assert (world.heard("guard_paused"), world.is_at_target()) == ([], True)


@pytest.mark.parametrize("span", ["2", "h", "2w", "0s", "-1h", "1h junk", "900d", "1.5h"])
async def test_a_span_that_is_none_is_refused(open_a_world: OpenWorld, span: str) -> None:
    async with open_a_world() as world:
        status, said = await ran("pause", "--reason", "r", "--for", span, "-c", world.config_file)
        assert (status, "such as 2h" in said.output) == (2, True)


async def test_a_daemon_whose_clock_is_far_behind_takes_note_of_a_pause_all_the_same(
    open_a_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It seems to be dead by its own words: what it has acknowledged since tells that it lives."""
    said: list[str] = []
    async with open_a_world() as world, world.guarded():
        await world.until(lambda: bool(world.heard("cycle_finished")))
        ahead = wall_ms() + 3_600_000
        monkeypatch.setattr(journals, "wall_ms", lambda: ahead)
        assert await journals.pause(world.settings(), None, "look", said.append), said
        assert f"process {os.getpid()}" in said[-1]


async def test_check_says_that_a_daemon_has_not_acknowledged_a_pause(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world:
        journal = await open_journal(world.journal_url, writer=False)
        await journal.begin_run("a daemon that hangs", wall_ms())
        await journal.pause(None, "look", wall_ms())
        await journal.close()
        assert "not acknowledged" in (await finding(world, "daemon")).mend


async def test_a_second_daemon_is_refused_in_one_sentence_that_names_the_process(
    open_a_world: OpenWorld,
) -> None:
    async with open_a_world() as world, world.guarded():
        await world.until(lambda: bool(world.heard("cycle_finished")))
        with pytest.raises(JournalUnavailable, match=rf"another ltv-guard \(process {os.getpid()}\)"):
            await app.run_daemon(world.settings())


async def test_a_journal_that_can_not_be_locked_is_refused(
    open_a_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(37, "No locks available")

    async with open_a_world(scenario_of(NEEDY["add"])) as world:
        monkeypatch.setattr(lockfile.fcntl, "flock", no_locks)
        with pytest.raises(JournalUnavailable, match=r"cannot be locked .*local disk"):
            await app.run_daemon(world.settings())
        assert not world.exchange.requests
