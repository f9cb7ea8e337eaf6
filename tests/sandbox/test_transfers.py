"""Transfers: once for each id, how they end, what is refused, and what reads show of them meanwhile."""

from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from sandbox_world import Client, Serve, at, books, eventually

from ltv_guard.sandbox import Exchange, Fault
from ltv_guard.sandbox.market import Moment
from ltv_guard.sandbox.records import Transfer

D = Decimal
LIST, BALANCE = (
    "/v5/asset/transfer/query-inter-transfer-list",
    "/v5/asset/transfer/query-account-coins-balance",
)
DAY_MS = 86_400_000


async def listed(client: Client, **asked: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get(LIST, **asked))["result"]["list"]
    return found


def balances(exchange: Exchange) -> tuple[Decimal, Decimal]:
    """Give user 1's BTC in the Funding wallet and in the Unified account."""
    account = exchange.ledger.accounts["1"]
    return account.balance("BTC"), account.balance("BTC", "UNIFIED")


def own_id(row: dict[str, str]) -> str:
    """Give the id as it was asked for: the list writes it with a word before it."""
    return row["transferId"].removeprefix("selfTransfer_")


def settled(exchange: Exchange) -> bool:
    return all(row.status != "PENDING" for row in exchange.ledger.transfers.values())


def moved_at(exchange: Exchange, *times_ms: int) -> list[str]:
    """Let user 1 move a little at these times, and give the transfer ids."""
    moment = exchange.moment()
    rows = [wanted(replace(moment, time_ms=time_ms)) for time_ms in times_ms]
    return [exchange.ledger.transfer(row, moment).transfer_id for row in rows]


def wanted(moment: Moment) -> Transfer:
    return Transfer(
        transfer_id=str(uuid4()),
        user="1",
        coin="BTC",
        amount=D("0.001"),
        source="UNIFIED",
        destination="FUND",
        time_ms=moment.time_ms,
        made_s=moment.real_s,
        visible_from_s=moment.real_s,
    )


async def test_a_transfer_moves_coins_and_stands_in_the_list(serve: Serve) -> None:
    async with serve() as (exchange, client):
        done = await client.transfer("0.5")
        rows = await listed(client)
        time_ms = str(exchange.ledger.transfers[done["result"]["transferId"]].time_ms)
        assert (done["result"]["status"], balances(exchange)) == ("SUCCESS", (D("2.5"), D("0.5")))
        assert rows == [
            {
                "transferId": f"selfTransfer_{done['result']['transferId']}",
                "coin": "BTC",
                "amount": "0.5",
                "fromAccountType": "UNIFIED",
                "toAccountType": "FUND",
                "timestamp": time_ms,
                "status": "SUCCESS",
            }
        ]


async def test_a_transfer_can_be_traced_to_the_request_that_made_it(serve: Serve) -> None:
    async with serve() as (_, client):
        done = await client.transfer("0.5")
        _, state = await client.control("GET", "state")
    (row,) = state["transfers"]
    assert (row["by"], row["signed_at"]) == ("api", state["writes"][0]["timestamp"])
    assert (row["transfer_id"], row["visible"]) == (done["result"]["transferId"], True)
    assert row["applied_ms"] == row["time_ms"]


@pytest.mark.parametrize("key", ["one", "two"])
async def test_an_id_that_exists_is_refused_and_moves_nothing(serve: Serve, key: str) -> None:
    async with serve() as (exchange, client):
        transfer_id = (await client.transfer("1"))["result"]["transferId"]
        client.key, client.secret = key, f"secret-{key}"
        again = await client.transfer("1", transferId=transfer_id)
        assert (again["retCode"], again["result"], balances(exchange)) == (131214, {}, (3, 0))
        assert len(exchange.ledger.transfers) == 1


@pytest.mark.parametrize("kind", ["status_processing", "status_failed", "history_lag"])
async def test_an_id_exists_from_the_moment_it_was_taken_whatever_becomes_of_it(
    serve: Serve, kind: str
) -> None:
    async with serve() as (exchange, client):
        exchange.add_fault(Fault(kind=kind, endpoint="transfer", seconds=D(30)))
        transfer_id = (await client.transfer("0.1"))["result"]["transferId"]
        assert (await client.transfer("0.1", transferId=transfer_id))["retCode"] == 131214


async def test_an_id_that_was_refused_may_be_used_later(serve: Serve) -> None:
    async with serve() as (exchange, client):
        body = client.transfer_of("3")
        assert (await client.transfer(**body))["retCode"] == 131212
        exchange.deposit("1", "BTC", D(2), "UNIFIED")
        assert (await client.transfer(**body))["retCode"] == 0


