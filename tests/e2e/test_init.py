"""`init` in a folder with nothing in it: a new user answers, and has a dry run that watches and alarms."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from e2e_world import NEEDY, Command, command, ran, scenario_of, until
from http_world import a_free_port
from new_user import at_a_terminal
from watch_targets import a_box

from ltv_guard.cli.main import main

KEYS = [{"key": "sandbox-key", "secret": "sandbox-secret", "user": "1"}]
HIDDEN = {"URL"}
SECRETS = ("bybit_api_key", "bybit_api_secret", "notify_url", "http_token")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def url_of(sandbox: Command) -> str:
    await until(lambda: any(" at http" in line for line in sandbox.errors))
    return sandbox.errors[0].split(" at ")[1].strip()


def answers(url: str, notify_url: str = "") -> list[tuple[str, str]]:
    """As a new user gives them: an Enter where the default is good."""
    return [
        ("Exchange (", "sandbox"),
        ("Address of the exchange", url),
        ("Account", ""),
        ("Loans (", ""),
        ("API key", ""),
        ("API secret", ""),
        ("Trigger LTV", "0,75"),  # a slip: it is asked again
        ("Trigger LTV", "0.75"),
        ("Target LTV", ""),
        ("one adjustment", "BTC 0.5, usdt: 20000"),
        ("in a day", ""),
        ("stays in the Funding wallet", ""),
        ("URL", notify_url),
        ("Make a token", "y"),
    ]


async def test_from_an_empty_folder_to_a_dry_run_that_raises_its_first_alarm(tmp_path: Path) -> None:
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(json.dumps(scenario_of(NEEDY["add"], keys=KEYS)))
    folder = tmp_path / "new"
    folder.mkdir()
    environ = {"XDG_STATE_HOME": str(tmp_path), "LTV_GUARD_HTTP__PORT": str(a_free_port())}
    async with command("sandbox", "--port", 0, "--scenario", scenario) as sandbox, a_box() as box:
        url = await url_of(sandbox)
        async with at_a_terminal("init", folder=folder, environ=environ) as terminal:
            await terminal.answer_all(answers(url, f"json://127.0.0.1:{box.port}/of-mine/"), secrets=HIDDEN)
            assert await terminal.ends() == 0, terminal.shown
        assert "write the point as a point" in terminal.shown
        assert "of-mine" not in terminal.shown  # what is secret is not shown while it is typed
        assert "a fall of 30 %" in terminal.shown  # it ends in `check`
        assert not box.got

        written = yaml.safe_load((folder / "config.yaml").read_text())
        assert (written["mode"], written["exchange"]["base_url"]) == ("dry_run", url)
        assert written["policy"]["limits"]["max_add"] == {"BTC": 0.5, "USDT": 20000}
        assert {path.name for path in folder.iterdir()} == {"config.yaml", "secrets"}
        assert {path.name for path in (folder / "secrets").iterdir()} == set(SECRETS)
        files = [folder / "config.yaml", *(folder / "secrets" / name for name in SECRETS)]
        assert {mode_of(path) for path in files} == {0o600}
        assert mode_of(folder / "secrets") == 0o700

        async with command("run", "-c", folder / "config.yaml", environ=environ) as daemon:
            await until(lambda: bool(daemon.heard("cycle_finished")), why=lambda: daemon.output)
            assert daemon.heard("cycle_finished")[0]["outcome"] == "dry_run"
            await until(lambda: bool(box.got), why=lambda: daemon.output)
            daemon.process.terminate()
            assert await daemon.ends() == 0
        assert "breach_unanswered" in json.dumps(box.got)


@pytest.mark.parametrize("replaces", [False, pytest.param(True, marks=pytest.mark.slow)])
async def test_nothing_is_replaced_unasked(tmp_path: Path, replaces: bool) -> None:  # noqa: FBT001 - a parameter
    (tmp_path / "config.yaml").write_text("mode: live\n")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "bybit_api_key").write_text("mine")
    async with at_a_terminal("init", folder=tmp_path, environ={"XDG_STATE_HOME": str(tmp_path)}) as terminal:
        await terminal.answer("config.yaml is there already. Replace it", "y" if replaces else "")
        if replaces:
            await terminal.answer_all(answers(f"http://127.0.0.1:{a_free_port()}"), secrets=HIDDEN)
            await terminal.answer("bybit_api_key is there already. Replace it", "")
        status = await terminal.ends()
    assert (tmp_path / "secrets" / "bybit_api_key").read_text() == "mine"
    assert status == 1  # refused; or no sandbox answers `check`
    assert ((tmp_path / "config.yaml").read_text() == "mode: live\n") == (not replaces)
    assert ("Mend what is marked no" in terminal.shown) == replaces


async def test_whoever_gives_up_half_way_has_written_nothing(tmp_path: Path) -> None:
    async with at_a_terminal("init", folder=tmp_path) as terminal:
        await terminal.answer("Exchange (", "testnet")
        await terminal.answer("Address of the exchange", "")
        await terminal.answer("Account", "\x03")
        assert await terminal.ends() == 1
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240 - a test


def test_a_folder_that_can_t_be_written_to_is_told_before_the_questions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    result = CliRunner().invoke(main, ["init", "-c", str(tmp_path / "config.yaml")])
    assert (result.exit_code, "can't be written to" in result.output) == (2, True)
    assert "Exchange" not in result.output


async def test_without_a_terminal_it_asks_all_the_same_and_ends_where_nobody_answers(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    status, said = await ran("init", "--environment", "live", "-c", file)
    assert (status, file.exists()) == (1, False)
    assert "Address of the exchange [https://api.bybit.com]" in said.output
    status, said = await ran("init", "-c", tmp_path / "nowhere" / "config.yaml")
    assert (status, "does not exist" in said.output) == (2, True)
