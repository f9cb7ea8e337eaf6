"""`ltv-guard status`: what the running daemon sees."""

from __future__ import annotations

import time
from pathlib import Path

import click
from rich.console import RenderableType
from rich.live import Live
from rich.text import Text

from ltv_guard.adapters import settings
from ltv_guard.cli import status_table
from ltv_guard.cli.daemon_status import DaemonSilent, status_of
from ltv_guard.cli.exit_status import DONE, FAILED, exits
from ltv_guard.cli.options import config_option
from ltv_guard.cli.terminal import console
from ltv_guard.log.escaping import as_json, clean

LOOK_S = 2.0


@click.command("status")
@config_option
@click.option("--watch", is_flag=True, help="Show it again every two seconds, until Ctrl-C.")
@click.option("--json", "in_json", is_flag=True, help="One JSON document instead of a table.")
@exits
def command(config: Path | None, *, watch: bool, in_json: bool) -> int:
    """Show what the running daemon sees: each loan, and what is wrong.

    Example: ltv-guard status -c config.yaml --watch

    Exit status 1 where something is wrong, or no daemon answers.
    """
    loaded = settings.load(config)
    found = status_of(loaded)
    if in_json:
        click.echo(as_json(found, indent=2))
    elif watch:
        return _watched(loaded)
    else:
        console().print(status_table.shown(found))
    return DONE if status_table.is_calm(found) else FAILED


def _watched(loaded: settings.Settings) -> int:
    calm = False
    try:
        with Live(console=console(), auto_refresh=False) as live:
            while True:
                shown, calm = look(loaded)
                live.update(shown, refresh=True)
                time.sleep(LOOK_S)
    except KeyboardInterrupt:
        return DONE if calm else FAILED


def look(loaded: settings.Settings) -> tuple[RenderableType, bool]:
    """What is to be seen now, and whether all is well: a daemon that is started anew answers again.

    Raises ConfigError where nothing is served.
    """
    try:
        found = status_of(loaded)
    except DaemonSilent as error:
        return Text(clean(str(error)), "red"), False
    return status_table.shown(found), status_table.is_calm(found)
