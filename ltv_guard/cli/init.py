"""`ltv-guard init`: from an empty folder to a configuration that `check` has looked at."""

from __future__ import annotations

import os
from pathlib import Path

import click

from ltv_guard.adapters.settings import ConfigError
from ltv_guard.cli import check, init_files
from ltv_guard.cli.exit_status import DONE, FAILED, exits
from ltv_guard.cli.init_questions import ENVIRONMENTS, LIVE, MAINNET, ask


@click.command("init")
@click.option(
    "-c",
    "--config",
    "config",
    type=click.Path(path_type=Path),
    default=Path("config.yaml"),
    show_default=True,
    help="The YAML file to write; secrets go beside it.",
)
@click.option(
    "--environment",
    type=click.Choice([*ENVIRONMENTS, LIVE]),
    help="Which exchange; it is asked for otherwise. live is another word for mainnet.",
)
@exits
def command(config: Path, environment: str | None) -> int:
    """Ask a few questions, write configuration and secrets, and check them.

    Example: ltv-guard init --environment sandbox

    What it writes is a dry run: it sends nothing until `mode` is live. Exit status: that of `check`.
    """
    path = config.absolute()
    if not path.parent.is_dir():
        raise ConfigError(f"the folder {path.parent} does not exist: make it first")
    if not os.access(path.parent, os.W_OK | os.X_OK):  # before the questions: their answers would be lost
        raise ConfigError(f"the folder {path.parent} can't be written to: name a file elsewhere with -c")
    if not init_files.may_write(path):
        click.echo("Nothing was written.")
        return FAILED
    click.echo(f"This writes {path} and secrets beside it. Enter takes what stands in brackets.\n")
    init_files.write(path, ask(MAINNET if environment == LIVE else environment))
    click.echo("\nNow it is checked (`ltv-guard check`):")
    status = check.run(path)
    shown = config if config.parent != Path() else config.name
    click.echo("" if status == DONE else f"Mend what is marked no, then: ltv-guard check -c {shown}")
    click.echo(
        f"Next: ltv-guard plan -c {shown}, then ltv-guard run -c {shown}. It is a dry run: it sends nothing."
    )
    return status
