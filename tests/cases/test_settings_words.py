"""A configuration that is no use gets one sentence: which key, file or variable, what is wrong, what fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from e2e_world import KEY, NEEDY, SECRET, command, ran, scenario_of, shown_first

from ltv_guard.adapters.settings import ConfigError, load

if TYPE_CHECKING:
    from conftest import OpenWorld

# A uid without an entry among the users, and no HOME: as in a container that runs as any user.
NOBODY = """
import os, pwd
os.environ.pop("HOME")
def nobody(*_):
    raise KeyError("uid not found")
pwd.getpwuid = nobody
from ltv_guard.cli.main import main
main()
"""
COMMANDS = [
    *(("pause", "--reason", "stop"), ("run",), ("check",), ("plan",), ("journal",), ("resume",)),
    ("journal", "resolve", "0" * 32, "--as", "absent"),
]
KEYS = {"LTV_GUARD_ACCOUNTS__MAIN__API_KEY": KEY, "LTV_GUARD_ACCOUNTS__MAIN__API_SECRET": SECRET}


@pytest.mark.case(11)
@pytest.mark.parametrize("words", shown_first(COMMANDS, 1))
async def test_a_user_without_a_home_is_told_what_to_set(words: tuple[str, ...]) -> None:
    async with command(*words, environ=KEYS, program=("-c", NOBODY)) as running:
        assert await running.ends() == 2, running.output
    (sentence,) = running.errors
    assert "journal.url" in sentence
    assert "XDG_STATE_HOME" in sentence


@pytest.mark.case(11)
async def test_a_database_wants_to_know_the_user_that_the_system_can_not_name() -> None:
    environ = KEYS | {"LTV_GUARD_JOURNAL__URL": "postgresql://127.0.0.1/journal"}
    async with command("pause", "--reason", "stop", environ=environ, program=("-c", NOBODY)) as running:
        assert await running.ends() == 2, running.output
    (sentence,) = running.errors
    assert "must name a user" in sentence


SPOILED = {
    "quotes": ('"{}"', "is in quotes"),
    "one quote": ("{}'", "is in quotes"),
    "its name": ("API_SECRET={}", "holds an ="),
    "a blank": (" {}", "blank"),
    "two lines": ("{}\nmore", "more than one line"),
    "a byte-order mark": ("\ufeff{}", "byte-order mark"),
}


@pytest.mark.case(17)
async def test_a_secret_that_is_not_the_bare_value_is_named_by_its_file_and_never_shown(
    open_a_world: OpenWorld,
) -> None:
    async with open_a_world(trusted=False) as world:
        for form, wrong in SPOILED.values():
            (world.folder / "main.secret").write_text(form.format(SECRET))
            with pytest.raises(ConfigError) as refused:
                world.settings()
            sentence = str(refused.value)
            assert sentence.startswith("accounts.main.api_secret_file")
            assert wrong in sentence
            assert SECRET not in sentence
        status, run = await ran("check", "-c", world.config_file)
        assert (status, run.errors) == (2, [f"ltv-guard: {sentence}\n"])


@pytest.mark.case(17)
async def test_quotes_that_an_env_file_kept_are_named_by_their_variable() -> None:
    for variable, value in {**KEYS, "LTV_GUARD_MODE": "live"}.items():
        environ = KEYS | {variable: f'"{value}"'}
        with pytest.raises(ConfigError, match=f"{variable} is in quotes") as refused:
            load(None, environ=environ)
        assert SECRET not in str(refused.value)
    status, run = await ran("check", environ=environ)
    assert (status, run.errors) == (2, [f"ltv-guard: {refused.value}\n"])


@pytest.mark.case(17)
async def test_a_secret_with_its_name_where_a_path_belongs_is_not_printed(open_a_world: OpenWorld) -> None:
    config = {"accounts": {"main": {"api_secret_file": f"BYBIT_SECRET={SECRET}"}}}
    async with open_a_world(config=config, trusted=False) as world:
        status, run = await ran("check", "-c", world.config_file)
        assert (status, SECRET in run.output) == (2, False), run.output
        assert "looks like the secret itself" in run.output


@pytest.mark.case(30)
async def test_thresholds_of_what_is_switched_off_hold_nothing_up(open_a_world: OpenWorld) -> None:
    policy = {"add": {"trigger_ltv": 0.30, "target_ltv": 0.25}, "reduce": {"enabled": False}}
    async with (
        open_a_world(scenario_of(NEEDY["add"]), config={"policy": policy}) as world,
        world.guarded(),
    ):
        await world.until(lambda: bool(world.effects()))
        await world.until(lambda: world.ltv() <= policy["add"]["target_ltv"])
        await world.judge(nothing_open=False)


WRITTEN = [
    ({"schedule": {"poll_interval_s": "15s"}}, "a number of seconds, such as 15, without a unit"),
    ({"exchange": {"recv_window_ms": "5s"}}, "a number of milliseconds, such as 5000, without a unit"),
    ({"policy": {"add": {"trigger_ltv": "75%"}}}, "such as 0.75 (0.75 means 75 %)"),
    ({"policy": {"reduce": {"after_s": "15 min"}}}, "a number of seconds, such as 900"),
    ({"policy": {"maturity_notice_s": ["7d"]}}, "a number of seconds, such as 86400"),
    ({"wallet": {"reserve": {"BTC": "half"}}}, "a number of coins, such as 0.5"),
    ({"wallet": {"reserve": "0.5 BTC"}}, 'such as {"BTC": "0.5"}'),
    ({"policy": {"collateral_preference": "BTC"}}, 'such as ["USDT", "BTC"]'),
    ({"schedule": {"blind_after_cycles": "three"}}, "a number, such as 3"),
]


@pytest.mark.case(31)
async def test_an_example_fits_the_key_that_it_is_for(open_a_world: OpenWorld) -> None:
    async with open_a_world(trusted=False) as world:
        sound = world.config
        for change, example in WRITTEN:
            world.config = sound
            world.configure(change)
            with pytest.raises(ConfigError) as refused:
                world.settings()
            assert example in str(refused.value)
        status, run = await ran("check", "-c", world.config_file)
        assert (status, run.errors) == (2, [f"ltv-guard: {refused.value}\n"])
