"""The exchange's endpoints over HTTP: payloads, retCodes, pages, limits, and the control plane."""

import json
from decimal import Decimal
from typing import Any

import pytest
from sandbox_world import ORDER, TWIN, Serve, build

from ltv_guard.sandbox import Exchange

D = Decimal
OLD, COMMON = "/v5/crypto-loan", "/v5/crypto-loan-common"


async def test_orders_have_the_documented_shape(serve: Serve) -> None:
    async with serve() as (_, client):
        answer = await client.get(f"{OLD}/ongoing-orders")
    assert answer["result"] == {
        "list": [
            {
                "collateralAmount": "1",
                "collateralCurrency": "BTC",
                "currentLTV": "0.6000",
                "expirationTime": "",
                "hourlyInterestRate": "0",
                "loanCurrency": "USDT",
                "loanTerm": "",
                "orderId": ORDER,
                "residualInterest": "0",
                "residualPenaltyInterest": "0",
                "totalDebt": "30000",
            }
        ],
        "nextPageCursor": "",
    }
    assert (answer["retCode"], answer["retExtInfo"]) == (0, {})
    assert isinstance(answer["time"], int)


async def test_an_adjustment_is_seen_in_orders_wallet_and_history(serve: Serve) -> None:
    async with serve() as (exchange, client):
        done = await client.adjust("0", "0.2")
        orders = await client.get(f"{OLD}/ongoing-orders", orderId=ORDER)
        wallet = await client.get(
            "/v5/asset/transfer/query-account-coins-balance", accountType="FUND", coin="BTC,SOL"
        )
        history = await client.get(f"{OLD}/adjustment-history")
        behind = await client.get(
            f"{OLD}/adjustment-history", cursor=history["result"]["nextPageCursor"], orderId=ORDER
        )
    adjust_id = done["result"]["adjustId"]
    assert orders["result"]["list"][0]["currentLTV"] == "0.5000"
    assert [(row["coin"], row["walletBalance"]) for row in wallet["result"]["balance"]] == [
        ("BTC", "1.8"),
        ("SOL", "0"),
    ]
    assert history["result"]["list"] == [
        {
            "adjustId": adjust_id,
            "adjustTime": str(exchange.ledger.effects[0].time_ms),
            "orderId": ORDER,
            "preLTV": "0.6000",
            "afterLTV": "0.5000",
            "amount": "0.2",
            "collateralCurrency": "BTC",
            "direction": 0,
        }
    ]
    assert behind["result"] == {"list": [], "nextPageCursor": ""}


async def test_a_pools_endpoints_have_the_documented_shape(serve: Serve) -> None:
    async with serve() as (_, client):
        position = (await client.get(f"{COMMON}/position"))["result"]
        most = await client.get(f"{COMMON}/max-collateral-amount", currency="BTC")
        done = await client.post(f"{COMMON}/adjust-ltv", currency="BTC", amount="0.08", direction="1")
        history = (
            await client.get(f"{COMMON}/adjustment-history", adjustId=str(done["result"]["adjustId"]))
        )["result"]
    assert position == {
        "borrowList": [
            {
                "loanCurrency": "USDT",
                "flexibleTotalDebt": "22500",
                "flexibleTotalDebtUSD": "22500.00",
                "fixedTotalDebt": "0",
                "fixedTotalDebtUSD": "0.00",
                "flexibleHourlyInterestRate": "0",
            }
        ],
        "collateralList": [{"currency": "BTC", "amount": "1", "amountUSD": "45000.00"}],
        "ltv": "0.500000",
        "supplyList": [],
        "totalCollateral": "45000.00",
        "totalDebt": "22500.00",
        "totalSupply": "0.00",
        "colRes": "0",
    }
    assert most["result"] == {"maxCollateralAmount": "0.375"}
    adjust_id = done["result"]["adjustId"]
    assert isinstance(adjust_id, int)
    row = history["list"][0]
    assert (row["adjustId"], row["status"], row["direction"], row["afterLTV"]) == (
        adjust_id,
        1,
        1,
        "0.543478",
    )


