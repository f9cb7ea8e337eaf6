"""`ltv-guard workers`: who of a fleet guards what."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from ltv_guard.adapters import settings
from ltv_guard.cli.exit_status import DONE, FAILED, exits
from ltv_guard.cli.options import config_option
from ltv_guard.cli.terminal import add_row, console, table_of
from ltv_guard.core.model.leases import Lease, Worker
from ltv_guard.log.escaping import as_json
from ltv_guard.log.utc import iso
from ltv_guard.service.kill_switch import journal_of

Row = dict[str, Any]


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

    async def look() -> tuple[int, tuple[Lease, ...], tuple[Worker, ...]]:
        async with journal_of(loaded, create=False) as store:
            return await store.leases_of(loaded.exchange.environment).all()

    now_ms, leases, workers = asyncio.run(look())
    rows = [_lease_as_json(item, now_ms) for item in leases if item.account in loaded.accounts]
    rows += [
        {"account": name, "egress": item.egress, "worker": None, "epoch": 0, "since": None, "left_s": None}
        for name, item in loaded.accounts.items()
        if name not in {row["account"] for row in rows}
    ]
    alive = [_worker_as_json(item, now_ms, rows) for item in workers]
    if in_json:
        click.echo(as_json({"workers": alive, "accounts": rows}, indent=2))
    else:
        console().print(_tabled(("worker", "egress", "accounts", "since", "alive"), alive))
        console().print(_tabled(("account", "egress", "worker", "epoch", "since", "left_s"), rows))
    return DONE if all(row["worker"] for row in rows) else FAILED


def _lease_as_json(lease: Lease, now_ms: int) -> Row:
    is_held = not lease.is_free(now_ms)
    return {
        "account": lease.account,
        "egress": lease.egress,
        "worker": lease.worker if is_held else None,
        "epoch": lease.epoch,
        "since": iso(lease.since_ms) if is_held else None,
        "left_s": (lease.expires_at_ms - now_ms) // 1000 if is_held else None,
    }


def _worker_as_json(worker: Worker, now_ms: int, rows: Iterable[Row]) -> Row:
    return {
        "worker": worker.name,
        "host": worker.host,
        "pid": worker.pid,
        "egress": worker.egress,
        "accounts": sum(row["worker"] == worker.name for row in rows),
        "since": iso(worker.since_ms),
        "alive": worker.expires_at_ms > now_ms,
    }


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
