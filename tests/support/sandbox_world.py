"""A small scenario to vary, a client with a signer of its own, and moments for books without a clock."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Any
from uuid import uuid4

import aiohttp

from ltv_guard.sandbox import Exchange, Scenario, parse_scenario
from ltv_guard.sandbox.ledger import Ledger
from ltv_guard.sandbox.market import Moment

ORDER, TWIN = "1001", "2001"


def build(**changes: object) -> Scenario:
    """User 1 has an order at LTV 0.6 and a pool at 0.5, user 2 has the same order; BTC costs 50000 USD."""
    loan = {"loan_coin": "USDT", "debt": "30000", "collateral_coin": "BTC", "collateral": "1"}
    plan: dict[str, Any] = {
        "name": "test",
        "market": {
            "coins": {"BTC": {"path": [[0, "50000"]]}, "ETH": {"path": [[0, "2500"]]}},
        },
        "coins": {"BTC": {"tiers": [{"ratio": "0.9", "max": "50000"}, {"ratio": "0.8", "min": "50000"}]}},
        "keys": [
            {"key": "one", "secret": "secret-one", "user": "1"},
            {"key": "two", "secret": "secret-two", "user": "2"},
            {"key": "reader", "secret": "secret-reader", "user": "1", "read_only": True},
        ],
        "users": {
            "1": {
                "funding": {"BTC": "2", "USDT": "50000", "ETH": "10"},
                "unified": {"BTC": "1"},
                "orders": [{"order_id": ORDER, **loan}],
                "pool": {"flexible": {"USDT": "22500"}, "collateral": {"BTC": "1"}},
            },
            "2": {"funding": {"BTC": "2"}, "orders": [{"order_id": TWIN, **loan}]},
        },
        "limits": {"writes_per_s": 1000, "reads_per_s": 1000},
    }
    return parse_scenario(plan | changes)


class Client:
    """Signs and sends; every request has a connection of its own."""

    def __init__(self, url: str) -> None:
        self.url, self.key, self.secret = url, "one", "secret-one"
        self.shift_ms, self.recv_window = 0, 5000

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        text = "&".join(f"{name}={value}" for name, value in query.items())
        return await self._send("GET", f"{path}?{text}", text, None)

    async def post(self, path: str, **body: object) -> dict[str, Any]:
        text = json.dumps(body)
        return await self._send("POST", path, text, text)

    async def adjust(self, direction: str, amount: str, order: str = ORDER) -> dict[str, Any]:
        return await self.post(
            "/v5/crypto-loan/adjust-ltv", orderId=order, amount=amount, direction=direction
        )

    def write(self, name: str) -> tuple[str, dict[str, str]]:
        """Give the path and the body of a write that is granted once for every call."""
        match name:
            case "adjust":
                return "/v5/crypto-loan/adjust-ltv", {"orderId": ORDER, "amount": "0.1", "direction": "0"}
            case "repay":
                return "/v5/crypto-loan/repay", {"orderId": ORDER, "amount": "1000"}
            case "repay a pool":
                return "/v5/crypto-loan-flexible/repay", {"loanCurrency": "USDT", "amount": "500"}
            case _:
                return "/v5/asset/transfer/inter-transfer", self.transfer_of()

    def transfer_of(self, amount: str = "0.1", **changes: str) -> dict[str, str]:
        """Give the body of a transfer of BTC from UNIFIED to FUND, under an id of its own."""
        ways = {"fromAccountType": "UNIFIED", "toAccountType": "FUND"}
        return {"transferId": str(uuid4()), "coin": "BTC", "amount": amount, **ways} | changes

    async def transfer(self, amount: str = "0.1", **changes: str) -> dict[str, Any]:
        return await self.post("/v5/asset/transfer/inter-transfer", **self.transfer_of(amount, **changes))

    async def control(self, method: str, name: str, body: object = None) -> tuple[int, Any]:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"{self.url}/sandbox/{name}", json=body) as answer,
        ):
            return answer.status, await answer.json()

    async def raw(
        self, method: str, path: str, signed: str, body: str | None
    ) -> tuple[int, str, dict[str, str]]:
        timestamp = str(int(time.time() * 1000) + self.shift_ms)
        text = f"{timestamp}{self.key}{self.recv_window}{signed}"
        headers = {
            "X-BAPI-API-KEY": self.key,
            "X-BAPI-TIMESTAMP": timestamp,
            "X-BAPI-RECV-WINDOW": str(self.recv_window),
            "X-BAPI-SIGN": hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).hexdigest(),
            "Content-Type": "application/json",
        }
        connector = aiohttp.TCPConnector(force_close=True)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=5)) as session,
            session.request(
                method, self.url + path, data=body, headers=headers, allow_redirects=False
            ) as answer,
        ):
            return answer.status, await answer.text(), dict(answer.headers)

    async def _send(self, method: str, path: str, signed: str, body: str | None) -> dict[str, Any]:
        status, text, headers = await self.raw(method, path, signed, body)
        assert status == 200, text
        found: dict[str, Any] = json.loads(text)
        return found | {"headers": headers}


Serve = Callable[..., AbstractAsyncContextManager[tuple[Exchange, Client]]]


async def eventually(seen: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not seen():  # noqa: ASYNC110 the ledger is plain data, it signals nothing
            await asyncio.sleep(0.01)


def at(real_s: str = "0", *, btc: str = "50000", hours: int = 0) -> Moment:
    prices = {"BTC": Decimal(btc), "ETH": Decimal(2500), "USDT": Decimal(1), "USDC": Decimal(1)}
    return Moment(
        time_ms=int(Decimal(real_s) * 1000),
        real_s=Decimal(real_s),
        market_s=Decimal(hours * 3600),
        prices=prices,
    )


def books(**changes: object) -> tuple[Ledger, Any, Any]:
    """Give a ledger, and user 1's order and pool in it."""
    ledger = Ledger(build(**changes), 0)
    return ledger, ledger.accounts["1"].orders[ORDER], ledger.accounts["1"].pool
