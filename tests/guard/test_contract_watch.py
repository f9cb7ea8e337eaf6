"""What is told of a pool's fixed loans, by when they were read: of one that settles late, of none left."""

from __future__ import annotations

from dataclasses import replace

import pytest
import structlog
from core_builders import D
from core_pools import at, pool_policy

from ltv_guard.core.decide.constraints import Constraint, Limit
from ltv_guard.core.model.contracts import AtEnd, Contract, ContractList
from ltv_guard.core.model.loans import Moment
from ltv_guard.core.model.policy import FixedRepayRule
from ltv_guard.guard.contract_watch import ContractWatch
from ltv_guard.guard.decision_reporter import not_repaid
from ltv_guard.guard.state.contract_shelf import ContractShelf, KeptList
from ltv_guard.log.alert_repeater import AlertRepeater

END = 1_700_000_000_000
POOL = at("0.5", {"BTC": "1"}).shown()
RULES = pool_policy()
LENT = Contract(loan_id="7", coin="USDT", ends_at_ms=END, principal=D(1000))


def moment(after_end_ms: int) -> Moment:
    return Moment(exchange_ms=END + after_end_ms, monotonic_ms=after_end_ms + 10_000_000)


def watch(*contracts: Contract, read_after_ms: int) -> tuple[ContractWatch, ContractShelf, AlertRepeater]:
    shelf, alerts = ContractShelf(), AlertRepeater(lambda: 0)
    shelf.fixed = {"USDT": D(1000)}
    shelf.kept["USDT"] = KeptList(
        found=ContractList(contracts=contracts), fixed=D(1000), at=moment(read_after_ms)
    )
    return ContractWatch(shelf, alerts), shelf, alerts


@pytest.mark.parametrize(
    ("contract", "read_after_ms", "now_ms", "told"),
    [
        (LENT, -60_000, -60_000, ["maturity_near"]),
        (LENT, -60_000, 30_000, []),  # read before its end: it may be repaid by now
        (LENT, 30_000, 30_000, []),  # the exchange may take its time
        (LENT, 60_000, 60_000, ["loan_overdue"]),
        (replace(LENT, overdue=True), 1, 1, ["loan_overdue"]),  # the exchange says so
        (replace(LENT, at_end=AtEnd.NOTHING), 0, 0, ["loan_overdue"]),  # nothing will repay it
        (replace(LENT, at_end=AtEnd.FLEXIBLE), 30_000, 30_000, []),
    ],
)
def test_one_is_overdue_once_the_exchange_has_had_its_time(
    contract: Contract, read_after_ms: int, now_ms: int, told: list[str]
) -> None:
    about, _, _ = watch(contract, read_after_ms=read_after_ms)
    with structlog.testing.capture_logs() as heard:
        about.look(POOL, RULES, moment(now_ms))
        about.look(POOL, RULES, moment(now_ms))
    assert [item["event"] for item in heard] == told


def test_where_none_is_left_nothing_lasts() -> None:
    about, shelf, alerts = watch(replace(LENT, overdue=True), read_after_ms=1)
    with structlog.testing.capture_logs():
        about.look(POOL, RULES, moment(1))
        about.hold_against({"USDT": D(1)}, {"USDT": D(1000)}, POOL, RULES, moment(1))
        assert {alert.event for alert, _ in alerts.lasting(1)} == {"loan_overdue", "protection_short"}
        shelf.kept.clear()
        about.nothing_left()
    assert alerts.lasting(1) == []


LACK = Constraint(kind=Limit.FUNDING, coin="USDT")
REPAYS = replace(RULES, repay_fixed=FixedRepayRule(enabled=True))
ONE = replace(LENT, at_end=AtEnd.NOTHING)
TWO = replace(ONE, loan_id="8")


@pytest.mark.parametrize(
    ("contracts", "held", "told"),
    [
        ([ONE], {}, True),
        ([ONE], {"7": LACK}, False),
        ([ONE, TWO], {"7": LACK}, True),  # of the other it says nothing
        ([ONE, TWO], {"7": LACK, "8": LACK}, False),
        ([ONE], {"7": Constraint(kind=Limit.REFUSED, coin="USDT", words="busy")}, True),
        ([ONE], {"7": replace(LACK, kind=Limit.EMERGENCY_FIRST)}, True),
    ],
)
def test_coins_that_are_missing_are_told_once(
    contracts: list[Contract], held: dict[str, Constraint], *, told: bool
) -> None:
    """Of each contract by `fixed_loan_not_repaid`, or else of all that is due in the coin."""
    about, _, alerts = watch(*contracts, read_after_ms=-1)
    with structlog.testing.capture_logs():
        about.hold_against({"USDT": D(1)}, {"USDT": D(1000)}, POOL, REPAYS, moment(-1))
        assert [alert.event for alert, _ in alerts.lasting(1)] == ["protection_short"]
        for item in contracts:
            if item.loan_id in held:
                alerts.grave(not_repaid(item), held[item.loan_id], "fixed_loan_not_repaid")
        about.hold_against({"USDT": D(1)}, {"USDT": D(1000)}, POOL, REPAYS, moment(-1))
        events = [alert.event for alert, _ in alerts.lasting(1)]
    assert ("protection_short" in events) is told


def test_how_much_is_missing_is_told_until_all_is_there() -> None:
    about, _, alerts = watch(LENT, read_after_ms=-1)
    with structlog.testing.capture_logs() as told:
        about.hold_against({"USDT": D(400)}, {"USDT": D(1000)}, POOL, RULES, moment(-1))
        assert [item["missing"] for item in told if item["event"] == "protection_short"] == [D(600)]
        about.hold_against({"USDT": D(1000)}, {"USDT": D(1000)}, POOL, RULES, moment(-1))
    assert alerts.lasting(1) == []
