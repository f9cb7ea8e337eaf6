"""`ltv-guard resume`: the end of a pause."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from ltv_guard.adapters import settings
from ltv_guard.cli.exit_status import DONE, FAILED, exits
from ltv_guard.cli.options import config_option
from ltv_guard.log.escaping import clean
from ltv_guard.service import kill_switch


@click.command("resume")
@config_option
@click.option("--account", help="Only this account.")
@exits
def command(config: Path | None, account: str | None) -> int:
    """Send adjustments again.

    Example: ltv-guard resume --account main
    """
    loaded = settings.load_journal(config)
    resumed = kill_switch.resume(loaded, account, lambda sentence: click.echo(clean(sentence)))
    return DONE if asyncio.run(resumed) else FAILED
