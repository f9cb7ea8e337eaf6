"""The demo: the sandbox, and the real daemon against it over HTTP, beside an unguarded twin of its loan."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ltv_guard import sandbox
from ltv_guard.cli import terminal
from ltv_guard.log import format as logs
from ltv_guard.log.escaping import clean
from ltv_guard.sandbox.state import state_of
from ltv_guard.service import run as app
from ltv_guard.settings import load
from ltv_guard.settings.shipped import shipped

GUARDED, TWIN = "100001", "100002"
WORDS = {"add": "added", "reduce": "released", "transfer": "moved to Funding", "repay": "repaid"}
State = dict[str, Any]

LOOK_S = 0.25
LINE_EVERY = 8  # looks, where there is no terminal to redraw
SETTLE_S = 1.5  # after the scenario's end, for what is under way
SLACK_S = 15.0  # beyond the scenario's own length: then something is wrong
DONE, LOST = 0, 1


@dataclass(slots=True)
class Watched:
    """What the demo has seen of both loans."""

    low: dict[str, Decimal] = field(default_factory=dict)
    high: dict[str, Decimal] = field(default_factory=dict)

    def look(self, state: State) -> None:
        for user in state["users"]:
            for loan in _loans_of(state, user):
                if loan["ltv"] is not None:
                    ltv = Decimal(loan["ltv"])
                    self.low[user] = min(ltv, self.low.get(user, ltv))
                    self.high[user] = max(ltv, self.high.get(user, ltv))

    def span(self, user: str) -> str:
        return f"{self.low[user]:.4f} to {self.high[user]:.4f}" if user in self.low else "never seen"


async def run(scenario: Path) -> int:
    """Plays a scenario. Status 1 if the guarded loan was lost."""
    console = terminal.console()
    watched = Watched()
    with tempfile.TemporaryDirectory(prefix="ltv-guard-demo-") as folder:
        async with _playing(scenario, Path(folder)) as (exchange, daemon):
            console.print(Text(clean(exchange.scenario.name), "bold"), end=": ")
            console.print(clean(exchange.scenario.about))
            console.print("Two equal loans. ltv-guard keeps one of them, nobody the other.\n")
            await _show(exchange, daemon, console, watched)
        state = state_of(exchange, wire=False)
    return _sum_up(state, watched, console)


@contextlib.asynccontextmanager
async def _playing(scenario: Path, folder: Path) -> AsyncIterator[tuple[sandbox.Exchange, asyncio.Task[int]]]:
    """The sandbox and the daemon, until the block is left."""
    async with sandbox.Sandbox(scenario).serve() as exchange:
        settings = load(
            shipped("sandbox.yaml"),
            environ={
                "LTV_GUARD_EXCHANGE__BASE_URL": exchange.url,
                "LTV_GUARD_JOURNAL__URL": f"sqlite:///{folder / 'journal.db'}",
            },
        )
        with (folder / "log.jsonl").open("w") as stream:
            logs.configure(style="json", stream=stream)
            stop = asyncio.Event()
            daemon = asyncio.create_task(app.run_daemon(settings, stop))
            try:
                yield exchange, daemon
            finally:
                stop.set()
                await daemon
                logs.configure(style="console", level="CRITICAL", stream=sys.stderr)


async def _show(
    exchange: sandbox.Exchange, daemon: asyncio.Task[int], console: Console, watched: Watched
) -> None:
    """A live table on a terminal, a plain line every few seconds elsewhere."""
    market = exchange.market
    deadline = time.monotonic() + float(market.length_s / market.plan.speed_up) + SLACK_S
    ended_at: float | None = None
    looks = 0
    live = Live(console=console, auto_refresh=False) if console.is_terminal else None
    with live or contextlib.nullcontext():
        while time.monotonic() < deadline and not daemon.done():
            state = state_of(exchange, wire=False)
            watched.look(state)
            if live is not None:
                live.update(_table(state), refresh=True)
            elif looks % LINE_EVERY == 0:
                console.print(_line(state), soft_wrap=True)
            looks += 1
            if state["ended"] and ended_at is None:
                ended_at = time.monotonic()
            if ended_at is not None and time.monotonic() - ended_at > SETTLE_S:
                return
            await asyncio.sleep(LOOK_S)


def _loans_of(state: State, user: str) -> list[State]:
    """The user's loans, open or lost."""
    account = state["users"].get(user, {})
    return [*account.get("orders", []), *([account["pool"]] if account.get("pool") else [])]


def _prices(state: State) -> str:
    volatile = {coin: price for coin, price in state["prices"].items() if coin not in {"USDT", "USDC"}}
    return "  ".join(f"{coin} {Decimal(price):,.0f}" for coin, price in sorted(volatile.items()))


def _hours(state: State) -> str:
    return f"{Decimal(state['market_s']) / 3600:5.1f} h"


def _ltv(loan: State) -> str:
    return f"{Decimal(loan['ltv']):.4f}" if loan["ltv"] is not None else str(loan["status"])


def _ltvs(state: State, user: str) -> str:
    return " ".join(_ltv(loan) for loan in _loans_of(state, user)) or "-"


def _wallet(state: State, user: str) -> str:
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
    last = own[-1]
    return f"{WORDS[last['direction']]} {Decimal(last['amount']):.4f} {last['coin']}"


def _table(state: State) -> Table:
    table = Table(box=box.ROUNDED, title=f"{_hours(state)}   {_prices(state)}", title_justify="left")
    for column in ("", "product", "LTV", "Funding wallet", "last adjustment"):
        table.add_column(column)
    for user, name in ((GUARDED, "guarded"), (TWIN, "unguarded twin")):
        for loan in _loans_of(state, user):
            lost = loan["status"] != "open"
            ltv = Text(loan["status"], "bold red") if lost else Text(_ltv(loan))
            table.add_row(name, loan["product"], ltv, _wallet(state, user), _last_adjustment(state, user))
    return table


def _line(state: State) -> str:
    return (
        f"{_hours(state)}  {_prices(state):<12}  guarded {_ltvs(state, GUARDED):<10}  "
        f"twin {_ltvs(state, TWIN):<10}  wallet {_wallet(state, GUARDED)}  {_last_adjustment(state, GUARDED)}"
    )


def _sum_up(state: State, watched: Watched, console: Console) -> int:
    """What was lost, what was moved, and what a liquidation would have cost."""
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
    return LOST if lost else DONE
