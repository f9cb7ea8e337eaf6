"""`ltv-guard pause`: the kill switch."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from ltv_guard import settings
from ltv_guard.cli.exit_status import DONE, FAILED, exits
from ltv_guard.cli.options import config_option
from ltv_guard.log.escaping import clean
from ltv_guard.service import kill_switch


@click.command("pause")
@config_option
@click.option("--reason", required=True, help="Why; it is shown wherever the pause is.")
@click.option("--account", help="Only this account.")
@exits
def command(config: Path | None, reason: str, account: str | None) -> int:
    """Stop sending adjustments. Settling what was sent goes on."""
    if not reason.strip():
        raise settings.ConfigError("--reason is empty: say why, for it is shown wherever the pause is")
    loaded = settings.load_journal(config)
    paused = kill_switch.pause(loaded, account, reason, lambda sentence: click.echo(clean(sentence)))
    return DONE if asyncio.run(paused) else FAILED
