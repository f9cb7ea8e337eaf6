"""The sandbox's fixed loans: how they are listed, and what becomes of them at their ends."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sandbox_world import Serve, at, build

from ltv_guard.sandbox import Exchange, load_scenario
from ltv_guard.sandbox.clock import Clock
from ltv_guard.sandbox.contracts import FixedLoan
from ltv_guard.sandbox.ledger import Ledger
from ltv_guard.sandbox.records import Repayment

D = Decimal
CONTRACTS = "/v5/crypto-loan-fixed/borrow-contract-info"


def plan(**changes: object) -> dict[str, Any]:
    return {"loan_id": "7", "coin": "ETH", "principal": "2", "ends_in": "100s"} | changes


def user(*contracts: dict[str, Any], eth: str = "10") -> dict[str, Any]:
    pool = {"flexible": {"USDT": "10000"}, "collateral": {"BTC": "1"}, "contracts": list(contracts)}
    return {"users": {"1": {"funding": {"ETH": eth}, "pool": pool}, "2": {}}}


def books(*contracts: dict[str, Any], eth: str = "10", **changes: object) -> Ledger:
    return Ledger(build(**user(*contracts, eth=eth), **changes), time_ms=0)


def only(ledger: Ledger) -> FixedLoan:
    pool = ledger.accounts["1"].pool
    assert pool is not None
    (contract,) = pool.contracts
    return contract


def test_at_its_end_a_contract_is_repaid_from_the_funding_wallet() -> None:
    ledger = books(plan(interest="0.1"))
    ledger.look(at("99"))
    assert ledger.contract_ends == []
    ledger.look(at("100"))
    (end,) = ledger.contract_ends
    assert (end.amount, end.kind) == (D("2.1"), 3)
    assert ledger.accounts["1"].balance("ETH") == D("7.9")
    assert (only(ledger).status, only(ledger).owed) == (2, 0)


def test_a_wallet_that_holds_too_little_pays_nothing_and_it_becomes_overdue() -> None:
    ledger = books(plan(), eth="1.999")
    ledger.look(at("100"))
    assert (only(ledger).status, ledger.accounts["1"].balance("ETH")) == (3, D("1.999"))
    assert [end.kind for end in ledger.contract_ends] == [0]


def test_one_may_turn_flexible_and_one_that_nothing_repays_is_overdue() -> None:
    ledger = books(plan(repay_type="2"))
    ledger.look(at("100"))
    pool = ledger.accounts["1"].pool
    assert pool is not None
    assert (pool.flexible["ETH"], pool.fixed_debts()) == (D(2), {})
    assert ledger.contract_ends[0].kind == 8
    ledger = books(plan(repay_type="0"))
    ledger.look(at("100"))
    assert only(ledger).status == 3


def test_an_overdue_one_has_the_pool_liquidated_after_a_day() -> None:
    ledger = books(plan(repay_type="0"))
    ledger.look(at("100"))
    ledger.look(at(str(100 + 86_400)))
    assert ledger.liquidations == []
    ledger.look(at(str(100 + 86_401)))
    assert [one.reason for one in ledger.liquidations] == ["overdue"]
    assert only(ledger).owed == 0
    rows: list[Repayment] = ledger.repayments
    assert {(row.coin, row.kind) for row in rows} == {("USDT", 2), ("ETH", 4)}


def test_interest_runs_in_market_time_and_three_times_as_fast_once_it_is_overdue() -> None:
    ledger = books(plan(coin="USDT", principal="8760", annual_rate="0.01", repay_type="0"))
    ledger.look(at("1", hours=1))  # 8760 * 0.01 / 8760 hours
    assert only(ledger).interest == D("0.01")
    ledger.look(at("101", hours=2))
    assert only(ledger).interest == D("0.04")


async def test_contracts_are_listed_per_coin_in_pages_with_strings_and_numbers(serve: Serve) -> None:
    more = [plan(loan_id=str(number), ends_in=f"{number}h") for number in range(100, 103)]
    async with serve(**user(*more, plan(loan_id="9", coin="BTC", principal="0.1"))) as (exchange, client):
        refused = await client.get(CONTRACTS)
        assert refused["retCode"] == 10001
        page = (await client.get(CONTRACTS, orderCurrency="ETH", limit="2"))["result"]
        assert [row["loanId"] for row in page["list"]] == ["102", "101"]
        assert (page["list"][0]["status"], page["list"][0]["residualPrincipal"]) == (1, "2")
        rest = await client.get(CONTRACTS, orderCurrency="ETH", limit="2", cursor=page["nextPageCursor"])
        assert [row["loanId"] for row in rest["result"]["list"]] == ["100"]
        position = (await client.get("/v5/crypto-loan-common/position"))["result"]
        assert {row["loanCurrency"]: row["fixedTotalDebt"] for row in position["borrowList"]} == {
            "USDT": "0",
            "ETH": "6",
            "BTC": "0.1",
        }
        assert exchange.requests


@pytest.mark.parametrize("kept", [True, False])
def test_the_scenario_fixed_term_is_won_by_who_keeps_what_is_due(*, kept: bool) -> None:
    """Without any guard: an add of 9000 USDT leaves too little for the 10542.50 that are due."""
    now = [0.0]
    clock = Clock(wall=lambda: now[0], monotonic=lambda: now[0])
    file = Path(__file__).parents[2] / "config" / "scenarios" / "fixed_term.yaml"
    exchange = Exchange(load_scenario(file), clock)
    exchange.start()
    for second in range(1, 24):
        now[0] = float(second)
        exchange.look()
        if second == 8:
            exchange.user_adjust("100001", "pool", "add", D(1400 if kept else 9000), "USDT")
    lost = {one.user: one.reason for one in exchange.ledger.liquidations}
    assert lost == {"100002": "overdue"} | ({} if kept else {"100001": "overdue"})
