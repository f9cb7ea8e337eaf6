"""Repayments: what they move, how they end, what is refused, and what reads show of them meanwhile."""

from decimal import Decimal
from typing import Any

import pytest
from sandbox_world import ORDER, Client, Serve, at, books, build, eventually

from ltv_guard.sandbox import Fault
from ltv_guard.sandbox.ledger import Ledger
from ltv_guard.sandbox.records import FAILED, PROCESSING, SUCCESS, Handling
from ltv_guard.sandbox.refusals import Refusal

D = Decimal
OLD, NEW, COMMON = "/v5/crypto-loan", "/v5/crypto-loan-flexible", "/v5/crypto-loan-common"
BOTH = pytest.mark.parametrize(("write", "root"), [("repay", OLD), ("repay a pool", NEW)])


async def listed(client: Client, root: str, **asked: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get(f"{root}/repayment-history", **asked))["result"]["list"]
    return found


@BOTH
async def test_a_repayment_can_be_traced_to_the_request_that_made_it(
    serve: Serve, write: str, root: str
) -> None:
    async with serve() as (_, client):
        path, body = client.write(write)
        done = await client.post(path, **body)
        _, state = await client.control("GET", "state")
    (row,) = state["repayments"]
    assert (row["by"], row["signed_at"]) == ("api", state["writes"][0]["timestamp"])
    assert row["repay_id"] == done["result"]["repayId"]
    assert (row["asked"], row["visible"]) == (body["amount"], True)


async def test_the_users_own_repayment_is_paid_from_the_funding_wallet_and_was_signed_by_nobody(
    serve: Serve,
) -> None:
    async with serve() as (exchange, client):
        exchange.user_repay("1", ORDER, D(1000))
        exchange.user_repay("1", "pool", D(500), "USDT")
        rows = [*await listed(client, NEW), *await listed(client, OLD)]
        assert [(row["repayAmount"], row["repayType"]) for row in rows] == [("500", 1), ("1000", 1)]
        assert {(row.by, row.signed_at) for row in exchange.ledger.repayments} == {("app", "")}
        assert exchange.ledger.accounts["1"].balance("USDT") == 48500


async def test_what_a_liquidation_repays_has_its_own_kind_and_no_sender(serve: Serve) -> None:
    async with serve() as (exchange, _):
        exchange.partial_liquidation("1", ORDER, D("0.1"))
        exchange.set_price("BTC", D(20000))
        rows = exchange.ledger.repayments
        assert len(rows) == 4
        assert {(row.kind, row.by, row.signed_at, row.status) for row in rows} == {(2, "", "", SUCCESS)}


def test_a_later_sandbox_never_gives_an_earlier_ones_repay_ids() -> None:
    for which in ("order", "pool"):
        ids = []
        for began_ms in (0, 60_000):
            ledger = Ledger(build(), began_ms)
            account = ledger.accounts["1"]
            loan = account.orders[ORDER] if which == "order" else account.pool
            assert loan
            ids.append([ledger.repay(loan, "USDT", D(1), at()).repay_id for _ in range(50)])
        assert max(ids[0]) < min(ids[1])


@pytest.mark.parametrize("whole", ["30000", "40000"])
def test_at_most_what_is_owed_is_paid(whole: str) -> None:
    ledger, order, _ = books()
    row = ledger.repay(order, "USDT", D(whole), at())
    assert (row.asked, row.amount, order.status) == (D(whole), 30000, "repaid")
    assert ledger.accounts["1"].balance("USDT") == 20000


async def test_a_pools_repayment_passes_through_processing_and_the_money_moves_at_its_end(
    serve: Serve,
) -> None:
    async with serve() as (exchange, client):
        account = exchange.ledger.accounts["1"]
        exchange.add_fault(Fault(kind="status_processing", endpoint="repay", seconds=D(1)))
        path, body = client.write("repay a pool")
        assert (await client.post(path, **body))["retCode"] == 0
        (first,) = await listed(client, NEW)
        assert (first["repayStatus"], account.balance("USDT"), account.pool.flexible["USDT"]) == (
            2,
            50000,
            22500,
        )
        await eventually(lambda: exchange.ledger.repayments[0].status != PROCESSING)
        assert await listed(client, NEW) == [first | {"repayStatus": 1}]
        assert (account.balance("USDT"), account.pool.flexible["USDT"]) == (49500, 22000)


