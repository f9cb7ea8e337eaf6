"""`ltv-guard plan` on an account with loans of all kinds: one table, the most urgent first, and as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from e2e_world import AN_ORDER, BOTH_PRODUCTS, USER, Tree, World, merged, ran, scenario_of

if TYPE_CHECKING:
    from conftest import OpenWorld

PRICE = Decimal(40000)
COLUMNS = ("account", "loan", "LTV", "trigger", "target", "does", "why", "/ liquidation", "rule")
# By danger: its order id (19 digits, as the exchange's are), its LTV, and its collateral.
URGENT, CALM, LOW = "1794267532472646145", "1794267532472646144", "1794267532472646148"
LEFT_ALONE, BREACHING, NONSENSE = "1794267532472646147", "1794267532472646146", "1794267532472646149"
ORDERS = {
    CALM: ("0.60", "1"),
    LOW: ("0.30", "1"),
    BREACHING: ("0.78", "2"),
    NONSENSE: ("0.93", "1"),
    LEFT_ALONE: ("0.90", "0.5"),
    URGENT: ("0.84", "1"),
}
BY_URGENCY = [LEFT_ALONE, URGENT, "pool", BREACHING, CALM, LOW, NONSENSE]
MIXED = {
    "policy": {"collateral_preference": ["USDT", "BTC"]},
    "overrides": [{"match": {"order_id": LEFT_ALONE}, "protect": False}],
}


def order(order_id: str) -> Tree:
    ltv, held = ORDERS[order_id]
    debt = format(Decimal(ltv) * Decimal(held) * PRICE, "f")
    return {**AN_ORDER.borrowed["orders"][0], "order_id": order_id, "debt": debt, "collateral": held}


@asynccontextmanager
async def mixed_account(open_a_world: OpenWorld) -> AsyncIterator[World]:
    """Six orders and a pool (LTV 0.764) on 0.3 BTC; one order is not to be protected, one makes no sense."""
    loans = {
        "funding": {"BTC": "0.3", "USDT": "2000"},
        "orders": list(map(order, ORDERS)),
        "pool": {"flexible": {"USDT": "27500"}, "collateral": {"BTC": "1"}},
    }
    scenario = scenario_of(PRICE, pool_terms={"liquidation_ltv": "0.92"}, users={USER: loans})
    async with open_a_world(scenario, config=merged(BOTH_PRODUCTS, MIXED)) as world:
        many = {"field": "collateralAmount", "value": "many", "loan_id": NONSENSE, "times": None}
        world.fault("nonsense", endpoint="orders", **many)
        yield world
        assert not world.exchange.writes
        assert await world.intents() == ()


def read_table(lines: Sequence[str]) -> list[dict[str, str]]:
    """The rows of the table by its columns; what was folded is put together again."""
    (heading,) = (number for number, line in enumerate(lines) if line.split()[:2] == ["account", "loan"])
    starts = [lines[heading].index(name) for name in COLUMNS]
    rows: list[dict[str, str]] = []
    for line in lines[heading + 2 :]:
        if line.startswith(("What would help", "The daemon would say")):
            break
        cells = [line[start:end].strip() for start, end in zip(starts, [*starts[1:], None], strict=True)]
        if cells[0]:
            rows.append(dict(zip(COLUMNS, cells, strict=True)))
        elif any(cells):
            for name, cell in zip(COLUMNS, cells, strict=True):
                rows[-1][name] = f"{rows[-1][name]} {cell}".strip()
    return rows


def as_told(row: dict[str, Any]) -> dict[str, str]:
    """What the table has to say of a loan, from its JSON."""
    name = "pool" if row["loan_id"] == "pool" else f"order {row['loan_id']}"
    told = dict.fromkeys(COLUMNS, "") | {"account": row["account"], "loan": name}
    if row["action"] == "set_aside":
        return told | {"does": "set aside", "why": row["reason"]}
    falls = [Decimal(row[f"fall_to_{what}"]) for what in ("trigger", "margin_call", "liquidation")]
    notes = [note for note in row["held_back"] if note not in row["reason"]]
    return told | {
        "LTV": row["ltv"],
        "trigger": row["trigger_ltv"],
        "target": row["target_ltv"],
        "does": "hold" if row["amount"] is None else f"{row['action']} {row['amount']} {row['coin']}",
        "why": "; ".join([row["reason"], *notes]),
        "/ liquidation": " / ".join(f"{fall:.1%}" for fall in falls),
        "rule": row["rule"],
    }


async def test_a_mixed_account_is_one_table_most_urgent_first_and_json_says_the_same(
    open_a_world: OpenWorld,
) -> None:
    async with mixed_account(open_a_world) as world:
        status, shown = await ran("plan", "-c", world.config_file, environ={"COLUMNS": "200"})
        assert status == 0, shown.output
        status, told = await ran("plan", "--json", "-c", world.config_file)
        assert status == 0, told.output
    rows = json.loads("".join(told.lines))
    assert read_table(shown.lines) == [as_told(row) for row in rows]
    assert [row["loan_id"] for row in rows] == BY_URGENCY
    by_loan = {row["loan_id"]: row for row in rows}
    does = {loan_id: row["action"] for loan_id, row in by_loan.items()}
    assert does == {
        **dict.fromkeys([URGENT, "pool", BREACHING], "add"),
        **dict.fromkeys([LEFT_ALONE, CALM, LOW], "hold"),
        NONSENSE: "set_aside",
    }
    assert by_loan[LEFT_ALONE]["reason"] == "overrides.0 says protect: false"
    assert by_loan[URGENT]["reason"].startswith("emergency: LTV 0.8400 against a trigger of 0.75")
    assert "collateralAmount" in by_loan[NONSENSE]["reason"]
    assert "is being rescued" in by_loan[LOW]["reason"]
    shares = [by_loan[loan_id] for loan_id in (URGENT, "pool", BREACHING)]
    assert all(any("its share of scarce funds" in note for note in row["held_back"]) for row in shares)
    assert Decimal("0.299") < sum(Decimal(row["amount"]) for row in shares) <= Decimal("0.3")
    assert abs(Decimal(shares[0]["reachable_ltv"]) - Decimal(shares[2]["reachable_ltv"])) <= Decimal("0.0002")
    for row in rows[:-1]:
        fall = 1 - Decimal(row["ltv"]) / Decimal(row["liquidation_ltv"])
        assert abs(Decimal(row["fall_to_liquidation"]) - fall) <= Decimal("0.0001")


@pytest.mark.slow
@pytest.mark.parametrize("columns", [120, 80])
async def test_on_a_terminal_no_word_of_it_is_lost_or_broken(open_a_world: OpenWorld, columns: int) -> None:
    """Names, figures and adjustments stand in one piece each, whatever the width of the terminal."""
    async with mixed_account(open_a_world) as world:
        _, told = await ran("plan", "--json", "-c", world.config_file)
        terminal = {"FORCE_COLOR": "1", "COLUMNS": str(columns)}
        status, shown = await ran("plan", "-c", world.config_file, environ=terminal)
        assert status == 0, shown.output
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in shown.lines]
    assert max(map(len, lines)) <= columns
    text = "\n".join(lines)
    for row in json.loads("".join(told.lines)):
        cells = as_told(row)
        pieces = [cells[name] for name in COLUMNS if name not in {"why", "/ liquidation"}]
        assert all(
            piece in text for piece in [*pieces, *cells["why"].split(), *cells["/ liquidation"].split(" / ")]
        )
