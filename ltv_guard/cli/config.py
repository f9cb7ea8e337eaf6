"""`ltv-guard config example`: every key of the configuration, with its default and what it means."""

from __future__ import annotations

import click

from ltv_guard.adapters.settings.schema import with_header
from ltv_guard.adapters.settings.shipped import shipped
from ltv_guard.cli.exit_status import DONE, exits


@click.group("config")
def command() -> None:
    """Print the commented YAML with every key and its default.

    Example: ltv-guard config example > config.yaml
    """


@command.command()
@exits
def example() -> int:
    """Print every key with its default, and what it means.

    Example: ltv-guard config example > config.yaml
    """
    click.echo(with_header(shipped("ltv_guard.yaml").read_text()), nl=False)
    return DONE
