"""Every fault, as a client sees it, and what the ledger knows of it."""

import asyncio
import json
import time
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from sandbox_world import ORDER, Serve, eventually

from ltv_guard.sandbox import Exchange, Fault
from ltv_guard.sandbox.api import ENDPOINTS
from ltv_guard.sandbox.faults import NAMES, FaultBook, Target

D = Decimal
OLD, COMMON = "/v5/crypto-loan", "/v5/crypto-loan-common"
ADJUST = Target(endpoint="adjust", path=f"{OLD}/adjust-ltv", direction="add", user="1", loan_id=ORDER)


WRITES = pytest.mark.parametrize("write", ["adjust", "repay", "repay a pool", "transfer"])


def landed(exchange: Exchange) -> int:
    """Count what has moved coins."""
    ledger = exchange.ledger
    rows = [*ledger.adjustments, *ledger.repayments, *ledger.transfers.values()]
    return sum(row.applied_ms is not None for row in rows)


def fault(kind: str, endpoint: str = "adjust", **more: object) -> dict[str, Any]:
    return {"faults": [{"kind": kind, "endpoint": endpoint, **more}]}


def test_every_endpoint_can_be_named() -> None:
    assert {endpoint.name for endpoint in ENDPOINTS.values()} | {"stream", "ticks"} == NAMES


@pytest.mark.parametrize(
    ("choice", "strikes"),
    [
        ({}, True),
        ({"endpoint": "history"}, False),
        ({"endpoint": f"{OLD}/adjust-ltv"}, True),
        ({"direction": "add", "user": "1", "loan_id": ORDER}, True),
        ({"direction": "reduce"}, False),
        ({"user": "2"}, False),
        ({"loan_id": "1"}, False),
        ({"product": "crypto_loan"}, False),
        ({"from_s": "10"}, False),
        ({"until_s": "5"}, False),
        ({"from_s": "4", "until_s": "6"}, True),
    ],
)
def test_a_fault_chooses_its_requests(choice: dict[str, Any], *, strikes: bool) -> None:
    book = FaultBook([Fault.model_validate({"kind": "close_before", **choice})], seed=1)
    assert bool(book.take(ADJUST, D(5))) is strikes


def test_a_fault_spares_the_first_and_strikes_so_many() -> None:
    book = FaultBook([Fault(kind="close_before", after=2, times=2)], seed=1)
    assert [bool(book.take(ADJUST, D(0))) for _ in range(6)] == [False, False, True, True, False, False]


def test_chance_is_the_same_for_the_same_seed() -> None:
    fault_by_chance = Fault(kind="close_before", times=None, probability=D("0.3"))
    runs = [
        [bool(book.take(ADJUST, D(0))) for _ in range(500)]
        for book in (FaultBook([fault_by_chance], seed=7), FaultBook([fault_by_chance], seed=7))
    ]
    assert runs[0] == runs[1]
    assert 100 < sum(runs[0]) < 200


@WRITES
@pytest.mark.parametrize(
    ("kind", "more", "effects"),
    [
        ("close_before", {}, 0),
        ("close_before", {"reset": True}, 0),
        ("close_after", {}, 1),
        ("close_after", {"reset": True}, 1),
        ("hang_before", {"seconds": "0.2"}, 0),
        ("hang_after", {"seconds": "0.2"}, 1),
    ],
)
async def test_a_lost_connection_leaves_the_effect_that_it_should(
    serve: Serve, kind: str, more: dict[str, Any], effects: int, write: str
) -> None:
    async with serve() as (exchange, client):
        path, body = client.write(write)
        exchange.add_fault(Fault(kind=kind, endpoint=path, **more))
        began = time.monotonic()
        with pytest.raises(aiohttp.ClientError):
            await client.post(path, **body)
        assert time.monotonic() - began >= float(more.get("seconds", 0))
        assert landed(exchange) == effects
        path, body = client.write(write)
        assert (await client.post(path, **body))["retCode"] == 0
        assert landed(exchange) == effects + 1


