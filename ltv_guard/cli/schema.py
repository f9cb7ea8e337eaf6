"""`ltv-guard schema`: the configuration's schema, for editors."""

from __future__ import annotations

import click

from ltv_guard.adapters.settings.schema import account_schema, schema
from ltv_guard.cli.exit_status import DONE, exits
from ltv_guard.log.escaping import as_json


@click.command("schema")
@click.option("--account", "of_account", is_flag=True, help="That of a file of accounts_dir.")
@exits
def command(*, of_account: bool) -> int:
    """Print the JSON schema of the configuration, for editors.

    Example: ltv-guard schema > ltv_guard.schema.json

    An editor with the YAML language server takes it from a first line of the YAML:
    # yaml-language-server: $schema=ltv_guard.schema.json
    """
    click.echo(as_json(account_schema() if of_account else schema(), indent=2))
    return DONE
