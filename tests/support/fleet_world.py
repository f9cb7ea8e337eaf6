"""A fleet against one sandbox: accounts, keys and loans by number, a journal in a real PostgreSQL."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import asyncpg
from e2e_world import AN_ORDER, CALM, LEGACY, Command, World, scenario_of
from secret_files import write_secret

from ltv_guard.adapters.journal import open_journal

Tree = dict[str, Any]
LEASE_S = 3


def names(accounts: int) -> list[str]:
    return [f"a{number:02}" for number in range(accounts)]


def loan_of(account: str) -> str:
    """The order of an account."""
    return str(1001 + int(account.removeprefix("a")))


def fleet_scenario(accounts: int, *, funding: str = "5", **changes: object) -> Tree:
    """Each account is a user of its own, who owes 30000 USD to a whole BTC; its order is 1001 + number."""
    users: Tree = {}
    for number in range(accounts):
        order = {**AN_ORDER.borrowed["orders"][0], "order_id": loan_of(names(accounts)[number])}
        users[str(number + 1)] = {"funding": {"BTC": funding}, "orders": [order]}
    keys = [
        {"key": f"key-of-{name}", "secret": f"secret-of-{name}", "user": str(number + 1)}
        for number, name in enumerate(names(accounts))
    ]
    return {**scenario_of(CALM), "users": users, "keys": keys, **changes}


async def shared_by_a_fleet(world: World, accounts: int, journal_url: str) -> None:
    """Writes the one configuration of all workers."""
    folder: Path = world.folder
    sections = {}
    for name in names(accounts):
        write_secret(folder / f"{name}.key", f"key-of-{name}")
        write_secret(folder / f"{name}.secret", f"secret-of-{name}")
        sections[name] = {
            "products": [LEGACY],
            "api_key_file": f"{name}.key",
            "api_secret_file": f"{name}.secret",
        }
    write_secret(folder / "journal.url", journal_url)
    world.config = {key: value for key, value in world.config.items() if key not in {"accounts", "journal"}}
    world.configure(
        {
            "accounts": sections,
            "journal": {"url_file": "journal.url"},
            "fleet": {"enabled": True, "lease_s": LEASE_S},
        }
    )
    world.config["journal"]["url"] = journal_url  # what the oracle opens
    await (await open_journal(journal_url)).close()


async def holders(journal_url: str) -> dict[str, str]:
    """By account, the worker whose lease has not run out."""
    connection = await asyncpg.connect(journal_url)
    try:
        rows = await connection.fetch(
            "SELECT account, worker FROM leases WHERE worker IS NOT NULL "
            "AND expires_at_ms > extract(epoch FROM clock_timestamp()) * 1000"
        )
    finally:
        await connection.close()
    return {row["account"]: row["worker"] for row in rows}


async def shares(journal_url: str) -> list[int]:
    """How many accounts each worker holds, the fewest first."""
    return sorted(Counter((await holders(journal_url)).values()).values())


def guarded(worker: Command) -> set[str]:
    """The accounts that its log says it holds."""
    held: set[str] = set()
    for line in worker.events:
        if line["event"] == "lease_taken":
            held.add(line["account"])
        elif line["event"] in {"lease_given_back", "lease_lost"}:
            held.discard(line["account"])
    return held
