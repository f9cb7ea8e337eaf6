"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

config_option = click.option(
    "-c",
    "--config",
    "config",
    type=click.Path(path_type=Path),
    help="The YAML file; else LTV_GUARD_CONFIG, else /etc/ltv-guard/config.yaml, else the environment alone.",
)
