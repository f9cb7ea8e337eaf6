"""`ltv-guard export --csv`: the adjustments, for a spreadsheet. Reads the journal alone."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import click

from ltv_guard.adapters import settings
from ltv_guard.cli.exit_status import DONE, exits
from ltv_guard.cli.options import config_option
from ltv_guard.core.model.intents import Intent
from ltv_guard.log.escaping import clean
from ltv_guard.log.utc import iso
from ltv_guard.service.kill_switch import journal_of

COLUMNS = (
    *("time", "account", "product", "loan", "direction", "coin", "amount", "usd_value", "fee", "state"),
    *("intent_id", "adjust_id"),
)
AS_A_DOLLAR = {"USDT", "USDC"}  # of nothing else does the journal know what it was worth
FORMULA = ("=", "+", "-", "@")


def _moment(_ctx: click.Context, _parameter: click.Parameter, text: str | None) -> int | None:
    """ISO 8601, UTC where it names no zone: ms since 1970."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            "must be a day or a time, such as 2026-01-01 or 2026-01-01T08:00:00Z"
        ) from None
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)


@click.command("export")
@config_option
@click.option("--csv", "as_csv", is_flag=True, required=True, help="As comma-separated values, with a head.")
@click.option("--since", callback=_moment, help="From this day or time (UTC) on.")
@click.option("--until", callback=_moment, help="Before this day or time (UTC).")
@exits
def command(config: Path | None, since: int | None, until: int | None, *, as_csv: bool) -> int:  # noqa: ARG001 - the only way so far
    """Print every adjustment in the journal, oldest first.

    Example: ltv-guard export --csv --since 2026-01-01 --until 2027-01-01 > 2026.csv

    usd_value and fee are empty where the journal does not know them.
    """
    loaded = settings.load_journal(config)

    async def work() -> int:
        async with journal_of(loaded, create=False) as journal:
            intents = await journal.list_intents()
        chosen = [item for item in intents if _is_within(item, since, until)]
        click.echo(as_text(reversed(chosen)), nl=False)
        return DONE

    return asyncio.run(work())


def _is_within(intent: Intent, since: int | None, until: int | None) -> bool:
    at_ms = intent.created_at_ms
    return (since is None or at_ms >= since) and (until is None or at_ms < until)


def as_text(intents: Iterable[Intent]) -> str:
    """A head, and a line an intent."""
    written = io.StringIO()
    lines = csv.writer(written, lineterminator="\n")
    lines.writerow(COLUMNS)
    lines.writerows(map(_row, intents))
    return written.getvalue()


def _row(intent: Intent) -> tuple[str, ...]:
    return (
        iso(intent.created_at_ms),
        _cell(intent.account),
        intent.key.product.value,
        _cell(intent.key.loan_id),
        intent.direction.value,
        _cell(intent.coin),
        format(intent.amount, "f"),
        _usd(intent.coin, intent.amount),
        "",
        intent.state.value,
        intent.intent_id,
        _cell(intent.adjust_id or ""),
    )


def _usd(coin: str, amount: Decimal) -> str:
    return format(amount, "f") if coin in AS_A_DOLLAR else ""


def _cell(text: str) -> str:
    """What others wrote is text, and no formula of a spreadsheet."""
    shown = clean(text)
    return f"'{shown}" if shown.startswith(FORMULA) else shown
