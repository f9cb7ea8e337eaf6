"""What a running daemon sees, for people: what is wrong, and each loan against its lines."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from ltv_guard.cli.terminal import WIDE, add_row, console, stacked, table_of
from ltv_guard.core.model.notices import where
from ltv_guard.log.escaping import clean

Tree = dict[str, Any]
LINES = ("trigger", "margin call", "liquidation")


def is_calm(status: Tree) -> bool:
    """Whether the daemon is ready and has nothing to tell: exit status 0."""
    return bool(status["ready"]) and not status["alerts"]


def shown(status: Tree) -> RenderableType:
    """What `/api/v1/status` answered, as a table of its loans under lines of what is wrong."""
    return Group(*_lines(status), _loans(status))


def _lines(status: Tree) -> Iterator[Text]:
    head = f"ltv-guard {status['version']}, {status['mode']}, {status['environment']}, {status['at']}"
    yield Text(clean(head))
    if is_calm(status):
        yield Text("nothing is wrong", "green")
    for name, why in status["troubles"].items():
        yield Text(clean(f"{name}: {why}"), "red")
    for name in status["unseen"]:
        yield Text(clean(f"{name}: its first cycle has not ended yet"), "yellow")
    for alert in status["alerts"]:
        about = where(alert["account"], alert["product"], alert["loan_id"])
        why = alert["details"].get("why", "")
        yield Text(clean(f"{alert['event']} since {alert['since']}, {about}: {why}"), "red")
    for name, account in status["accounts"].items():
        if account["withheld"] is not None:
            why = account["withheld"]
            detail = f" ({why['detail']})" if why["detail"] else ""
            yield Text(clean(f"{name}: nothing is sent: {why['kind']}{detail}"), "yellow")
        for item in account["set_aside"]:
            yield Text(clean(f"{name}: {item['loan_id']} is set aside: {item['why']}"), "red")


def _loans(status: Tree) -> RenderableType:
    """A line a loan where there is room for it; otherwise what belongs together is stacked."""
    wide = console().width >= WIDE
    whole = ("LTV", *(LINES if wide else (" /\n".join(LINES),)), "fall left")
    table = (
        table_of("account", "loan", *whole, "what is done", whole={"loan", *whole})
        if wide
        else table_of("account", "loan, and what is done", *whole, whole=whole)
    )
    for name, account in status["accounts"].items():
        for loan in account["loans"]:
            lines = [loan[line] for line in ("trigger_ltv", "margin_call_ltv", "liquidation_ltv")]
            fall = f"{Decimal(loan['fall_to_liquidation']):.1%}"
            if wide:
                add_row(table, name, loan["loan_id"], loan["ltv"], *lines, fall, loan["reason"])
            else:
                about = stacked((loan["loan_id"], loan["reason"]))
                add_row(table, name, about, loan["ltv"], stacked(lines), fall)
    return table if table.row_count else Text("No loans.")
