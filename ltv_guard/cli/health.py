"""`ltv-guard health`: whether the daemon of a configuration is alive. Reads no settings: it must be cheap."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ltv_guard.cli.options import config_option
from ltv_guard.service.sign_of_life import age_s, file_of, source_of

ALIVE, SILENT = 0, 1


@click.command("health")
@config_option
@click.option(
    "--max-age",
    "max_age_s",
    type=click.FloatRange(min=0, min_open=True),
    default=60,
    show_default=True,
    help="Seconds since its last sign of life.",
)
def command(config: Path | None, max_age_s: float) -> None:
    """Say whether the daemon is alive and gets on, by its own sign of life.

    Example: ltv-guard health --max-age 60

    Exit status 1 where it is not. It has to be asked as the daemon's own user, with its configuration's path.
    """
    source = source_of(config)
    age = age_s(source)
    if age is None:
        click.echo(
            f"no daemon is running with {source or 'the environment alone'}: there is no {_file(source)}"
        )
    else:
        said = "alive" if age <= max_age_s else "silent"
        click.echo(f"{said}: its last sign of life was {age:.0f} s ago")
    sys.exit(ALIVE if age is not None and age <= max_age_s else SILENT)


def _file(source: Path | None) -> str:
    try:
        return str(file_of(source))
    except (RuntimeError, KeyError):
        return "state folder (set XDG_STATE_HOME)"
