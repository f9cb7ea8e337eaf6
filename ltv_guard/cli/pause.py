"""`ltv-guard pause`: the kill switch."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import click

from ltv_guard.adapters import settings
from ltv_guard.cli.exit_status import DONE, FAILED, exits
from ltv_guard.cli.options import config_option
from ltv_guard.log.escaping import clean
from ltv_guard.service import kill_switch

UNITS_S = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
LONGEST_S = 366 * UNITS_S["d"]


def _span(_ctx: click.Context, _parameter: click.Parameter, text: str | None) -> int | None:
    """`2h`, `1h30m`, `45m`, `3d`: seconds."""
    if text is None:
        return None
    parts = re.findall(r"(\d{1,9})([dhms])", text)
    seconds = sum(int(number) * UNITS_S[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != text or not 0 < seconds <= LONGEST_S:
        raise click.BadParameter("must be a span of at most a year, such as 2h, 45m or 1h30m")
    return seconds


@click.command("pause")
@config_option
@click.option("--reason", required=True, help="Why; it is shown wherever the pause is.")
@click.option("--account", help="Only this account.")
@click.option("--for", "for_s", callback=_span, metavar="SPAN", help="It ends by itself, such as after 2h.")
@exits
def command(config: Path | None, reason: str, account: str | None, for_s: int | None) -> int:
    """Stop sending adjustments. Settling what was sent goes on.

    Example: ltv-guard pause --reason "moving coins" --for 2h
    """
    if not reason.strip():
        raise settings.ConfigError("--reason is empty: say why, for it is shown wherever the pause is")
    loaded = settings.load_journal(config)
    paused = kill_switch.pause(
        loaded, account, reason, lambda sentence: click.echo(clean(sentence)), for_s=for_s
    )
    return DONE if asyncio.run(paused) else FAILED
