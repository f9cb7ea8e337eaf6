"""What a rehearsal would do, for people (a table) and for programs (JSON). Touches the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import starmap
from typing import Any

from rich.table import Table
from rich.text import Text

from ltv_guard.cli import plan_rows
from ltv_guard.cli.terminal import NARROW, WIDE, add_row, console, stacked, table_of
from ltv_guard.cli.withheld_words import in_words
from ltv_guard.core.amounts.falls import fall_to
from ltv_guard.core.decide.decision import Decision
from ltv_guard.core.model.loans import short_name
from ltv_guard.guard import outlook_sentences, sentences
from ltv_guard.log.escaping import clean
from ltv_guard.log.utc import iso
from ltv_guard.service.findings import AccountPlan

FALL = "fall to trigger\n/ margin call\n/ liquidation"


def plans_as_json(plans: Sequence[AccountPlan]) -> list[dict[str, Any]]:
    """The same as the table, most urgent loan first: LTVs and amounts as strings."""
    return [row for row, _ in _rows_with_notes(plans)]


def _rows_with_notes(plans: Sequence[AccountPlan]) -> list[tuple[dict[str, Any], list[str]]]:
    """Each row, and what holds its loan back that the reason in it does not name."""
    found = [(plan, decision) for plan in plans for decision in plan.decisions]
    found.sort(key=lambda row: row[1].loan.danger, reverse=True)
    loans = [(_plan_row(plan, decision), sentences.beside_reason(decision)) for plan, decision in found]
    return loans + [(row, []) for row in (*_set_aside(plans), *_blind(plans))]


def _set_aside(plans: Sequence[AccountPlan]) -> list[dict[str, Any]]:
    return [
        {
            "account": plan.account,
            "product": product,
            "loan_id": loan_id,
            "action": "set_aside",
            "reason": why,
            "says": _says(plan, product, loan_id),
        }
        for plan in plans
        for product, loan_id, why in plan.set_aside
    ]


def _blind(plans: Sequence[AccountPlan]) -> list[dict[str, Any]]:
    return [
        {
            "account": plan.account,
            "action": "blind",
            "reason": plan.why_blind,
            "says": _says(plan, None, None),
        }
        for plan in plans
        if plan.blind
    ]


def _plan_row(plan: AccountPlan, decision: Decision) -> dict[str, Any]:
    loan = decision.loan
    limits = decision.limits
    return {
        "account": plan.account,
        "product": loan.key.product.value,
        "loan_id": loan.key.loan_id,
        "ltv": format(loan.ltv, "f"),
        "trigger_ltv": format(limits.trigger, "f"),
        "target_ltv": format(limits.target, "f"),
        "emergency_ltv": format(limits.emergency, "f"),
        "margin_call_ltv": format(loan.margin_call_ltv, "f"),
        "liquidation_ltv": format(loan.liquidation_ltv, "f"),
        "fall_to_trigger": format(fall_to(loan.ltv, limits.trigger), "f"),
        "fall_to_margin_call": format(fall_to(loan.ltv, loan.margin_call_ltv), "f"),
        "fall_to_liquidation": format(fall_to(loan.ltv, loan.liquidation_ltv), "f"),
        "collateral": {item.coin: format(item.amount, "f") for item in loan.collateral if item.amount > 0},
        "debt": {item.coin: format(item.amount, "f") for item in loan.debts},
        "expires_at": None if loan.expires_at_ms is None else iso(loan.expires_at_ms),
        "contracts": [plan_rows.contract_row(item, decision.policy) for item in plan.contracts]
        if loan.is_pool
        else [],
        **plan_rows.drift_row(plan.drifts.get(loan.key)),
        "action": decision.direction.value if decision.direction else "hold",
        "coin": decision.coin,
        "amount": format(decision.amount, "f") if decision.acts else None,
        "reason": sentences.reason(decision),
        "held_back": sentences.held_back(decision),
        "reachable_ltv": None if decision.reachable_ltv is None else format(decision.reachable_ltv, "f"),
        "rule": decision.policy.name,
        "withheld": None if plan.withheld is None else in_words(plan.withheld),
        "help": [plan_rows.prospect_row(item) for item in plan.prospects.get(loan.key, ())],
        "by_hand": outlook_sentences.by_hand(plan.prospects.get(loan.key, ())),
        "says": _says(plan, loan.key.product.value, loan.key.loan_id),
    }


def _says(plan: AccountPlan, product: str | None, loan_id: str | None) -> list[dict[str, str]]:
    """What the daemon would log of this loan; without one, of the account."""
    return [
        {"level": item.level, "event": item.event, "why": item.why}
        for item in plan.says
        if (item.product, item.loan_id) == (product, loan_id)
    ]


def print_plans(plans: Sequence[AccountPlan]) -> None:
    """Prints what would be done for each loan, most urgent first."""
    terminal = console()
    rows = _rows_with_notes(plans)
    if rows:
        terminal.print(_plan_table(rows, terminal.width))
    else:
        terminal.print("No loans.")
    for plan in plans:
        if plan.withheld is not None:
            words = in_words(plan.withheld)
            terminal.print(clean(f"{plan.account}: nothing would be sent: {words}"))
    for row, _ in rows:
        for line in plan_rows.help_lines(row):
            terminal.print(clean(line))
    if any(plan.says for plan in plans):
        terminal.print("The daemon would say:")
    for plan in plans:
        for item in plan.says:
            loan = "" if item.loan_id is None else f", {short_name(item.product or '', item.loan_id)}"
            line = f"  {item.level.upper()} {item.event}, {plan.account}{loan}: {item.why}"
            terminal.print(clean(line), style="red" if item.level == "critical" else None)


def _plan_table(rows: Sequence[tuple[dict[str, Any], list[str]]], width: int) -> Table:
    """A line a loan where there is room for it; otherwise what belongs together is stacked."""
    cells = starmap(_plan_cells, rows)
    return _plan_in_lines(cells) if width >= WIDE else _plan_in_stacks(cells, whole=width >= NARROW)


def _plan_in_lines(cells: Iterable[tuple[Any, ...]]) -> Table:
    whole = ("account", "loan", "LTV", "trigger", "target", "does", FALL)
    table = table_of(*whole[:-1], "why", FALL, "rule", whole=whole)
    for *figures, why, falls, rule in cells:
        add_row(table, *figures, why, " / ".join(filter(None, falls)), rule)
    return table


def _plan_in_stacks(cells: Iterable[tuple[Any, ...]], *, whole: bool) -> Table:
    names, numbers = "account\nloan\nrule", "LTV\ntrigger\ntarget"
    table = table_of(names, numbers, "does\nwhy", FALL, whole=(names, numbers, FALL) if whole else ())
    for account, loan, ltv, trigger, target, does, why, falls, rule in cells:
        columns = (account, loan, rule), (ltv, trigger, target), (does, why), falls
        add_row(table, *map(stacked, columns), end_section=True)
    return table


def _plan_cells(row: dict[str, Any], notes: Sequence[str]) -> tuple[Any, ...]:
    """Account, loan, LTV, trigger, target, what it does, why, three falls, rule."""
    numbers, falls = ["", "", ""], ["", "", ""]
    if "ltv" in row:
        numbers = [row[name] for name in ("ltv", "trigger_ltv", "target_ltv")]
        falls = [
            f"{Decimal(row[f'fall_to_{what}']):.1%}" for what in ("trigger", "margin_call", "liquidation")
        ]
    why, rule = _why(row, notes), row.get("rule", "")
    return (
        row["account"],
        short_name(row.get("product", ""), row.get("loan_id", "")),
        *numbers,
        _does(row),
        why,
        falls,
        rule,
    )


def _does(row: dict[str, Any]) -> Text:
    if row["action"] in {"blind", "set_aside"}:
        return Text(row["action"].replace("_", " "), "red")
    if row["amount"] is None:
        return Text("hold")
    return Text(clean(f"{row['action']} {row['amount']} {row['coin']}"), "bold")


def _why(row: dict[str, Any], notes: Sequence[str]) -> str:
    """The reason, what holds back where the reason does not say so itself, and when a fixed loan ends."""
    contracts = [_contract_end(item) for item in row.get("contracts", ())]
    ends = _end(row.get("expires_at"))
    return "; ".join([row["reason"], *notes, *ends, *contracts, *plan_rows.drift_words(row)])


def _contract_end(item: dict[str, str]) -> str:
    """`fixed loan 1771 of 0.1 ETH ends 2026-11-20 08:00 UTC, and is then ...`."""
    what = f"fixed loan {item['loan_id']} of {item['owed']} {item['coin']}"
    return f"{what} ends {_to_the_minute(item['ends_at'])}, and is then {item['what_follows']}"


def _end(expires_at: str | None) -> list[str]:
    """`it ends 2026-11-20 08:00 UTC`."""
    return [] if expires_at is None else [f"it ends {_to_the_minute(expires_at)}"]


def _to_the_minute(time: str) -> str:
    return f"{time[:16].replace('T', ' ')} UTC"
