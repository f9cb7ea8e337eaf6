"""What the demo shows on a terminal, anew at each look: loans against their lines, curves, what was done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ltv_guard.cli.demo_view import GUARDED, TWIN, DemoRecord, State, hours, loans_of, prices, wallet
from ltv_guard.core.model.policy import BEFORE_MARGIN_CALL

WHO = {GUARDED: "guarded", TWIN: "unguarded twin"}
CURVE_WIDTH = 48
RAMPS = {True: "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588", False: "_.-~=+*#"}
LOST = {True: "\u00d7", False: "x"}
LOWEST = Decimal("0.40")
MOST_DONE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """What holds for the whole of a demo. `pool_margin_call`: no endpoint tells it, the settings do.

    `unicode`: whether the terminal shows blocks.
    """

    trigger: Decimal
    pool_margin_call: Decimal
    page: str
    unicode: bool = True

    def show(self, state: State, watched: DemoRecord) -> RenderableType:
        """The whole screen: both loans, their LTV curves, what was done so far."""
        return Group(
            self._table(state),
            *(self._curve(watched, user) for user in WHO if user in watched.course),
            *_so_far(watched.done),
            Text(f"The guard's page, while this runs: {self.page}"),
        )

    def _table(self, state: State) -> Table:
        table = Table(box=box.ROUNDED, title=f"{hours(state)}   {prices(state)}", title_justify="left")
        for column in ("", "product", "LTV", "trigger", "margin call", "liquidation", "Funding wallet"):
            table.add_column(column)
        for user, name in WHO.items():
            for loan in loans_of(state, user):
                margin_call = Decimal(loan.get("margin_call_ltv", self.pool_margin_call))
                trigger = self._trigger(margin_call) if user == GUARDED else None
                table.add_row(
                    name,
                    loan["product"],
                    _ltv(loan, trigger, margin_call),
                    "none" if trigger is None else f"{trigger:.2f}",
                    f"{margin_call:.2f}",
                    f"{Decimal(loan['liquidation_ltv']):.2f}",
                    wallet(state, user),
                )
        return table

    def _trigger(self, margin_call: Decimal) -> Decimal:
        return min(self.trigger, margin_call - BEFORE_MARGIN_CALL)

    def _curve(self, watched: DemoRecord, user: str) -> Text:
        course = watched.course[user]
        line = "".join(self._block(ltv) for ltv in _thinned(course, CURVE_WIDTH))
        return Text(f"{WHO[user]:<15} {line:<{CURVE_WIDTH}}  LTV {watched.span(user)}")

    def _block(self, ltv: Decimal | None) -> str:
        if ltv is None:
            return LOST[self.unicode]
        ramp = RAMPS[self.unicode]
        share = (ltv - LOWEST) / (1 - LOWEST)
        return ramp[max(0, min(len(ramp) - 1, int(share * len(ramp))))]


def _ltv(loan: State, trigger: Decimal | None, margin_call: Decimal) -> Text:
    if loan["status"] != "open":
        return Text(loan["status"], "bold red")
    ltv = Decimal(loan["ltv"])
    style = "red" if ltv >= margin_call else "yellow" if trigger is not None and ltv >= trigger else ""
    return Text(f"{ltv:.4f}", style)


def _thinned(course: Sequence[Decimal | None], width: int) -> list[Decimal | None]:
    """The highest of each stretch: a peak is what it is about. A stretch with a loss in it is one."""
    if len(course) <= width:
        return list(course)
    stretches = [course[at * len(course) // width : (at + 1) * len(course) // width] for at in range(width)]
    return [None if None in part else max(ltv for ltv in part if ltv is not None) for part in stretches]


def _so_far(done: Sequence[str]) -> list[Text]:
    if not done:
        return [Text("Nothing was done yet.")]
    count = f"What was done so far ({len(done)} times, the last {MOST_DONE}):"
    return [Text(count if len(done) > MOST_DONE else "What was done so far:"), *map(Text, done[-MOST_DONE:])]