async def test_both_products_share_one_funding_wallet(serve: Serve) -> None:
    async with serve() as (exchange, client):
        await client.adjust("0", "1.5")
        refused = await client.post(f"{COMMON}/adjust-ltv", currency="BTC", amount="0.6", direction="0")
        assert refused["retCode"] == 148012
        assert exchange.ledger.accounts["1"].balance("BTC") == D("0.5")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"orderId": ORDER, "amount": "1E-8", "direction": "0"}, 177004),
        ({"orderId": ORDER, "amount": "0.000000001", "direction": "0"}, 177004),
        ({"orderId": ORDER, "amount": 0.1, "direction": "0"}, 10001),
        ({"orderId": ORDER, "amount": "0.1", "direction": 0}, 10001),
        ({"orderId": ORDER, "amount": "0.1", "direction": "2"}, 10001),
        ({"orderId": ORDER, "amount": "0.1"}, 10001),
        ({"orderId": TWIN, "amount": "0.1", "direction": "0"}, 177005),
        ({"orderId": ORDER, "amount": "9", "direction": "0"}, 177011),
        ({"orderId": ORDER, "amount": "0.9", "direction": "1"}, 177013),
    ],
)
async def test_a_wrong_adjustment_is_refused_with_its_code(
    serve: Serve, body: dict[str, Any], code: int
) -> None:
    async with serve() as (exchange, client):
        answer = await client.post(f"{OLD}/adjust-ltv", **body)
        assert (answer["retCode"], answer["result"], exchange.ledger.effects) == (code, {}, [])


async def test_a_write_must_be_a_post_with_a_json_object(serve: Serve) -> None:
    async with serve() as (exchange, client):
        status, _, _ = await client.raw("GET", f"{OLD}/adjust-ltv?orderId={ORDER}", f"orderId={ORDER}", None)
        assert status == 404
        for body in ("[]", "amount=1"):
            _, text, _ = await client.raw("POST", f"{OLD}/adjust-ltv", body, body)
            assert json.loads(text)["retCode"] == 10001
        assert exchange.ledger.effects == []


async def test_the_signature_covers_the_bytes_as_they_were_sent(serve: Serve) -> None:
    async with serve() as (_, client):
        path = "/v5/asset/transfer/query-account-coins-balance"
        status, text, _ = await client.raw("GET", f"{path}?accountType=FUND", "accountType=UNIFIED", None)
        assert (status, json.loads(text)["retCode"]) == (200, 10004)


@pytest.mark.parametrize(("key", "code"), [("one", 0), ("reader", 10005), ("nobody", 10003)])
async def test_who_may_adjust(serve: Serve, key: str, code: int) -> None:
    async with serve() as (_, client):
        client.key, client.secret = key, f"secret-{key}"
        assert (await client.adjust("0", "0.1"))["retCode"] == code


async def test_a_server_clock_that_is_off_refuses_and_says_so(serve: Serve) -> None:
    async with serve(clock_offset_ms=90_000) as (exchange, client):
        assert (await client.adjust("0", "0.1"))["retCode"] == 10002
        client.shift_ms = 90_000
        assert (await client.adjust("0", "0.1"))["retCode"] == 0
        exchange.set_clock(-3000)
        assert (await client.adjust("0", "0.1"))["retCode"] == 10002


async def test_pages_hold_every_order_once_even_when_one_goes_in_between(serve: Serve) -> None:
    loan = {"loan_coin": "USDT", "debt": "30000", "collateral_coin": "BTC", "collateral": "1"}
    orders = [{"order_id": str(number), **loan} for number in range(25)]
    async with serve(users={"1": {"funding": {"USDT": "30000"}, "orders": orders}, "2": {}}) as (
        exchange,
        client,
    ):
        first = (await client.get(f"{OLD}/ongoing-orders"))["result"]
        last_shown = exchange.ledger.accounts["1"].orders[first["list"][-1]["orderId"]]
        exchange.ledger.repay(last_shown, "USDT", D(30000), exchange.moment())
        second = (await client.get(f"{OLD}/ongoing-orders", limit="100", cursor=first["nextPageCursor"]))[
            "result"
        ]
        wrong = [
            (await client.get(f"{OLD}/ongoing-orders", **asked))["retCode"]
            for asked in ({"limit": "101"}, {"limit": "0"}, {"cursor": "7777"})
        ]
    seen = [row["orderId"] for row in (*first["list"], *second["list"])]
    assert seen == [str(number) for number in reversed(range(25))]
    assert second["nextPageCursor"] == ""
    assert wrong == [10001, 10001, 10001]