async def test_a_pools_repayment_can_fail(serve: Serve) -> None:
    async with serve() as (exchange, client):
        exchange.add_fault(Fault(kind="status_failed", endpoint="repay"))
        path, body = client.write("repay a pool")
        assert (await client.post(path, **body))["retCode"] == 0
        (row,) = await listed(client, NEW)
        assert (row["repayStatus"], row["repayAmount"]) == (3, "500")
        assert (exchange.ledger.accounts["1"].balance("USDT"), exchange.ledger.repayments[0].applied_ms) == (
            50000,
            None,
        )


@pytest.mark.parametrize("kind", ["status_processing", "status_failed"])
async def test_an_orders_repayment_is_final_at_once(serve: Serve, kind: str) -> None:
    async with serve() as (exchange, client):
        exchange.add_fault(Fault(kind=kind, endpoint="repay", seconds=D(9)))
        path, body = client.write("repay")
        await client.post(path, **body)
        (row,) = await listed(client, OLD)
        assert (row["repayStatus"], exchange.ledger.accounts["1"].balance("USDT")) == (1, 49000)


def test_a_slow_repayment_fails_where_the_coins_have_gone_meanwhile() -> None:
    ledger, order, pool = books()
    row = ledger.repay(pool, "USDT", D(22500), at(), handling=Handling(processing_s=D(3)))
    ledger.repay(order, "USDT", D(30000), at("1"))
    ledger.look(at("2.9"))
    assert row.status == PROCESSING
    ledger.look(at("3"))
    assert (row.status, row.applied_ms, pool.flexible["USDT"]) == (FAILED, None, 22500)
    assert ledger.accounts["1"].balance("USDT") == 20000


def test_a_slow_repayment_pays_at_most_what_is_still_owed_at_its_end() -> None:
    ledger, _, pool = books()
    pool.fixed = {"USDT": D(1000)}
    row = ledger.repay(pool, "USDT", D(22000), at(), handling=Handling(processing_s=D(3)))
    ledger.repay(pool, "USDT", D(20000), at("1"))
    ledger.look(at("3"))
    assert (row.status, row.asked, row.amount, row.applied_ms) == (SUCCESS, 22000, 2500, 3000)
    assert (pool.debts(), ledger.accounts["1"].balance("USDT")) == ([("USDT", D(1000))], 27500)


def test_a_slow_repayment_fails_where_the_loan_has_gone_meanwhile() -> None:
    ledger, _, pool = books()
    row = ledger.repay(pool, "USDT", D(500), at(), handling=Handling(processing_s=D(3)))
    pool.collateral = {"BTC": D("0.1")}
    ledger.look(at("1"))
    ledger.look(at("3"))
    assert (pool.status, row.status) == ("liquidated", FAILED)


@pytest.mark.parametrize(
    ("write", "changes", "code"),
    [
        ("repay", {"amount": "0.001"}, 177004),
        ("repay", {"amount": "1E-2"}, 177004),
        ("repay", {"amount": "0"}, 177003),
        ("repay", {"amount": "50000.01"}, 177011),
        ("repay", {"orderId": "2001"}, 177005),
        ("repay a pool", {"amount": "0.001"}, 148003),
        ("repay a pool", {"amount": "0"}, 148005),
        ("repay a pool", {"amount": "50000.01"}, 148012),
        ("repay a pool", {"loanCurrency": "BTC", "amount": "1"}, 148033),
    ],
)
async def test_a_wrong_repayment_is_refused_with_its_code_and_moves_nothing(
    serve: Serve, write: str, changes: dict[str, str], code: int
) -> None:
    async with serve(coins={"USDT": {"accuracy": 2}}) as (exchange, client):
        path, body = client.write(write)
        assert (await client.post(path, **body | changes))["retCode"] == code
        assert exchange.ledger.repayments == []
        assert (await client.post(path, **body | {"amount": "1000.01"}))["retCode"] == 0


@pytest.mark.parametrize("gone", ["repaid", "liquidated"])
async def test_a_loan_that_is_gone_takes_no_repayment(serve: Serve, gone: str) -> None:
    async with serve() as (exchange, client):
        if gone == "repaid":
            exchange.user_repay("1", ORDER, D(30000))
        else:
            exchange.set_price("BTC", D(31000))
        before = len(exchange.ledger.repayments)
        path, body = client.write("repay")
        assert (await client.post(path, **body))["retCode"] == 177005
        assert len(exchange.ledger.repayments) == before


