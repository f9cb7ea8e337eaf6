"""Accounts in files of their own, by the real daemon: one odd file leaves all others guarded, and is told."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from click.testing import CliRunner
from e2e_world import AN_ORDER, CALM, KEY, NEEDY, SECRET, USER, World, command, scenario_of
from reload_steps import hup
from secret_files import write_secret

from ltv_guard.cli.main import main

if TYPE_CHECKING:
    from conftest import OpenWorld

KEYS = [
    {"key": KEY, "secret": SECRET, "user": USER},
    {"key": "key-of-two", "secret": "secret-of-two", "user": "2"},
]
USERS = {user: {"funding": {"BTC": "5"}} for user in (USER, "2")}


def scenario(price: Decimal = CALM) -> dict[str, Any]:
    """Each of two users has an order, and a key."""
    users = {USER: USERS[USER] | AN_ORDER.borrowed, "2": USERS["2"]}
    return scenario_of(price, keys=KEYS, users=users)


def account(world: World, name: str, key: dict[str, str], **more: object) -> Path:
    """Writes an account's file and its secrets beside it."""
    folder = world.folder / "accounts.d"
    folder.mkdir(exist_ok=True)
    for kind in ("key", "secret"):
        write_secret(folder / f"{name}.{kind}", key[kind])
    tree = {"products": [AN_ORDER.name], "api_key_file": f"{name}.key", "api_secret_file": f"{name}.secret"}
    written = folder / f"{name}.new"
    written.write_text(yaml.safe_dump(tree | more))
    return written.rename(folder / f"{name}.yaml")


def in_files(world: World) -> None:
    """No account but those of files."""
    world.configure({"accounts": {}, "accounts_dir": "accounts.d"})


async def test_an_odd_file_costs_its_account_alone_from_the_start_on_until_it_is_mended(
    open_a_world: OpenWorld,
) -> None:
    async with open_a_world(scenario(NEEDY["add"])) as world:
        await world.trust_journal()
        in_files(world)
        account(world, "one", KEYS[0])
        odd = account(world, "two", KEYS[1])
        good = odd.read_text()
        odd.write_text(good + "polices: {}\n")
        async with command("run", "-c", world.config_file) as daemon:
            await world.until_settled_at_target()
            await world.until(lambda: bool(daemon.heard("account_refused")))
            told = daemon.heard("account_refused")[0]
            assert (told["level"], told["account"], told["path"]) == ("critical", "two", str(odd))
            assert f"{odd} line 5: accounts.two.polices" in told["why"]
            odd.write_text(good)
            assert (await hup(world, daemon))["event"] == "config_reloaded"
            await world.until(lambda: bool(daemon.heard("account_accepted")))
            await world.until(
                lambda: any(item["account"] == "two" for item in daemon.heard("cycle_finished"))
            )
            daemon.process.terminate()
            assert await daemon.ends() == 0
        await world.judge()


async def test_a_file_that_becomes_odd_leaves_its_account_guarded_as_it_was(open_a_world: OpenWorld) -> None:
    async with open_a_world(scenario()) as world:
        in_files(world)
        one = account(world, "one", KEYS[0])
        async with command("run", "-c", world.config_file) as daemon:
            await world.until(lambda: bool(daemon.heard("cycle_finished")))
            one.write_text("policy: {add: {trigger_ltv: ")
            account(world, "two", {"key": "nobody's", "secret": "no-secret"})
            assert (await hup(world, daemon))["event"] == "config_reloaded"
            await world.until(
                lambda: {item["account"] for item in daemon.heard("account_refused")} == {"one", "two"}
            )
            told = {item["account"]: item for item in daemon.heard("account_refused")}
            assert (told["one"]["level"], told["two"]["level"]) == ("error", "critical")
            assert "its key does not work" in told["two"]["why"]
            world.price(NEEDY["add"])
            await world.until_settled_at_target()
            assert not daemon.heard("config_refused")
            daemon.process.terminate()
            assert await daemon.ends() == 0
        await world.judge()


@pytest.mark.slow
async def test_a_key_that_does_not_work_leaves_the_one_that_does(
    open_a_world: OpenWorld,
) -> None:
    async with open_a_world(scenario()) as world:
        in_files(world)
        one = account(world, "one", KEYS[0])
        async with command("run", "-c", world.config_file) as daemon:
            await world.until(lambda: bool(daemon.heard("cycle_finished")))
            write_secret(one.with_name("one.secret"), "another-secret")
            world.configure({"policy": {"add": {"target_ltv": "0.64"}}})
            assert (await hup(world, daemon))["event"] == "config_reloaded"
            await world.until(lambda: bool(daemon.heard("account_refused")))
            assert daemon.heard("account_refused")[0]["level"] == "error"
            world.price(NEEDY["add"])
            await world.until_settled_at_target()
            daemon.process.terminate()
            assert await daemon.ends() == 0
        await world.judge()


@pytest.mark.slow
async def test_two_files_with_keys_of_one_user_cost_one_of_them(open_a_world: OpenWorld) -> None:
    second = {"key": "second-key-of-one", "secret": "second-secret", "user": USER}
    plan = scenario(NEEDY["add"]) | {"keys": [*KEYS, second]}
    async with open_a_world(plan) as world:
        await world.trust_journal()
        in_files(world)
        account(world, "one", KEYS[0])
        account(world, "again", second)
        async with command("run", "-c", world.config_file) as daemon:
            await world.until(lambda: bool(daemon.heard("needs_human")))
            assert "same user" in daemon.heard("needs_human")[0]["why"]
            await world.until_settled_at_target()
            daemon.process.terminate()
            assert await daemon.ends() == 0
        await world.judge()


async def test_check_and_plan_tell_of_an_odd_file_and_look_at_the_others(open_a_world: OpenWorld) -> None:
    async with open_a_world(scenario()) as world:
        in_files(world)
        account(world, "one", KEYS[0]).chmod(0o666)
        odd = account(world, "two", KEYS[1], products=["crypto_lend"])
        for name in ("check", "plan"):
            async with command(name, "-c", world.config_file, "--json") as process:
                assert await process.ends() == 1
            assert str(odd) in process.output
            assert "line 4" in process.output
            assert '"one"' in process.output or "accounts.one" in process.output
            assert "everybody on this machine may change it" in process.output or name == "plan"


def test_the_schema_of_an_account_is_printed() -> None:
    printed = CliRunner().invoke(main, ["schema", "--account"])
    assert printed.exit_code == 0
    assert "api_key_file" in printed.output
    assert "accounts_dir" not in printed.output
