"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

config_option = click.option(
    "-c",
    "--config",
    "config",
    type=click.Path(path_type=Path),
    help="The YAML file; else LTV_GUARD_CONFIG, else /etc/ltv-guard/config.yaml, else the environment alone.",
)


def no_config_option(what: str, instead: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """For a command that reads no configuration: a `-c` is refused, for it would do nothing."""

    def refuse(_: click.Context, __: click.Parameter, value: Path | None) -> None:
        if value is not None:
            raise click.UsageError(f"{what} reads no configuration: {instead}")

    return click.option("-c", "--config", type=click.Path(), hidden=True, expose_value=False, callback=refuse)