async def test_one_adjustment_a_second_and_the_answer_says_when_the_next(serve: Serve) -> None:
    async with serve(limits={}) as (exchange, client):
        first, second = await client.adjust("0", "0.1"), await client.adjust("0", "0.1")
        assert (first["retCode"], second["retCode"]) == (0, 10006)
        assert (second["headers"]["X-Bapi-Limit"], second["headers"]["X-Bapi-Limit-Status"]) == ("1", "0")
        assert 0 < int(second["headers"]["X-Bapi-Limit-Reset-Timestamp"]) - second["time"] <= 1000
        assert exchange.limits.violations == {f"1:{OLD}/adjust-ltv": 1}


async def test_too_many_requests_from_one_address_end_in_http_403(serve: Serve) -> None:
    async with serve(limits={"ip_requests": 2}) as (_, client):
        statuses = [(await client.raw("GET", "/v5/market/time", "", None))[0] for _ in range(4)]
        assert statuses == [200, 200, 403, 403]


async def test_market_data_follows_the_price(serve: Serve) -> None:
    async with serve() as (exchange, client):
        exchange.set_price("BTC", D("43210.5"))
        ticker = (await client.get("/v5/market/tickers", category="spot", symbol="BTCUSDT"))["result"]["list"]
        candles = await client.get("/v5/market/kline", category="spot", symbol="BTCUSDT", interval="1")
        now = await client.get("/v5/market/time")
    assert (ticker[0]["lastPrice"], ticker[0]["usdIndexPrice"]) == ("43210.5", "43210.5")
    newest, before = candles["result"]["list"][:2]
    assert int(newest[0]) - int(before[0]) == 60_000
    assert D(newest[4]) == D("43210.5")
    assert now["result"]["timeNano"].startswith(now["result"]["timeSecond"])


async def test_the_key_tells_what_it_is(serve: Serve) -> None:
    async with serve() as (_, client):
        client.key, client.secret = "reader", "secret-reader"
        found = (await client.get("/v5/user/query-api"))["result"]
    assert (found["readOnly"], found["userID"], found["permissions"]["Spot"]) == (1, 1, ["SpotTrade"])


async def test_terms_are_public_and_listed_by_vip_level(serve: Serve) -> None:
    async with serve() as (_, client):
        client.key = "nobody"
        old = (await client.get(f"{OLD}/collateral-data", vipLevel="PRO1", currency="ETH"))["result"]
        new = (await client.get(f"{COMMON}/collateral-data", currency="BTC"))["result"]
    assert old["vipCoinList"] == [
        {
            "vipLevel": "PRO1",
            "list": [
                {
                    "collateralAccuracy": 8,
                    "currency": "ETH",
                    "initialLTV": "0.8",
                    "liquidationLTV": "0.95",
                    "marginCallLTV": "0.87",
                    "maxLimit": "32000",
                }
            ],
        }
    ]
    tiers = new["collateralRatioConfigList"][0]["collateralRatioList"]
    assert tiers[1] == {"collateralRatio": "0.8", "minValue": "50000", "maxValue": ""}


async def test_transfers_and_repayments_over_the_wire(serve: Serve) -> None:
    async with serve() as (exchange, client):
        moved = await client.transfer("0.5")
        repaid = await client.post(f"{OLD}/repay", orderId=ORDER, amount="1000")
        pool = await client.post("/v5/crypto-loan-flexible/repay", loanCurrency="USDT", amount="500")
        old = await client.get(f"{OLD}/repayment-history")
        new = await client.get("/v5/crypto-loan-flexible/repayment-history")
        account = exchange.ledger.accounts["1"]
        assert moved["result"]["status"] == "SUCCESS"
        assert (account.balance("BTC"), account.balance("USDT")) == (D("2.5"), 48500)
        assert old["result"]["list"][0]["repayId"] == repaid["result"]["repayId"]
        assert new["result"]["list"][0]["repayId"] == pool["result"]["repayId"]


