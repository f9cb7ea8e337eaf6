"""What the demo has seen of the guarded loan and its unguarded twin: a line, and the sum of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.text import Text

GUARDED, TWIN = "100001", "100002"
WORDS = {"add": "added", "reduce": "released", "transfer": "moved to Funding", "repay": "repaid"}
DONE, LOST = 0, 1
State = dict[str, Any]


@dataclass(slots=True)
class DemoRecord:
    """What the demo has seen of both loans. `course`: each user's highest LTV at each look; None: lost."""

    low: dict[str, Decimal] = field(default_factory=dict)
    high: dict[str, Decimal] = field(default_factory=dict)
    course: dict[str, list[Decimal | None]] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)

    def look(self, state: State) -> None:
        """Notes the LTVs of one look at the sandbox's state, and what was done since the last."""
        for user in state["users"]:
            ltvs = [Decimal(loan["ltv"]) for loan in loans_of(state, user) if loan["ltv"] is not None]
            self.course.setdefault(user, []).append(max(ltvs, default=None))
            for ltv in ltvs:
                self.low[user] = min(ltv, self.low.get(user, ltv))
                self.high[user] = max(ltv, self.high.get(user, ltv))
        for item in _done(state, GUARDED)[len(self.done) :]:
            self.done.append(f"{hours(state)}  {_in_words(item)}")

    def span(self, user: str) -> str:
        """The lowest and the highest LTV of a user so far."""
        return f"{self.low[user]:.4f} to {self.high[user]:.4f}" if user in self.low else "never seen"


def loans_of(state: State, user: str) -> list[State]:
    """The user's loans, open or lost."""
    account = state["users"].get(user, {})
    return [*account.get("orders", []), *([account["pool"]] if account.get("pool") else [])]


def prices(state: State) -> str:
    """`BTC 60,000  ETH 2,500`: USD a coin; stablecoins are left out."""
    volatile = {coin: price for coin, price in state["prices"].items() if coin not in {"USDT", "USDC"}}
    return "  ".join(f"{coin} {Decimal(price):,.0f}" for coin, price in sorted(volatile.items()))


def hours(state: State) -> str:
    """The market's time since the start, in hours."""
    return f"{Decimal(state['market_s']) / 3600:5.1f} h"


def _ltv(loan: State) -> str:
    return f"{Decimal(loan['ltv']):.4f}" if loan["ltv"] is not None else str(loan["status"])


def _ltvs(state: State, user: str) -> str:
    return " ".join(_ltv(loan) for loan in loans_of(state, user)) or "-"


def wallet(state: State, user: str) -> str:
    """What the user's Funding wallet holds, in coins."""
    funding = state["users"].get(user, {}).get("funding", {})
    return "  ".join(f"{Decimal(amount):.4f} {coin}" for coin, amount in sorted(funding.items()))


def _done(state: State, user: str) -> list[State]:
    """What was done for the user: adjustments, transfers and repayments, oldest first."""
    done = [
        *state["effects"],
        *({**item, "direction": "transfer"} for item in state["transfers"] if item["applied_ms"]),
        *(
            {**item, "direction": "repay"}
            for item in state["repayments"]
            if item["by"] and item["applied_ms"]
        ),
    ]
    return sorted((item for item in done if item["user"] == user), key=lambda item: item["applied_ms"])


def _last_adjustment(state: State, user: str) -> str:
    own = _done(state, user)
    if not own:
        return "-"
    return _in_words(own[-1])


def _in_words(item: State) -> str:
    return f"{WORDS[item['direction']]} {Decimal(item['amount']):.4f} {item['coin']}"


def line_of(state: State) -> str:
    """The same as one line."""
    return (
        f"{hours(state)}  {prices(state):<12}  guarded {_ltvs(state, GUARDED):<10}  "
        f"twin {_ltvs(state, TWIN):<10}  wallet {wallet(state, GUARDED)}  {_last_adjustment(state, GUARDED)}"
    )


def sum_up(state: State, watched: DemoRecord, console: Console) -> int:
    """Prints what was lost, what was moved, and what a liquidation cost. Returns the exit status."""
    own = _done(state, GUARDED)
    lost = [item for item in state["liquidations"] if item["user"] == GUARDED]
    twins = [item for item in state["liquidations"] if item["user"] == TWIN]
    console.print()
    for item in state["liquidations"]:
        who = "the GUARDED loan" if item["user"] == GUARDED else "the unguarded twin"
        sold = ", ".join(f"{Decimal(amount):.4f} {coin}" for coin, amount in item["sold"].items())
        console.print(f"liquidated: {who}, at LTV {Decimal(item['ltv']):.4f}: {sold} sold")
    if not state["liquidations"]:
        console.print("liquidated: nothing")
    for direction, word in WORDS.items():
        moved = [item for item in own if item["direction"] == direction]
        if not moved and direction in {"transfer", "repay"}:
            continue
        totals: dict[str, Decimal] = {}
        for item in moved:
            totals[item["coin"]] = totals.get(item["coin"], Decimal(0)) + Decimal(item["amount"])
        coins = ", ".join(f"{total:.4f} {coin}" for coin, total in sorted(totals.items()))
        count = "once" if len(moved) == 1 else f"{len(moved)} times"
        console.print(f"{word}: {count}, {coins}" if moved else f"{word}: nothing")
    console.print(f"LTV of the guarded loan: {watched.span(GUARDED)}")
    if twins:
        cost = sum((Decimal(item["cost_usd"]) for item in twins), Decimal(0))
        console.print(f"what the liquidation cost the twin in fees alone: {cost:,.2f} USD")
    console.print(
        Text("The guarded loan was lost.", "bold red")
        if lost
        else Text("The guarded loan is alive.", "bold green")
    )
    console.print("What real crashes would have done to your own loans: ltv-guard replay (docs/replay.md).")
    return LOST if lost else DONE