def test_a_refused_repayment_moves_nothing() -> None:
    ledger, order, _ = books()
    with pytest.raises(Refusal):
        ledger.repay(order, "BTC", D(1), at())
    assert (order.owed, ledger.accounts["1"].balance("BTC"), ledger.repayments) == (30000, 2, [])


@BOTH
async def test_the_list_can_lag_for_all_rows(serve: Serve, write: str, root: str) -> None:
    async with serve() as (exchange, client):
        exchange.add_fault(Fault(kind="history_lag", endpoint="repayments", seconds=D(30), times=None))
        path, body = client.write(write)
        await client.post(path, **body)
        assert await listed(client, root) == []
        exchange.clear_faults()
        assert len(await listed(client, root)) == 1


@BOTH
async def test_the_list_can_hide_one_row_for_a_while(serve: Serve, write: str, root: str) -> None:
    async with serve() as (exchange, client):
        exchange.add_fault(Fault(kind="history_lag", endpoint="repay", seconds=D(1)))
        path, body = client.write(write)
        hidden, shown = [(await client.post(path, **body))["result"]["repayId"] for _ in range(2)]
        assert [row["repayId"] for row in await listed(client, root)] == [shown]
        _, state = await client.control("GET", "state")
        assert [row["visible"] for row in state["repayments"]] == [False, True]
        await eventually(lambda: exchange.clock.real_s() > exchange.ledger.repayments[0].visible_from_s)
        assert [row["repayId"] for row in await listed(client, root)] == [shown, hidden]


@BOTH
async def test_an_answer_can_lack_its_repay_id(serve: Serve, write: str, root: str) -> None:
    async with serve() as (exchange, client):
        exchange.add_fault(Fault(kind="no_adjust_id", endpoint="repay"))
        path, body = client.write(write)
        answer = await client.post(path, **body)
        assert (answer["retCode"], answer["result"]) == (0, {})
        assert len(await listed(client, root)) == 1


def test_the_debt_of_a_moment_ago_can_be_seen_again() -> None:
    ledger, order, _ = books()
    ledger.repay(order, "USDT", D(1000), at("10"))
    seen = [ledger.as_of("1", D(when)) for when in ("9.9", "10")]
    assert [account.orders[ORDER].debt for account in seen] == [30000, 29000]
    assert [account.balance("USDT") for account in seen] == [50000, 49000]


async def test_a_stale_order_shows_the_debt_that_was(serve: Serve) -> None:
    async with serve() as (exchange, client):
        exchange.add_fault(Fault(kind="stale_reads", endpoint="orders", seconds=D(30)))
        exchange.user_repay("1", ORDER, D(5000))
        rows = [(await client.get(f"{OLD}/ongoing-orders"))["result"]["list"][0] for _ in range(2)]
        assert [(row["totalDebt"], row["currentLTV"]) for row in rows] == [
            ("30000", "0.6000"),
            ("25000", "0.5000"),
        ]


async def test_an_order_can_show_its_new_debt_beside_its_old_ltv(serve: Serve) -> None:
    async with serve() as (exchange, client):
        exchange.add_fault(
            Fault(kind="stale_reads", endpoint="orders", seconds=D(30), variant="new_collateral_old_ltv")
        )
        exchange.user_repay("1", ORDER, D(5000))
        row = (await client.get(f"{OLD}/ongoing-orders"))["result"]["list"][0]
        assert (row["totalDebt"], row["currentLTV"]) == ("25000", "0.6000")


async def test_a_stale_pool_shows_the_debt_that_was(serve: Serve) -> None:
    async with serve() as (exchange, client):
        exchange.add_fault(Fault(kind="stale_reads", endpoint="position", seconds=D(30)))
        exchange.user_repay("1", "pool", D(4500), "USDT")
        seen = [(await client.get(f"{COMMON}/position"))["result"] for _ in range(2)]
        assert [
            (one["borrowList"][0]["flexibleTotalDebt"], one["totalDebt"], one["ltv"]) for one in seen
        ] == [
            ("22500", "22500.00", "0.500000"),
            ("18000", "18000.00", "0.400000"),
        ]