async def test_a_liquidated_loan_leaves_the_list_and_stands_in_the_repayments(serve: Serve) -> None:
    async with serve() as (exchange, client):
        exchange.set_price("BTC", D(31000))
        listed = await client.get(f"{OLD}/ongoing-orders")
        repaid = await client.get(f"{OLD}/repayment-history")
        assert listed["result"]["list"] == []
        assert repaid["result"]["list"][0]["repayType"] == 2
        assert (await client.adjust("0", "0.1"))["retCode"] == 177005


async def test_an_account_without_a_pool_is_quiet(serve: Serve) -> None:
    async with serve() as (_, client):
        client.key, client.secret = "two", "secret-two"
        position = await client.get(f"{COMMON}/position")
        assert (position["retCode"], position["result"]["collateralList"]) == (0, [])


async def test_the_control_plane_does_what_its_page_says(serve: Serve) -> None:
    async with serve() as (exchange, client):
        asks: list[tuple[str, dict[str, Any]]] = [
            ("price", {"coin": "BTC", "price": "52000"}),
            ("user-adjust", {"user": "1", "loan_id": ORDER, "direction": "add", "amount": "0.1"}),
            ("user-repay", {"user": "1", "loan_id": ORDER, "amount": "200"}),
            ("partial-liquidation", {"user": "1", "loan_id": ORDER, "amount": "0.01"}),
            ("partial-repayment", {"user": "1", "loan_id": ORDER, "amount": "100"}),
            ("deposit", {"user": "1", "coin": "SOL", "amount": "5"}),
            ("clock", {"offset_ms": 250}),
            ("platform", {"col_res": "1", "closed_collateral": ["ETH"]}),
            ("terms", {"coin": "BTC", "liquidation_ltv": "0.9"}),
            ("faults", {"kind": "slow", "seconds": "0.1", "endpoint": "terms"}),
        ]
        assert [(await client.control("POST", name, body))[0] for name, body in asks] == [200] * len(asks)
        _, state = await client.control("GET", "state")
        assert state["prices"]["BTC"] == "52000"
        assert [(row["by"], row["amount"]) for row in state["effects"]] == [("app", "0.1")]
        (order,) = state["users"]["1"]["orders"]
        assert order["debts"] == {"USDT": "29180.00000000"}
        assert order["liquidation_ltv"] == "0.9"
        assert [(row["by"], row["kind"]) for row in state["repayments"]] == [("app", 1), ("", 2), ("app", 1)]
        assert state["users"]["1"]["funding"]["USDT"] == "49800"
        assert state["users"]["1"]["funding"]["SOL"] == "5"
        assert (state["clock_offset_ms"], state["col_res"], state["closed_collateral"]) == (250, "1", ["ETH"])
        assert [fault["kind"] for fault in state["faults"]] == ["slow"]
        await client.control("DELETE", "faults")
        assert exchange.faults.state() == []
        wrong = [
            ("price", {"coin": "DOGE", "price": None}),
            ("faults", {"kind": "gremlin"}),
            ("user-adjust", {"user": "1", "loan_id": ORDER, "direction": "reduce", "amount": "9"}),
            ("deposit", {"user": "1", "coin": "SOL", "amount": "-50"}),
            ("terms", {"coin": "DOGE", "liquidation_ltv": "0.9"}),
            ("terms", {"coin": "BTC", "liquidation_ltv": "0"}),
            ("terms", {"coin": "BTC", "accuracy": "2"}),
            ("user-repay", {"user": "1", "loan_id": ORDER, "amount": "0.000000001"}),
        ]
        assert [(await client.control("POST", name, body))[0] for name, body in wrong] == [400] * len(wrong)


async def test_the_state_shows_what_came_over_the_wire(serve: Serve) -> None:
    async with serve() as (_, client):
        await client.adjust("0", "0.10")
        _, state = await client.control("GET", "state")
    (write,) = state["writes"]
    assert json.loads(write["payload"]) == {"orderId": ORDER, "amount": "0.10", "direction": "0"}
    assert (write["endpoint"], write["ret_code"], write["recv_window"]) == ("adjust", 0, "5000")
    assert state["requests"] == {f"POST {OLD}/adjust-ltv": 1}
    assert (state["ended"], state["started"]) == (True, True)


