"""What the smallest readers make of odd values: numbers, times, names; and what may be shown of them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from ltv_guard.adapters.bybit.answers import open_envelope
from ltv_guard.adapters.bybit.fields import MalformedPayload, brief, decimal, json_number, moment, shown
from ltv_guard.adapters.bybit.oddities import MOST_OF_A_LIST, Oddities, Reading, row_named


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("1", 1),
        ("-0.1", Decimal("-0.1")),
        ("1e99", Decimal("1e99")),
        ("9" * 5000, "9" * 5000),
        ("1e9999999999999999999999", "1e9999999999999999999999"),
    ],
    ids=lambda value: str(value)[:12],
)
def test_a_number_that_no_field_can_hold_stays_text(text: str, read: object) -> None:
    assert json_number(text) == read


def test_one_absurd_number_costs_its_own_field_and_not_the_answer() -> None:
    body = '{"retCode": 0, "result": {"a": %s, "b": 1e99999999999999999999, "c": "2"}}' % ("9" * 9000)
    result = open_envelope(body.encode()).result
    assert isinstance(result, dict)
    for name in ("a", "b"):
        with pytest.raises(MalformedPayload):
            decimal(result, name)
    assert decimal(result, "c") == 2


@pytest.mark.parametrize("value", [0, -1, "1e15", "4102444800000", "1262303999999", "x", True, None, 1.5])
def test_a_time_that_can_not_be_is_none(value: object) -> None:
    with pytest.raises(MalformedPayload):
        moment({"t": value}, "t")


@pytest.mark.case(48)
@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("plain words", "plain words"),
        (" two\n\tlines\x85 ", "two lines"),
        ("\x1b[31mred\x07", "\\u001b[31mred\\u0007"),
        ("left \u202eright\u2066", "left \\u202eright\\u2066"),
        ("half \ud83d", "half \\ud83d"),
        ("zero\u200bwidth \u00e9\u4e2d", "zero\\u200bwidth \u00e9\u4e2d"),
        (None, "None"),
        (7, "7"),
    ],
)
def test_words_of_the_exchange_hold_nothing_that_a_terminal_obeys(text: object, read: str) -> None:
    assert brief(text) == read
    assert brief(text).isprintable()


@pytest.mark.case(48)
@pytest.mark.parametrize(
    "value", ["\x1b[2J" * 99, "\u202e", "\ud800", ["\x1b"] * 10_000, {"\u202e": [[[[]]]]}, 10**50]
)
def test_a_value_is_shown_short_and_printable(value: object) -> None:
    assert shown(value).isprintable()
    assert len(shown(value)) < 50
    assert len(brief("\x1b" * 10_000_000)) == 200


def test_of_many_odd_rows_a_few_are_told_and_the_rest_counted() -> None:
    book, reading = Oddities(), Reading("list")
    for number in range(30):
        reading.passes_over(str(number), "odd", "nothing")
    book.note("list", reading.found)
    book.note("other", [])
    told = book.current()
    assert len(told) == MOST_OF_A_LIST + 1
    assert told[-1].why == "22 more rows are odd"
    book.note("list", [])
    assert book.current() == ()


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"orderId": "7"}, "7"),
        ({"orderId": None, "coin": "BTC"}, "BTC"),
        ({"orderId": "\x1b"}, "a row"),
        ({"orderId": "\u202e"}, "a row"),
        ({"orderId": "x" * 65}, "a row"),
        ({"orderId": True}, "a row"),
        (None, "a row"),
        ([], "a row"),
    ],
)
def test_a_row_is_called_by_the_first_name_that_can_be_shown(row: object, name: str) -> None:
    assert row_named(row, "orderId", "coin") == name
