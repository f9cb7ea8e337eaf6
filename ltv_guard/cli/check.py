"""`ltv-guard check`: the doctor."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from ltv_guard.adapters import settings
from ltv_guard.adapters.settings.provenance import origins
from ltv_guard.cli import findings_table
from ltv_guard.cli.exit_status import DONE, FAILED, exits
from ltv_guard.cli.options import config_option
from ltv_guard.log import format as logs
from ltv_guard.log.escaping import as_json
from ltv_guard.service import check as checking


@click.command("check")
@config_option
@click.option("--notify", "notifies", is_flag=True, help="Send each notification target a test message.")
@click.option("--json", "in_json", is_flag=True, help="One JSON document instead of tables.")
@exits
def command(config: Path | None, *, notifies: bool, in_json: bool) -> int:
    """Look at configuration, keys, loans, wallet and outlets; say what to mend.

    Example: ltv-guard check -c config.yaml --notify

    Exit status 1 where something has to be mended before a run.
    """
    return run(config, notifies=notifies, in_json=in_json)


def run(config: Path | None, *, notifies: bool = False, in_json: bool = False) -> int:
    """Checks and prints; the exit status. Raises ConfigError."""
    loaded = settings.load(config)
    logs.configure(style=loaded.logging.format, level="CRITICAL", stream=sys.stderr)

    async def work() -> int:
        findings = await checking.check(loaded, notifies=notifies)
        said = origins(loaded)
        if in_json:
            click.echo(as_json(findings_table.as_tree(findings, said), indent=2))
        else:
            findings_table.print_origins(said)
            findings_table.print_findings(findings)
        return DONE if all(finding.good for finding in findings) else FAILED

    return asyncio.run(work())
