"""`health` tells whether a daemon is alive and gets on: truth and falsehood, and cheaply."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from e2e_world import Command, World, command, ran

from ltv_guard.adapters.settings import loading
from ltv_guard.service import sign_of_life
from ltv_guard.service.sign_of_life import SignOfLife, age_s, file_of, source_of

if TYPE_CHECKING:
    from conftest import OpenWorld

# Slow to import, each of them a good part of what health may cost.
SLOW = {"aiohttp", "aiosqlite", "apscheduler", "pydantic", "pydantic_settings", "rich", "sqlalchemy", "yaml"}
IMPORTED = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps(sorted(sys.modules)), flush=True))
from ltv_guard.__main__ import main
main()
"""


async def health(world: World, *options: str, at: Path | None = None) -> tuple[int, str]:
    environ = {"XDG_STATE_HOME": str(world.folder)}
    status, said = await ran("health", *options, "-c", at or world.config_file, environ=environ)
    return status, said.output


async def until_alive(world: World, daemon: Command) -> None:
    async with asyncio.timeout(30):
        while (await health(world))[0]:  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.1)
    assert daemon.process.returncode is None, daemon.output


@pytest.mark.slow
async def test_it_tells_truth_and_falsehood(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world:
        assert (await health(world))[0] == 1
        environ = {"XDG_STATE_HOME": str(world.folder)}
        async with command("run", "-c", world.config_file, environ=environ) as daemon:
            await until_alive(world, daemon)
            assert (await health(world, at=world.folder / "another.yaml"))[0] == 1
            os.kill(daemon.process.pid, signal.SIGSTOP)  # frozen: it lives, and does nothing
            await asyncio.sleep(1.2)
            status, said = await health(world, "--max-age", "1")
            assert (status, said.startswith("silent: its last sign of life was ")) == (1, True)
            assert (await health(world, "--max-age", "60"))[0] == 0
            os.kill(daemon.process.pid, signal.SIGCONT)
            await until_alive(world, daemon)
            daemon.process.terminate()
            assert await daemon.ends() == 0
        status, said = await health(world)
        assert (status, "no daemon is running" in said) == (1, True)


async def test_a_daemon_that_was_killed_is_silent_once_its_sign_is_old(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world:
        environ = {"XDG_STATE_HOME": str(world.folder)}
        async with command("run", "-c", world.config_file, environ=environ) as daemon:
            await until_alive(world, daemon)
            daemon.process.kill()
            await daemon.ends()
        (file,) = (world.folder / "ltv-guard").glob("alive-*")
        assert file.stat().st_mode & 0o777 == 0o600
        os.utime(file, (1, 1))
        assert (await health(world))[0] == 1


async def test_it_imports_nothing_that_is_slow(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", IMPORTED, "health", "-c", "config.yaml"),
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "XDG_STATE_HOME": str(tmp_path)},
    )
    output, _ = await process.communicate()
    assert process.returncode == 1
    assert {name.split(".")[0] for name in json.loads(output.splitlines()[-1])} & SLOW == set()


@pytest.mark.parametrize(
    ("path", "environ"),
    [
        (None, {}),
        (Path("here.yaml"), {}),
        (Path("/there.yaml"), {"LTV_GUARD_CONFIG": "/other.yaml"}),
        (None, {"LTV_GUARD_CONFIG": " /other.yaml "}),
        (None, {"ltv_guard_config": "relative.yaml"}),
        (None, {"LTV_GUARD_CONFIG": "  "}),
    ],
)
@pytest.mark.parametrize("is_there", [True, False])
def test_it_looks_for_the_configuration_where_the_daemon_does(
    path: Path | None,
    environ: dict[str, str],
    is_there: bool,  # noqa: FBT001 - a parameter
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert sign_of_life.DEFAULT_PATH == loading.DEFAULT_PATH
    for module in (sign_of_life, loading):
        monkeypatch.setattr(module, "DEFAULT_PATH", tmp_path / "config.yaml")
    if is_there:
        (tmp_path / "config.yaml").touch()
    assert source_of(path, environ) == loading._find(path, environ)


def test_where_no_sign_can_be_given_nothing_else_is_the_worse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    sign = SignOfLife(None)
    sign.tell()
    sign.close()
    assert age_s(None) is None
    assert not file_of(None).exists()
