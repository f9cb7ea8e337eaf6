import json
from decimal import Decimal
from typing import Any

import pytest
from order_rows import parse_orders

from ltv_guard.adapters.bybit.answers import open_envelope
from ltv_guard.adapters.bybit.fields import MalformedPayload
from ltv_guard.adapters.bybit.oddities import Reading
from ltv_guard.adapters.bybit.order_wire import adjustment_body, parse_history_row
from ltv_guard.adapters.bybit.terms import Terms, parse_levels
from ltv_guard.adapters.bybit.wire import parse_maximum, parse_page, plain, query_string
from ltv_guard.core.model.history import RowStatus
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Collateral, Debt, Direction, Loan, LoanKey, Owner, Product

ORDER = {
    "collateralAmount": "0.0964687",
    "collateralCurrency": "BTC",
    "currentLTV": "0.4161",
    "expirationTime": "1731149999000",
    "hourlyInterestRate": "0.0000010633",
    "loanCurrency": "USDT",
    "loanTerm": "30",
    "orderId": "1793683005081680384",
    "residualInterest": "0.04016",
    "residualPenaltyInterest": "0",
    "totalDebt": "1888.005198",
}
ROW = {
    "adjustId": "1794318409405331968",
    "adjustTime": "1728635422814",
    "afterLTV": "0.7164",
    "amount": "0.001",
    "collateralCurrency": "BTC",
    "direction": 1,
    "orderId": "1794267532472646144",
    "preLTV": "0.6546",
}
TERMS = {
    "BTC": Terms(coin="BTC", accuracy=8, margin_call_ltv=Decimal("0.87"), liquidation_ltv=Decimal("0.95"))
}
KEY = LoanKey(Product.LEGACY, "1793683005081680384")


def intent(direction: Direction, amount: str) -> Intent:
    return Intent(
        intent_id="i",
        owner=Owner("testnet", "1"),
        account="main",
        key=KEY,
        direction=direction,
        coin="BTC",
        amount=Decimal(amount),
        state=State.PLANNED,
        reason="",
        coins_before=Decimal(1),
        ltv_before=Decimal("0.8"),
        observed_at_ms=0,
        seen_ids=frozenset(),
        created_at_ms=0,
        updated_at_ms=0,
    )


def test_direction_zero_adds_and_one_reduces() -> None:
    assert json.loads(adjustment_body(intent(Direction.ADD, "0.5")))["direction"] == "0"
    assert json.loads(adjustment_body(intent(Direction.REDUCE, "0.5")))["direction"] == "1"
    assert parse_history_row({**ROW, "direction": 0}).direction is Direction.ADD
    assert parse_history_row({**ROW, "direction": "1"}).direction is Direction.REDUCE


def test_the_body_has_three_strings_and_a_plain_amount() -> None:
    body = adjustment_body(intent(Direction.ADD, "1E-8"))
    assert body == b'{"orderId":"1793683005081680384","amount":"0.00000001","direction":"0"}'


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("1E-8", "0.00000001"),
        ("1E+3", "1000"),
        ("0.10", "0.10"),
        ("123456789.123456789", "123456789.123456789"),
    ],
)
def test_amounts_are_written_without_exponent(value: str, written: str) -> None:
    assert plain(Decimal(value)) == written


def test_a_query_escapes_commas_and_whatever_a_cursor_may_hold() -> None:
    assert (
        query_string({"coin": "BTC,USDT", "cursor": "a b&c=/%"})
        == "coin=BTC%2CUSDT&cursor=a%20b%26c%3D%2F%25"
    )


def test_the_documented_order_parses_to_its_numbers() -> None:
    loans, aside = parse_orders([ORDER], TERMS)
    assert aside == ()
    assert loans == (
        Loan(
            key=KEY,
            ltv=Decimal("0.4161"),
            collateral=(Collateral(coin="BTC", amount=Decimal("0.0964687"), accuracy=8),),
            debts=(Debt(coin="USDT", amount=Decimal("1888.045358")),),
            margin_call_ltv=Decimal("0.87"),
            liquidation_ltv=Decimal("0.95"),
            expires_at_ms=1731149999000,
        ),
    )


def test_a_debt_is_as_accurate_as_its_coin_is_as_collateral_or_else_eight_digits() -> None:
    usdt = Terms(coin="USDT", accuracy=4, margin_call_ltv=Decimal("0.9"), liquidation_ltv=Decimal("0.95"))
    for terms, accuracy in ((TERMS, 8), ({**TERMS, "USDT": usdt}, 4)):
        (loan,), _ = parse_orders([ORDER], terms)
        (debt,) = loan.debts
        assert (debt.accuracy, debt.fixed, debt.repayable) == (accuracy, 0, debt.amount)


def test_a_flexible_order_has_no_expiry_and_unknown_fields_are_ignored() -> None:
    loans, _ = parse_orders([{**ORDER, "expirationTime": "", "loanTerm": "", "news": {"x": [1]}}], TERMS)
    assert loans[0].expires_at_ms is None


