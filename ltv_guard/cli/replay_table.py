"""What a replay came to, for people: each loan beside its unguarded twin, and what was done when."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from ltv_guard.cli.replay_answers_table import answers, coins
from ltv_guard.cli.terminal import add_row, console, table_of
from ltv_guard.log.escaping import clean

Tree = dict[str, Any]
MOST_EVENTS = 40
WORDS = {
    "add": "added",
    "release": "released",
    "repay": "repaid",
    "failed": "came too late, or the coins were gone",
    "refused": "the platform takes no more of",
    "absent": "never arrived, and no answer told so:",
    "short": "the wallet does not bring it to its target; missing",
    "lost": "nothing in the wallet can save it; missing",
    "liquidated": "liquidated",
}


def print_report(tree: Tree) -> None:
    """Prints the JSON object of one replay as tables."""
    out = console()
    for item in _report(tree):
        out.print(item)


def _report(tree: Tree) -> Iterator[RenderableType]:
    yield from _inputs(tree)
    yield from _stress(tree["inputs"])
    yield _loans(tree["loans"])
    for loan in tree["loans"]:
        yield from _events(loan)
    yield Text(clean(f"The wallet at the end: {coins(tree['wallet_left'])}."))
    yield _baselines(tree["baselines"])
    if "compare" in tree:
        yield Text(clean(f"With {tree['compare']['policy']} instead:"))
        yield _loans(tree["compare"]["loans"])
        yield Text(clean(f"The wallet at its end: {coins(tree['compare']['wallet_left'])}."))
    yield from answers(tree)


def _inputs(tree: Tree) -> Iterator[Text]:
    inputs = tree["inputs"]
    yield Text(
        clean(f"{_minute(inputs['start'])} to {_minute(inputs['end'])} UTC, {inputs['policy']} policy")
    )
    if "live_loans" in inputs:
        yield Text(
            clean(f"The loans {inputs['loans'][:-5].replace('T', ' ')} UTC, with their coins and LTVs")
        )
    for name, why in inputs.get("left_out", {}).items():
        yield Text(clean(f"{name} is left out: {why}"), "yellow")
    for prices in inputs["prices"]:
        count, step = prices["candles"], prices["step_s"]
        yield Text(clean(f"{prices['coin']}: {count} candles of {step} s, {prices['source']}"))
    for coin, gaps in tree["gaps"].items():
        missing = sum(gap["candles"] for gap in gaps)
        first = _minute(gaps[0]["from"])
        yield Text(
            clean(f"{coin}: {missing} candles are missing in {len(gaps)} places, the first {first}"), "yellow"
        )


def _stress(inputs: Tree) -> Iterator[Text]:
    """What was asked to go wrong."""
    if "ban" in inputs:
        ban = inputs["ban"]
        when = "none" if ban is None else ban if isinstance(ban, str) else f"{ban[0][:19]} to {ban[1][:19]}"
        full = ", ".join(inputs["platform_limit"]) or "none"
        words = f"Stress: ban {when}; lost answers {inputs['lost_answers']}; full coins {full}; "
        poll = f", polled each {inputs['poll_s']} s" if inputs["poll_s"] else ""
        yield Text(clean(words + f"index late by {inputs['index_lag_s']} s{poll}"), "yellow")


def _baselines(found: list[Tree]) -> RenderableType:
    """What others would have done beside it."""
    table = table_of(
        "beside it", "liquidated", "worst LTV", "adds", "capital, USD", "fee, USD", whole=("beside it",)
    )
    for item in found:
        lost = Text(clean(", ".join(item["liquidated"])), "red") if item["liquidated"] else Text("-", "green")
        add_row(
            table,
            item["name"],
            lost,
            item["worst_ltv"],
            str(item["adds"]),
            item["capital_usd"],
            item["liquidation_fee_usd"],
        )
    return table


def _loans(loans: list[Tree]) -> RenderableType:
    whole = ("loan", "unguarded", "guarded", "worst LTV", "adds")
    table = table_of(*whole, "added", "released", "fee avoided", whole=whole)
    for loan in loans:
        avoided = loan["twin_liquidated"] and not loan["liquidated"]
        add_row(
            table,
            loan["loan_id"],
            _end(loan["twin_liquidated"]),
            _end(loan["liquidated"]),
            loan["worst_ltv"],
            str(loan["adds"]),
            coins(loan["added"]),
            coins(loan["released"]),
            f"{loan['twin_liquidation_fee_usd']} USD" if avoided else "-",
        )
    return table


def _end(liquidated: bool) -> Text:  # noqa: FBT001 - what happened to it
    return Text("liquidated", "red") if liquidated else Text("alive", "green")


def _events(loan: Tree) -> Iterator[RenderableType]:
    events = loan["events"]
    if loan["twin_liquidated"]:
        yield Text(
            clean(f"{loan['loan_id']} unguarded: liquidated {_minute(loan['twin_liquidated_at'])} UTC")
        )
    above = f"{loan['minutes_above_trigger']:g} min at or above its trigger"
    margin = f"{loan['minutes_above_emergency']:g} in emergency, "
    margin += f"{loan['minutes_above_margin_call']:g} at or above its margin call"
    yield Text(clean(f"{loan['loan_id']} guarded: {above}, {margin}"))
    if not events:
        return
    table = table_of("when", "loan", "what", "LTV", "after", "delay", whole=("when", "LTV", "after", "delay"))
    for event in events[:MOST_EVENTS]:
        amount = "" if event["amount"] is None else f" {event['amount']} {event['coin']}"
        delay = f"{event['delay_s']:g} s" if "delay_s" in event else ""
        what = f"{WORDS[event['what']]}{amount}"
        after = event["ltv_after"] or ""
        add_row(table, event["at"][:19], loan["loan_id"], what, event["ltv_before"], after, delay)
    yield table
    if len(events) > MOST_EVENTS:
        yield Text(f"and {len(events) - MOST_EVENTS} more: --json has them all")


def _minute(when: str) -> str:
    return when[:16].replace("T", " ")
