"""The pool on the wire: the documented payloads to the same numbers, and whatever makes no sense, loudly."""

from __future__ import annotations

import copy
import json
from decimal import Decimal
from typing import Any

import pytest

from ltv_guard.adapters.bybit.fields import MalformedPayload
from ltv_guard.adapters.bybit.oddities import Reading
from ltv_guard.adapters.bybit.pool_debts import owes_nothing
from ltv_guard.adapters.bybit.pool_terms import PositionTerms, parse_tiers
from ltv_guard.adapters.bybit.pool_wire import POOL, adjustment_body, parse_history_row, parse_position
from ltv_guard.core.model.history import HistoryRow, RowStatus
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Additions, Collateral, Debt, Direction, Owner, Totals
from ltv_guard.core.model.policy import LoanPolicy
from ltv_guard.core.model.tiers import FLAT, UNBOUNDED, Tier

D = Decimal

# v5/new-crypto-loan/crypto-loan-position, as documented.
POSITION = json.loads(
    """{"borrowList": [{"loanCurrency": "BTC", "flexibleTotalDebt": "0.08800022",
  "flexibleTotalDebtUSD": "9355.37", "fixedTotalDebt": "0", "fixedTotalDebtUSD": "0",
  "flexibleHourlyInterestRate": "0.0000001361462"}, {"loanCurrency": "ETH", "flexibleTotalDebt": "0",
  "flexibleTotalDebtUSD": "0", "fixedTotalDebt": "0.1", "fixedTotalDebtUSD": "282.8",
  "flexibleHourlyInterestRate": "0.00000188498892"}],
 "collateralList": [{"currency": "BTC", "amount": "0.12", "amountUSD": "9930.11"},
  {"currency": "ETH", "amount": "2", "amountUSD": "4524.81"},
  {"currency": "USDT", "amount": "4002.12", "amountUSD": "3201.69"},
  {"currency": "USDC", "amount": "1000", "amountUSD": "724.8"}],
 "ltv": "0.524344", "supplyList": [{"currency": "USDT", "amount": "800.13041095890410959",
  "amountUSD": "800.13"}], "totalCollateral": "18381.41", "totalDebt": "9638.17", "totalSupply": "800.13",
 "colRes": "0"}"""
)
EMPTY = {
    "borrowList": [],
    "collateralList": [],
    "supplyList": [],
    "ltv": "",
    "totalCollateral": "0",
    "totalDebt": "0",
    "totalSupply": "0",
    "colRes": "0",
}
# v5/new-crypto-loan/collateral-coin, as documented, with an end to its tiers.
RATIOS = {
    "collateralRatioConfigList": [
        {
            "currencies": "ATOM,AAVE,BTC,BOB",
            "collateralRatioList": [
                {"collateralRatio": "0.8", "minValue": "0", "maxValue": "10000"},
                {"collateralRatio": "0.7", "minValue": "10000", "maxValue": "20000"},
                {"collateralRatio": "0.5", "minValue": "20000", "maxValue": "99999999999"},
            ],
        }
    ],
    "currencyLiquidationList": [{"currency": "BTC", "liquidationOrder": 1}],
}
# v5/new-crypto-loan/ltv-adjust-history, as documented.
ROW = {
    "adjustId": 27511,
    "adjustTime": 1752627997907,
    "preLTV": "0.524602",
    "afterLTV": "0.813743",
    "amount": "0.08",
    "collateralCurrency": "BTC",
    "direction": 1,
    "status": 1,
}
TIERS = (
    Tier(ratio=D("0.8"), lower=D(0), upper=D(10000)),
    Tier(ratio=D("0.7"), lower=D(10000), upper=D(20000)),
    Tier(ratio=D("0.5"), lower=D(20000), upper=D(99999999999)),
)


def terms(*candidates: str, **accuracies: int) -> PositionTerms:
    return PositionTerms(
        tiers={"BTC": TIERS, "ETH": FLAT, "USDT": FLAT, "USDC": FLAT, "SOL": FLAT},
        accuracies=accuracies,
        candidates=candidates,
        margin_call_ltv=D("0.85"),
        liquidation_ltv=D("0.92"),
    )


