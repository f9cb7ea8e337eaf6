"""`ltv-guard export --csv`: the adjustments, for a spreadsheet. Reads the journal alone."""

from __future__ import annotations

import asyncio
import csv
import io
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import click

from ltv_guard.adapters import settings
from ltv_guard.cli.exit_status import DONE, exits
from ltv_guard.cli.options import config_option
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Owner
from ltv_guard.core.model.samples import ChartSample
from ltv_guard.log.escaping import clean
from ltv_guard.log.utc import iso
from ltv_guard.service.kill_switch import journal_of

COLUMNS = (
    *("time", "account", "product", "loan", "direction", "coin", "amount", "usd_value", "fee", "state"),
    *("intent_id", "adjust_id"),
)
AS_A_DOLLAR = {"USDT", "USDC"}
NEAR_MS = 120_000  # a price that was noted farther from an adjustment says nothing of it
CENT = Decimal("0.01")
NOTHING: Mapping[Owner, Sequence[ChartSample]] = {}
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

    usd_value is by the price that a daemon noted within two minutes of it (prices are kept for a week),
    and of USDT and USDC their amount. It is empty where none is known, and fee always is:
    the journal knows of none.
    """
    loaded = settings.load_journal(config)

    async def work() -> int:
        async with journal_of(loaded) as journal:
            intents = await journal.list_intents()
            chosen = [item for item in intents if _is_within(item, since, until)]
            samples = {owner: await journal.samples.since(owner, 0) for owner in {it.owner for it in chosen}}
        click.echo(as_text(reversed(chosen), samples), nl=False)
        return DONE

    return asyncio.run(work())


def _is_within(intent: Intent, since: int | None, until: int | None) -> bool:
    at_ms = intent.created_at_ms
    return (since is None or at_ms >= since) and (until is None or at_ms < until)


def as_text(intents: Iterable[Intent], samples: Mapping[Owner, Sequence[ChartSample]] = NOTHING) -> str:
    """A head, and a line an intent. `samples`: prices as they were noted, the oldest first."""
    written = io.StringIO()
    lines = csv.writer(written, lineterminator="\n")
    lines.writerow(COLUMNS)
    lines.writerows(_row(item, _usd(item, samples.get(item.owner, ()))) for item in intents)
    return written.getvalue()


def _row(intent: Intent, usd: str) -> tuple[str, ...]:
    return (
        iso(intent.created_at_ms),
        _cell(intent.account),
        intent.key.product.value,
        _cell(intent.key.loan_id),
        intent.direction.value,
        _cell(intent.coin),
        format(intent.amount, "f"),
        usd,
        "",
        intent.state.value,
        intent.intent_id,
        _cell(intent.adjust_id or ""),
    )


def _usd(intent: Intent, samples: Sequence[ChartSample]) -> str:
    """Of the price that was noted nearest to it; empty where none was."""
    if intent.coin in AS_A_DOLLAR:
        return format(intent.amount, "f")
    at_ms = intent.created_at_ms
    first, end = (bisect_left(samples, at_ms + by, key=lambda it: it.at_ms) for by in (-NEAR_MS, NEAR_MS + 1))
    near = [item for item in samples[first:end] if item.prices.get(intent.coin)]
    if not near:
        return ""
    price = min(near, key=lambda item: abs(item.at_ms - at_ms)).prices[intent.coin]
    return format((intent.amount * price).quantize(CENT), "f")


def _cell(text: str) -> str:
    """What others wrote is text, and no formula of a spreadsheet."""
    shown = clean(text)
    return f"'{shown}" if shown.startswith(FORMULA) else shown
