"""The charts of the report: each loan's LTV beside its unguarded twin's, the prices, the capital in use."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool

from ltv_guard.replay.candles import Floats, Times
from ltv_guard.replay.chart_style import (
    CALL,
    END,
    GUARDED,
    HEIGHT,
    LOW_HEIGHT,
    SOFT,
    TRIGGER,
    TWIN,
    Chart,
    empty_chart,
    tidy_legend,
)
from ltv_guard.replay.ltv_history import Line, ltv_line, price_line
from ltv_guard.replay.position import Position
from ltv_guard.replay.replay_report import Outcome, Tree

ALL_BUCKETS, LEAST_BUCKETS, MOST_BUCKETS = 6_000, 50, 750
DOES = {"add", "release", "repay"}


def charts(outcome: Outcome, tree: Tree) -> list[Chart]:
    """One a loan, one a coin, and one of the capital; they move together."""
    loans = outcome.guarded.positions
    buckets = max(LEAST_BUCKETS, min(MOST_BUCKETS, ALL_BUCKETS // len(loans)))
    found = [
        _loan_chart(outcome, position, told, buckets)
        for position, told in zip(loans, tree["loans"], strict=True)
    ]
    for coin in outcome.path.coins:
        chart = empty_chart(f"{coin}, USD", LOW_HEIGHT)
        _line(chart, price_line(outcome.path, coin, buckets), SOFT, coin, "0,0.[00]")
        chart.legend.visible = False
        found.append(chart)
    found += _capital(tree)
    for chart in found[1:]:
        chart.x_range = found[0].x_range
    return found


def _loan_chart(outcome: Outcome, position: Position, told: Tree, buckets: int) -> Chart:
    key = position.spec.key
    chart = empty_chart(f"LTV of {key.loan_id}", HEIGHT)
    tally = outcome.guarded.tallies[key]
    twin = ltv_line(outcome.unguarded.history[key], outcome.path, buckets)
    own = ltv_line(outcome.guarded.history[key], outcome.path, buckets)
    ends = np.array([outcome.path.times[0], outcome.path.ends_ms])
    for level, colour, name in (
        (tally.trigger, TRIGGER, "trigger"),
        (tally.margin_call, CALL, "margin call"),
        (position.spec.liquidation_ltv, END, "liquidation"),
    ):
        chart.line(ends, [float(level)] * 2, color=colour, line_dash="dashed", legend_label=name)
    _line(chart, twin, TWIN, "unguarded", "0.0000")
    _line(chart, own, GUARDED, "guarded", "0.0000")
    _marks(chart, [event for event in told["events"] if event["what"] in DOES])
    tidy_legend(chart)
    return chart


def _marks(chart: Chart, events: Iterable[Tree]) -> None:
    """What was done, where it led."""
    rows = list(events)
    source = ColumnDataSource(
        {
            "at": [_ms(event["at"]) for event in rows],
            "ltv": [float(event["ltv_after"]) for event in rows],
            "did": [f"{event['what']} {event['amount']} {event['coin']}" for event in rows],
            "before": [event["ltv_before"] for event in rows],
        }
    )
    marks = chart.scatter("at", "ltv", source=source, size=9, color=GUARDED, line_color=SOFT)
    tips = [("", "@did"), ("LTV", "@before to @ltv{0.0000}"), ("at", "@at{%F %T}")]
    chart.add_tools(HoverTool(renderers=[marks], tooltips=tips, formatters={"@at": "datetime"}))


def _capital(tree: Tree) -> list[Chart]:
    """What loans had of the wallet over time, a chart a coin."""
    steps: dict[str, list[tuple[int, float]]] = {}
    every = (event for loan in tree["loans"] for event in loan["events"])
    events = sorted(every, key=lambda event: str(event["at"]))
    for event in events:
        if event["what"] in DOES:
            taken = steps.setdefault(event["coin"], [(_ms(tree["inputs"]["start"]), 0.0)])
            amount = float(event["amount"]) * (-1 if event["what"] == "release" else 1)
            taken.append((_ms(event["at"]), taken[-1][1] + amount))
    found = []
    for coin, taken in steps.items():
        chart = empty_chart(f"taken from the wallet, {coin}", LOW_HEIGHT)
        at, amounts = zip(*taken, (_ms(tree["inputs"]["end"]), taken[-1][1]), strict=True)
        chart.step(at, amounts, mode="after", color=GUARDED, line_width=2)
        found.append(chart)
    return found


def _line(chart: Chart, line: Line, colour: str, name: str, digits: str) -> None:
    times: Times
    values: Floats
    times, values = line
    source = ColumnDataSource({"at": times, "value": values})
    drawn = chart.line("at", "value", source=source, color=colour, line_width=1.6, legend_label=name)
    tips = [(name, f"@value{{{digits}}}"), ("at", "@at{%F %T}")]
    chart.add_tools(HoverTool(renderers=[drawn], tooltips=tips, formatters={"@at": "datetime"}))


def _ms(when: str) -> int:
    return round(datetime.fromisoformat(when).timestamp() * 1000)
