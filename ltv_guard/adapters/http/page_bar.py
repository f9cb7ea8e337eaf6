"""A loan as a bar against its lines. Numbers in, SVG out: nothing in it was written by others."""

from __future__ import annotations

from decimal import Decimal

from ltv_guard.core.model.status import LoanStatus

WIDTH, BEYOND = 100, Decimal("1.08")  # of the liquidation LTV: where the bar ends
TOP, HEIGHT = 14, 14
KINDS = ("aim", "trigger", "call", "end")  # classes of the four lines
ABOVE, BELOW = TOP - 4, TOP + HEIGHT + 12


def lines_of(item: LoanStatus) -> tuple[tuple[str, Decimal], ...]:
    """Each line's name and its LTV, from the lowest up."""
    return (
        ("target", item.target_ltv),
        ("trigger", item.trigger_ltv),
        ("margin call", item.loan.margin_call_ltv),
        ("liquidation", item.loan.liquidation_ltv),
    )


def bar(item: LoanStatus) -> str:
    """Its numbers stand in turn above and below, so that none covers its neighbour."""
    end, lines = item.loan.liquidation_ltv * BEYOND, lines_of(item)
    said = ", ".join(f"{name} {ltv:f}" for name, ltv in (("LTV", item.loan.ltv), *lines))
    ticks = (
        _tick(kind, ltv, _at(ltv, end), BELOW if at % 2 else ABOVE)
        for at, (kind, (_, ltv)) in enumerate(zip(KINDS, lines, strict=True))
    )
    size = f'x="0" y="{TOP}" height="{HEIGHT}"'
    return (
        f'<svg role="img" aria-label="{said}"><rect class="track" {size} width="100%"/>'
        f'<rect class="{colour_of(item)}" {size} width="{_at(item.loan.ltv, end)}%"/>{"".join(ticks)}</svg>'
    )


def _at(ltv: Decimal, end: Decimal) -> str:
    return f"{min(Decimal(1), ltv / end) * WIDTH:.2f}"


def _tick(kind: str, ltv: Decimal, x: str, y: int) -> str:
    return (
        f'<line class="tick {kind}" x1="{x}%" x2="{x}%" y1="{TOP - 2}" y2="{TOP + HEIGHT + 2}"/>'
        f'<text class="name" x="{x}%" y="{y}" text-anchor="middle">{ltv:f}</text>'
    )


def colour_of(item: LoanStatus) -> str:
    """The class of a bar: `bad` at or above the margin call, `near` at or above the trigger, else `calm`."""
    if item.loan.ltv >= item.loan.margin_call_ltv:
        return "bad"
    return "near" if item.loan.ltv >= item.trigger_ltv else "calm"
