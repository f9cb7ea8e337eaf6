"""When interest alone brings a quiet loan to its trigger, at prices that stand still. One case a line."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from core_builders import D, loan
from core_pools import at
from hypothesis import given
from hypothesis import strategies as st

from ltv_guard.core.amounts.drift import Drift, drift_of
from ltv_guard.core.model.contracts import AtEnd, Contract
from ltv_guard.core.model.loans import Debt, Loan

NOW, HOUR = 1_700_000_000_000, 3_600_000
TRIGGER = D("0.75")
NOTHING, REPAID = AtEnd.NOTHING, AtEnd.REPAID


def order(rate: str | None, *, ltv: str = "0.60", ends_in_h: int | None = None) -> Loan:
    debt = Debt(coin="USDT", amount=D(30000), hourly_rate=None if rate is None else D(rate))
    ends = None if ends_in_h is None else NOW + ends_in_h * HOUR
    return replace(loan(ltv), debts=(debt,), expires_at_ms=ends)


# From 0.60 to 0.75 the debt has to grow by a quarter.
ORDERS: list[tuple[str, Loan, int | None]] = [
    ("a thousandth an hour: 250 hours", order("0.001"), 250),
    ("a hundredth: 25 hours", order("0.01"), 25),
    ("0.72 to 0.75 is a growth of 1/24: 41.67 hours", order("0.001", ltv="0.72"), 41),
    ("no interest never leads there", order("0"), None),
    ("nor does what takes ten years", order("0.000001"), None),
    ("what is not known is not told", order(None), None),
    ("one that is there has no way to go", order("0.001", ltv="0.75"), None),
    ("its end is later", order("0.01", ends_in_h=30), 25),
    # 10 hours at 0.01 are 0.10; 0.15 at 0.03 take five more
    ("three times as fast from its end on", order("0.01", ends_in_h=10), 15),
    ("overdue already", order("0.01", ends_in_h=-1), 8),  # 0.25 / 0.03 = 8.33
    # 10 hours are 0.01, and 48 more at three times the rate 0.144: it is liquidated before
    ("one that is liquidated before it is there", order("0.001", ends_in_h=10), None),
    ("and one that ends long before", order("0.001", ends_in_h=-49), None),
]


@pytest.mark.parametrize(("which", "hours"), [case[1:] for case in ORDERS], ids=[case[0] for case in ORDERS])
def test_when_an_order_is_at_its_trigger_by_interest_alone(which: Loan, hours: int | None) -> None:
    assert hours_of(drift_of(which, TRIGGER, NOW)) == hours


def hours_of(found: Drift) -> int | None:
    return None if found.trigger_at_ms is None else (found.trigger_at_ms - NOW) // HOUR


def pool(*debts: Debt) -> Loan:
    """27000 USD are owed on 45000: LTV 0.60."""
    return replace(at("0.60", {"BTC": "1"}).shown(), debts=debts)


def lent(principal: str, rate: str, at_end: AtEnd = REPAID, ends_in_h: int = 1000) -> Contract:
    """`rate`: of an hour."""
    return Contract(
        loan_id="7",
        coin="USDT",
        ends_at_ms=NOW + ends_in_h * HOUR,
        principal=D(principal),
        at_end=at_end,
        annual_rate=D(rate) * 365 * 24,
    )


def usdt(fixed: str = "0", rate: str | None = "0.001", value: str | None = "27000") -> Debt:
    return Debt(
        coin="USDT",
        amount=D(27000),
        fixed=D(fixed),
        hourly_rate=None if rate is None else D(rate),
        value_usd=None if value is None else D(value),
    )


FIXED = usdt("27000", rate=None)
ETH = Debt(coin="ETH", amount=D(4), hourly_rate=D("0.002"), value_usd=D(10000))
HALF = replace(usdt(), amount=D(17000), value_usd=D(17000))
POOLS: list[tuple[str, Loan, list[Contract], int | None]] = [
    ("one debt", pool(usdt()), [], 250),
    # (17000 * 0.001 + 10000 * 0.002) / 27000 = 0.00137037: 182.4 hours
    ("two debts, each by its worth", pool(HALF, ETH), [], 182),
    ("one whose worth is not known", pool(usdt(value=None)), [], None),
    ("one whose rate is not known", pool(usdt(rate=None)), [], None),
    ("a fixed loan at its own rate", pool(FIXED), [lent("27000", "0.001")], 250),
    ("goes on as it is where it is repaid", pool(FIXED), [lent("27000", "0.001", ends_in_h=100)], 250),
    # 10 hours are 0.10, 5 more at three times the rate 0.15
    ("three times as fast where nothing repays it", pool(FIXED), [lent("27000", "0.01", NOTHING, 10)], 15),
    # 100 hours 0.1, and a day of 0.003 an hour 0.072: it is liquidated before
    ("its day of grace ends before", pool(FIXED), [lent("27000", "0.001", NOTHING, 100)], None),
    # half flexible, half fixed: 0.0005 + 0.001 an hour: 166.7 hours
    ("beside a flexible one", pool(usdt("13500")), [lent("13500", "0.002")], 166),
    ("one that no row tells of", pool(FIXED), [], None),
    ("one without a rate", pool(FIXED), [replace(lent("27000", "1"), annual_rate=None)], None),
]


@pytest.mark.parametrize(
    ("which", "contracts", "hours"), [case[1:] for case in POOLS], ids=[case[0] for case in POOLS]
)
def test_when_a_pool_is(which: Loan, contracts: list[Contract], hours: int | None) -> None:
    assert hours_of(drift_of(which, TRIGGER, NOW, contracts)) == hours


def test_a_penalty_is_three_times_the_interest() -> None:
    found = drift_of(pool(FIXED), TRIGGER, NOW, [lent("27000", "0.0001")])
    assert found.interest_a_day == {"USDT": D("64.8")}  # 27000 * 0.0001 * 24
    assert found.penalty_a_day == {"USDT": D("194.4")}
    assert drift_of(order("0.0001"), TRIGGER, NOW).penalty_a_day == {}
    assert drift_of(order("0.0001", ends_in_h=5), TRIGGER, NOW).penalty_a_day == {"USDT": D(216)}


@given(ltv=st.integers(1, 74), rate=st.integers(1, 500), ends_in_h=st.integers(-40, 400))
def test_the_debt_has_grown_to_the_trigger_by_then(ltv: int, rate: int, ends_in_h: int) -> None:
    which = order(str(D(rate) / 10_000), ltv=str(D(ltv) / 100), ends_in_h=ends_in_h)
    found = drift_of(which, TRIGGER, NOW).trigger_at_ms
    if found is None:
        return
    usual = min(Decimal(found - NOW) / HOUR, max(D(ends_in_h), D(0)))
    dear = max(D(0), Decimal(found - NOW) / HOUR - max(D(ends_in_h), D(0)))
    grown = 1 + D(rate) / 10_000 * (usual + 3 * dear)
    assert abs(which.ltv * grown - TRIGGER) < D("0.0001")
