"""The image is built from this checkout and run: who it is, what it may write, how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from container_image import Image, built, stop
from deploy_files import ROOT, ran, tool
from e2e_world import NEEDY, World
from http_world import a_free_port

if TYPE_CHECKING:
    from conftest import OpenWorld

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
USER = 10001


def test_hadolint_has_nothing_to_say_about_the_dockerfile() -> None:
    assert ran(tool("hadolint"), ROOT / "Dockerfile") == ""


async def test_it_is_built_and_run(open_a_world: OpenWorld, tmp_path: Path) -> None:
    """One test, so that workers beside each other do not each build it."""
    with built(tmp_path) as image:
        it_is_nobody_in_particular_and_says_what_it_is(image)
        nothing_but_its_volume_can_be_written_and_there_is_no_pip(image)
        await asyncio.to_thread(the_demo_needs_no_more_than_that, image)
        await it_guards_is_seen_to_be_alive_ends_in_time_and_is_seen_to_be_dead(image, open_a_world)


def it_is_nobody_in_particular_and_says_what_it_is(image: Image) -> None:
    print(f"the program and what it needs: {image.size / 1e6:.0f} MB beside the base")  # noqa: T201
    assert image.config["User"] == f"{USER}:{USER}"
    assert image.config["StopSignal"] == "SIGTERM"
    assert [*image.config["Volumes"]] == ["/var/lib/ltv-guard"]
    assert image.config["Labels"]["org.opencontainers.image.version"] == "of-a-test"
    assert image.size < 200e6
    assert image.run("id", "-u").stdout.strip() == image.run("id", "-g").stdout.strip() == str(USER)
    assert os.listdir(image.root / "var/lib/ltv-guard") == []  # noqa: PTH208


def nothing_but_its_volume_can_be_written_and_there_is_no_pip(image: Image) -> None:
    for place in ("/", "/opt/ltv-guard/bin", "/etc", "/usr/bin"):
        assert "Read-only" in image.run("touch", f"{place}/x").stderr
    assert image.run("touch", "/var/lib/ltv-guard/x").returncode == 0
    (image.volume / "x").unlink()
    assert "No module named pip" in image.run("python3", "-m", "pip", "--version").stderr
    assert not [*image.root.glob("usr/**/pip"), *image.root.glob("opt/**/bin/pip*")]


def the_demo_needs_no_more_than_that(image: Image) -> None:
    done = image.run(*image.config["Entrypoint"], "demo")
    assert (done.returncode, "The guarded loan is alive." in done.stdout) == (0, True), done.stderr


async def it_guards_is_seen_to_be_alive_ends_in_time_and_is_seen_to_be_dead(
    image: Image, open_a_world: OpenWorld
) -> None:
    async with open_a_world() as world:
        world.configure({"http": {"enabled": True, "port": a_free_port()}})
        configure(image, world)
        assert healthy(image) == 1
        with image.running() as process:
            await world.until(lambda: bool(world.exchange.requests["GET /v5/crypto-loan/ongoing-orders"]))
            world.price(NEEDY["add"])
            await world.until(lambda: world.is_at_target() or process.poll() is not None)
            assert process.poll() is None, image.log.read_text()
            assert await asyncio.to_thread(healthy, image) == 0
            assert await asyncio.to_thread(shown, image) in {"ok", "slow"}
            began = time.monotonic()
            stop(process)
            assert await asyncio.to_thread(process.wait, timeout=15) == 0
            print(f"SIGTERM took {time.monotonic() - began:.1f} s")  # noqa: T201
        assert json.loads(image.log.read_text().splitlines()[-1])["event"] == "daemon_stopped"
        assert (image.volume / "journal.db").stat().st_uid == USER
        assert healthy(image) == 1


def configure(image: Image, world: World) -> None:
    """Its configuration and secrets in /etc/ltv-guard, its journal where the image has it."""
    tree = {**world.config, "journal": {"url": "sqlite:////var/lib/ltv-guard/journal.db"}}
    account = dict(tree["accounts"]["main"])
    for kind in ("api_key", "api_secret"):
        secret = image.etc / kind
        secret.write_text((world.folder / account[f"{kind}_file"]).read_text())
        secret.chmod(0o400)
        os.chown(secret, USER, USER)
        account[f"{kind}_file"] = f"/etc/ltv-guard/{kind}"
    (image.etc / "config.yaml").write_text(yaml.safe_dump({**tree, "accounts": {"main": account}}))


def healthy(image: Image) -> int:
    """The status of the image's own HEALTHCHECK."""
    kind, *command = image.config["Healthcheck"]["Test"]
    assert kind == "CMD"
    done: subprocess.CompletedProcess[str] = image.run(*command)
    return done.returncode


def shown(image: Image) -> str:
    """As `docker exec` asks it."""
    done = image.run(*image.config["Entrypoint"], "status", "--json")
    outcome: str = json.loads(done.stdout)["accounts"]["main"]["outcome"]
    return outcome
