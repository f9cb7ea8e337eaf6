"""How stale reads may be, at the defaults, before anything doubles: searched for, and printed (`-s`).

One need, one add. What the exchange shows is late by a lag of the loans, another of the history; the answer
is given, or lost. `docs/architecture.md` has the figures.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
import structlog
from exchange_model import a_guard, a_world
from transfers_and_repayments import ONE, cycles, landed

from ltv_guard.adapters.journal.memory import MemoryJournal

STEP_MS = 500
MOST_MS = 120_000
LONG = 90  # cycles of two seconds
HISTORY_LAGS_S = (0, 5, 8, 10, 12, 15, 20, 30)
SAFE_MS = {"given": MOST_MS, "lost": 12_000}  # with both as late as that nothing doubles at the first add


def doubles(answer: str, loans_ms: int, history_ms: int, *, measured: bool) -> bool:
    """Whether one need is met twice. `measured`: an earlier add, whose answer came, told how late all is."""
    world, journal = a_world("0.79"), MemoryJournal()
    guard = a_guard(world, journal)
    world.stale_ms, world.row_lag_ms = loans_ms, history_ms
    expected = 1
    with structlog.testing.capture_logs():
        if measured:
            asyncio.run(cycles(guard, world, LONG))
            world.price = world.price * world.ltv(ONE) / Decimal("0.79")
            world.note()
            expected = len(landed(world)) + 1
        world.answers = ["lost_answer"] if answer == "lost" else []
        asyncio.run(cycles(guard, world, LONG))
    return len(landed(world)) > expected


def longest(answer: str, history_ms: int, *, measured: bool) -> int:
    """The longest lag of the loans (ms) that doubles nothing, by bisection; MOST_MS: none did."""
    low, high = 0, MOST_MS
    if not doubles(answer, high, history_ms, measured=measured):
        return high
    if doubles(answer, low, history_ms, measured=measured):
        return -1
    while high - low > STEP_MS:
        middle = (low + high) // 2
        if doubles(answer, middle, history_ms, measured=measured):
            high = middle
        else:
            low = middle
    return low


@pytest.mark.parametrize("answer", SAFE_MS)
def test_nothing_doubles_while_loans_and_history_are_no_later_than_is_written(answer: str) -> None:
    safe_ms = min(SAFE_MS[answer], 60_000)
    for history_ms in (0, safe_ms):
        assert not doubles(answer, safe_ms, history_ms, measured=False)


@pytest.mark.nightly
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("measured", [False, True], ids=["first add", "lag measured before"])
@pytest.mark.parametrize("answer", SAFE_MS)
def test_how_stale_a_read_may_be(answer: str, *, measured: bool) -> None:
    when = "measured before" if measured else "not measured"
    for history_s in HISTORY_LAGS_S:
        found = longest(answer, history_s * 1000, measured=measured)
        told = (
            "no lag of the loans doubles" if found == MOST_MS else f"loans {found / 1000:.1f} s late are safe"
        )
        print(f"answer {answer}, lag {when}, history {history_s} s late: {told}")  # noqa: T201
