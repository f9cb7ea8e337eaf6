"""The others: what a good programmer writes in an afternoon, and the floor that nobody can be faster than.

    python benchmarks/peers.py NAME '{"url": ..., "key": ..., "secret": ..., "loan_id": ..., ...}'

Each is as short and as fair as it can be: `ccxt` (polls every second), `floor` (tick, one GET, one durable
commit, one POST), and three that fetch pages and drop them: `bare` (aiohttp), `ccxt_pages`, `pybit_pages`.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
import sqlite3
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import ROUND_UP, Decimal
from typing import Any

import aiohttp

ORDERS, POSITION = "/v5/crypto-loan/ongoing-orders", "/v5/crypto-loan-common/position"
TRIGGER, TARGET, STEP = Decimal("0.75"), Decimal("0.65"), Decimal("0.00000001")
POLL_S, READ_SPACING_S = 1.0, 0.21  # the exchange allows five reads a second
Job = dict[str, Any]


def amount_to_add(coins: str, ltv: str) -> str:
    return format((Decimal(coins) * (Decimal(ltv) / TARGET - 1)).quantize(STEP, ROUND_UP), "f")


# A plain loop on ccxt's async client.


async def ccxt_loop(job: Job) -> None:
    """Read every loan each second, at five pages a second; add to those above the trigger, worst first.

    It looks what the wallet holds before it adds, and ccxt paces itself as it does unless told otherwise.
    `stripped` does neither.
    """
    client = ccxt_client(job)
    client.enableRateLimit = not job["stripped"]
    await each_second(
        lambda: ccxt_pool(client, job) if job["loan_id"] == "pool" else ccxt_orders(client, job)
    )


async def each_second(work: Callable[[], Awaitable[None]]) -> None:
    while True:
        began = time.monotonic()
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next second may be better
            print(f"peers.py: {error}", file=sys.stderr)
        # One that took longer than a second leaves the limit of reads some room.
        await asyncio.sleep(max(READ_SPACING_S, POLL_S - (time.monotonic() - began)))


async def ccxt_orders(client: Any, job: Job) -> None:  # noqa: ANN401 - ccxt has no types
    orders = [order async for page in ccxt_sweep(client) for order in page]
    for order in sorted(orders, key=lambda order: order["currentLTV"], reverse=True):
        if Decimal(order["currentLTV"]) < TRIGGER:
            break
        amount = amount_to_add(order["collateralAmount"], order["currentLTV"])
        if job["stripped"] or await ccxt_can_pay(client, order["collateralCurrency"], amount):
            body = {"orderId": order["orderId"], "amount": amount, "direction": "0"}
            await client.privatePostV5CryptoLoanAdjustLtv(body)


async def ccxt_pool(client: Any, job: Job) -> None:  # noqa: ANN401 - ccxt has no types
    pool = (await client.privateGetV5CryptoLoanCommonPosition())["result"]
    if Decimal(pool["ltv"]) >= TRIGGER:
        held = pool["collateralList"][0]
        coin, amount = held["currency"], amount_to_add(held["amount"], pool["ltv"])
        if job["stripped"] or await ccxt_can_pay(client, coin, amount):
            body = {"currency": coin, "amount": amount, "direction": "0"}
            await client.privatePostV5CryptoLoanCommonAdjustLtv(body)


async def ccxt_can_pay(client: Any, coin: str, amount: str) -> bool:  # noqa: ANN401 - ccxt has no types
    asked = {"accountType": "FUND", "coin": coin}
    wallet = (await client.privateGetV5AssetTransferQueryAccountCoinsBalance(asked))["result"]
    return Decimal(wallet["balance"][0]["transferBalance"]) >= Decimal(amount)


async def ccxt_sweep(client: Any) -> AsyncIterator[list[dict[str, str]]]:  # noqa: ANN401 - ccxt has no types
    cursor: dict[str, str] = {}
    while True:
        began = time.monotonic()
        result = (await client.privateGetV5CryptoLoanOngoingOrders({"limit": "100", **cursor}))["result"]
        yield result["list"]
        if not result["nextPageCursor"]:
            return
        cursor = {"cursor": result["nextPageCursor"]}
        await asyncio.sleep(max(0.0, READ_SPACING_S - (time.monotonic() - began)))


def ccxt_client(job: Job) -> Any:  # noqa: ANN401 - ccxt has no types
    import ccxt.async_support as ccxt  # noqa: PLC0415 - only where used: half a second

    client = ccxt.bybit({"apiKey": job["key"], "secret": job["secret"], "enableRateLimit": False})
    client.urls["api"] = dict.fromkeys(client.urls["api"], job["url"])
    return client


# The floor.


async def floor(job: Job) -> None:
    """At each tick: one GET of the loan, one commit with synchronous=FULL, one POST on a warm connection."""
    journal = sqlite3.connect(job["journal"], isolation_level=None)
    journal.execute("PRAGMA journal_mode=WAL")
    journal.execute("PRAGMA synchronous=FULL")
    journal.execute("CREATE TABLE IF NOT EXISTS sent (body TEXT)")
    is_pool = job["loan_id"] == "pool"
    path, query = (POSITION, "") if is_pool else (ORDERS, f"orderId={job['loan_id']}")
    adjust = "/v5/crypto-loan-common/adjust-ltv" if is_pool else "/v5/crypto-loan/adjust-ltv"
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{job['url']}/v5/public/spot") as prices:
        await prices.send_json({"op": "subscribe", "args": [f"tickers.{job['coin']}USDT"]})
        last = None
        async for message in prices:
            told = json.loads(message.data)
            if "topic" not in told or told["data"]["lastPrice"] == last:
                continue
            last = told["data"]["lastPrice"]
            result = json.loads(await get(http, job, path, query))["result"]
            row = result if is_pool else result["list"][0]
            ltv = row["ltv"] if is_pool else row["currentLTV"]
            if Decimal(ltv) < TRIGGER:
                continue
            coins = row["collateralList"][0]["amount"] if is_pool else row["collateralAmount"]
            which = {"currency": job["coin"]} if is_pool else {"orderId": job["loan_id"]}
            body = json.dumps({**which, "amount": amount_to_add(coins, ltv), "direction": "0"})
            journal.execute("INSERT INTO sent VALUES (?)", (body,))
            headers = {**signed(job, body), "Content-Type": "application/json"}
            async with http.post(job["url"] + adjust, data=body, headers=headers) as answer:
                await answer.read()


async def get(http: aiohttp.ClientSession, job: Job, path: str, query: str) -> bytes:
    async with http.get(f"{job['url']}{path}?{query}", headers=signed(job, query)) as answer:
        return await answer.read()


def signed(job: Job, payload: str) -> dict[str, str]:
    at = str(int(time.time() * 1000))
    text = f"{at}{job['key']}5000{payload}".encode()
    signature = hmac.new(job["secret"].encode(), text, hashlib.sha256).hexdigest()
    names = ("X-BAPI-API-KEY", "X-BAPI-TIMESTAMP", "X-BAPI-RECV-WINDOW", "X-BAPI-SIGN")
    return dict(zip(names, (job["key"], at, "5000", signature), strict=True))


# Pages, fetched and dropped.


class Turns:
    """Five at once, then as soon as the second of the oldest is over: the most that the exchange allows."""

    def __init__(self) -> None:
        self._left: deque[float] = deque(maxlen=5)

    def wait_s(self) -> float:
        """Give the seconds until the next may leave, and count it; a little late, for the way may vary."""
        now = time.monotonic()
        at = max(now, self._left[0] + 1.05) if len(self._left) == self._left.maxlen else now
        self._left.append(at)
        return at - now


async def bare(job: Job) -> None:
    """Fetch every page with nothing but aiohttp, and look only for the cursor."""
    turns = Turns()

    async def sweep(http: aiohttp.ClientSession) -> None:
        cursor = ""
        while True:
            await asyncio.sleep(turns.wait_s())
            page = await get(http, job, ORDERS, f"limit=100{cursor}")
            if b'"retCode": 0' not in page:
                continue
            found = re.search(rb'"nextPageCursor": "(\d+)"', page)
            if found is None:
                return
            cursor = f"&cursor={found[1].decode()}"

    async with aiohttp.ClientSession() as http:
        await each_second(lambda: sweep(http))


async def ccxt_pages(job: Job) -> None:
    client = ccxt_client(job)

    async def sweep() -> None:
        async for _ in ccxt_sweep(client):
            pass

    await each_second(sweep)


async def pybit_pages(job: Job) -> None:
    """The same with pybit, which is synchronous: nothing else runs here."""
    from pybit.unified_trading import HTTP  # noqa: PLC0415 - only where used

    session = HTTP(api_key=job["key"], api_secret=job["secret"])
    session.endpoint = job["url"]

    async def sweep() -> None:
        cursor: dict[str, str] = {}
        while True:
            began, query = time.monotonic(), {"limit": "100", **cursor}
            found = session._submit_request(method="GET", path=job["url"] + ORDERS, query=query, auth=True)
            if not found["result"]["nextPageCursor"]:
                return
            cursor = {"cursor": found["result"]["nextPageCursor"]}
            await asyncio.sleep(max(0.0, READ_SPACING_S - (time.monotonic() - began)))

    await each_second(sweep)


PEERS = {
    "ccxt": ccxt_loop,
    "floor": floor,
    "bare": bare,
    "ccxt_pages": ccxt_pages,
    "pybit_pages": pybit_pages,
}

if __name__ == "__main__":
    try:
        asyncio.run(PEERS[sys.argv[1]](json.loads(sys.argv[2])))
    except KeyboardInterrupt:
        sys.exit(0)
