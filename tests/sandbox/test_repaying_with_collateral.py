"""Repaying with collateral, and contracts: what is sold and paid, what is refused, where it is listed."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sandbox_world import Serve, at, build

from ltv_guard.sandbox import Exchange, Fault, load_scenario
from ltv_guard.sandbox.clock import Clock
from ltv_guard.sandbox.ledger import Ledger
from ltv_guard.sandbox.records import DebtOf
from ltv_guard.sandbox.refusals import Refusal
from ltv_guard.sandbox.repayments import RepaymentAsked

D = Decimal
FLEXIBLE, FIXED = "/v5/crypto-loan-flexible", "/v5/crypto-loan-fixed"
COINS = {"BTC": {"accuracy": 4, "conversion_fee": "0.01"}, "USDT": {"accuracy": 2, "conversion_fee": "0"}}


def plan(number: int, **changes: object) -> dict[str, Any]:
    contract = {"loan_id": str(number), "coin": "USDT", "principal": "1000", "ends_in": f"{number}h"}
    return contract | changes


def world(*contracts: dict[str, Any], **pool: object) -> dict[str, Any]:
    """A pool of 1 BTC (50000 USD) and 4 ETH (10000 USD) that owes 20000 USDT beside its contracts."""
    plan = {"flexible": {"USDT": "20000"}, "collateral": {"BTC": "1", "ETH": "4"}} | pool
    users = {"1": {"funding": {"USDT": "1500"}, "pool": plan | {"contracts": list(contracts)}}, "2": {}}
    return {"users": users, "coins": COINS}


def repay(ledger: Ledger, amount: str, *selling: str, contract: str | None = None, coin: str = "USDT") -> Any:  # noqa: ANN401
    pool = ledger.accounts["1"].pool
    assert pool is not None
    debt = DebtOf(fixed=contract is not None, contract=contract or "")
    return ledger.repay_as(
        RepaymentAsked(loan=pool, coin=coin, amount=D(amount), debt=debt, selling=selling), at()
    )


def test_collateral_is_sold_at_its_price_and_the_higher_fee_of_the_two_coins_comes_on_top() -> None:
    ledger = Ledger(build(**world()), 0)
    row = repay(ledger, "10000", "BTC")  # 10000 / 50000 * 1.01
    assert (row.sold, row.amount, row.kind) == ({"BTC": D("0.202")}, 10000, 7)
    pool = ledger.accounts["1"].pool
    assert pool is not None
    assert (pool.flexible["USDT"], pool.collateral["BTC"]) == (10000, D("0.798"))
    assert ledger.accounts["1"].balance("USDT") == 1500


def test_what_is_sold_is_rounded_up_to_the_coins_step() -> None:
    assert repay(Ledger(build(**world()), 0), "1", "BTC").sold == {"BTC": D("0.0001")}


def test_coins_are_sold_in_the_order_that_they_were_named() -> None:
    ledger = Ledger(build(**world()), 0)
    row = repay(ledger, "15000", "ETH", "BTC")
    paid = 10000 / D("1.005")  # 4 ETH, with the fee that is usual
    assert row.sold["ETH"] == 4
    assert row.sold["BTC"] == ((15000 - paid) * D("1.01") / 50000).quantize(D("0.0001"), "ROUND_UP")


@pytest.mark.parametrize(
    ("amount", "selling", "debt", "code"),
    [
        ("9999", ("ETH",), {}, 148012),
        ("1", ("SOL",), {}, 148012),
        ("1.001", ("BTC",), {}, 148003),
        ("0", ("BTC",), {}, 148005),
        ("1", ("BTC",), {"coin": "ETH"}, 148033),
        ("1", ("BTC",), {"contract": "9"}, 148033),
    ],
)
def test_what_is_refused_moves_nothing(
    amount: str, selling: tuple[str, ...], debt: dict[str, str], code: int
) -> None:
    ledger = Ledger(build(**world()), 0)
    with pytest.raises(Refusal) as refused:
        repay(ledger, amount, *selling, **debt)
    assert (refused.value.code, ledger.repayments) == (code, [])


def test_one_repayment_is_at_most_300000_usd() -> None:
    ledger = Ledger(build(**world(flexible={"USDT": "400000"}, collateral={"BTC": "20"})), 0)
    with pytest.raises(Refusal) as refused:
        repay(ledger, "300000.01", "BTC")
    assert refused.value.code == 148047
    assert repay(ledger, "300000", "BTC").amount == 300000


def test_at_most_what_is_owed_is_paid_and_sold_for() -> None:
    row = repay(Ledger(build(**world()), 0), "25000", "BTC")
    assert (row.asked, row.amount, row.sold) == (25000, 20000, {"BTC": D("0.404")})


def test_contracts_are_paid_by_their_id_or_those_that_end_first() -> None:
    ledger = Ledger(build(**world(plan(7), plan(9))), 0)
    assert repay(ledger, "400", "BTC", contract="9").details == {"9": 400}
    assert repay(ledger, "1500", "BTC", contract="").details == {"7": 1000, "9": 500}
    assert ledger.accounts["1"].pool
    assert [one.owed for one in ledger.accounts["1"].pool.contracts] == [0, 100]
    assert ledger.accounts["1"].pool.flexible["USDT"] == 20000


async def test_its_answer_is_empty_and_only_the_history_tells_of_it(serve: Serve) -> None:
    async with serve(**world(plan(7))) as (_, client):
        asked = {"loanCurrency": "USDT", "collateralCoin": "BTC", "amount": "500"}
        for root in (FLEXIBLE, FIXED):
            answer = await client.post(f"{root}/repay-collateral", **asked)
            assert (answer["retCode"], answer["result"]) == (0, {})
        (flexible,) = (await client.get(f"{FLEXIBLE}/repayment-history"))["result"]["list"]
        assert (flexible["repayAmount"], flexible["repayType"], flexible["repayStatus"]) == ("500", 7, 1)
        (fixed,) = (await client.get(f"{FIXED}/repayment-history"))["result"]["list"]
        assert (fixed["repayAmount"], fixed["repayType"]) == ("500", 7)
        assert fixed["details"] == [{"loanId": "7", "repayAmount": "500"}]


async def test_a_contract_is_repaid_in_full_from_the_wallet_or_not_at_all(serve: Serve) -> None:
    async with serve(**world(plan(7, interest="2"), plan(9))) as (exchange, client):
        body = {"loanId": "7", "loanCurrency": "USDT"}
        answer = await client.post(f"{FIXED}/fully-repay", **body)
        assert exchange.ledger.accounts["1"].balance("USDT") == 498
        (row,) = (await client.get(f"{FIXED}/repayment-history"))["result"]["list"]
        assert answer["result"] == {"repayId": str(row["repayId"])}
        assert (row["details"], row["repayType"]) == ([{"loanId": "7", "repayAmount": "1002"}], 1)
        assert (await client.post(f"{FIXED}/fully-repay", **body))["retCode"] == 148033
        assert (await client.post(f"{FIXED}/fully-repay", **body | {"loanId": "9"}))["retCode"] == 148012


async def test_it_can_stay_in_processing_and_fail(serve: Serve) -> None:
    async with serve(**world()) as (exchange, client):
        exchange.add_fault(Fault(kind="status_failed", endpoint="repay_collateral"))
        asked = {"loanCurrency": "USDT", "collateralCoin": "BTC", "amount": "500"}
        exchange.add_fault(
            Fault(kind="status_processing", endpoint="repay_collateral", seconds=D(9), after=1)
        )
        for _ in range(2):
            await client.post(f"{FLEXIBLE}/repay-collateral", **asked)
        rows = (await client.get(f"{FLEXIBLE}/repayment-history"))["result"]["list"]
        assert [row["repayStatus"] for row in rows] == [2, 3]
        assert exchange.ledger.accounts["1"].pool
        assert exchange.ledger.accounts["1"].pool.collateral["BTC"] == 1


def test_what_ends_a_contract_is_listed_among_fixed_repayments() -> None:
    ledger = Ledger(build(**world(plan(1), plan(2, repay_type="2"), plan(3, repay_type="0"))), 0)
    for second in (3600, 7200, 10_800, 10_800 + 86_401):
        ledger.look(at(str(second)))
    assert [(row.kind, row.details) for row in ledger.repayments if row.debt.fixed] == [
        (3, {"1": 1000}),
        (8, {"2": 1000}),
        (4, {"3": 1000}),
    ]
    assert [(row.kind, row.amount) for row in ledger.repayments if not row.debt.fixed] == [(2, 21000)]


@pytest.mark.parametrize("sells", [True, False])
def test_in_the_scenario_no_coins_left_only_collateral_saves_the_pool(*, sells: bool) -> None:
    """Without any guard: 10000 USDT repaid with BTC at LTV 0.75, and 4000 more at the low."""
    now = [0.0]
    clock = Clock(wall=lambda: now[0], monotonic=lambda: now[0])
    file = Path(__file__).parents[2] / "config" / "scenarios" / "no_coins_left.yaml"
    exchange = Exchange(load_scenario(file), clock)
    exchange.start()
    pool = exchange.ledger.accounts["100001"].pool
    assert pool is not None
    paid = {11: D(10000), 17: D(4000)}
    for second in range(1, 29):
        now[0] = float(second)
        moment = exchange.look()
        if sells and second in paid:
            asked = RepaymentAsked(loan=pool, coin="USDT", amount=paid[second], selling=("BTC",))
            exchange.ledger.repay_as(asked, moment)
    lost = {one.user: one.reason for one in exchange.ledger.liquidations}
    assert lost == {"100002": "ltv"} | ({} if sells else {"100001": "ltv"})
    if sells:
        sold = sum((row.sold["BTC"] for row in exchange.ledger.repayments if row.sold), D(0))
        assert pool.collateral["BTC"] == 1 - sold
        assert pool.flexible["USDT"] == 16000