def position(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    return copy.deepcopy(POSITION) | changes


def test_the_documented_position_is_read_to_the_numbers_that_stand_there() -> None:
    loan = parse_position(POSITION, terms("USDT", BTC=6))
    assert loan is not None
    assert (loan.key, loan.ltv) == (POOL, D("0.524344"))
    assert loan.totals == Totals(debt_usd=D("9638.17"), collateral_usd=D("18381.41"))
    assert loan.debts == (
        Debt(coin="BTC", amount=D("0.08800022"), accuracy=6),
        Debt(coin="ETH", amount=D("0.1"), fixed=D("0.1")),
    )
    assert [debt.hourly_rate for debt in loan.debts] == [D("0.0000001361462"), D("0.00000188498892")]
    assert [debt.value_usd for debt in loan.debts] == [D("9355.37"), D("282.8")]
    assert loan.collateral == (
        Collateral(coin="BTC", amount=D("0.12"), accuracy=6, value_usd=D("9930.11"), tiers=TIERS),
        Collateral(coin="ETH", amount=D(2), accuracy=8, value_usd=D("4524.81")),
        Collateral(coin="USDT", amount=D("4002.12"), accuracy=8, value_usd=D("3201.69")),
        Collateral(coin="USDC", amount=D(1000), accuracy=8, value_usd=D("724.8")),
    )
    assert (loan.margin_call_ltv, loan.liquidation_ltv) == (D("0.85"), D("0.92"))
    assert loan.additions is Additions.TAKEN
    assert loan.expires_at_ms is None


def test_a_preferred_coin_that_is_not_in_the_pool_is_marked_as_none_of_it() -> None:
    loan = parse_position(POSITION, terms("SOL", "USDT", "UNKNOWN", SOL=3))
    assert loan is not None
    assert loan.collateral_in("SOL") == Collateral(coin="SOL", amount=D(0), accuracy=3, value_usd=D(0))
    assert [item.coin for item in loan.collateral] == ["BTC", "ETH", "USDT", "USDC", "SOL"]


def test_a_coin_without_terms_is_seen_but_has_no_tiers() -> None:
    held = [*POSITION["collateralList"], {"currency": "NEW", "amount": "5", "amountUSD": "7"}]
    loan = parse_position(position(collateralList=held), terms("USDT"))
    assert loan is not None
    assert loan.collateral_in("NEW") == Collateral(
        coin="NEW", amount=D(5), accuracy=8, value_usd=D(7), tiers=()
    )


def test_flexible_and_fixed_debts_of_a_coin_add_up() -> None:
    debt = POSITION["borrowList"][0] | {"fixedTotalDebt": "0.012"}
    loan = parse_position(position(borrowList=[debt]), terms())
    assert loan is not None
    assert loan.debts == (Debt(coin="BTC", amount=D("0.10000022"), fixed=D("0.012")),)
    assert loan.debts[0].repayable == D("0.08800022")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("0", Additions.TAKEN),
        ("1", Additions.NEARLY_FULL),
        ("2", Additions.REFUSED),
        (2, Additions.REFUSED),
        ("-1", Additions.UNKNOWN),
        ("3", Additions.UNKNOWN),
        (None, Additions.UNKNOWN),
        ([], Additions.UNKNOWN),
    ],
)
def test_col_res_says_whether_the_platform_takes_more(written: object, read: Additions) -> None:
    loan = parse_position(position(colRes=written), terms())
    assert loan is not None
    assert loan.additions is read


def test_an_exchange_that_knows_no_col_res_takes_collateral() -> None:
    payload = position()
    del payload["colRes"]
    loan = parse_position(payload, terms())
    assert loan is not None
    assert loan.additions is Additions.TAKEN


def test_unknown_fields_and_numbers_that_are_no_strings_change_nothing() -> None:
    payload = position(novelty={"a": [1]}, ltv=D("0.524344"), totalDebt=D("9638.17"))
    for name in ("borrowList", "collateralList"):
        for row in payload[name]:
            row["novelty"] = "new"
    assert parse_position(payload, terms("USDT")) == parse_position(POSITION, terms("USDT"))


@pytest.mark.parametrize(
    "payload",
    [
        EMPTY,
        EMPTY | {"totalDebt": ""},
        EMPTY | {"borrowList": None, "collateralList": None},
        EMPTY | {"borrowList": [{"loanCurrency": "USDT", "flexibleTotalDebt": "0", "fixedTotalDebt": "0"}]},
        EMPTY | {"collateralList": POSITION["collateralList"], "totalCollateral": "18381.41", "ltv": "0"},
        {"borrowList": [], "collateralList": [], "supplyList": []},
    ],
    ids=["empty", "no total", "null", "paid back", "collateral only", "lists only"],
)
def test_an_account_that_owes_nothing_is_quiet(payload: dict[str, Any]) -> None:
    assert owes_nothing(payload)
    assert parse_position(payload, terms()) is None