@WRITES
@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize(
    ("kind", "more", "status", "body"),
    [
        ("http_error", {"status": 504}, 504, "<html>"),
        ("http_error", {"status": 429, "body": ""}, 429, ""),
        ("empty_body", {}, 200, ""),
        ("not_json", {}, 200, "<html>"),
        ("json_not_object", {}, 200, "["),
        ("ret_code", {"code": 10000}, 200, '{"retCode": 10000'),
        ("no_adjust_id", {}, 200, '{"retCode": 0, "retMsg": "OK", "result": {}'),
    ],
)
async def test_a_useless_answer_says_nothing_of_the_effect(
    serve: Serve, kind: str, more: dict[str, Any], status: int, body: str, write: str, *, applied: bool
) -> None:
    async with serve() as (exchange, client):
        path, asked = client.write(write)
        exchange.add_fault(Fault(kind=kind, endpoint=path, applied=applied, **more))
        sent = json.dumps(asked)
        found = await client.raw("POST", path, sent, sent)
        assert (found[0], found[1][: len(body)]) == (status, body)
        assert bool(found[1]) is bool(body)
        assert landed(exchange) == int(applied)


async def test_a_ret_code_can_carry_absurd_headers(serve: Serve) -> None:
    headers = {"X-Bapi-Limit-Reset-Timestamp": "99999999999999"}
    async with serve(**fault("ret_code", code=10006, applied=False, headers=headers)) as (_, client):
        answer = await client.adjust("0", "0.1")
        assert (answer["retCode"], answer["headers"]["X-Bapi-Limit-Reset-Timestamp"]) == (
            10006,
            "99999999999999",
        )


async def test_a_403_with_seconds_is_a_ban_that_ends(serve: Serve) -> None:
    async with serve(**fault("http_error", "orders", status=403, seconds="1")) as (exchange, client):
        statuses = [(await client.raw("GET", f"{OLD}/ongoing-orders", "", None))[0] for _ in range(2)]
        assert statuses == [403, 403]
        await asyncio.sleep(1)
        assert (await client.get(f"{OLD}/ongoing-orders"))["retCode"] == 0
        assert exchange.limits.violations == {"during_ban": 1}


@WRITES
@pytest.mark.parametrize("answer", ["lost", "hung"])
async def test_a_write_can_be_applied_long_after_its_connection_died(
    serve: Serve, answer: str, write: str
) -> None:
    async with serve() as (exchange, client):
        path, body = client.write(write)
        exchange.add_fault(
            Fault(kind="apply_late", endpoint=path, delay_s=D("0.3"), answer=answer, seconds=D("0.1"))
        )
        with pytest.raises(aiohttp.ClientError):
            await client.post(path, **body)
        assert landed(exchange) == 0
        await eventually(lambda: landed(exchange) == 1)


async def test_a_late_adjustment_may_answer_late(serve: Serve) -> None:
    async with serve(**fault("apply_late", delay_s="0.2", answer="given")) as (exchange, client):
        answer = await client.adjust("0", "0.1")
        assert answer["result"]["adjustId"] == str(exchange.ledger.effects[0].adjust_id)


@WRITES
@pytest.mark.parametrize(("check", "code"), [("arrival", 0), ("application", 10002)])
async def test_the_window_counts_where_the_fault_says(
    serve: Serve, check: str, code: int, write: str
) -> None:
    async with serve() as (exchange, client):
        path, body = client.write(write)
        exchange.add_fault(
            Fault(kind="apply_late", endpoint=path, delay_s=D("0.3"), answer="given", check=check)
        )
        sending = asyncio.create_task(client.post(path, **body))
        await eventually(lambda: bool(exchange.requests))
        exchange.set_clock(client.recv_window + 1000)
        assert (await sending)["retCode"] == code
        assert landed(exchange) == (code == 0)


async def test_a_late_adjustment_with_a_bad_signature_is_refused_at_once(serve: Serve) -> None:
    async with serve(**fault("apply_late", delay_s="9")) as (exchange, client):
        client.secret = "wrong"
        assert (await client.adjust("0", "0.1"))["retCode"] == 10004
        assert exchange.ledger.effects == []


