"""`ltv-guard schema`: the configuration's schema, for editors."""

from __future__ import annotations

import click

from ltv_guard.adapters.settings.schema import schema
from ltv_guard.cli.exit_status import DONE, exits
from ltv_guard.log.escaping import as_json


@click.command("schema")
@exits
def command() -> int:
    """Print the JSON schema of the configuration, for editors.

    Example: ltv-guard schema > ltv_guard.schema.json

    An editor with the YAML language server takes it from a first line of the YAML:
    # yaml-language-server: $schema=ltv_guard.schema.json
    """
    click.echo(as_json(schema(), indent=2))
    return DONE
