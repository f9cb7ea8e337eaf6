"""A pool's fixed loans as they come over the wire, of a small exchange and of the sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from core_builders import REPAY, D, intent
from payload_mutations import CONTRACT, CONTRACT_REPAYMENT, NOW_MS

from ltv_guard.adapters.bybit import FixedContracts, PoolLoans, contract_repayments
from ltv_guard.adapters.bybit.contract_wire import contract_repayment_body, parse_contract_repayment
from ltv_guard.adapters.bybit.fields import MalformedPayload
from ltv_guard.adapters.bybit.pool_wire import POOL
from ltv_guard.core.model.contracts import AtEnd, Contract, ContractList
from ltv_guard.core.model.errors import ExchangeUnavailable
from ltv_guard.core.model.history import HistoryRow, RowStatus
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Kind
from ltv_guard.sandbox import Sandbox, parse_scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Exchange, Parts

    Connect = Callable[..., Parts]

PATH = "/v5/crypto-loan-fixed/borrow-contract-info"
DAY_MS = 86_400_000
# v5/new-crypto-loan/fixed/repay-history
REPAID = CONTRACT_REPAYMENT | {"repayId": "1771", "repayTime": NOW_MS, "repayType": 7}


def row(**changes: object) -> dict[str, Any]:
    return {**CONTRACT, **changes}


def page(*rows: object, cursor: object = "") -> dict[str, Any]:
    return {"list": list(rows), "nextPageCursor": cursor}


async def read(connect: Connect, exchange: Exchange, coin: str = "ETH") -> tuple[ContractList, list[str]]:
    client = connect(exchange.url).client
    found = await FixedContracts(client).contracts(coin)
    return found, [item.why for item in client.oddities.current()]


USUAL = Contract(
    loan_id="1539", coin="ETH", ends_at_ms=NOW_MS + DAY_MS, principal=D("0.1"), at_end=AtEnd.REPAID
)


async def test_the_documented_row_is_read(connect: Connect, exchange: Exchange) -> None:
    exchange.answer(PATH, page(row()))
    found, odd = await read(connect, exchange)
    assert (found, odd) == (ContractList(contracts=(USUAL,)), [])
    assert found.contracts[0].annual_rate == D("0.022")
    assert exchange.requests(PATH)[0].params == {"orderCurrency": "ETH", "limit": "100"}


async def test_numbers_stand_for_strings_and_strings_for_numbers(
    connect: Connect, exchange: Exchange
) -> None:
    numbers = {
        "loanId": 1539,
        "repaymentTime": NOW_MS + DAY_MS,
        "repayType": 1,
        "residualPrincipal": 0.1,
        "residualPenaltyInterest": 0,
    }
    exchange.answer(PATH, page(row(**numbers, status="1")))
    assert await read(connect, exchange) == (ContractList(contracts=(USUAL,)), [])


async def test_pages_are_read_to_their_end_and_repaid_ones_in_between_passed_over(
    connect: Connect, exchange: Exchange
) -> None:
    exchange.answer(
        PATH,
        page(row(loanId="3", repaymentTime=str(NOW_MS + 3)), row(loanId="9", status=2), cursor="a"),
        page(row(loanId="8", status=2), row(loanId="7", borrowCurrency="BTC"), cursor="b"),
        page(row(loanId="2", repaymentTime=str(NOW_MS + 2), status=3), row(loanId="3"), cursor="c"),
        page(),
    )
    found, odd = await read(connect, exchange)
    assert [(item.loan_id, item.overdue) for item in found.contracts] == [("2", True), ("3", False)]
    assert (found.whole, odd) == (True, [])
    assert [seen.params.get("cursor") for seen in exchange.requests(PATH)] == [None, "a", "b", "c"]


@pytest.mark.parametrize(
    ("spoiled", "at_end"),
    [
        ({"repayType": "0"}, AtEnd.NOTHING),
        ({"repayType": "2"}, AtEnd.FLEXIBLE),
        ({"repayType": "3"}, AtEnd.UNTOLD),
        ({"repayType": None}, AtEnd.UNTOLD),
        ({"status": 9}, AtEnd.REPAID),
        ({"residualPenaltyInterest": ""}, AtEnd.REPAID),
    ],
)
async def test_what_can_be_done_without_costs_the_row_nothing(
    connect: Connect, exchange: Exchange, spoiled: Mapping[str, object], at_end: AtEnd
) -> None:
    exchange.answer(PATH, page(row(**spoiled)))
    found, odd = await read(connect, exchange)
    assert [(item.at_end, item.principal) for item in found.contracts] == [(at_end, D("0.1"))]
    assert found.whole
    assert len(odd) == (0 if at_end in {AtEnd.NOTHING, AtEnd.FLEXIBLE} else 1)


@pytest.mark.parametrize("name", ["loanId", "borrowCurrency", "repaymentTime", "residualPrincipal"])
async def test_an_odd_row_costs_itself_alone_and_is_told(
    connect: Connect, exchange: Exchange, name: str
) -> None:
    exchange.answer(PATH, page(row(**{name: "?"}), row(loanId="2")))
    found, odd = await read(connect, exchange)
    assert [item.loan_id for item in found.contracts] == ["2"]
    assert not found.whole
    assert len(odd) == 1
    assert name in odd[0]


async def test_a_list_that_makes_no_sense_is_no_answer(connect: Connect, exchange: Exchange) -> None:
    exchange.answer(PATH, {"list": "none"})
    with pytest.raises(ExchangeUnavailable, match="makes no sense"):
        await read(connect, exchange)


async def test_those_of_the_sandbox_are_read(connect: Connect) -> None:
    contracts = [
        {"loan_id": str(number), "coin": "ETH", "principal": "0.01", "ends_in": f"{number}h"}
        for number in range(1, 231)
    ]
    scenario = {
        "name": "contracts",
        "market": {"coins": {"BTC": {"path": [[0, "50000"]]}, "ETH": {"path": [[0, "2500"]]}}},
        "keys": [{"key": "key", "secret": "secret", "user": "1"}],
        "users": {"1": {"pool": {"collateral": {"BTC": "1"}, "contracts": contracts}}},
        "limits": {"reads_per_s": 1000},
    }
    async with Sandbox(parse_scenario(scenario)).serve() as exchange:
        client = connect(exchange.url).client
        await client.measure_clock()
        found = await FixedContracts(client).contracts("ETH")
        assert [item.loan_id for item in found.contracts] == [str(number) for number in range(1, 231)]
        assert found.owed == D("2.3")
        assert (await FixedContracts(client).contracts("BTC")).contracts == ()


def repayment(**changes: Any) -> Intent:  # noqa: ANN401 - fields of an intent
    about = intent(State.PLANNED, direction=REPAY, coin="ETH", amount="0.05", before="0.1")
    return replace(about, key=POOL, contract_id="1539", **changes)


def test_a_contract_is_repaid_in_full_or_so_much_of_it_with_collateral() -> None:
    assert contract_repayment_body(repayment()) == b'{"loanId":"1539","loanCurrency":"ETH"}'
    assert contract_repayment_body(repayment(collateral_coin="BTC")) == (
        b'{"loanId":"1539","loanCurrency":"ETH","collateralCoin":"BTC","amount":"0.05"}'
    )


def test_the_row_of_a_repaid_contract_is_read_to_the_numbers_that_stand_there() -> None:
    found = parse_contract_repayment(REPAID)
    assert found == HistoryRow(
        adjust_id="repay-fixed-1771",
        key=POOL,
        coin="ETH",
        direction=REPAY,
        amount=D("0.05"),
        at_ms=NOW_MS,
        ltv_before=None,
        ltv_after=None,
        status=RowStatus.SUCCESS,
        with_collateral=True,
        fixed=True,
        contract_id="1539",
    )
    assert found.kind is Kind.FIXED_REPAYMENT
    numbers = REPAID | {"repayId": 1771, "repayAmount": D("0.05"), "repayType": "7", "repayStatus": "1"}
    assert parse_contract_repayment(numbers) == found


@pytest.mark.parametrize(
    "details", [None, [], "1539", [1], [{"repayAmount": "1"}], [{"loanId": "1539"}, {"loanId": "1540"}]]
)
def test_one_that_does_not_say_which_contract_may_be_of_any(details: object) -> None:
    assert parse_contract_repayment(REPAID | {"details": details}).contract_id is None


def test_one_that_does_not_say_what_paid_may_have_been_paid_with_collateral() -> None:
    assert parse_contract_repayment(REPAID | {"repayType": None}).with_collateral is None
    assert parse_contract_repayment(REPAID | {"repayType": 1}).with_collateral is False


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (1, False),
        (2, True),
        ("3", True),
        (4, True),
        (5, True),
        (6, True),
        (7, False),
        (8, True),
        ("?", False),
    ],
)
def test_a_row_tells_whether_anybody_asked_for_it(kind: object, *, told: bool) -> None:
    assert parse_contract_repayment(REPAID | {"repayType": kind}).by_exchange is told


@pytest.mark.parametrize("field", ["repayId", "repayAmount", "repayTime", "repayStatus", "loanCurrency"])
def test_one_that_lacks_what_it_is_known_by_is_not_understood(field: str) -> None:
    with pytest.raises(MalformedPayload, match=field):
        parse_contract_repayment(REPAID | {field: None})


async def test_a_contract_of_the_sandbox_is_repaid_with_collateral_and_listed(connect: Connect) -> None:
    contract = {"loan_id": "1539", "coin": "ETH", "principal": "0.1", "ends_in": "30h"}
    pool = {"flexible": {"ETH": "2"}, "contracts": [contract], "collateral": {"BTC": "1"}}
    scenario = {
        "name": "a contract that is repaid",
        "market": {"coins": {"BTC": {"path": [[0, "50000"]]}, "ETH": {"path": [[0, "2500"]]}}},
        "keys": [{"key": "key", "secret": "secret", "user": "1"}],
        "users": {"1": {"pool": pool}},
    }
    async with Sandbox(parse_scenario(scenario)).serve() as exchange:
        client = connect(exchange.url).client
        await client.measure_clock()
        path = contract_repayments(client)
        now_ms = client.clock.now().exchange_ms
        assert await path.send(await path.sign(repayment(collateral_coin="BTC"))) is None
        (row,) = (await path.history(now_ms - DAY_MS)).rows
        assert (row.contract_id, row.amount, row.with_collateral) == ("1539", D("0.05"), True)
        assert (await FixedContracts(client).contracts("ETH")).owed == D("0.05")
        loans = PoolLoans(client, candidates=(), margin_call_ltv=D("0.85"), liquidation_ltv=D("0.92"))
        (debt,) = (await loans.loans()).loans[0].debts
        assert (debt.fixed, debt.repayable) == (D("0.05"), D(2))