@pytest.mark.parametrize(
    ("kinds", "first", "last", "moved"),
    [
        (["status_processing"], "PENDING", "SUCCESS", "2.5"),
        (["status_failed"], "FAILED", "FAILED", "2"),
        (["status_processing", "status_failed"], "PENDING", "FAILED", "2"),
    ],
)
async def test_a_transfer_can_take_its_time_or_fail(
    serve: Serve, kinds: list[str], first: str, last: str, moved: str
) -> None:
    async with serve() as (exchange, client):
        for kind in kinds:
            exchange.add_fault(Fault(kind=kind, endpoint="transfer", seconds=D("0.4")))
        done = await client.transfer("0.5")
        (row,) = await listed(client)
        assert (done["result"]["status"], row["status"]) == (first, first)
        assert balances(exchange) == (2, 1)
        await eventually(lambda: settled(exchange))
        assert await listed(client) == [row | {"status": last}]
        assert balances(exchange) == (D(moved), 3 - D(moved))


async def test_a_slow_transfer_fails_where_the_coins_have_gone_meanwhile(serve: Serve) -> None:
    async with serve() as (exchange, client):
        exchange.add_fault(Fault(kind="status_processing", endpoint="transfer", seconds=D("0.4")))
        await client.transfer("0.8")
        await client.transfer("0.5")
        await eventually(lambda: settled(exchange))
        assert [row["status"] for row in await listed(client)] == ["SUCCESS", "FAILED"]
        assert balances(exchange) == (D("2.5"), D("0.5"))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"transferId": "c0ffee"}, 131203),
        ({"transferId": "42c0cfb06bcac242bc764e6df6cbcb16"}, 131203),
        ({"transferId": "{42c0cfb0-6bca-c242-bc76-4e6df6cbcb16}"}, 131203),
        ({"transferId": "42c0cfb0-6bca-c242-bc76-4e6df6cbcbxx"}, 131203),
        ({"transferId": "42c0cfb0-6bca-c242-bc76-4e6df6cbcb16-1"}, 131203),
        ({"transferId": ""}, 10001),
        ({"amount": "0.000000001"}, 131210),
        ({"amount": "1E-1"}, 131210),
        ({"amount": "0"}, 131215),
        ({"amount": "1.00000001"}, 131212),
        ({"coin": "SOL"}, 131212),
        ({"toAccountType": "UNIFIED"}, 10001),
    ],
)
async def test_a_wrong_transfer_is_refused_with_its_code_and_moves_nothing(
    serve: Serve, changes: dict[str, str], code: int
) -> None:
    async with serve() as (exchange, client):
        assert (await client.transfer(**{"amount": "0.5"} | changes))["retCode"] == code
        assert (exchange.ledger.transfers, balances(exchange)) == ({}, (2, 1))


async def test_a_transfers_precision_is_its_coins(serve: Serve) -> None:
    async with serve(coins={"BTC": {"accuracy": 4}}) as (_, client):
        codes = [(await client.transfer(amount))["retCode"] for amount in ("0.00001", "0.0001")]
        assert codes == [131210, 0]


async def test_a_key_without_the_right_to_transfer_moves_nothing(serve: Serve) -> None:
    keys = [{"key": "one", "secret": "secret-one", "user": "1", "permissions": {"Spot": ["SpotTrade"]}}]
    async with serve(keys=keys) as (exchange, client):
        assert (await client.transfer("0.5"))["retCode"] == 10005
        assert balances(exchange) == (2, 1)


async def test_the_list_chooses_by_id_coin_and_status(serve: Serve) -> None:
    async with serve() as (exchange, client):
        exchange.deposit("1", "USDT", D(10), "UNIFIED")
        first = (await client.transfer("0.1"))["result"]["transferId"]
        second = (await client.transfer("1", coin="USDT"))["result"]["transferId"]
        exchange.add_fault(Fault(kind="status_failed", endpoint="transfer"))
        failed = (await client.transfer("0.2"))["result"]["transferId"]
        cases = [
            ({}, [failed, second, first]),
            ({"transferId": second}, [second]),
            ({"transferId": str(uuid4())}, []),
            ({"coin": "BTC"}, [failed, first]),
            ({"status": "SUCCESS"}, [second, first]),
            ({"status": "FAILED", "coin": "USDT"}, []),
        ]
        for asked, ids in cases:
            assert [own_id(row) for row in await listed(client, **asked)] == ids
        client.key, client.secret = "two", "secret-two"
        assert await listed(client) == []


async def test_the_list_chooses_by_time_in_whole_seconds(serve: Serve) -> None:
    async with serve() as (exchange, client):
        now = exchange.clock.now_ms() // 1000 * 1000
        old, new = moved_at(exchange, now - 9700, now - 4300)
        cases = [
            ({"startTime": str(now - 9700)}, [new, old]),
            ({"startTime": str(now - 9100)}, [new, old]),
            ({"startTime": str(now - 9000)}, [new]),
            ({"endTime": str(now - 4700)}, [new, old]),
            ({"endTime": str(now - 5001)}, [old]),
            ({"startTime": str(now - 9000), "endTime": str(now - 6000)}, []),
        ]
        for asked, ids in cases:
            assert [own_id(row) for row in await listed(client, **asked)] == ids


