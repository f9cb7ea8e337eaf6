"""`ltv-guard workers`: who of a fleet guards what."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path

import click
from rich.table import Table

from ltv_guard.adapters import settings
from ltv_guard.adapters.http.workers_json import Row, as_tree
from ltv_guard.cli.exit_status import DONE, FAILED, exits
from ltv_guard.cli.options import config_option
from ltv_guard.cli.terminal import add_row, console, table_of
from ltv_guard.core.model.leases import FleetRegister
from ltv_guard.log.escaping import as_json
from ltv_guard.service.kill_switch import journal_of

WORKERS = ("worker", "egress", "accounts", "since", "alive")
ACCOUNTS = ("account", "egress", "worker", "epoch", "since", "left_s", "last_cycle")


@click.command("workers")
@config_option
@click.option("--json", "in_json", is_flag=True, help="One JSON document instead of tables.")
@exits
def command(config: Path | None, *, in_json: bool) -> int:
    """Show the workers of a fleet, and who guards which account.

    Example: ltv-guard workers -c config.yaml

    Exit status 1 where an account is guarded by nobody.
    """
    loaded = settings.load(config)
    if not loaded.fleet.enabled:
        raise settings.ConfigError("fleet.enabled is false, so accounts of this configuration are not shared")

    async def look() -> FleetRegister:
        async with journal_of(loaded) as store:
            return await store.leases_of(loaded.exchange.environment).register()

    accounts = {name: item.egress for name, item in loaded.accounts.items()}
    tree = as_tree(asyncio.run(look()).of(accounts))
    if in_json:
        click.echo(as_json(tree, indent=2))
    else:
        console().print(_tabled(WORKERS, tree["workers"]))
        console().print(_tabled(ACCOUNTS, tree["accounts"]))
    return DONE if all(row["worker"] for row in tree["accounts"]) else FAILED


def _tabled(columns: Sequence[str], rows: Iterable[Row]) -> Table:
    table = table_of(*columns)
    for row in rows:
        add_row(
            table,
            *("nobody" if name == "worker" and not row[name] else _shown(row[name]) for name in columns),
        )
    return table


def _shown(value: object) -> str:
    return (
        {True: "yes", False: "no"}[value] if isinstance(value, bool) else "" if value is None else str(value)
    )
