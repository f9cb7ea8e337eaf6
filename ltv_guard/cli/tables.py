"""What commands print, for people (tables) and for programs (JSON). Touches the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from rich.table import Table
from rich.text import Text

from ltv_guard.cli.terminal import add_row, console, stacked, table_of
from ltv_guard.core.decide.decision import Decision
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Product
from ltv_guard.core.model.policy import thresholds
from ltv_guard.log.escaping import clean
from ltv_guard.log.utc import iso
from ltv_guard.service.findings import AccountPlan, Finding, Said

WIDE, NARROW = 160, 80  # from the first on a loan fits on a line; below the second every column has to fold

FALL = "fall to trigger\n/ margin call\n/ liquidation"


def print_findings(findings: Iterable[Finding]) -> None:
    """A line a finding where there is room for it; otherwise what to mend stands below what was found."""
    terminal = console()
    wide = terminal.width >= WIDE
    table = table_of("", "what", *(("found", "what to mend") if wide else ("found, and what to mend",)))
    for item in findings:
        mark = Text("ok", "green") if item.good and not item.mend else Text("!", "yellow")
        mark = mark if item.good else Text("no", "red")
        found, mend = Text(clean(item.found)), Text(clean(item.mend))
        if wide:
            add_row(table, mark, item.what, found, mend)
        else:
            add_row(
                table, mark, item.what, stacked([found, Text("-> ").append(mend)]) if item.mend else found
            )
    terminal.print(table)


def plans_as_json(plans: Sequence[AccountPlan]) -> list[dict[str, Any]]:
    """The same as the table, most urgent loan first: LTVs and amounts as strings."""
    rows = [(plan, decision) for plan in plans for decision in plan.decisions]
    rows.sort(key=lambda row: row[1].loan.danger, reverse=True)
    loans = [_plan_row(plan, decision) for plan, decision in rows]
    loans += [
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
    blind = [
        {
            "account": plan.account,
            "action": "blind",
            "reason": plan.why_blind,
            "says": _says(plan, None, None),
        }
        for plan in plans
        if plan.blind
    ]
    return loans + blind


def _plan_row(plan: AccountPlan, decision: Decision) -> dict[str, Any]:
    loan = decision.loan
    limits = thresholds(decision.policy, loan)
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
        "fall_to_trigger": _fall(loan.ltv, limits.trigger),
        "fall_to_margin_call": _fall(loan.ltv, loan.margin_call_ltv),
        "fall_to_liquidation": _fall(loan.ltv, loan.liquidation_ltv),
        "collateral": {item.coin: format(item.amount, "f") for item in loan.collateral if item.amount > 0},
        "debt": {item.coin: format(item.amount, "f") for item in loan.debts},
        "expires_at": None if loan.expires_at_ms is None else iso(loan.expires_at_ms),
        "action": decision.direction.value if decision.direction else "hold",
        "coin": decision.coin,
        "amount": format(decision.amount, "f") if decision.acts else None,
        "reason": decision.reason,
        "held_back": list(decision.held_back),
        "reachable_ltv": None if decision.reachable_ltv is None else format(decision.reachable_ltv, "f"),
        "rule": decision.policy.name,
        "withheld": plan.withheld,
        "says": _says(plan, loan.key.product.value, loan.key.loan_id),
    }


def _says(plan: AccountPlan, product: str | None, loan_id: str | None) -> list[dict[str, str]]:
    """What the daemon would log of this loan; without one, of the account."""
    return [
        {"level": item.level, "event": item.event, "why": item.why}
        for item in plan.says
        if (item.product, item.loan_id) == (product, loan_id)
    ]


def _fall(ltv: Decimal, threshold: Decimal) -> str:
    """The fall of the collateral's price, as a ratio, that brings the LTV to the threshold; 0 if there."""
    return format(max(Decimal(0), 1 - ltv / threshold).quantize(Decimal("0.0001")), "f")


def print_plans(plans: Sequence[AccountPlan]) -> None:
    terminal = console()
    rows = plans_as_json(plans)
    if rows:
        terminal.print(_plan_table(rows, terminal.width))
    else:
        terminal.print("No loans.")
    for plan in plans:
        if plan.withheld:
            terminal.print(clean(f"{plan.account}: nothing would be sent: {plan.withheld}"))
    if any(plan.says for plan in plans):
        terminal.print("The daemon would say:")
    for plan in plans:
        for item in plan.says:
            loan = "" if item.loan_id is None else f", {_short_name(_named(item))}"
            line = f"  {item.level.upper()} {item.event}, {plan.account}{loan}: {item.why}"
            terminal.print(clean(line), style="red" if item.level == "critical" else None)


def _named(item: Said) -> dict[str, Any]:
    return {"product": item.product, "loan_id": item.loan_id}


def _plan_table(rows: Sequence[dict[str, Any]], width: int) -> Table:
    """A line a loan where there is room for it; otherwise what belongs together is stacked."""
    cells = map(_plan_cells, rows)
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


def _plan_cells(row: dict[str, Any]) -> tuple[Any, ...]:
    """Account, loan, LTV, trigger, target, what it does, why, three falls, rule."""
    numbers, falls = ["", "", ""], ["", "", ""]
    if "ltv" in row:
        numbers = [row[name] for name in ("ltv", "trigger_ltv", "target_ltv")]
        falls = [
            f"{Decimal(row[f'fall_to_{what}']):.1%}" for what in ("trigger", "margin_call", "liquidation")
        ]
    return (row["account"], _short_name(row), *numbers, _does(row), _why(row), falls, row.get("rule", ""))


def _does(row: dict[str, Any]) -> Text:
    if row["action"] in {"blind", "set_aside"}:
        return Text(row["action"].replace("_", " "), "red")
    if row["amount"] is None:
        return Text("hold")
    return Text(clean(f"{row['action']} {row['amount']} {row['coin']}"), "bold")


def _why(row: dict[str, Any]) -> str:
    """The reason, what holds back where the reason does not say so itself, and when a fixed loan ends."""
    notes = [note for note in row.get("held_back", []) if note not in row["reason"]]
    return "; ".join([row["reason"], *notes, *_end(row.get("expires_at"))])


def _short_name(row: dict[str, Any]) -> str:
    """What a loan is called where room is scarce: `pool`, or `order` and its id."""
    loan_id: str = row.get("loan_id", "")
    return f"order {loan_id}" if row.get("product") == Product.LEGACY else loan_id


def _end(expires_at: str | None) -> list[str]:
    """To the minute: `it ends 2026-11-20 08:00 UTC`."""
    return [] if expires_at is None else [f"it ends {expires_at[:16].replace('T', ' ')} UTC"]


def _loan_name(row: dict[str, Any]) -> str:
    return f"{row['product']} {row['loan_id']}"


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
        "state": intent.state.value,
        "reason": intent.reason,
        "rescue_of": intent.rescue_of,
        "adjust_id": intent.adjust_id,
        "ret_code": intent.ret_code,
        "ret_msg": intent.ret_msg,
        "ltv_before": format(intent.ltv_before, "f"),
        "ltv_after": None if intent.ltv_after is None else format(intent.ltv_after, "f"),
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
        _loan_name(row),
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
