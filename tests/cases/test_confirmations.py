"""A command that confirms has done what it says; one that did nothing says so, and its status is 1."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from e2e_world import NEEDY, command, ran, scenario_of, shown_first

from ltv_guard.adapters.journal import open_journal

if TYPE_CHECKING:
    from conftest import OpenWorld


def words(output: str) -> str:
    return " ".join(output.split())


@pytest.mark.case(8)
@pytest.mark.parametrize("verb", shown_first(["pause", "resume"], 1))
async def test_an_account_that_does_not_exist_is_refused_with_those_that_do(
    open_a_world: OpenWorld, verb: str
) -> None:
    async with open_a_world(scenario_of(NEEDY["add"])) as world, world.guarded():
        await world.until(lambda: bool(world.heard("cycle_finished")))
        reason = ("--reason", "stop") if verb == "pause" else ()
        status, refused = await ran(verb, "--account", "Main", *reason, "-c", world.config_file)
        assert status == 2, refused.output
        assert "there is no such account" in refused.output
        assert "did you mean main?" in refused.output
        journal = await open_journal(world.journal_url, writer=False)
        assert await journal.pauses() == ()
        await journal.close()


@pytest.mark.case(8)
async def test_the_pause_of_an_account_that_has_another_name_by_now_can_be_lifted(
    open_a_world: OpenWorld,
) -> None:
    async with open_a_world() as world, world.guarded():
        await world.until(lambda: bool(world.heard("cycle_finished")))
        journal = await open_journal(world.journal_url, writer=False)
        await journal.pause("of_yesterday", "look", 0)
        await journal.close()
        status, resume = await ran("resume", "--account", "of_yesterday", "-c", world.config_file)
        assert status == 0, resume.output


@pytest.mark.case(8)
async def test_accounts_that_can_not_be_read_disable_no_kill_switch_but_confirm_no_name(
    open_a_world: OpenWorld,
) -> None:
    async with open_a_world() as world, world.guarded():
        await world.until(lambda: bool(world.heard("cycle_finished")))
        world.config["accounts"] = ["main"]
        world.configure({})
        words_of_it = ("pause", "--reason", "stop", "-c", world.config_file)
        status, named = await ran(*words_of_it, "--account", "main")
        assert (status, "leave --account out" in named.output) == (2, True), named.output
        status, for_all = await ran(*words_of_it)
        assert status == 0, for_all.output


@pytest.mark.case(21)
@pytest.mark.parametrize("verb", shown_first(["pause", "journal", "resume", "resolve"], 2))
async def test_without_the_configuration_nothing_is_made_and_nothing_is_confirmed(
    open_a_world: OpenWorld, tmp_path: Path, verb: str
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    words_of = {
        "pause": ("pause", "--reason", "stop"),
        "resume": ("resume",),
        "journal": ("journal",),
        "resolve": ("journal", "resolve", "0" * 32, "--as", "absent"),
    }
    async with open_a_world(scenario_of(NEEDY["add"])) as world, world.guarded():
        await world.until(lambda: bool(world.heard("cycle_finished")))
        status, run = await ran(*words_of[verb], environ={"HOME": str(home)})
        assert status == 1, run.output
        assert "does not exist" in run.output
        assert "-c" in run.output or verb in {"journal", "resolve"}
        assert not list(home.rglob("*.db"))


@pytest.mark.case(21)
async def test_a_pause_of_another_journal_names_it_and_is_no_success(
    open_a_world: OpenWorld, tmp_path: Path
) -> None:
    async with open_a_world(scenario_of(NEEDY["add"])) as world, world.guarded():
        await world.until(lambda: bool(world.heard("cycle_finished")))
        other = tmp_path / "another.db"
        journal = await open_journal(f"sqlite:///{other}", writer=True)
        await journal.close()
        elsewhere = {"LTV_GUARD_JOURNAL__URL": f"sqlite:///{other}"}
        for verb in (("pause", "--reason", "stop"), ("resume",)):
            status, run = await ran(*verb, "-c", world.config_file, environ=elsewhere)
            assert status == 1, run.output
            assert str(other) in run.output
            assert "no daemon is running on this journal" in run.output
        assert not world.heard("guard_paused")


@pytest.mark.case(54)
async def test_a_pause_that_no_living_daemon_can_see_is_no_success(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world, command("run", "-c", world.config_file) as daemon:
        await world.until(lambda: bool(daemon.heard("cycle_finished")))
        for suffix in ("-wal", "-shm"):
            (world.folder / f"journal.db{suffix}").unlink()
        status, pause = await ran("pause", "--reason", "stop", "-c", world.config_file)
        assert status == 1, pause.output
        assert "sends nothing" in words(pause.output)


@pytest.mark.case(21)
async def test_resuming_what_is_held_by_another_pause_is_no_success(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world, world.guarded():
        await world.until(lambda: bool(world.heard("cycle_finished")))
        status, pause = await ran("pause", "--reason", "for all", "-c", world.config_file)
        assert status == 0, pause.output
        assert f"process {os.getpid()}" in pause.output
        status, resume = await ran("resume", "--account", "main", "-c", world.config_file)
        assert status == 1, resume.output
        assert "still paused: all accounts: for all" in resume.output
        status, resume = await ran("resume", "-c", world.config_file)
        assert status == 0, resume.output


async def test_a_pause_says_why(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world:
        status, pause = await ran("pause", "--reason", " ", "-c", world.config_file)
        assert (status, "--reason is empty" in pause.output) == (2, True)


@pytest.mark.case(27)
async def test_a_second_daemon_is_told_to_stop_the_first_and_not_to_run_beside_it(
    open_a_world: OpenWorld,
) -> None:
    async with open_a_world() as world, world.guarded():
        await world.until(lambda: bool(world.heard("cycle_finished")))
        status, second = await ran("run", "-c", world.config_file)
        assert status == 1
        assert "one daemon an account" in second.output
        assert f"stop process {os.getpid()}" in second.output
        assert "of its own" not in second.output