async def test_the_list_shows_a_week_at_most(serve: Serve) -> None:
    async with serve() as (exchange, client):
        now = exchange.clock.now_ms()
        oldest, middle, newest = moved_at(exchange, now - 13 * DAY_MS, now - 6 * DAY_MS, now - 1000)
        start = now - 14 * DAY_MS
        cases = [
            ({}, [newest, middle]),
            ({"startTime": str(start)}, [oldest]),
            ({"endTime": str(now)}, [newest, middle]),
            ({"startTime": str(start), "endTime": str(start + 7 * DAY_MS)}, [oldest]),
        ]
        for asked, ids in cases:
            assert [own_id(row) for row in await listed(client, **asked)] == ids
        for end in (start + 7 * DAY_MS + 1000, start - 1000):
            asked = {"startTime": str(start), "endTime": str(end)}
            assert (await client.get(LIST, **asked))["retCode"] == 131203


async def test_a_page_has_twenty_rows_or_as_many_as_are_asked_for_up_to_fifty(serve: Serve) -> None:
    async with serve() as (exchange, client):
        ids = moved_at(exchange, *[exchange.clock.now_ms()] * 53)
        page = (await client.get(LIST))["result"]
        rest = (await client.get(LIST, limit="50", cursor=page["nextPageCursor"]))["result"]
        behind = (await client.get(LIST, cursor=rest["nextPageCursor"]))["result"]
        wrong = [(await client.get(LIST, limit=limit))["retCode"] for limit in ("0", "51", "x")]
    assert len(page["list"]) == 20
    assert [own_id(row) for row in (*page["list"], *rest["list"])] == list(reversed(ids))
    assert behind == {"list": [], "nextPageCursor": ""}
    assert wrong == [10001, 10001, 10001]


async def test_a_cursor_outlives_its_rows_place_in_the_list(serve: Serve) -> None:
    async with serve() as (exchange, client):
        exchange.add_fault(Fault(kind="status_processing", endpoint="transfer", seconds=D("0.4"), times=None))
        older = (await client.transfer("0.1"))["result"]["transferId"]
        await client.transfer("0.2")
        cursor = (await client.get(LIST, status="PENDING", limit="1"))["result"]["nextPageCursor"]
        await eventually(lambda: settled(exchange))
        assert await listed(client, status="PENDING", cursor=cursor) == []
        assert [own_id(row) for row in await listed(client, cursor=cursor)] == [older]


async def test_the_list_can_lag_for_all_rows(serve: Serve) -> None:
    async with serve() as (exchange, client):
        exchange.add_fault(Fault(kind="history_lag", endpoint="transfers", seconds=D(30), times=None))
        transfer_id = (await client.transfer("0.1"))["result"]["transferId"]
        assert await listed(client) == []
        assert await listed(client, transferId=transfer_id) == []
        exchange.clear_faults()
        assert len(await listed(client)) == 1


async def test_the_list_can_hide_one_row_for_a_while(serve: Serve) -> None:
    async with serve() as (exchange, client):
        exchange.add_fault(Fault(kind="history_lag", endpoint="transfer", seconds=D(1)))
        hidden, shown = [(await client.transfer("0.1"))["result"]["transferId"] for _ in range(2)]
        assert [own_id(row) for row in await listed(client)] == [shown]
        assert await listed(client, transferId=hidden) == []
        assert balances(exchange)[0] == D("2.2")
        taken = exchange.ledger.transfers[hidden]
        await eventually(lambda: exchange.clock.real_s() > taken.visible_from_s)
        assert [own_id(row) for row in await listed(client)] == [shown, hidden]


async def test_an_answer_can_lack_its_id_and_status(serve: Serve) -> None:
    async with serve() as (exchange, client):
        exchange.add_fault(Fault(kind="no_adjust_id", endpoint="transfer"))
        answer = await client.transfer("0.1")
        assert (answer["retCode"], answer["result"]) == (0, {})
        assert balances(exchange)[0] == D("2.1")


def test_the_wallets_of_a_moment_ago_can_be_seen_again() -> None:
    ledger, _, _ = books()
    ledger.transfer(wanted(at("10")), at("10"))
    seen = [ledger.as_of("1", D(when)) for when in ("9.9", "10")]
    assert [account.balance("BTC") for account in seen] == [2, D("2.001")]
    assert [account.balance("BTC", "UNIFIED") for account in seen] == [1, D("0.999")]


@pytest.mark.parametrize(("wallet", "was", "now"), [("FUND", "2", "2.5"), ("UNIFIED", "1", "0.5")])
async def test_a_stale_wallet_shows_the_balance_that_was(
    serve: Serve, wallet: str, was: str, now: str
) -> None:
    async with serve() as (exchange, client):
        exchange.add_fault(Fault(kind="stale_reads", endpoint="wallet", seconds=D(30)))
        await client.transfer("0.5")
        seen = [await client.get(BALANCE, accountType=wallet, coin="BTC") for _ in range(2)]
        assert [one["result"]["balance"][0]["walletBalance"] for one in seen] == [was, now]
