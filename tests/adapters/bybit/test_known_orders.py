"""A row that shows what it showed is the same loan; one that differs in anything is parsed anew."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from order_rows import parse_orders
from payload_mutations import ORDER, combined, listed, mutations

from ltv_guard.adapters.bybit.known_orders import KnownOrders
from ltv_guard.adapters.bybit.oddities import Reading
from ltv_guard.adapters.bybit.order_wire import order_key
from ltv_guard.adapters.bybit.terms import Terms, usual_terms

COIN = ORDER["collateralCurrency"]
TERMS = {COIN: usual_terms(COIN)}
PAGE = listed(ORDER, orderId="1793683005081680385")


def read(known: KnownOrders, rows: list[object], terms: dict[str, Terms]) -> tuple[Any, Any]:
    reading = Reading("orders")
    return known.parse([(known.key_of(row), row) for row in rows], terms, reading), reading.found


def read_anew(rows: list[object], terms: dict[str, Terms]) -> tuple[object, object]:
    reading = Reading("orders")
    return parse_orders(rows, terms, reading), reading.found


def test_a_row_that_shows_the_same_is_the_same_loan() -> None:
    known = KnownOrders()
    (before, _), _ = read(known, [dict(ORDER)], TERMS)
    (now, _), _ = read(known, [dict(ORDER)], TERMS)
    assert now[0] is before[0]


@pytest.mark.parametrize("name", [name for name in ORDER if name.endswith(("LTV", "Amount", "Debt"))])
def test_a_row_that_shows_another_number_is_another_loan(name: str) -> None:
    known = KnownOrders()
    read(known, [dict(ORDER)], TERMS)
    other = {**ORDER, name: "0.123"}
    assert read(known, [other], TERMS) == read_anew([other], TERMS)


def test_digits_that_move_from_one_field_to_the_next_make_another_loan() -> None:
    known = KnownOrders()
    read(known, [{**ORDER, "totalDebt": "1", "residualInterest": "23"}], TERMS)
    other = {**ORDER, "totalDebt": "12", "residualInterest": "3"}
    assert read(known, [other], TERMS) == read_anew([other], TERMS)


def test_orders_of_one_coin_share_its_name() -> None:
    pages = [json.loads(json.dumps(PAGE)), json.loads(json.dumps(listed(ORDER, orderId="2")))]
    (found, _), _ = read(KnownOrders(), [row for page in pages for row in page["list"]], TERMS)
    assert len({loan.key for loan in found}) > 1
    assert len({id(loan.collateral[0].coin) for loan in found}) == 1
    assert len({id(loan.debts[0].coin) for loan in found}) == 1


def test_other_terms_of_its_coin_make_another_loan_of_the_same_row() -> None:
    known = KnownOrders()
    read(known, [dict(ORDER)], TERMS)
    stricter = {COIN: replace(TERMS[COIN], liquidation_ltv=Decimal("0.9"))}
    (found, _), _ = read(known, [dict(ORDER)], stricter)
    assert found[0].liquidation_ltv == Decimal("0.9")


def test_what_is_odd_is_told_each_time() -> None:
    known, odd = KnownOrders(), {**ORDER, "expirationTime": "soon"}
    assert [len(read(known, [odd], TERMS)[1]) for _ in range(3)] == [1, 1, 1]


def test_an_order_that_was_away_is_parsed_anew() -> None:
    known = KnownOrders()
    (before, _), _ = read(known, [dict(ORDER)], TERMS)
    read(known, [], TERMS)
    (now, _), _ = read(known, [dict(ORDER)], TERMS)
    assert now[0] == before[0]
    assert now[0] is not before[0]


def test_whatever_becomes_of_a_known_row_is_read_as_if_it_were_new() -> None:
    found = list(mutations(PAGE))
    spoiled: list[Any] = [item.applied(PAGE) for item in found]
    spoiled += [payload for payload, _ in combined(found, PAGE, 200, 7)]
    for payload in spoiled:
        rows = payload.get("list") if isinstance(payload, dict) else None
        if not isinstance(rows, list):
            continue
        known = KnownOrders()
        read(known, list(PAGE["list"]), TERMS)
        for _ in range(2):
            assert [known.key_of(row) for row in rows] == [order_key(row) for row in rows]
            assert read(known, rows, TERMS) == read_anew(rows, TERMS)