@pytest.mark.parametrize("ends", ["0", "-1", "4102444800000", "9" * 30, None])
def test_an_end_that_no_loan_can_have_is_none_and_the_order_is_guarded(ends: str | None) -> None:
    loans, aside = parse_orders([{**ORDER, "expirationTime": ends}], TERMS)
    assert (loans[0].expires_at_ms, aside) == (None, ())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"collateralAmount": None}, "its collateralAmount is missing"),
        ({"currentLTV": "NaN", "totalDebt": ""}, "its currentLTV is no number but 'NaN'"),
        ({"currentLTV": "12", "loanCurrency": None}, "an LTV of 12 is not plausible"),
        ({"collateralAmount": "-1"}, "its collateralAmount is negative"),
        ({"collateralAmount": "0"}, "it shows no collateral"),
        ({"collateralAmount": "1e999999"}, "no number"),
        ({"collateralCurrency": "B\u0422C"}, "its collateralCurrency is"),
        ({"collateralAmount": "1e30"}, "its collateralAmount is absurd"),
    ],
)
def test_a_nonsense_order_is_set_aside_and_the_others_go_on(change: dict[str, Any], sentence: str) -> None:
    bad = {**ORDER, "orderId": "2", **change}
    loans, aside = parse_orders([bad, ORDER], TERMS)
    assert [loan.key for loan in loans] == [KEY]
    assert [item.key.loan_id for item in aside] == ["2"]
    assert sentence in aside[0].why


@pytest.mark.parametrize(
    ("shown", "sentence"),
    [
        (None, "its currentLTV is missing"),
        ("NaN", "its currentLTV is no number but 'NaN'"),
        (Decimal("NaN"), "its currentLTV is no number but 'NaN'"),
        ("Infinity", "no number"),
        ("12", "an LTV of 12 is not plausible"),
        ("-0.1", "its currentLTV is negative"),
        ("", "no number"),
        (True, "no number"),
        (["0.5"], "no number"),
        ("1_0", "no number"),
        ("\u0660.\u0665", "no number"),
    ],
)
def test_an_ltv_that_cannot_be_costs_no_order_its_guard_where_its_debt_can_be_read(
    shown: object, sentence: str
) -> None:
    reading = Reading("orders")
    (loan,), aside = parse_orders([{**ORDER, "currentLTV": shown}], TERMS, reading)
    assert (loan.ltv, loan.debts[0].amount, aside) == (0, Decimal("1888.045358"), ())
    assert [item.row for item in reading.found] == [KEY.loan_id]
    assert sentence in reading.found[0].why


@pytest.mark.parametrize("bad", [None, [], "x", 7, {**ORDER, "orderId": None}, {**ORDER, "orderId": "a b"}])
def test_a_row_without_a_usable_id_is_set_aside_too(bad: object) -> None:
    loans, aside = parse_orders([bad, ORDER], TERMS)
    assert len(loans) == 1
    assert [item.nameless for item in aside] == [True]


@pytest.mark.parametrize(
    ("change", "owed"),
    [
        ({"totalDebt": None}, "0.04016"),
        ({"residualInterest": "-0.1"}, "1888.005198"),
        ({"residualPenaltyInterest": ""}, "1888.045358"),
        ({"loanCurrency": {}}, None),
        ({"expirationTime": "soon"}, "1888.045358"),
        ({"expirationTime": "1.5"}, "1888.045358"),
    ],
    ids=str,
)
def test_what_does_not_bear_on_adding_is_passed_over_and_the_order_is_guarded(
    change: dict[str, Any], owed: str | None
) -> None:
    reading = Reading("orders")
    (loan,), aside = parse_orders([{**ORDER, **change}], TERMS, reading)
    assert (loan.ltv, loan.collateral, aside) == (
        Decimal("0.4161"),
        (Collateral(coin="BTC", amount=Decimal("0.0964687"), accuracy=8),),
        (),
    )
    assert [debt.amount for debt in loan.debts] == ([] if owed is None else [Decimal(owed)])
    if "expirationTime" not in change:
        assert not any(debt.repayable for debt in loan.debts)
    assert [item.row for item in reading.found] == [KEY.loan_id]


def test_an_order_whose_coin_has_no_terms_is_guarded_by_the_usual_ones() -> None:
    reading = Reading("orders")
    (loan,), aside = parse_orders([{**ORDER, "collateralCurrency": "DOGE"}], TERMS, reading)
    assert (loan.margin_call_ltv, loan.liquidation_ltv) == (Decimal("0.87"), Decimal("0.95"))
    assert (loan.collateral[0].accuracy, aside) == (8, ())
    assert "no collateral terms for DOGE" in reading.found[0].why


def test_of_an_order_that_is_listed_twice_the_later_row_that_can_be_read_counts() -> None:
    higher, odd = {**ORDER, "currentLTV": "0.5"}, {**ORDER, "collateralAmount": ""}
    for rows, ltv in (
        ([ORDER, dict(ORDER)], "0.4161"),
        ([ORDER, higher], "0.5"),
        ([odd, ORDER, odd], "0.4161"),
    ):
        loans, aside = parse_orders(rows, TERMS)
        assert ([loan.ltv for loan in loans], aside) == ([Decimal(ltv)], ())