async def test_a_fixed_loan_says_when_it_ends(serve: Serve) -> None:
    loan = {"loan_coin": "USDT", "debt": "30000", "collateral_coin": "BTC", "collateral": "1"}
    order = {"order_id": "7", "term": "30", "expires_in": "1h", "interest": "0.04016", **loan}
    async with serve(users={"1": {"orders": [order]}, "2": {}}) as (_, client):
        answer = await client.get(f"{OLD}/ongoing-orders")
    row = answer["result"]["list"][0]
    assert 3_590_000 < int(row["expirationTime"]) - answer["time"] <= 3_600_000
    assert (row["loanTerm"], row["residualInterest"]) == ("30", "0.04016")


@pytest.mark.parametrize(("expires_in", "ago_s"), [("-3600", 3600), ("-2h", 7200)])
async def test_a_loan_can_be_overdue_from_the_start(serve: Serve, expires_in: str, ago_s: int) -> None:
    loan = {"loan_coin": "USDT", "debt": "30000", "collateral_coin": "BTC", "collateral": "1"}
    order = {"order_id": "7", "expires_in": expires_in, "hourly_rate": "0.0001", **loan}
    changes = {"speed_up": "36000", "coins": {"BTC": {"path": [[0, "50000"]]}}}
    async with serve(users={"1": {"orders": [order]}, "2": {}}, market=changes) as (exchange, client):
        row = {"residualInterest": "0"}
        while row["residualInterest"] == "0":
            answer = await client.get(f"{OLD}/ongoing-orders")
            row = answer["result"]["list"][0]
        assert 0 <= answer["time"] - int(row["expirationTime"]) - ago_s * 1000 < 60_000
        assert D(row["residualPenaltyInterest"]) == 2 * D(row["residualInterest"])
        assert exchange.ledger.liquidations == []


async def test_a_loan_that_is_overdue_by_more_than_its_grace_is_sold_at_once(serve: Serve) -> None:
    loan = {"loan_coin": "USDT", "debt": "30000", "collateral_coin": "BTC", "collateral": "1"}
    order = {"order_id": "7", "expires_in": "-3d", **loan}
    async with serve(users={"1": {"orders": [order]}, "2": {}}) as (exchange, client):
        assert (await client.get(f"{OLD}/ongoing-orders"))["result"]["list"] == []
        assert [one.reason for one in exchange.ledger.liquidations] == ["overdue"]


async def test_orders_and_the_list_of_terms_follow_new_terms(serve: Serve) -> None:
    async with serve() as (exchange, client):
        exchange.set_price("BTC", D(32000))
        exchange.set_terms("BTC", margin_call_ltv=D("0.7"), liquidation_ltv=D("0.94"))
        found = await client.get(f"{OLD}/collateral-data", vipLevel="VIP0", currency="BTC")
        terms = found["result"]["vipCoinList"][0]["list"][0]
        assert (terms["marginCallLTV"], terms["liquidationLTV"]) == ("0.7", "0.94")
        assert exchange.ledger.liquidations == []
        exchange.set_terms("BTC", liquidation_ltv=D("0.93"))
        assert {one.loan_id for one in exchange.ledger.liquidations} == {ORDER, TWIN}


def test_new_terms_stay_with_the_exchange_that_got_them() -> None:
    plan = build()
    Exchange(plan).set_terms("BTC", liquidation_ltv=D("0.7"))
    assert Exchange(plan).ledger.accounts["1"].orders[ORDER].liquidation_ltv == D("0.95")


async def test_every_kind_of_write_has_its_own_allowance(serve: Serve) -> None:
    writes = ["adjust", "repay", "repay a pool", "transfer"]
    async with serve(limits={}) as (exchange, client):
        codes = [(await client.post(path, **body))["retCode"] for path, body in map(client.write, 2 * writes)]
        assert codes == [0, 0, 0, 0, 10006, 10006, 10006, 10006]
        assert len(exchange.limits.violations) == 4
        assert (len(exchange.ledger.repayments), len(exchange.ledger.transfers)) == (2, 1)
