"""No reload, whatever goes wrong in it, ends a guarding daemon, or lets it guard less than before."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from e2e_world import KEY, NEEDY, SECRET, USER, Command, World, command, scenario_of
from reload_steps import hup, unreadable

if TYPE_CHECKING:
    from conftest import OpenWorld

STEPS = {"policy": {"limits": {"max_add": {"BTC": "0.02"}}}}  # a rescue that takes a while


async def refused(world: World, daemon: Command, spoil: Callable[[], object]) -> str:
    """What is said of a configuration that `spoil` has spoiled, while cycles go on."""
    spoil()
    told = await hup(world, daemon)
    assert told["event"] == "config_refused", told
    seen = len(daemon.heard("cycle_finished"))
    await world.until(lambda: len(daemon.heard("cycle_finished")) > seen)
    return str(told["why"])


async def goes_on(world: World, daemon: Command) -> None:
    """The rescue is still being made; and the daemon ends as it should."""
    seen = len(world.effects())
    await world.until(lambda: len(world.effects()) > seen or world.is_at_target())
    daemon.process.terminate()
    assert await daemon.ends() == 0, daemon.output


@pytest.mark.slow
@pytest.mark.case(4)
async def test_a_host_that_can_not_be_is_refused_and_the_old_one_goes_on(open_a_world: OpenWorld) -> None:
    async with (
        open_a_world(scenario_of(NEEDY["add"]), config=STEPS) as world,
        command("run", "-c", world.config_file) as daemon,
    ):
        good = dict(world.config)
        await world.until(lambda: len(world.effects()) >= 1)
        for url in (
            "https://api..bybit.com",
            "https://api.bybit.com:99999",
            "http://[::1",
            "https://-x-.com",
        ):
            world.config = good
            why = await refused(
                world, daemon, lambda url=url: world.configure({"exchange": {"base_url": url}})
            )
            assert "exchange.base_url" in why
        nowhere = {"exchange": {"base_url": "http://127.0.0.1:1"}}
        assert "accounts.main was tried" in await refused(world, daemon, lambda: world.configure(nowhere))
        await goes_on(world, daemon)
        assert "Traceback" not in daemon.output
        await world.judge(nothing_open=False)


@pytest.mark.case(26)
async def test_a_wrong_secret_or_key_is_refused_and_the_working_one_stays(open_a_world: OpenWorld) -> None:
    keys = [
        {"key": KEY, "secret": SECRET, "user": USER},
        {"key": "read-only", "secret": SECRET, "user": USER, "read_only": True},
    ]
    async with (
        open_a_world(scenario_of(NEEDY["add"], keys=keys), config=STEPS) as world,
        command("run", "-c", world.config_file) as daemon,
    ):
        await world.until(lambda: len(world.effects()) >= 1)
        key, secret = world.folder / "main.key", world.folder / "main.secret"
        assert "signature" in await refused(world, daemon, lambda: secret.write_text("another"))
        secret.write_text(SECRET)
        assert "not valid here" in await refused(world, daemon, lambda: key.write_text("unknown"))
        assert "may not adjust loans" in await refused(world, daemon, lambda: key.write_text("read-only"))
        key.write_text(KEY)
        await goes_on(world, daemon)
        assert not daemon.heard("guard_blind")
        await world.judge(nothing_open=False)


@pytest.mark.slow
@pytest.mark.case(37)
async def test_what_is_no_file_or_a_bomb_is_refused_while_the_rescue_goes_on(open_a_world: OpenWorld) -> None:
    async with (
        open_a_world(scenario_of(NEEDY["add"]), config=STEPS) as world,
        command("run", "-c", world.config_file) as daemon,
    ):
        await world.until(lambda: len(world.effects()) >= 1)
        config, secret = world.config_file, world.folder / "main.secret"
        for kind in ("fifo", "folder", "dangling", "device", "socket"):
            why = await refused(world, daemon, lambda kind=kind: unreadable(secret, kind))
            assert "accounts.main.api_secret_file" in why
            secret.rmdir() if kind == "folder" else secret.unlink()
        secret.write_text(SECRET)
        assert "FIFO" in await refused(world, daemon, lambda: unreadable(config, "fifo"))
        config.unlink()
        aliases = "a: &a [" + "x, " * 20 + "]\nb: [" + "*a, " * 60_000 + "]"
        assert "aliases" in await refused(world, daemon, lambda: config.write_text(aliases[: 250 * 1024]))
        assert "larger than" in await refused(world, daemon, lambda: config.write_text("#" * 300_000))
        await goes_on(world, daemon)
        assert "Traceback" not in daemon.output
        await world.judge(nothing_open=False)


@pytest.mark.slow
async def test_a_journal_that_can_not_be_opened_is_refused_and_a_good_one_is_taken(
    open_a_world: OpenWorld,
) -> None:
    async with (
        open_a_world(scenario_of(NEEDY["add"]), config=STEPS) as world,
        command("run", "-c", world.config_file) as daemon,
    ):
        await world.until(lambda: len(world.effects()) >= 1)
        good, noise = dict(world.config), world.folder / "noise.db"
        noise.write_bytes(b"no database at all" * 100)
        for url in (f"sqlite:///{noise}", f"sqlite:///{world.folder}", "sqlite:////dev/full", "mysql://h/x"):
            world.config = good
            await refused(world, daemon, lambda url=url: world.configure({"journal": {"url": url}}))
        world.config = good
        world.configure({"mode": "dry_run"})
        told = await hup(world, daemon)
        assert told["changed"] == ["mode: live -> dry_run"]
        world.configure({"mode": "live", "journal": {"url": f"sqlite:///{world.folder / 'another.db'}"}})
        assert (await hup(world, daemon))["event"] == "config_reloaded"
        seen = len(world.effects())
        world.price(35000)  # the new journal knows of no rescue that has begun
        await world.until(lambda: len(world.effects()) > seen)
        daemon.process.terminate()
        assert await daemon.ends() == 0, daemon.output


FAILS_ONCE = """
from ltv_guard.service.scheduler import Daemon
adopt, failed = Daemon.adopt, []
async def adopt_once_failed(self, duties):
    await adopt(self, duties)
    if not failed:
        failed.append(True)
        raise RuntimeError("the new guards could not take over")
