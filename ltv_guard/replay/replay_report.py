"""What a replay came to, as one tree of JSON: amounts and LTVs are text, so that no digit is lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ltv_guard.core.model.loans import LoanKey
from ltv_guard.log.utc import iso
from ltv_guard.replay.candle_path import CandlePath
from ltv_guard.replay.position import Position
from ltv_guard.replay.replay_account import ReplayAccount
from ltv_guard.replay.replay_event import Happening, ReplayEvent
from ltv_guard.replay.tally import Tally

Tree = dict[str, Any]
MINUTE_MS = 60_000
DOLLARS = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One replay, and the same loans without a guard."""

    guarded: ReplayAccount
    unguarded: ReplayAccount
    path: CandlePath


def as_tree(outcome: Outcome, inputs: Tree) -> Tree:
    """The report as it is printed with `--json`."""
    return {
        "inputs": inputs,
        "gaps": {
            coin: [{"from": iso(at), "candles": count} for at, count in gaps]
            for coin, gaps in outcome.path.gaps.items()
        },
        "loans": [_loan(outcome, position) for position in outcome.guarded.positions],
        "wallet_left": amounts(outcome.guarded.wallet),
    }


def amounts(of: Mapping[str, Decimal]) -> dict[str, str]:
    """Coins as text, without trailing zeros."""
    return {coin: plain(amount) for coin, amount in sorted(of.items())}


def plain(number: Decimal) -> str:
    """`0.5` and not `5E-1`: as JSON and tables show amounts."""
    return f"{number.normalize():f}"


def _loan(outcome: Outcome, position: Position) -> Tree:
    key = position.spec.key
    twin = next(item for item in outcome.unguarded.positions if item.spec.key == key)
    own, of_twin = (_events(account, key) for account in (outcome.guarded, outcome.unguarded))
    tally = outcome.guarded.tallies[key]
    return {
        "loan_id": key.loan_id,
        "product": key.product.value,
        "liquidated": position.lost,
        "twin_liquidated": twin.lost,
        "worst_ltv": plain(tally.worst),
        "twin_worst_ltv": plain(outcome.unguarded.tallies[key].worst),
        "adds": _count(own, Happening.ADD),
        "releases": _count(own, Happening.RELEASE),
        "repayments": _count(own, Happening.REPAY),
        "added": _sum(own, Happening.ADD),
        "released": _sum(own, Happening.RELEASE),
        "repaid": _sum(own, Happening.REPAY),
        **_minutes(tally),
        "liquidation_fee_usd": _fee(own),
        "twin_liquidation_fee_usd": _fee(of_twin),
        "twin_liquidated_at": next(
            (iso(event.at_ms) for event in of_twin if event.what is Happening.LIQUIDATED), None
        ),
        "events": [_event(event) for event in own],
    }


def _events(account: ReplayAccount, key: LoanKey) -> list[ReplayEvent]:
    return [event for event in account.events if event.loan_id == key.loan_id]


def _minutes(tally: Tally) -> Tree:
    return {
        "minutes_above_trigger": round(tally.above_trigger_ms / MINUTE_MS, 2),
        "minutes_above_emergency": round(tally.above_emergency_ms / MINUTE_MS, 2),
        "minutes_above_margin_call": round(tally.above_margin_call_ms / MINUTE_MS, 2),
    }


def _count(events: list[ReplayEvent], what: Happening) -> int:
    return sum(event.what is what for event in events)


def _sum(events: list[ReplayEvent], what: Happening) -> dict[str, str]:
    total: dict[str, Decimal] = {}
    for event in events:
        if event.what is what and event.coin is not None and event.amount is not None:
            total[event.coin] = total.get(event.coin, Decimal(0)) + event.amount
    return amounts(total)


def _fee(events: list[ReplayEvent]) -> str:
    fees = (event.details["fee_usd"] for event in events if event.what is Happening.LIQUIDATED)
    return plain(sum(fees, Decimal(0)).quantize(DOLLARS))


def _event(event: ReplayEvent) -> Tree:
    found: Tree = {
        "at": iso(event.at_ms),
        "what": event.what.value,
        "coin": event.coin,
        "amount": None if event.amount is None else plain(event.amount),
        "ltv_before": plain(event.ltv_before),
        "ltv_after": None if event.ltv_after is None else plain(event.ltv_after),
    }
    if event.decided_ms is not None:
        found["delay_s"] = (event.at_ms - event.decided_ms) / 1000
    return found | {name: plain(value) for name, value in event.details.items()}
