"""`ltv-guard check`: the doctor."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from ltv_guard import settings
from ltv_guard.cli import findings_table
from ltv_guard.cli.exit_status import DONE, FAILED, exits
from ltv_guard.cli.options import config_option
from ltv_guard.log import format as logs
from ltv_guard.service import check as checking


@click.command("check")
@config_option
@exits
def command(config: Path | None) -> int:
    """Validate configuration, key, clock, hosts and journal; say what to mend."""
    loaded = settings.load(config)
    logs.configure(style=loaded.logging.format, level="CRITICAL", stream=sys.stderr)

    async def work() -> int:
        findings = await checking.check(loaded)
        findings_table.print_findings(findings)
        return DONE if all(finding.good for finding in findings) else FAILED

    return asyncio.run(work())
