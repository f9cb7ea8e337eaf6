"""Two daemons, each of a user of its own, on one PostgreSQL: neither tells nor ends what is the other's."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from e2e_world import (
    AN_ORDER,
    CALM,
    KEY,
    NEEDY,
    ORDER,
    SECRET,
    USER,
    Command,
    command,
    ran,
    scenario_of,
    until,
)
from secret_files import write_secret
from watch_targets import a_box

from ltv_guard.adapters.journal import open_journal

if TYPE_CHECKING:
    from conftest import OpenWorld

pytestmark = pytest.mark.slow
OTHER, OTHER_KEY, OTHER_ORDER = "2", "key-of-two", "2001"


def two_users() -> Any:  # noqa: ANN401 - a scenario
    """User 2 owes a third of what user 1 does, and is never in need."""
    scenario = scenario_of()
    scenario["keys"].append({"key": OTHER_KEY, "secret": SECRET, "user": OTHER})
    order = {**AN_ORDER.borrowed["orders"][0], "order_id": OTHER_ORDER, "debt": "10000"}
    scenario["users"][OTHER] = {"funding": {"BTC": "5"}, "orders": [order]}
    return scenario


def notified(folder: Path, port: int) -> dict[str, Any]:
    write_secret(folder / "phone.url", f"json://127.0.0.1:{port}/")
    return {"targets": {"phone": {"url_file": "phone.url"}}, "repeat_s": 3600}


def the_other(config: dict[str, Any], folder: Path, port: int) -> Path:
    """The same configuration but for whose loans it guards, and whom it tells."""
    folder.mkdir()
    write_secret(folder / "main.key", OTHER_KEY)
    write_secret(folder / "main.secret", SECRET)
    policy = {**config["policy"], "reduce": {"enabled": False}}
    accounts = {"second": config["accounts"]["main"]}
    changed = {**config, "accounts": accounts, "policy": policy, "notify": notified(folder, port)}
    (folder / "config.yaml").write_text(yaml.safe_dump(changed))
    return folder / "config.yaml"


async def cycles(daemon: Command, more: int = 3) -> None:
    seen = len(daemon.heard("cycle_finished"))
    await until(lambda: len(daemon.heard("cycle_finished")) >= seen + more, why=lambda: daemon.output)


async def test_two_daemons_share_a_database_and_nothing_else(
    open_a_world: OpenWorld, postgres_url: str, tmp_path: Path
) -> None:
    assert (KEY, USER) != (OTHER_KEY, OTHER)
    async with a_box() as box, a_box() as others, open_a_world(two_users(), trusted=False) as world:
        url = postgres_url.replace("postgres:@", "postgres@")
        await (await open_journal(url)).close()
        world.configure(
            {"mode": "dry_run", "journal": {"url": url}, "notify": notified(world.folder, box.port)}
        )
        other_file = the_other(world.config, tmp_path / "other", others.port)
        async with (
            command("run", "-c", world.config_file) as daemon,
            command("run", "-c", other_file) as other,
        ):
            await cycles(daemon)
            await cycles(other)
            world.price(NEEDY["add"])
            await until(lambda: bool(box.got), why=lambda: daemon.output)
            assert ORDER in box.titles[0]

            # A user is one daemon's: whoever comes second is told, and sends nothing.
            _, said = await ran("run", "--once", "-c", world.config_file)
            assert f"another ltv-guard guards the {world.settings().exchange.environment} user" in said.output

            # Whatever the other does with its own alarms, this one's go on.
            await ran("ack", "-c", other_file)
            alarms = await alarms_in(url)
            assert [(alarm.event, alarm.acknowledged_at_ms) for alarm in alarms] == [
                ("breach_unanswered", None)
            ]

            # Killed and begun anew it knows what it has told, beside the other that goes on.
            daemon.process.send_signal(signal.SIGKILL)
            await daemon.ends()
            told = len(box.got)
            async with command("run", "-c", world.config_file) as again:
                await cycles(again)
                await asyncio.sleep(2)
                assert len(box.got) == told
                status, _ = await ran("ack", "-c", world.config_file)
                assert status == 0
                world.price(CALM)
                await until(lambda: any("over" in title for title in box.titles), within_s=120)
                await cycles(other)
                for each in (again, other):
                    each.process.terminate()
                    assert await each.ends() == 0
        assert [title for title in others.titles if ORDER in title or "over" in title] == []
        assert await alarms_in(url) == ()


async def alarms_in(url: str) -> Any:  # noqa: ANN401 - alarms
    journal = await open_journal(url, writer=False)
    try:
        return await journal.outbox.alarms()
    finally:
        await journal.close()
