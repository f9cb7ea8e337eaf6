"""What happens to a journal: it goes back, is taken away, is held by others; a person is too early."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from e2e_world import NEEDY, command, ran, scenario_of
from journal_postgres import Snapshot

from ltv_guard.adapters.journal import open_journal

if TYPE_CHECKING:
    from conftest import OpenWorld


@pytest.mark.slow
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
            await world.until(lambda: bool(world.effects()))
            row = str(world.effects()[0].adjust_id)
            status, done = await ran(*resolve, "confirmed", "--adjust-id", row)
            assert status == 0, done.output
            await world.until(lambda: bool(world.heard("adjustment_resolved")))
            world.exchange.clear_faults()
            await world.until_quiet()
        assert len((await world.judge())["confirmed"]) == len(world.effects()) == 1


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.case(54)
@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
async def test_a_daemon_whose_journals_files_were_taken_away_sends_nothing_and_says_so(
    open_a_world: OpenWorld, suffix: str
) -> None:
    async with open_a_world() as world, command("run", "-c", world.config_file) as daemon:
        await world.until(lambda: bool(daemon.heard("cycle_finished")))
        (world.folder / f"journal.db{suffix}").unlink()
        world.price(NEEDY["add"])
        await world.until(lambda: bool(daemon.heard("journal_unavailable")))
        told = daemon.heard("journal_unavailable")[0]
        assert told["level"] == "critical"
        assert f"journal.db{suffix}" in told["why"]
        assert "removed or replaced while it was in use" in told["why"]
        seen = len(world.exchange.reads)
        await world.until(lambda: len(world.exchange.reads) > seen + 3)
        assert not world.exchange.writes


@pytest.mark.case(42)
async def test_nobody_else_can_open_a_file_of_the_journal_and_a_wide_folder_is_told(
    open_a_world: OpenWorld,
) -> None:
    async with open_a_world() as world:
        names = [f"journal.db{suffix}" for suffix in ("", "-wal", "-shm", ".lock", ".seal")]
        (world.folder / "journal.db").chmod(0o644)  # as an earlier version made it
        world.folder.chmod(0o770)
        async with command("run", "-c", world.config_file) as daemon:
            await world.until(lambda: bool(daemon.heard("cycle_finished")))
            await world.until(lambda: all((world.folder / name).exists() for name in names))
            assert {name: mode_of(world.folder / name) for name in names} == dict.fromkeys(names, 0o600)
            (told,) = daemon.heard("permissions_too_wide")
            assert (told["level"], told["key"], told["path"]) == ("warning", "journal.url", str(world.folder))
            status, second = await ran("run", "-c", world.config_file)
            assert (status, len(second.errors)) == (1, 1), second.output
            assert f"(process {daemon.process.pid})" in second.output
            assert f"one daemon an account, so stop process {daemon.process.pid} first" in second.output


HOLDER = """
import fcntl, sys, time
file = open(sys.argv[1], "r+" if sys.argv[2] == "shm" else "r")
if sys.argv[2] == "shm":
    fcntl.lockf(file, fcntl.LOCK_EX, 1, 120)  # SQLite's byte for whoever writes
else:
    fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


@pytest.mark.case(42)
async def test_another_program_that_locks_the_lock_file_is_named(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world:
        lock = world.folder / "journal.db.lock"
        lock.write_text("4711\n")  # the daemon that held it last
        async with command(lock, "flock", program=("-c", HOLDER)) as holder:
            await world.until(lambda: bool(holder.lines))
            status, refused = await ran("run", "-c", world.config_file)
        assert (status, len(refused.errors)) == (1, 1), refused.output
        assert f"process {holder.process.pid} (" in refused.output
        assert f"holds the journal's lock file {lock}" in refused.output


@pytest.mark.slow
@pytest.mark.case(42)
async def test_another_program_that_locks_the_database_is_named(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world, command("run", "-c", world.config_file) as daemon:
        await world.until(lambda: bool(daemon.heard("cycle_finished")))
        async with command(world.folder / "journal.db-shm", "shm", program=("-c", HOLDER)) as holder:
            await world.until(lambda: bool(holder.lines))
            await world.until(lambda: bool(daemon.heard("journal_unavailable")))
            assert (
                f"locked by process {holder.process.pid} (" in daemon.heard("journal_unavailable")[0]["why"]
            )
        world.price(NEEDY["add"])
        await world.until_settled_at_target()


@pytest.mark.case(18)
async def test_a_lock_file_that_cannot_be_opened_is_named(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world:
        lock = world.folder / "journal.db.lock"
        lock.unlink()
        lock.mkdir()  # nobody can open it for writing, root neither
        status, refused = await ran("run", "-c", world.config_file)
        assert (status, len(refused.errors)) == (1, 1), refused.output
        assert f"the lock file {lock} cannot be opened" in refused.output