SPOILED = [("", name) for name in ("borrowList", "collateralList", "ltv", "totalCollateral", "totalDebt")]
SPOILED += [("borrowList", name) for name in ("loanCurrency", "flexibleTotalDebt", "fixedTotalDebt")]
SPOILED += [("collateralList", name) for name in ("currency", "amount", "amountUSD")]
WRONG: list[object] = ["gone", None, [], {}, True, "", "abc", "NaN", "-1", "1e999", " 1", "Infinity"]
WRONG += ["1e30", "\u0661", "1_0", "0x1", "+1", "\ud800"]

NAMES = {"abc", "NaN", "1e999", "Infinity", "1e30", "0x1", "1_0"}


def wrong_for(name: str) -> list[object]:
    """What a field can't be; a coin, or an id, may be called by any letters."""
    is_a_name = name == "adjustId" or "urrency" in name
    return [value for value in WRONG if not (is_a_name and str(value) in NAMES)]


def spoiled(part: str, name: str, value: object) -> dict[str, Any]:
    payload = position()
    row = payload[part][0] if part else payload
    if value == "gone":
        del row[name]
    else:
        row[name] = value
    return payload


# What is told of each that is odd; an empty list of debts beside a total is not.
TELLS = {
    "borrowList": "nothing of it is repaid",
    "ltv": "the pool's other two sums",
    "totalCollateral": "the pool's other two sums",
    "totalDebt": "the pool's other two sums",
    "loanCurrency": "nothing of this debt is repaid",
    "flexibleTotalDebt": "nothing of this debt is repaid",
    "fixedTotalDebt": "nothing of this debt is repaid",
    "currency": "nothing of this coin is added",
    "amount": "nothing of this coin is added",
    "amountUSD": "its worth is reckoned",
}


@pytest.mark.case(52)
@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        (part, name, value)
        for part, name in SPOILED
        for value in wrong_for(name)
        if name != "collateralList" and (name != "borrowList" or value not in (None, []))
    ],
    ids=str,
)
def test_what_does_not_bear_on_the_decision_is_passed_over_and_the_pool_is_guarded(
    part: str, name: str, value: object
) -> None:
    reading = Reading("position")
    loan = parse_position(spoiled(part, name, value), terms(), reading)
    assert loan is not None
    assert abs(loan.ltv - D("0.524344")) < D("0.000002")
    assert loan.totals is not None
    assert abs(loan.totals.collateral_usd - D("18381.41")) < D("0.05")
    assert abs(loan.totals.debt_usd - D("9638.17")) < D("0.05")
    assert any(TELLS[name] in item.follows for item in reading.found)
    if name in {"amount", "currency"} and part == "collateralList":
        assert [item.unread for item in loan.collateral] == [True, False, False, False]
        assert (loan.collateral_in("BTC") is None) == (name == "currency")
    elif part == "borrowList":
        assert not any(debt.repayable for debt in loan.debts if debt.coin == "BTC")


@pytest.mark.parametrize(
    ("name", "value"), [("collateralList", value) for value in wrong_for("collateralList")], ids=str
)
def test_a_pool_whose_coins_cannot_be_read_is_set_aside(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=r"(?i)its|it "):
        parse_position(spoiled("", name, value), terms())


SUMS = ("ltv", "totalDebt", "totalCollateral")
FEW_SUMS = [SUMS[:2], SUMS[1:], SUMS[::2], SUMS]


@pytest.mark.parametrize("odd", FEW_SUMS)
def test_of_a_pool_that_shows_one_sum_or_none_the_rows_are_added_up(odd: tuple[str, ...]) -> None:
    reading = Reading("position")
    loan = parse_position(position(**dict.fromkeys(odd, "")), terms(), reading)
    assert loan is not None
    assert abs(loan.ltv - D("0.524344")) <= D("0.000001")
    assert loan.totals == Totals(debt_usd=D("9638.17"), collateral_usd=D("18381.41"))
    assert {item.row for item in reading.found} == {"pool"}


def test_a_sum_that_it_does_show_is_not_added_up() -> None:
    loan = parse_position(
        position(ltv="", totalDebt="", totalCollateral="20000"), terms(), Reading("position")
    )
    assert loan is not None
    assert loan.totals == Totals(debt_usd=D("9638.17"), collateral_usd=D("20000"))