def test_the_documented_history_row_parses_to_its_numbers() -> None:
    row = parse_history_row(ROW)
    assert (row.adjust_id, row.key.loan_id, row.coin) == ("1794318409405331968", "1794267532472646144", "BTC")
    assert (row.direction, row.amount, row.at_ms) == (Direction.REDUCE, Decimal("0.001"), 1728635422814)
    assert (row.ltv_before, row.ltv_after) == (Decimal("0.6546"), Decimal("0.7164"))
    assert row.status is RowStatus.SUCCESS


def test_history_ids_are_strings_even_where_the_exchange_writes_numbers() -> None:
    assert parse_history_row({**ROW, "adjustId": 27511}).adjust_id == "27511"


def test_ltvs_of_the_history_may_be_missing_but_nothing_else() -> None:
    row = parse_history_row({**ROW, "preLTV": "", "afterLTV": None})
    assert (row.ltv_before, row.ltv_after) == (None, None)
    for name in ("adjustId", "adjustTime", "amount", "collateralCurrency", "direction", "orderId"):
        with pytest.raises(MalformedPayload):
            parse_history_row({**ROW, name: None})
    with pytest.raises(MalformedPayload, match="direction"):
        parse_history_row({**ROW, "direction": 2})


def test_the_maximum_reduction_is_read_and_never_negative() -> None:
    assert parse_maximum({"maxCollateralAmount": "0.00210611"}) == Decimal("0.00210611")
    with pytest.raises(MalformedPayload):
        parse_maximum({"maxCollateralAmount": "-1"})


def test_json_numbers_never_pass_through_a_float() -> None:
    envelope = open_envelope(b'{"retCode": 0, "result": {"maxCollateralAmount": 0.1234567890123456789}}')
    assert isinstance(envelope.result, dict)
    assert parse_maximum(envelope.result) == Decimal("0.1234567890123456789")


def test_a_page_needs_a_list_and_its_cursor_may_be_missing() -> None:
    assert parse_page({"list": []}) == ([], "")
    assert parse_page({"list": [1], "nextPageCursor": "7"}) == ([1], "7")
    assert parse_page({"list": None, "nextPageCursor": 7}) == ([], "7")
    broken: dict[str, Any]
    longest = {"list": [], "nextPageCursor": "\u20ac" * 341}
    assert parse_page(longest)[1] == "\u20ac" * 341
    for broken in (
        {},
        {"list": {}},
        {"list": [], "nextPageCursor": True},
        {"list": [], "nextPageCursor": "\u20ac" * 342},
        {"list": [], "nextPageCursor": "\ud800"},
    ):
        with pytest.raises(MalformedPayload):
            parse_page(broken)


def tier(level: str, call: str, liquidation: str, accuracy: object = 8, coin: str = "ETH") -> dict[str, Any]:
    row = {
        "currency": coin,
        "collateralAccuracy": accuracy,
        "initialLTV": "0.8",
        "marginCallLTV": call,
        "liquidationLTV": liquidation,
        "maxLimit": "32000",
    }
    return {"vipLevel": level, "list": [row]}


def test_the_documented_terms_parse_to_their_numbers() -> None:
    found = parse_levels({"vipCoinList": [tier("PRO1", "0.87", "0.95")]}).at("PRO-1")
    assert found["ETH"] == Terms(
        coin="ETH", accuracy=8, margin_call_ltv=Decimal("0.87"), liquidation_ltv=Decimal("0.95")
    )


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("PRO-1", "0.90"),
        ("PRO1", "0.90"),
        ("No VIP", "0.87"),
        ("", "0.80"),
        ("VIP-1", "0.85"),
        ("VIP9", "0.80"),
        (None, "0.80"),
    ],
)
def test_terms_are_those_of_the_level_or_the_most_cautious_of_all(level: str | None, expected: str) -> None:
    tiers = [
        tier("VIP0", "0.87", "0.95"),
        tier("VIP1", "0.86", "0.95", accuracy=6),
        tier("VIP1", "0.85", "0.96"),
        tier("PRO1", "0.90", "0.95"),
        tier("PRO2", "0.80", "0.93"),
    ]
    found = parse_levels({"vipCoinList": tiers}).at(level)["ETH"]
    assert found.margin_call_ltv == Decimal(expected)
    if level == "VIP-1":
        assert (found.liquidation_ltv, found.accuracy) == (Decimal("0.95"), 6)


@pytest.mark.parametrize(
    "bad",
    [
        tier("VIP0", "0.96", "0.95"),
        tier("VIP0", "0", "0.95"),
        tier("VIP0", "NaN", "0.95"),
        tier("VIP0", "0.87", "95"),
        tier("VIP0", "0.87", "0.95", accuracy=-1),
        tier("VIP0", "0.87", "0.95", accuracy="many"),
        {"vipLevel": "VIP0", "list": ["x"]},
    ],
)
def test_terms_that_make_no_sense_are_no_terms(bad: dict[str, Any]) -> None:
    found = parse_levels({"vipCoinList": [bad, tier("VIP0", "0.87", "0.95", coin="BTC")]}).at(None)
    assert list(found) == ["BTC"]
