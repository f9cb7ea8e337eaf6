"""Intents as `journal` shows them, for people (a table) and for programs (JSON). Touches the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.table import Table

from ltv_guard.cli.terminal import WIDE, add_row, console, stacked, table_of
from ltv_guard.core.model.intents import Intent
from ltv_guard.log.escaping import clean
from ltv_guard.log.utc import iso


def intent_as_json(intent: Intent) -> dict[str, Any]:
    """An intent as `journal --json` prints it: amounts as strings, times in ISO UTC."""
    return {
        "intent_id": intent.intent_id,
        "account": intent.account,
        "environment": intent.owner.environment,
        "user_id": intent.owner.user_id,
        "product": intent.key.product.value,
        "loan_id": intent.key.loan_id,
        "direction": intent.direction.value,
        "coin": intent.coin,
        "amount": format(intent.amount, "f"),
        "collateral_coin": intent.collateral_coin,
        "contract_id": intent.contract_id,
        "state": intent.state.value,
        "reason": intent.reason,
        "rescue_of": intent.rescue_of,
        "adjust_id": intent.adjust_id,
        "ret_code": intent.ret_code,
        "ret_msg": intent.ret_msg,
        "ltv_before": format(intent.ltv_before, "f"),
        "ltv_after": None if intent.ltv_after is None else format(intent.ltv_after, "f"),
        "awaits_row": intent.awaits_row,
        "created_at": iso(intent.created_at_ms),
        "updated_at": iso(intent.updated_at_ms),
    }


def print_intents(intents: Sequence[Intent], journal: str) -> None:
    """A line an intent where there is room for it; otherwise what belongs together is stacked."""
    terminal = console()
    if not intents:
        terminal.print(clean(f"{journal} holds no intents."), soft_wrap=True)
        return
    cells = map(_intent_cells, map(intent_as_json, intents))
    terminal.print(_intents_in_lines(cells) if terminal.width >= WIDE else _intents_in_stacks(cells))


def _intent_cells(row: dict[str, Any]) -> tuple[str, ...]:
    """Created, account, loan, adjustment, state, LTV, intent, note."""
    return (
        row["created_at"],
        row["account"],
        f"{row['product']} {row['loan_id']}",
        f"{row['direction']} {row['amount']} {row['coin']}",
        row["state"],
        f"{row['ltv_before']} -> {row['ltv_after'] or '?'}",
        row["intent_id"],
        row["ret_msg"] or "",
    )


def _intents_in_lines(cells: Iterable[tuple[str, ...]]) -> Table:
    table = table_of("created", "account", "loan", "adjustment", "state", "LTV", "intent", "note")
    for row in cells:
        add_row(table, *row)
    return table


def _intents_in_stacks(cells: Iterable[tuple[str, ...]]) -> Table:
    table = table_of("created\naccount\nloan", "adjustment\nstate\nLTV", "intent\nnote")
    for created, account, loan, adjustment, state, ltv, intent, note in cells:
        columns = (created, account, loan), (adjustment, state, ltv), (intent, note)
        add_row(table, *map(stacked, columns), end_section=True)
    return table
