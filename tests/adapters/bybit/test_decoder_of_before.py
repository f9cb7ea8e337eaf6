"""The short way through a page of orders against the long one of before, on whatever may be odd in it."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import long_readers
import pytest
from order_rows import parse_orders
from payload_mutations import ADJUSTMENT, ORDER, POSITION, REPAYMENT, combined, listed, mutations

from ltv_guard.adapters.bybit import fields, order_wire, pool_wire
from ltv_guard.adapters.bybit.answers import open_envelope
from ltv_guard.adapters.bybit.fields import MalformedPayload
from ltv_guard.adapters.bybit.oddities import Reading
from ltv_guard.adapters.bybit.pool_terms import PositionTerms
from ltv_guard.adapters.bybit.terms import usual_terms

READERS = ("decimal", "amount", "whole", "moment", "identity", "coin")
BYBIT = "ltv_guard.adapters.bybit."
READING = {
    "doubts",
    "fields",
    "order_wire",
    "pool_debts",
    "pool_wire",
    "wire",
}  # on the way of these payloads
TERMS = {"BTC": usual_terms("BTC")}
POOL_TERMS = PositionTerms(
    tiers={},
    accuracies={},
    candidates=(),
    margin_call_ltv=Decimal("0.85"),
    liquidation_ltv=Decimal("0.95"),
)
LETTERS = "0123456789..-+eE_ xB\u0661\ud800"


def bare(value: object) -> str:
    """A Decimal stands in the JSON without quotes: NaN and Infinity, too."""
    return f"@{value}@"


def decoded(result: object) -> Any:  # noqa: ANN401 - JSON
    text = json.dumps({"retCode": 0, "result": result}, default=bare)
    return open_envelope(text.replace('"@', "").replace('@"', "").encode()).result


def spoiled(result: object, seed: int) -> Iterator[object]:
    found = list(mutations(result))
    yield from (item.applied(result) for item in found)
    yield from (payload for payload, _ in combined(found, result, 500, seed))


def numbers(seed: int) -> Iterator[str]:
    """Texts that are numbers, nearly numbers, or neither; times above all."""
    chance = random.Random(seed)
    for _ in range(4000):
        whole = "".join(
            chance.choice("0123456789") for _ in range(chance.choice((1, 2, 12, 13, 14, 29, 30, 41)))
        )
        part = "".join(chance.choice("0123456789") for _ in range(chance.choice((0, 1, 8, 40, 41))))
        text = f"{whole}.{part}" if part else whole
        if chance.random() < 0.5:
            at = chance.randrange(len(text) + 1)
            text = text[:at] + chance.choice(LETTERS) + text[at:]
        yield text


def what_comes_of(read: Callable[[], object]) -> object:
    try:
        found = read()
    except MalformedPayload as exc:
        return f"malformed: {exc}"
    return (type(found), str(found))


@pytest.mark.parametrize("reader", READERS)
def test_a_text_is_read_as_before_whatever_stands_in_it(reader: str) -> None:
    short, long = getattr(fields, reader), getattr(long_readers, reader)
    words = ("BTC", "btc", "1INCH", "a-b_c", "", " 1", "1 ", "1\n", "\u0661")
    for text in (*numbers(1), *words, *("A" * length for length in (32, 33, 64, 65))):
        row = {"x": text}
        assert what_comes_of(lambda row=row: short(row, "x")) == what_comes_of(lambda row=row: long(row, "x"))


def the_long_way(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Wherever one is known by its name, also by that of another module. Returns the modules."""
    short = {name: getattr(fields, name) for name in (*READERS, "as_row")}
    knowing = [
        (module, name)
        for module in [found for path, found in sys.modules.items() if path.startswith(BYBIT)]
        for name, reader in short.items()
        if vars(module).get(name) is reader
    ]
    for module, name in knowing:
        monkeypatch.setattr(module, name, getattr(long_readers, name))
    return {module.__name__.removeprefix(BYBIT) for module, _ in knowing}


def orders(result: Any) -> object:  # noqa: ANN401 - JSON
    reading = Reading("orders")
    rows = result.get("list")
    items = rows if isinstance(rows, list) else []
    return (parse_orders(items, TERMS, reading), order_wire.coins_of(items), reading.found)


def a_position(result: Any) -> object:  # noqa: ANN401 - JSON
    reading = Reading("position")
    try:
        return (pool_wire.parse_position(result, POOL_TERMS, reading), reading.found)
    except ValueError as exc:
        return f"set aside: {exc}"


def rows_by(parse: Callable[[object], object]) -> Callable[[Any], object]:
    def read(result: Any) -> object:  # noqa: ANN401 - JSON
        rows = result.get("list")
        return [what_comes_of(lambda row=row: parse(row)) for row in rows] if isinstance(rows, list) else None

    return read


@pytest.mark.parametrize(
    ("result", "read"),
    [
        pytest.param(listed(ORDER, orderId="1793683005081680385"), orders, id="orders"),
        pytest.param(POSITION, a_position, id="position"),
        pytest.param(listed(ADJUSTMENT, adjustId="2"), rows_by(order_wire.parse_history_row), id="history"),
        pytest.param(listed(REPAYMENT, repayId="2"), rows_by(order_wire.parse_repayment), id="repayments"),
    ],
)
def test_a_payload_is_read_as_before_whatever_is_odd_in_it(
    result: object, read: Callable[[Any], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    payloads = [decoded(item) for item in spoiled(result, seed=11)]
    short = [read(item) for item in payloads if isinstance(item, dict)]
    assert the_long_way(monkeypatch) >= READING
    long = [read(item) for item in payloads if isinstance(item, dict)]
    assert len(short) > 500
    differing = [(a, b) for a, b in zip(short, long, strict=True) if repr(a) != repr(b)]
    assert differing == []