@WRITES
async def test_a_redirect_does_nothing_by_itself(serve: Serve, write: str) -> None:
    async with serve() as (exchange, client):
        path, body = client.write(write)
        exchange.add_fault(Fault(kind="redirect", endpoint=path, status=307, location="/elsewhere"))
        sent = json.dumps(body)
        status, _, headers = await client.raw("POST", path, sent, sent)
        assert (status, headers["Location"], landed(exchange)) == (307, "/elsewhere", 0)


async def test_one_wild_time(serve: Serve) -> None:
    async with serve(**fault("wild_time", "time", offset_ms=5_000_000)) as (_, client):
        wild, sane = await client.get("/v5/market/time"), await client.get("/v5/market/time")
        assert 4_990_000 < wild["time"] - sane["time"] < 5_010_000
        assert abs(int(wild["result"]["timeSecond"]) * 1000 - wild["time"]) < 2000


async def test_a_clock_that_is_off_for_some_requests_refuses_them(serve: Serve) -> None:
    async with serve(**fault("clock_offset", "*", offset_ms=-90_000, times=2)) as (_, client):
        codes = [(await client.get(f"{OLD}/ongoing-orders"))["retCode"] for _ in range(3)]
        assert codes == [10002, 10002, 0]


@WRITES
async def test_a_slow_answer_is_whole(serve: Serve, write: str) -> None:
    async with serve(**fault("slow", "*", seconds="0.2")) as (_, client):
        path, body = client.write(write)
        began = time.monotonic()
        assert (await client.post(path, **body))["retCode"] == 0
        assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize(
    ("variant", "collateral", "ltv"),
    [
        ("whole", "1", "0.6000"),
        ("old_collateral", "1", "0.6000"),
        ("new_collateral_old_ltv", "1.2", "0.6000"),
        ("new_collateral_old_worth", "1.2", "0.6000"),
    ],
)
async def test_stale_reads_show_what_was(serve: Serve, variant: str, collateral: str, ltv: str) -> None:
    changes = fault("stale_reads", "orders", seconds="30", variant=variant)
    async with serve(**changes) as (_, client):
        await client.adjust("0", "0.2")
        rows = [(await client.get(f"{OLD}/ongoing-orders"))["result"]["list"][0] for _ in range(2)]
        assert [(row["collateralAmount"], row["currentLTV"]) for row in rows] == [
            (collateral, ltv),
            ("1.2", "0.5000"),
        ]


async def test_a_stale_pool_and_wallet(serve: Serve) -> None:
    async with serve(**fault("stale_reads", "*", seconds="30", times=None)) as (_, client):
        await client.post(f"{COMMON}/adjust-ltv", currency="BTC", amount="0.5", direction="0")
        position = (await client.get(f"{COMMON}/position"))["result"]
        wallet = await client.get("/v5/asset/transfer/query-account-coins-balance", accountType="FUND")
        assert (position["collateralList"][0]["amount"], position["ltv"]) == ("1", "0.500000")
        assert wallet["result"]["balance"][0]["walletBalance"] == "2"


async def test_a_pool_may_show_what_its_coins_were_worth_beside_those_of_now(serve: Serve) -> None:
    changes = fault("stale_reads", "position", seconds="30", variant="new_collateral_old_worth", after=1)
    async with serve(**changes) as (_, client):
        positions = [(await client.get(f"{COMMON}/position"))["result"]]
        await client.post(f"{COMMON}/adjust-ltv", currency="BTC", amount="0.5", direction="0")
        positions += [(await client.get(f"{COMMON}/position"))["result"] for _ in range(2)]
        coins = [shown["collateralList"][0] for shown in positions]
        assert [row["amount"] for row in coins] == ["1", "1.5", "1.5"]
        worth = [(shown["ltv"], shown["totalCollateral"]) for shown in positions]
        assert worth[0] == worth[1] != worth[2]
        assert coins[0]["amountUSD"] == coins[1]["amountUSD"] != coins[2]["amountUSD"]


async def test_history_can_lag_for_all_rows(serve: Serve) -> None:
    async with serve(**fault("history_lag", "history", seconds="30", times=None)) as (exchange, client):
        await client.adjust("0", "0.1")
        assert (await client.get(f"{OLD}/adjustment-history"))["result"]["list"] == []
        assert len(exchange.ledger.effects) == 1
        exchange.clear_faults()
        assert len((await client.get(f"{OLD}/adjustment-history"))["result"]["list"]) == 1


