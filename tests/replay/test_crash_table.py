"""The table of real crashes in docs/replay.md is what its command prints, where the candles are at hand."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]
PRICES = HOME.parent / "shared/data/prices"
MADE = runpy.run_path(str(HOME / "benchmarks/crashes.py"), run_name="crashes")
needs_prices = pytest.mark.skipif(not PRICES.is_dir(), reason="no candles of real crashes beside this copy")
SOME = [
    "btcusdt_1h_2020-03_covid",
    "ethusdt_5m_2021-05_china",
    "solusdt_30m_2022-11_ftx",
    "btcusdt_5m_2025-10_tariff_adl",
]


def lines() -> dict[str, str]:
    """The table's rows by file."""
    text = (HOME / "docs/replay.md").read_text()
    table = text[text.index("## Real crashes") :]
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    return {row.split("|")[1].strip(): row for row in rows[1:]}


@needs_prices
def test_every_crash_has_its_line() -> None:
    files = {path.name.removesuffix(".gz").removesuffix(".csv") for path in PRICES.iterdir()}
    assert set(lines()) == {name for name in files if name != "README.md"}


@needs_prices
@pytest.mark.slow
@pytest.mark.parametrize("name", SOME)
def test_a_line_is_what_the_command_prints(name: str) -> None:
    (file,) = PRICES.glob(f"{name}.csv*")
    assert MADE["row"](file) == lines()[name]
