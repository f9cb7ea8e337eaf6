"""What the demo shows: both loans against their lines, their curves, what was done, a page that is there."""

from __future__ import annotations

import asyncio
import io
import json
import re
import time
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest
from new_user import at_a_terminal
from rich.console import Console

from ltv_guard.cli.demo_screen import CURVE_WIDTH, Screen
from ltv_guard.cli.demo_view import GUARDED, TWIN, DemoRecord, State

D = Decimal
ORDER = {"debt": "36000", "collateral_coin": "BTC", "collateral": "1", "loan_coin": "USDT"}
FALL = [[0, "60000"], [1, "46000"], [3, "46000"]]
SHORT = {
    "name": "short",
    "market": {"coins": {"BTC": {"path": FALL}}, "start": "first_request"},
    "keys": [{"key": "sandbox-key", "secret": "sandbox-secret", "user": GUARDED}],
    "users": {
        GUARDED: {"funding": {"BTC": "1.5"}, "orders": [{"order_id": "1", **ORDER}]},
        TWIN: {"orders": [{"order_id": "2", **ORDER}]},
    },
}


def state(at_s: int, ltv: str | None, *done: tuple[str, str]) -> State:
    def loan(own: str | None) -> State:
        return {
            "product": "crypto_loan_legacy",
            "status": "open" if own is not None else "liquidated",
            "ltv": own,
            "margin_call_ltv": "0.87",
            "liquidation_ltv": "0.95",
        }

    effects = [
        {"user": GUARDED, "direction": way, "amount": amount, "coin": "BTC", "applied_ms": number}
        for number, (way, amount) in enumerate(done, start=1)
    ]
    return {
        "market_s": str(at_s),
        "prices": {"BTC": "50000", "USDT": "1"},
        "users": {
            GUARDED: {"funding": {"BTC": "1"}, "orders": [loan("0.76")]},
            TWIN: {"funding": {}, "orders": [loan(ltv)]},
        },
        "effects": effects,
        "transfers": [],
        "repayments": [],
        "liquidations": [],
    }


def shown(watched: DemoRecord, last: State, *, unicode: bool = True) -> str:
    screen = Screen(trigger=D("0.75"), pool_margin_call=D("0.85"), page="http://page", unicode=unicode)
    out = io.StringIO()
    Console(file=out, width=140).print(screen.show(last, watched))
    return out.getvalue()


def test_each_loan_stands_beside_its_lines_and_what_was_done_below() -> None:
    watched = DemoRecord()
    watched.look(state(3600, "0.80"))
    last = state(7200, None, ("add", "0.18"), ("reduce", "0.05"))
    watched.look(last)
    text = shown(watched, last)

    (guarded,) = re.findall(r"guarded +│ crypto_loan_legacy │ (.*?) │", text)[:1]
    assert guarded.strip() == "0.7600"
    for word in (
        "trigger",
        "margin call",
        "liquidation",
        "0.75",
        "0.87",
        "0.95",
        "http://page",
        "liquidated",
    ):
        assert word in text
    assert "2.0 h  added 0.1800 BTC" in text
    assert "2.0 h  released 0.0500 BTC" in text
    assert "LTV 0.8000 to 0.8000" in text


def test_a_curve_keeps_its_peak_and_ends_in_crosses_where_the_loan_was_lost() -> None:
    watched = DemoRecord()
    for at in range(10 * CURVE_WIDTH):
        watched.look(state(at, "0.99" if at == 100 else "0.41" if at < 300 else None))
    for unicode, top, low, lost in ((True, "█", "▁", "\u00d7"), (False, "#", "_", "x")):
        (line,) = [
            line
            for line in shown(watched, state(0, None), unicode=unicode).splitlines()
            if line.startswith("unguarded")
        ]
        curve = line.removeprefix("unguarded twin").strip().split(" ")[0]
        assert len(curve) == CURVE_WIDTH
        assert (curve.count(top), curve[0], curve[10]) == (1, low, top)
        assert curve[30:] == lost * (CURVE_WIDTH - 30)


def test_a_trigger_that_the_margin_call_pulls_in_is_shown_as_it_holds() -> None:
    screen = Screen(trigger=D("0.90"), pool_margin_call=D("0.85"), page="")

    assert screen._trigger(D("0.87")) == D("0.84")


@pytest.mark.slow
async def test_on_a_terminal_the_table_lives_and_the_page_is_there(tmp_path: Path) -> None:
    (tmp_path / "short.yaml").write_text(json.dumps(SHORT))
    async with at_a_terminal("demo", "--scenario", "short.yaml", folder=tmp_path) as terminal:
        page, began = None, time.monotonic()
        while page is None and time.monotonic() - began < 20:
            await asyncio.sleep(0.2)
            found = re.search(r"http://127\.0\.0\.1:\d+", terminal.shown)
            if found is None or terminal.process.returncode is not None:
                continue
            async with aiohttp.ClientSession() as session:
                try:
                    async with session.get(found[0]) as answer:
                        page = await answer.text()
                except aiohttp.ClientError:
                    continue
        assert page is not None, terminal.shown
        assert "<html" in page
        assert await terminal.ends() == 0, terminal.shown
    assert "The guarded loan is alive" in terminal.shown
    assert "ltv-guard replay" in terminal.shown
    assert "What was done so far" in terminal.shown
