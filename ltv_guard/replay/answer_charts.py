"""The charts of what many replays came to: survival against the wallet, and the frontier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bokeh.models import ColumnDataSource, HoverTool, NumeralTickFormatter
from bokeh.models.annotations.arrows import TeeHead
from bokeh.models.annotations.geometry import Whisker

from ltv_guard.replay.chart_style import CALL, END, GUARDED, SOFT, TWIN, Chart, empty_chart, tidy_legend
from ltv_guard.replay.replay_report import Tree

TOLD = ("trigger_ltv", "target_ltv", "wallet_times", "survivors")
TIPS = [
    ("trigger, target", "@trigger_ltv, @target_ltv"),
    ("wallet x", "@wallet_times"),
    ("loans alive", "@survivors"),
    ("capital, USD", "@capital{0,0}"),
    ("worst LTV", "@worst{0.0000}"),
]


def answer_charts(tree: Tree) -> Mapping[str, Chart]:
    """By the key in the report, of what was asked for."""
    found = {}
    if tree.get("survival", {}).get("shares"):
        found["survival"] = _survival(tree["survival"]["shares"])
    if "frontier" in tree:
        found["frontier"] = _frontier(tree["frontier"])
    return found


def _survival(shares: Sequence[Tree]) -> Chart:
    """The share of starts from which no loan is lost, with what 95 % of the bootstrap come to."""
    sizes = [item["wallet_times"] for item in shares]
    chart = empty_chart(
        "share of starts that survive, by the size of the wallet",
        x_axis_type="auto",
        x_range=sizes,
        y_range=(-0.03, 1.05),
    )
    source = ColumnDataSource(
        {"size": sizes, **{key: [item[key] for item in shares] for key in ("share", "low", "high")}}
    )
    head = TeeHead(size=10, line_color=SOFT)
    whisker = Whisker(base="size", lower="low", upper="high", source=source, lower_head=head, upper_head=head)
    whisker.line_color = SOFT
    chart.add_layout(whisker)
    marks = chart.scatter("size", "share", source=source, size=10, color=GUARDED)
    tips = [("wallet x", "@size"), ("survived", "@share{0.0%}"), ("95 %", "@low{0.0%} to @high{0.0%}")]
    chart.add_tools(HoverTool(renderers=[marks], tooltips=tips))
    chart.xaxis.axis_label, chart.yaxis.axis_label = "times the wallet", "starts survived"
    chart.yaxis.formatter = NumeralTickFormatter(format="0%")
    return chart


def _frontier(found: Tree) -> Chart:
    """Capital against the worst LTV: what is beaten in grey, what is not in colour, yours by a star."""
    chart = empty_chart("capital against the worst LTV, a point a policy and wallet", x_axis_type="auto")
    points = found["points"]
    most = max(point["survivors"] for point in points)
    better = found["nearest_better"]
    beaten = [point for point in points if point["dominated"]]
    best = [point for point in points if not point["dominated"]]
    for name, rows, look in (
        ("beaten", beaten, {"size": 5, "color": SOFT, "alpha": 0.35}),
        (
            "not beaten",
            [point for point in best if point["survivors"] == most],
            {"size": 8, "color": GUARDED},
        ),
        (
            "not beaten, loans lost",
            [point for point in best if point["survivors"] < most],
            {"size": 8, "color": END},
        ),
        ("yours", [found["configured"]], {"size": 20, "marker": "star", "color": TWIN}),
        ("the nearest better", [better] if better else [], {"size": 14, "marker": "diamond", "color": CALL}),
    ):
        if rows:
            _points(chart, name, rows, look)
    chart.xaxis.axis_label, chart.yaxis.axis_label = "capital in use at most, USD", "worst LTV"
    chart.xaxis.formatter = NumeralTickFormatter(format="0,0")
    tidy_legend(chart)
    chart.legend.location, chart.legend.orientation = "top_right", "vertical"
    return chart


def _points(chart: Chart, name: str, rows: Sequence[Tree], look: Tree) -> None:
    columns: dict[str, list[Any]] = {key: [str(row[key]) for row in rows] for key in TOLD}
    columns["capital"] = [float(row["capital_usd"]) for row in rows]
    columns["worst"] = [float(row["worst_ltv"]) for row in rows]
    marks = chart.scatter("capital", "worst", source=ColumnDataSource(columns), legend_label=name, **look)
    chart.add_tools(HoverTool(renderers=[marks], tooltips=TIPS))
