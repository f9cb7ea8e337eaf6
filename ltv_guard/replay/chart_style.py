"""How every chart of the report looks: legible on a light page, on a dark one, and on paper."""

from __future__ import annotations

from typing import Any, Literal

from bokeh.plotting import figure

GUARDED, TWIN, TRIGGER, CALL, END = "#2f81f7", "#d1642f", "#b87500", "#d98080", "#d63a3a"
SOFT = "#7d8790"  # on white as on black
HEIGHT, LOW_HEIGHT = 300, 180
TOOLS = "xpan,xwheel_zoom,box_zoom,reset,save"
Chart = Any  # bokeh's own types promise less than they hold


def empty_chart(
    title: str,
    height: int = HEIGHT,
    *,
    x_axis_type: Literal["datetime", "auto"] = "datetime",
    **ranges: Any,  # noqa: ANN401 - bokeh's own
) -> Chart:
    """It has no ground of its own, and colours that can be read on a light page and on a dark one."""
    chart: Chart = figure(
        title=title,
        x_axis_type=x_axis_type,
        height=height,
        sizing_mode="stretch_width",
        tools=TOOLS if x_axis_type == "datetime" else TOOLS.replace("xpan,xwheel_zoom", "pan,wheel_zoom"),
        **ranges,
    )
    chart.toolbar.logo = None
    chart.toolbar.autohide = True
    chart.background_fill_alpha = chart.border_fill_alpha = 0
    chart.outline_line_color = None
    chart.title.text_color = SOFT
    chart.grid.grid_line_color, chart.grid.grid_line_alpha = SOFT, 0.25
    for axis in chart.axis:
        axis.major_label_text_color = axis.axis_label_text_color = axis.axis_line_color = SOFT
        axis.major_tick_line_color, axis.minor_tick_line_color = SOFT, None
    return chart


def tidy_legend(chart: Chart) -> None:
    """On one line over the chart; a click hides what it names."""
    chart.legend.location, chart.legend.orientation = "top_left", "horizontal"
    chart.legend.background_fill_alpha, chart.legend.border_line_alpha = 0, 0
    chart.legend.label_text_color = SOFT
    chart.legend.click_policy = "hide"