Daemon.adopt = adopt_once_failed
from ltv_guard.cli.main import main
main()
"""


async def test_new_guards_that_fail_at_the_last_moment_give_way_to_the_old_ones(
    open_a_world: OpenWorld,
) -> None:
    async with (
        open_a_world(scenario_of(NEEDY["add"]), config=STEPS) as world,
        command("run", "-c", world.config_file, program=("-c", FAILS_ONCE)) as daemon,
    ):
        await world.until(lambda: len(world.effects()) >= 1)
        world.configure({"policy": {"limits": {"max_add": {"BTC": "0.03"}}}})
        await hup(world, daemon)
        await world.until(lambda: bool(daemon.heard("config_refused")))
        assert "could not take over" in daemon.heard("config_refused")[0]["why"]
        await goes_on(world, daemon)
        assert max(row.amount for row in world.effects()) <= Decimal("0.0301")
        await world.judge(nothing_open=False)


@pytest.mark.slow
async def test_a_new_key_of_the_same_user_takes_over_without_a_wait(open_a_world: OpenWorld) -> None:
    """The key that works is exchanged in the middle of a rescue: what the guard knew, it goes on to know."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    keys = [
        {"key": KEY, "secret": SECRET, "user": USER},
        {"key": "rotated", "rsa_public_key": public.decode(), "user": USER},
    ]
    async with open_a_world(scenario_of(NEEDY["add"], keys=keys), config=STEPS) as world:
        pem = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (world.folder / "rotated.pem").write_bytes(pem)
        async with command("run", "-c", world.config_file) as daemon:
            await world.until(lambda: len(world.effects()) >= 2)
            (world.folder / "main.key").write_text("rotated")
            account = world.config["accounts"]["main"]
            del account["api_secret_file"]
            account["rsa_private_key_file"] = "rotated.pem"
            world.config_file.write_text(yaml.safe_dump(world.config))
            assert (await hup(world, daemon))["event"] == "config_reloaded"
            world.exchange.keys.pop(KEY)
            await world.until_settled_at_target()
            daemon.process.terminate()
            assert await daemon.ends() == 0, daemon.output
        assert max(row.amount for row in world.effects()) <= Decimal("0.0201")
        assert not daemon.heard("guard_blind")
        await world.judge()
