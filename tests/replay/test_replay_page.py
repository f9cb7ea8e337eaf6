"""The report as a file: charts that work without a network, in both schemes, and the same each time."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest
from browser import CHROMIUM, a_page
from replay_cases import case, flat, order, path_of

from ltv_guard.replay.baselines import baselines
from ltv_guard.replay.frontier import frontier
from ltv_guard.replay.ltv_history import ltv_line, thinned
from ltv_guard.replay.one_replay import played, played_unguarded
from ltv_guard.replay.replay_answers import baselines_tree, frontier_tree, survival_tree
from ltv_guard.replay.replay_page import page
from ltv_guard.replay.replay_report import Outcome, as_tree
from ltv_guard.replay.survival import survival

MOST_BYTES = 2_000_000
CANVASES = """(() => {
    const within = (node) => [...node.querySelectorAll('*')].reduce(
        (sum, one) => sum + (one.tagName === 'CANVAS') + (one.shadowRoot ? within(one.shadowRoot) : 0), 0);
    return within(document); })()"""
EVIL = "<script>alert(1)</script>"


def outcome() -> Outcome:
    path = path_of(flat(60_000, 47_000, 45_000, 40_000, 36_000, 52_000))
    both = case(order("1"), order("2"), wallet={"BTC": 2})
    return Outcome(guarded=played(both, path), unguarded=played_unguarded(both, path), path=path)


def inputs(policy: str = "default") -> dict[str, object]:
    return {"start": "2023-11-14T22:00:00.000Z", "end": "2023-11-14T22:06:00.000Z", "policy": policy}


def text(policy: str = "default") -> str:
    found = outcome()
    return page(found, as_tree(found, inputs(policy)))


@pytest.mark.slow
def test_the_same_inputs_give_the_same_file() -> None:
    program = "import test_replay_page as t; print(hash(t.text()))"
    where = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "support")]
    run = [sys.executable, "-c", f"import sys; sys.path[:0] = {where!r}; {program}"]
    one, other = (
        subprocess.run(run, capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "0"}).stdout
        for _ in range(2)
    )
    assert one == other


def test_what_others_wrote_is_shown_and_never_obeyed() -> None:
    found = text(EVIL)
    assert len(found.encode()) < MOST_BYTES
    assert EVIL not in found
    assert "&lt;script&gt;alert(1)" in found


def test_a_line_has_the_ltv_before_and_after_each_change() -> None:
    found = outcome()
    (key, *_) = found.guarded.history
    times, ltvs = ltv_line(found.guarded.history[key], found.path, 1_000)
    assert (times[1:] >= times[:-1]).all()
    assert max(ltvs) == pytest.approx(float(found.guarded.tallies[key].worst), abs=1e-4)
    landed = next(event for event in found.guarded.events if event.loan_id == key.loan_id)
    after = ltvs[list(times).index(landed.at_ms)]
    assert after == pytest.approx(float(landed.ltv_after or 0), abs=1e-4)
    twin_times, twin_ltvs = ltv_line(found.unguarded.history[key], found.path, 1_000)
    assert twin_times[-1] < times[-1]  # it ends where it is liquidated
    assert max(twin_ltvs) < 0.95


def test_thinning_keeps_lows_and_highs() -> None:
    path = path_of(flat(*[100.0] * 500, 40.0, *[100.0] * 700, 170.0, *[100.0] * 300))
    times, values = thinned(path.times, path.prices[0], 50)
    assert len(times) <= 102
    assert (values.min(), values.max()) == (40, 170)


def full_text() -> str:
    """With all that can be asked for beside it."""
    found = outcome()
    both = case(order("1"), order("2"), wallet={"BTC": "0.3"})
    tree = as_tree(found, inputs())
    tree["baselines"] = baselines_tree(baselines(both, found.path, found.guarded, found.unguarded))
    tree["survival"] = survival_tree(survival(both, found.path))
    tree["frontier"] = frontier_tree(frontier(both, found.path))
    return page(found, tree)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
async def test_in_a_browser_the_charts_are_there_and_nothing_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(full_text())
    async with a_page(tmp_path) as shown:
        await shown.open(file.as_uri())
        await shown.until("Bokeh.documents.length > 0 && Bokeh.documents[0].is_idle")
        assert await shown.value(CANVASES) >= 6  # two loans, a price, the capital, survival, frontier
        for words in (
            "a person, 30 min after an alert",
            "Survival from",
            "Policies and wallets that no other beats",
        ):
            assert words in await shown.text()
        for scheme in ("light", "dark"):
            await shown.scheme(scheme)
            await shown.picture(tmp_path / f"{scheme}.png")
        for width in (1000, 390):
            await shown.size(width, 900)
            await asyncio.sleep(0.5)
            assert await shown.value("document.documentElement.scrollWidth") <= width
        assert [url for url in shown.asked if not url.startswith(("file:", "data:"))] == []
        assert shown.complaints == []
        assert re.search("liquidation", await shown.text())
