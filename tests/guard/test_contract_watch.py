"""What is told of a pool's fixed loans, by when they were read: of one that settles late, of none left."""

from __future__ import annotations

from dataclasses import replace

import pytest
import structlog
from core_builders import D
from core_pools import at, pool_policy

from ltv_guard.core.model.contracts import AtEnd, Contract, ContractList
from ltv_guard.core.model.loans import Moment
from ltv_guard.guard.contract_watch import ContractWatch
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
