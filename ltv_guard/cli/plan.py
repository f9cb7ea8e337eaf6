"""`ltv-guard plan`: a rehearsal, with what the daemon would say."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from ltv_guard.adapters import settings
from ltv_guard.cli import overheard, plan_table
from ltv_guard.cli.exit_status import DONE, FAILED, exits
from ltv_guard.cli.options import config_option
from ltv_guard.log.escaping import as_json, clean
from ltv_guard.service import run as app


@click.command("plan")
@config_option
@click.option("--json", "in_json", is_flag=True, help="One JSON document instead of a table.")
@exits
def command(config: Path | None, *, in_json: bool) -> int:
    """One read-only cycle: what it would do with each loan, and why.

    Example: ltv-guard plan -c config.yaml --json

    Exit status 1 where loans could not be read, or a file of accounts_dir can't be used.
    """
    loaded = settings.load(config)
    for item in loaded.odd_accounts:
        click.echo(f"not planned: {clean(item.why)}", err=True)
    heard = overheard.listen()

    async def work() -> int:
        plans = overheard.with_words(await app.plan(loaded), heard, live=loaded.mode == "live")
        if in_json:
            click.echo(as_json(plan_table.plans_as_json(plans), indent=2))
        else:
            plan_table.print_plans(plans)
        return FAILED if loaded.odd_accounts or any(item.blind for item in plans) else DONE

    return asyncio.run(work())