@pytest.mark.parametrize(
    ("listed", "row"),
    [
        ("borrowList", None),
        ("borrowList", {"loanCurrency": "BTC", "flexibleTotalDebtUSD": "?", "fixedTotalDebtUSD": "0"}),
        ("collateralList", {"currency": "BTC", "amount": "0.1", "amountUSD": ""}),
    ],
)
def test_a_pool_that_shows_no_sum_and_an_odd_row_is_set_aside(listed: str, row: object) -> None:
    shown = position(**dict.fromkeys(SUMS, "?"), **{listed: [*POSITION[listed], row]})
    with pytest.raises(MalformedPayload, match="its"):
        parse_position(shown, terms())


def test_a_preferred_coin_whose_amount_is_odd_is_not_taken_for_one_that_is_not_in_the_pool() -> None:
    loan = parse_position(spoiled("collateralList", "amount", ""), terms("BTC", "SOL"))
    assert loan is not None
    assert [item.coin for item in loan.collateral] == ["BTC", "ETH", "USDT", "USDC", "SOL"]
    assert [item.coin for item in LoanPolicy(collateral_preference=("BTC", "SOL")).candidates(loan)] == [
        "SOL"
    ]


def test_a_coin_that_is_listed_twice_counts_once_or_where_it_differs_as_unread() -> None:
    btc, eth, *others = POSITION["collateralList"]
    same = parse_position(position(collateralList=[btc, btc, eth, *others]), terms())
    assert same is not None
    assert same.collateral_in("BTC") == Collateral(
        coin="BTC", amount=D("0.12"), accuracy=8, value_usd=D("9930.11"), tiers=TIERS
    )
    differs = parse_position(position(collateralList=[btc, btc | {"amount": "1"}, eth]), terms("BTC"))
    assert differs is not None
    assert [(item.coin, item.unread) for item in differs.collateral] == [("BTC", True), ("ETH", False)]
    debt = POSITION["borrowList"][0]
    owed = parse_position(position(borrowList=[debt, debt | {"flexibleTotalDebt": "9"}]), terms())
    assert owed is not None
    assert [item.repayable for item in owed.debts] == [0]


@pytest.mark.parametrize("listed", [None, [], [5], [{"loanCurrency": "B C"}]])
def test_a_debt_that_no_list_tells_of_is_guarded_all_the_same(listed: object) -> None:
    loan = parse_position(position(borrowList=listed), terms())
    assert loan is not None
    assert (loan.ltv, loan.debts) == (D("0.524344"), ())


@pytest.mark.parametrize(
    "changes",
    [
        {"collateralList": []},
        {"collateralList": None},
        {"ltv": "-0.5", "totalDebt": "99999999999"},
        {"ltv": "12", "totalDebt": "?", "borrowList": []},
        {"ltv": "?", "totalCollateral": "0"},
    ],
)
def test_what_no_pool_can_be_is_set_aside(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"it|LTV"):
        parse_position(position(**changes), terms())


# Tiers


def test_the_documented_tiers_hold_for_every_coin_of_their_group() -> None:
    found = parse_tiers(RATIOS)
    assert found == dict.fromkeys(["ATOM", "AAVE", "BTC", "BOB"], TIERS)


@pytest.mark.parametrize("end", ["", None, "-1", "0"])
def test_a_last_tier_may_have_no_end(end: str | None) -> None:
    group = {"currencies": "BTC", "collateralRatioList": [{"collateralRatio": "0.8", "minValue": "0"}]}
    group["collateralRatioList"][0]["maxValue"] = end  # type: ignore[index]
    assert parse_tiers({"collateralRatioConfigList": [group]}) == {
        "BTC": (Tier(ratio=D("0.8"), lower=D(0), upper=UNBOUNDED),)
    }


def test_tiers_come_in_any_order() -> None:
    group = copy.deepcopy(RATIOS["collateralRatioConfigList"][0])
    group["collateralRatioList"].reverse()  # type: ignore[index]
    assert parse_tiers({"collateralRatioConfigList": [group]})["BTC"] == TIERS


