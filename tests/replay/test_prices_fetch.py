"""`ltv-guard prices fetch` against the sandbox over real HTTP: paged, resumed, and read by a replay."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from e2e_world import scenario_of

from ltv_guard.adapters.bybit import spot_candles
from ltv_guard.adapters.bybit.fields import MalformedPayload
from ltv_guard.adapters.bybit.spot_candles import SpotCandles, parse_candles
from ltv_guard.adapters.settings.errors import ConfigError
from ltv_guard.cli import prices
from ltv_guard.cli.prices import command
from ltv_guard.replay.candle_file import HEADER, CandleFile
from ltv_guard.replay.candles import read_candles
from ltv_guard.sandbox import Sandbox, parse_scenario

MINUTE = 60_000


async def fetched(*words: object) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, command, ["fetch", *map(str, words)])


def minutes(before: int, length: int) -> tuple[str, ...]:
    """Options for so many full minutes, that began so many minutes ago."""
    since = datetime.now(UTC).replace(second=0, microsecond=0, tzinfo=None) - timedelta(minutes=before)
    until = since + timedelta(minutes=length)
    return ("--from", since.isoformat(), "--to", until.isoformat())


async def test_pages_are_joined_and_a_torn_file_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (prices, spot_candles):
        monkeypatch.setattr(module, "MOST", 10)
    asked: list[int] = []
    page = SpotCandles.page

    async def noted(self: SpotCandles, coin: str, first_ms: int, end_ms: int) -> object:
        asked.append(first_ms)
        return await page(self, coin, first_ms, end_ms)

    monkeypatch.setattr(SpotCandles, "page", noted)
    async with Sandbox(parse_scenario(scenario_of())).serve() as exchange:
        window = (*minutes(60, 25), "--out", tmp_path, "--base-url", exchange.url)
        result = await fetched("BTC", *window)
        assert result.exit_code == 0, result.output
        (file,) = tmp_path.iterdir()  # noqa: ASYNC240 - a test may wait
        whole = file.read_text()
        assert len(asked) == 3
        assert file.name.startswith("btcusdt_1m_")
        found = read_candles(file)
        assert (len(found.times), found.step_ms, found.gaps) == (25, MINUTE, [])
        file.write_text("\n".join(whole.splitlines()[:14]) + "\n16")  # 13 candles, and a row that was torn
        assert (await fetched("BTC", *window)).exit_code == 0
        assert file.read_text() == whole
        assert asked[3:] == [int(found.times[13]), int(found.times[23])]
        again = await fetched("BTC", *window)
        assert "25 candles" in again.output
        assert len(asked) == 5


async def test_a_candle_that_still_changes_is_none_and_a_coin_that_is_not_there_is_told(
    tmp_path: Path,
) -> None:
    async with Sandbox(parse_scenario(scenario_of())).serve() as exchange:
        host = ("--out", tmp_path, "--base-url", exchange.url)
        result = await fetched("BTC", *minutes(3, 60), *host)
        assert result.exit_code == 0
        (file,) = tmp_path.iterdir()  # noqa: ASYNC240 - a test may wait
        assert len(read_candles(file).times) in {3, 4}  # a minute may end meanwhile
        result = await fetched("DOGE", *minutes(5, 4), *host)
        assert result.exit_code == 1
        assert "Not supported symbols" in result.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("BTC", "--from", "soon", "--to", "2025-01-01"), "--from must be a time in UTC"),
        (("BTC", "--from", "2025-01-02", "--to", "2025-01-01"), "--from must be before --to"),
        (("B C", "--from", "2025-01-01", "--to", "2025-01-02"), "a coin must be"),
        (
            ("BTC", "--from", "2025-01-01", "--to", "2025-01-02", "--base-url", "http://example.com"),
            "--base-url must",
        ),
    ],
)
def test_what_makes_no_sense_is_one_sentence(tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    result = CliRunner().invoke(command, ["fetch", *words, "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert says in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_file_that_holds_something_else_is_not_written_to(tmp_path: Path) -> None:
    file = tmp_path / "btcusdt_1m.csv"
    file.write_text("my notes\nall of them")
    with pytest.raises(ConfigError, match="holds no candles: name another --out"):
        CandleFile(file).goes_on_at(0, MINUTE)
    assert file.read_text() == "my notes\nall of them"
    file.write_text(HEADER + "\nx,y\n")
    with pytest.raises(ConfigError, match="its last row is no candle"):
        CandleFile(file).goes_on_at(0, MINUTE)
    file.write_text(HEADER + "\n")
    assert CandleFile(file).goes_on_at(7, MINUTE) == 7


@pytest.mark.parametrize(
    "row", ["x", ["1", "2"], ["x", *"1111"], ["1", "1", "1", "1", "nan"], ["1", *"1110"], ["1", "a", *"111"]]
)
def test_what_is_no_candle_is_not_taken_for_one(row: object) -> None:
    assert [item.opens_ms for item in parse_candles({"list": [["2", *"1111"], ["1", *"1111"]]})] == [1, 2]
    with pytest.raises(MalformedPayload):
        parse_candles({"list": [row]})
