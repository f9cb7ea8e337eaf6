"""`ltv-guard prices fetch`: the exchange's public candles, in files that `replay` reads."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress as Bars

from ltv_guard.adapters.bybit.spot_candles import MOST, SpotCandles
from ltv_guard.adapters.settings import ConfigError, values
from ltv_guard.adapters.settings.sections import REST
from ltv_guard.cli.exit_status import DONE, exits
from ltv_guard.log.escaping import clean
from ltv_guard.replay.candle_file import CandleFile

MINUTES = {"1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "4h": 240, "1d": 1_440}
MS = 1_000


@click.group("prices")
def command() -> None:
    """Fetch candles for `replay`.

    Example: ltv-guard prices fetch BTC --from 2025-10-01 --to 2025-10-20 --out candles
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedCandles:
    """Candles of a coin that open from `first_ms` on and before `end_ms`."""

    coin: str
    first_ms: int
    end_ms: int
    file: CandleFile


@command.command("fetch")
@click.argument("coins", nargs=-1, required=True)
@click.option("--from", "since", required=True, help="UTC: 2025-10-01 or 2025-10-01T12:00.")
@click.option("--to", "until", required=True, help="Until when, that moment not included.")
@click.option("--interval", type=click.Choice([*MINUTES]), default="1m", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path(), help="The folder to write to.")
@click.option("--base-url", default=REST["mainnet"], show_default=True, help="Another host, as the sandbox.")
@exits
def fetch(coins: tuple[str, ...], since: str, until: str, interval: str, out: Path, base_url: str) -> int:
    """The public spot candles of coins, a file each; goes on where it stopped.

    Example: ltv-guard prices fetch BTC ETH --from 2025-10-01 --to 2025-10-20 --interval 1m --out candles
    """
    wanted = _wanted(coins, _time("--from", since), _time("--to", until), interval, out)
    url = _parsed("--base-url", base_url, values.rest_url)
    counts = asyncio.run(_fetched(SpotCandles(url, MINUTES[interval]), wanted))
    for item, missing in zip(wanted, counts, strict=True):
        lacks = f"; the exchange lacks {missing} in between" if missing else ""
        click.echo(clean(f"{item.file.path}: {item.file.count()} candles{lacks}"))
    return DONE


async def _fetched(candles: SpotCandles, wanted: list[WantedCandles]) -> list[int]:
    """How many are missing, by coin."""
    bars = Bars(console=Console(stderr=True), disable=not sys.stderr.isatty())
    try:
        now_ms = await candles.now_ms()
        with bars:
            return [await _one(candles, item, now_ms, _bar(bars, item)) for item in wanted]
    finally:
        await candles.close()


def _bar(bars: Bars, wanted: WantedCandles) -> Callable[[int], None]:
    task = bars.add_task(wanted.coin, total=wanted.end_ms - wanted.first_ms)
    return lambda at_ms: bars.update(task, completed=at_ms - wanted.first_ms)


async def _one(candles: SpotCandles, wanted: WantedCandles, now_ms: int, tell: Callable[[int], None]) -> int:
    step_ms = candles.step_ms
    first_ms = -(-wanted.first_ms // step_ms) * step_ms
    end_ms = min(wanted.end_ms, now_ms // step_ms * step_ms)  # one that still changes is none
    at_ms = wanted.file.goes_on_at(first_ms, step_ms)
    while at_ms < end_ms:
        tell(at_ms)
        until_ms = min(at_ms + MOST * step_ms, end_ms)
        page = await candles.page(wanted.coin, at_ms, until_ms)
        wanted.file.append((candle.opens_ms, candle.prices) for candle in page)
        at_ms = until_ms
    tell(wanted.end_ms)
    return max(0, (end_ms - first_ms) // step_ms - wanted.file.count())


def _wanted(
    coins: tuple[str, ...], first_ms: int, end_ms: int, interval: str, out: Path
) -> list[WantedCandles]:
    if first_ms >= end_ms:
        raise ConfigError("--from must be before --to")
    out.mkdir(parents=True, exist_ok=True)
    span = f"{interval}_{_day(first_ms)}_{_day(end_ms)}"
    found = []
    for name in dict.fromkeys(_parsed("a coin", text, values.coin) for text in coins):
        file = CandleFile(out / f"{name.lower()}usdt_{span}.csv")
        found.append(WantedCandles(coin=name, first_ms=first_ms, end_ms=end_ms, file=file))
    return found


def _day(ms: int) -> str:
    at = datetime.fromtimestamp(ms / MS, UTC)
    return f"{at:%Y-%m-%d}" if at.hour == at.minute == 0 else f"{at:%Y-%m-%dT%H%M}"


def _time(option: str, text: str) -> int:
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ConfigError(f"{option} must be a time in UTC, such as 2025-10-01 or 2025-10-01T12:00") from None
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * MS)


def _parsed(what: str, text: str, parse: Callable[[str], Any]) -> Any:  # noqa: ANN401 - what `parse` gives
    try:
        return parse(text)
    except ValueError as error:
        raise ConfigError(f"{what} {error}") from None