@pytest.mark.parametrize(
    "rows",
    [
        [],
        None,
        [5],
        [{"collateralRatio": "0.8", "minValue": "0", "maxValue": []}],
        [{"collateralRatio": "80%", "minValue": "0", "maxValue": "1"}],
        [{"collateralRatio": "1.2", "minValue": "0", "maxValue": "1"}],
        [{"collateralRatio": "0.8", "minValue": "1", "maxValue": "1"}],
        [
            {"collateralRatio": "0.8", "minValue": "0", "maxValue": "10"},
            {"collateralRatio": "0.7", "minValue": "5", "maxValue": "20"},
        ],
    ],
)
def test_a_group_of_tiers_that_makes_no_sense_costs_its_own_coins_only(rows: object) -> None:
    groups = [{"currencies": "BAD", "collateralRatioList": rows}, *RATIOS["collateralRatioConfigList"], 7]
    assert set(parse_tiers({"collateralRatioConfigList": groups})) == {"ATOM", "AAVE", "BTC", "BOB"}


@pytest.mark.parametrize(
    "payload", [{}, {"collateralRatioConfigList": None}, {"collateralRatioConfigList": {}}]
)
def test_terms_that_are_unreadable_as_a_whole_are_nonsense(payload: dict[str, Any]) -> None:
    with pytest.raises(MalformedPayload):
        parse_tiers(payload)


# History


def test_the_documented_row_is_read_to_the_numbers_that_stand_there() -> None:
    assert parse_history_row(ROW) == HistoryRow(
        adjust_id="27511",
        key=POOL,
        coin="BTC",
        direction=Direction.REDUCE,
        amount=D("0.08"),
        at_ms=1752627997907,
        ltv_before=D("0.524602"),
        ltv_after=D("0.813743"),
        status=RowStatus.SUCCESS,
    )


def test_strings_for_numbers_and_unknown_fields_make_the_same_row() -> None:
    texts = {name: str(value) for name, value in ROW.items()} | {"novelty": []}
    assert parse_history_row(texts) == parse_history_row(ROW)


@pytest.mark.parametrize(
    ("status", "read", "change"),
    [
        (1, RowStatus.SUCCESS, "-0.08"),
        (2, RowStatus.PROCESSING, "0"),
        (3, RowStatus.FAILED, "0"),
        ("2", RowStatus.PROCESSING, "0"),
    ],
)
def test_a_row_moves_coins_once_its_status_says_so(status: object, read: RowStatus, change: str) -> None:
    row = parse_history_row(ROW | {"status": status})
    assert (row.status, row.change) == (read, D(change))


@pytest.mark.parametrize(
    ("code", "direction"), [(0, Direction.ADD), ("0", Direction.ADD), (1, Direction.REDUCE)]
)
def test_direction_0_adds_and_1_reduces(code: object, direction: Direction) -> None:
    assert parse_history_row(ROW | {"direction": code}).direction is direction


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (name, value)
        for name in ("adjustId", "adjustTime", "amount", "collateralCurrency", "direction", "status")
        for value in wrong_for(name)
        if value != "-1" or name == "amount"
    ],
    ids=str,
)
def test_a_row_that_makes_no_sense_is_refused(name: str, value: object) -> None:
    row: dict[str, object] = dict(ROW)
    if value == "gone":
        del row[name]
    else:
        row[name] = value
    with pytest.raises(MalformedPayload):
        parse_history_row(row)


@pytest.mark.parametrize("change", [{"status": 4}, {"status": 0}, {"direction": 2}])
def test_a_status_or_direction_that_nobody_knows_is_refused(change: dict[str, int]) -> None:
    with pytest.raises(MalformedPayload):
        parse_history_row(ROW | change)


@pytest.mark.parametrize("name", ["preLTV", "afterLTV"])
@pytest.mark.parametrize("value", ["", None, "-"])
def test_a_row_does_without_its_ltvs(name: str, value: object) -> None:
    row = parse_history_row(ROW | {name: value})
    assert (row.ltv_before is None, row.ltv_after is None) == (name == "preLTV", name == "afterLTV")


# What leaves


@pytest.mark.parametrize(("direction", "code"), [(Direction.ADD, "0"), (Direction.REDUCE, "1")])
def test_an_adjustment_is_three_strings_in_plain_notation(direction: Direction, code: str) -> None:
    intent = Intent(
        intent_id="i",
        owner=Owner("testnet", "1"),
        account="main",
        key=POOL,
        direction=direction,
        coin="BTC",
        amount=D("0.00000001"),
        state=State.PLANNED,
        reason="",
        coins_before=D(1),
        ltv_before=D("0.8"),
        observed_at_ms=0,
        seen_ids=frozenset(),
        created_at_ms=0,
        updated_at_ms=0,
    )
    assert json.loads(adjustment_body(intent)) == {
        "currency": "BTC",
        "amount": "0.00000001",
        "direction": code,
    }
