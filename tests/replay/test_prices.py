"""Files of prices: read as they are, or refused in one sentence that names the file and the row."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from replay_cases import START, candles, flat

from ltv_guard.adapters.settings.errors import ConfigError
from ltv_guard.replay.candle_path import candle_path
from ltv_guard.replay.candles import HEADER, read_candles
from ltv_guard.replay.price_files import TimeSpan, candles_for
from ltv_guard.replay.synthetic import crash_of, synthetic


def row(minute: float, prices: str = "100,101,99,100") -> str:
    return f"{START + int(minute * 60_000)},{prices}"


def written(folder: Path, *rows: str, name: str = "btcusdt_1m_test.csv", header: str = HEADER) -> Path:
    file = folder / name
    file.write_text("\n".join([header, *rows]) + "\n")
    return file


def complaint(file: Path) -> str:
    with pytest.raises(ConfigError) as error:
        read_candles(file)
    said = str(error.value)
    assert said.startswith(str(file))
    return said.removeprefix(str(file))


def test_a_file_is_read_as_it_is_plain_or_in_gzip(tmp_path: Path) -> None:
    file = written(tmp_path, row(0), row(1, "100,100.5,98.25,99"))
    packed = tmp_path / "btcusdt_1m_test.csv.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    one, other = read_candles(file), read_candles(packed)
    assert one.coin == "BTC"
    assert one.step_ms == 60_000
    assert one.ohlc.tolist() == [[100, 101, 99, 100], [100, 100.5, 98.25, 99]]
    assert (other.ohlc == one.ohlc).all()
    assert other.sha256 == one.sha256  # of what is in it


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], " holds no candle below its header"),
        ([row(0), row(1, "100,nan,99,100")], " row 3: a number is missing (NaN) or infinite"),
        ([row(0), row(1, "100,inf,99,100")], " row 3: a number is missing (NaN) or infinite"),
        ([row(0, "100,101,0,100")], " row 2: a price is zero or negative"),
        ([row(0), row(1, "100,101,-5,100")], " row 3: a price is zero or negative"),
        ([row(0), row(1), row(1)], " row 4: its timestamp is that of the row above"),
        ([row(1), row(0)], " row 3: its timestamp is before that of the row above: sort the rows"),
        (
            [row(0), row(1), row(2.5), row(3), row(4)],
            " row 4: it is off the grid of 60 s that most rows keep",
        ),
        ([row(0, "100,99,98,100")], " row 2: low is above, or high below, another of its prices"),
        ([row(0), "5,1,1,1"], " row 3 has 4 columns: it must have 5, " + HEADER),
        ([row(0), ""], None),
        ([row(0), "", row(1)], " row 3 has 1 columns: it must have 5, " + HEADER),
        ([row(0), row(1, "100,101,99,dear")], " row 3: close is no number"),
        (["1.5,100,101,99,100"], " row 2: its timestamp is no time in ms since 1970"),
        (["1e300,100,101,99,100"], " row 2: its timestamp is no time in ms since 1970"),
    ],
)
def test_a_row_that_makes_no_sense_is_named(tmp_path: Path, rows: list[str], says: str | None) -> None:
    file = written(tmp_path, *rows)
    if says is None:
        assert len(read_candles(file).times) == 1  # an empty line at the end is none
    else:
        assert complaint(file) == says


def test_an_empty_file_and_other_columns_are_refused(tmp_path: Path) -> None:
    empty = tmp_path / "btcusdt_1m.csv"
    empty.write_text("")
    assert "is empty" in complaint(empty)
    assert complaint(written(tmp_path, row(0), header="time,price")) == f" row 1 must be {HEADER}"
    (tmp_path / "ethusdt_1m.csv.gz").write_bytes(b"\x1f\x8bnonsense")
    with pytest.raises(ConfigError, match="can't be read"):
        read_candles(tmp_path / "ethusdt_1m.csv.gz")


def test_a_pair_comes_from_the_name_or_is_asked_for(tmp_path: Path) -> None:
    file = written(tmp_path, row(0), name="prices.csv")
    with pytest.raises(ConfigError, match="name it with --pair"):
        read_candles(file)
    assert read_candles(file, "ethusdt").coin == "ETH"
    with pytest.raises(ConfigError, match="must be a pair against USDT"):
        read_candles(file, "ETHBTC")


def test_gaps_are_found_and_the_price_holds_over_them(tmp_path: Path) -> None:
    found = read_candles(written(tmp_path, *(row(at, "100,100,100,100") for at in (0, 1, 4, 5))))
    path = candle_path([found])
    assert found.gaps == [(START + 2 * 60_000, 2)]
    assert path.gaps == {"BTC": found.gaps}
    assert int(path.times[8]) == START + 4 * 60_000


def test_a_coin_without_prices_and_a_window_beyond_them_are_told(tmp_path: Path) -> None:
    written(tmp_path, row(0), row(1))
    with pytest.raises(ConfigError, match=r"there are no prices of ETH: .* \(there: BTC\)"):
        candles_for(["ETH"], [tmp_path], TimeSpan())
    for window in (TimeSpan(start_ms=START - 60_000), TimeSpan(end_ms=START + 180_000)):
        with pytest.raises(ConfigError, match="the window reaches beyond the prices of BTC"):
            candles_for(["BTC"], [tmp_path], window)
    with pytest.raises(ConfigError, match="no candle of BTC is in the window"):
        candles_for(["BTC"], [tmp_path], TimeSpan(start_ms=START + 10**9, end_ms=START + 2 * 10**9))


def test_two_files_of_the_same_time_are_refused_and_pieces_are_joined(tmp_path: Path) -> None:
    written(tmp_path, row(0), row(1))
    written(tmp_path, row(2), row(3), name="btcusdt_1m_later.csv")
    (found,) = candles_for(["BTC", "USDT"], [tmp_path], TimeSpan())
    assert len(found.times) == 4
    written(tmp_path, row(1), row(2), name="btcusdt_1m_again.csv")
    with pytest.raises(ConfigError, match="both hold prices of BTC"):
        candles_for(["BTC"], [tmp_path], TimeSpan())


def test_a_rising_candle_has_its_low_first_and_a_falling_one_its_high() -> None:
    rising, falling = [100, 100.3, 99.8, 100.2], [100.2, 100.3, 99.8, 100]
    plain = candle_path([candles([rising, falling])])
    worst = candle_path([candles([rising, falling])], worst_first=True)
    assert plain.prices.tolist() == [[100, 99.8, 100.3, 100.2, 100.2, 100.3, 99.8, 100]]
    assert worst.prices.tolist() == [[100, 99.8, 100.3, 100.2, 100.2, 99.8, 100.3, 100]]
    assert (plain.times - START).tolist() == [0, 20_000, 40_000, 59_999, 60_000, 80_000, 100_000, 119_999]


def test_within_a_candle_a_price_walks_and_between_two_it_leaps() -> None:
    path = candle_path([candles([[100, 100, 90, 90], [80, 80, 80, 80]])])
    walked = path.prices[0]
    steps = np.abs(np.diff(np.log(walked)))
    leap = int(np.flatnonzero(path.times == START + 60_000)[0])
    assert 0.0101 > np.delete(steps, leap - 1).max() > 0.009
    assert walked[leap - 1], walked[leap] == (90, 80)
    assert (np.diff(path.times) > 0).all()


def test_candles_of_different_lengths_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"not equally long: BTC 60 s .*, ETH 300 s"):
        candle_path([flat(1, 2), flat(1, 2, coin="ETH", step=300_000)])


def test_a_synthetic_crash_falls_as_far_as_it_should_and_is_the_same_each_time() -> None:
    crash = crash_of("fall=0.5,hours=36,seed=1")
    btc, eth = synthetic(crash, ["BTC", "ETH", "USDT"])
    again, _ = synthetic(crash, ["BTC", "ETH"])
    other, _ = synthetic(crash_of("fall=0.5,hours=36,seed=2"), ["BTC", "ETH"])
    assert len(btc.times) == 36 * 60
    assert [item.ohlc[-1, 3] / item.ohlc[0, 0] for item in (btc, eth)] == pytest.approx([0.5, 0.5], rel=1e-6)
    assert (btc.ohlc == again.ohlc).all()
    assert not (btc.ohlc == other.ohlc).all()
    assert (btc.ohlc[:, 2] <= btc.ohlc[:, [0, 3]].min(axis=1)).all()


@pytest.mark.parametrize(
    "text",
    ["", "fall=0.5", "fall=1,hours=3", "fall=x,hours=3", "fall=0.5,hours=0", "fall=0.5,hours=3,speed=1"],
)
def test_a_crash_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--synthetic"):
        crash_of(text)
