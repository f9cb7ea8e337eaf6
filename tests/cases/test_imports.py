"""What a command does not need it does not import: help comes at once, and a killed daemon is back sooner."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import pytest
from e2e_world import NEEDY, World, command, until
from http_world import a_free_port, asking

from ltv_guard.cli.main import COMMANDS, command_of

if TYPE_CHECKING:
    from conftest import OpenWorld

# The program, and in its last line what it has imported by its end.
IMPORTED = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps(sorted(sys.modules)), flush=True))
from ltv_guard.__main__ import main
main()
"""
SLOW = {
    *("aiohttp", "aiosqlite", "alembic", "apscheduler", "asyncpg", "asyncio", "cryptography", "pydantic"),
    *("pydantic_settings", "rich", "sqlalchemy", "structlog", "tenacity", "yaml"),
}
# By the daemon, with an HMAC key and a journal in a file, new or with the newest schema.
# (structlog imports rich by itself, tenacity tornado, and aiohttp a list in C++.)
UNNEEDED = {
    "apprise",
    "ltv_guard.adapters.apprise_target",
    "requests",
    "ltv_guard.adapters.http",
    "prometheus_client",
    "aiosqlite",
    "alembic",
    "asyncpg",
    "sqlalchemy",
    "cryptography",
    "mako",
    "ltv_guard.sandbox",
    # Of a fleet, on one machine.
    "ltv_guard.service.fleet",
    "ltv_guard.adapters.journal.fleet",
    "ltv_guard.adapters.journal.leases",
    "ltv_guard.core.decide.shares",
    "ltv_guard.core.decide.calls",
    "ltv_guard.cli.terminal",
    "rich",
    "tornado",
    "frozenlist._frozenlist",
}

# Apprise, and what it brings along.
OF_NOTIFY = {"apprise", "requests", "requests_oauthlib", "oauthlib", "urllib3", "markdown"}


async def imported_by(*words: str) -> set[str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", IMPORTED, *words),
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output
    found: list[str] = json.loads(output.splitlines()[-1])
    return set(found)


async def once(world: World) -> set[str]:
    return await imported_by("run", "--once", "-c", str(world.config_file))


def packages(modules: Iterable[str]) -> set[str]:
    return {module.split(".")[0] for module in modules}


@pytest.mark.parametrize("words", [("--help",), ("--version",)])
async def test_help_imports_nothing_that_is_slow(words: tuple[str, ...]) -> None:
    assert packages(await imported_by(*words)) & SLOW == set()


async def test_a_daemon_imports_nothing_that_it_does_not_need(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world:
        (world.folder / "journal.db").unlink()
        for _ in ("makes the journal", "finds it"):
            assert await once(world) & UNNEEDED == set()


@pytest.mark.slow
async def test_a_daemon_that_shows_everything_and_notifies_nobody_imports_nothing_of_notify(
    open_a_world: OpenWorld,
) -> None:
    port = a_free_port()
    async with open_a_world() as world:
        world.configure({"http": {"enabled": True, "port": port}})
        run = command("run", "-c", world.config_file, program=("-c", IMPORTED))
        async with run as daemon, asking(port) as asked:
            await until(lambda: bool(daemon.heard("http_served")), why=lambda: daemon.output)
            world.price(NEEDY["add"])
            await until(lambda: bool(daemon.heard("adjustment_confirmed")), why=lambda: daemon.output)
            for path in ("/metrics", "/", "/api/v1/status"):
                assert (await asked.get(path))[0] == 200
            daemon.process.terminate()
            assert await daemon.ends() == 0
        imported = set(json.loads(daemon.lines[-1]))
    assert {"prometheus_client", "ltv_guard.adapters.http.page"} <= imported
    assert packages(imported) & OF_NOTIFY == set()
    assert "aiohttp.web_app" not in imported  # of aiohttp's server, what answers requests is enough
    assert "ltv_guard.adapters.apprise_target" not in imported


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_says_itself(name: str) -> None:
    assert command_of(name).get_short_help_str(limit=200) == COMMANDS[name]
    assert command_of(name).name == name


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_each_command_has_an_example_that_names_it(name: str) -> None:
    shown = command_of(name).help or ""
    assert f"ltv-guard {name}" in shown, shown