async def test_history_can_hide_one_row_for_a_while(serve: Serve) -> None:
    async with serve(**fault("history_lag", "adjust", seconds="1")) as (_, client):
        hidden, shown = await client.adjust("0", "0.1"), await client.adjust("0", "0.2")
        for ids in ([shown], [shown, hidden]):
            listed = (await client.get(f"{OLD}/adjustment-history"))["result"]["list"]
            assert [row["adjustId"] for row in listed] == [one["result"]["adjustId"] for one in ids]
            await asyncio.sleep(1)


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({"field": "currentLTV", "value": "NaN"}, "NaN"),
        ({"field": "currentLTV", "value": "-0.5"}, "-0.5"),
        ({"field": "currentLTV", "value": 12}, 12),
        ({"field": "currentLTV", "remove": True}, "missing"),
    ],
)
async def test_nonsense_spoils_one_loan_only(serve: Serve, more: dict[str, Any], found: object) -> None:
    loan = {"loan_coin": "USDT", "debt": "30000", "collateral_coin": "BTC", "collateral": "1"}
    users = {"1": {"orders": [{"order_id": ORDER, **loan}, {"order_id": "1002", **loan}]}, "2": {}}
    changes = fault("nonsense", "orders", loan_id=ORDER, **more)
    async with serve(users=users, **changes) as (_, client):
        rows = (await client.get(f"{OLD}/ongoing-orders"))["result"]["list"]
        assert [row.get("currentLTV", "missing") for row in rows] == ["0.6000", found]


async def test_nonsense_reaches_into_a_pool(serve: Serve) -> None:
    async with serve(**fault("nonsense", "position", loan_id="BTC", field="amount", value="")) as (_, client):
        assert (await client.get(f"{COMMON}/position"))["result"]["collateralList"][0]["amount"] == ""


@pytest.mark.parametrize(("value", "distinct"), [(None, 1), ("endless", 3)])
async def test_cursors_that_never_end(serve: Serve, value: str | None, distinct: int) -> None:
    async with serve(**fault("cursor_loop", "orders", times=None, value=value)) as (_, client):
        seen, cursor = set(), ""
        for _ in range(3):
            result = (await client.get(f"{OLD}/ongoing-orders", cursor=cursor))["result"]
            cursor = result["nextPageCursor"]
            assert len(result["list"]) == 1
            seen.add(cursor)
        assert len(seen) == distinct


async def test_an_answer_that_names_its_ret_code_twice(serve: Serve) -> None:
    async with serve(**fault("duplicate_key", code=10016)) as (_, client):
        body = json.dumps({"orderId": ORDER, "amount": "0.1", "direction": "0"})
        _, text, _ = await client.raw("POST", f"{OLD}/adjust-ltv", body, body)
        assert text.count('"retCode"') == 2


async def test_a_pools_adjustment_passes_through_processing(serve: Serve) -> None:
    async with serve(**fault("status_processing", seconds="1")) as (exchange, client):
        await client.post(f"{COMMON}/adjust-ltv", currency="BTC", amount="0.5", direction="0")
        row = (await client.get(f"{COMMON}/adjustment-history"))["result"]["list"][0]
        assert (row["status"], exchange.ledger.effects) == (2, [])
        await eventually(lambda: len(exchange.ledger.effects) == 1)
        row = (await client.get(f"{COMMON}/adjustment-history"))["result"]["list"][0]
        assert (row["status"], row["afterLTV"]) == (1, "0.346154")


async def test_a_pools_adjustment_can_fail(serve: Serve) -> None:
    async with serve(**fault("status_failed")) as (exchange, client):
        done = await client.post(f"{COMMON}/adjust-ltv", currency="BTC", amount="0.5", direction="0")
        row = (await client.get(f"{COMMON}/adjustment-history"))["result"]["list"][0]
        assert (done["retCode"], row["status"], exchange.ledger.effects) == (0, 3, [])
