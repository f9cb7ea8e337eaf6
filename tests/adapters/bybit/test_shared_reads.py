"""What is the same for every key of a host is read once for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from ltv_guard.adapters.bybit import (
    Ban,
    BybitAccount,
    BybitClient,
    Credentials,
    ExchangeClock,
    HmacSigner,
    Host,
    LegacyLoans,
    PoolLoans,
)
from ltv_guard.adapters.bybit.shared_reads import SharedReads
from ltv_guard.core.model.errors import ExchangeUnavailable

if TYPE_CHECKING:
    from conftest import Exchange

TERM = {"currency": "BTC", "collateralAccuracy": 8, "marginCallLTV": "0.87", "liquidationLTV": "0.95"}
TERMS = {"vipCoinList": [{"vipLevel": "VIP0", "list": [TERM]}]}
TIERS = {
    "collateralRatioConfigList": [
        {
            "currencies": "BTC",
            "collateralRatioList": [{"collateralRatio": "0.8", "minValue": "0", "maxValue": ""}],
        }
    ]
}
POSITION = {
    "borrowList": [{"loanCurrency": "USDT", "flexibleTotalDebt": "1", "fixedTotalDebt": "0"}],
    "collateralList": [{"currency": "BTC", "amount": "1", "amountUSD": "2"}],
    "ltv": "0.5",
    "totalDebt": "1",
    "totalCollateral": "2",
}
ORDER = {
    "orderId": "1",
    "collateralAmount": "1",
    "collateralCurrency": "BTC",
    "currentLTV": "0.5",
    "loanCurrency": "USDT",
    "totalDebt": "1",
    "residualInterest": "0",
    "residualPenaltyInterest": "0",
}


class Source:
    """Counts what is read of it; what it gives takes a moment."""

    def __init__(self) -> None:
        self.now_ms, self.reads, self.fails = 1000, 0, False

    async def read(self) -> int:
        self.reads += 1
        await asyncio.sleep(0.01)
        self.now_ms += 10
        if self.fails:
            raise ExchangeUnavailable("it does not answer")
        return self.reads


async def test_whoever_asks_meanwhile_waits_for_the_one_that_reads() -> None:
    source = Source()
    shared = SharedReads(lambda: source.now_ms)
    found = await asyncio.gather(*(shared.get("x", source.read, max_age_ms=100) for _ in range(50)))
    assert {item.value for item in found} == {1}
    source.now_ms += 101
    assert (await shared.get("x", source.read, max_age_ms=100)).value == 2
    assert (await shared.get("y", source.read, max_age_ms=100)).value == 3


async def test_what_is_asked_anew_is_read_anew() -> None:
    source = Source()
    shared = SharedReads(lambda: source.now_ms)
    await shared.get("x", source.read, max_age_ms=100)
    assert (await shared.get("x", source.read, max_age_ms=-1)).value == 2


async def test_many_that_ask_anew_while_one_reads_are_answered_by_the_next_read() -> None:
    source = Source()
    shared = SharedReads(lambda: source.now_ms)
    first = asyncio.create_task(shared.get("x", source.read, max_age_ms=-1))
    await asyncio.sleep(0)
    source.now_ms += 1
    found = await asyncio.gather(*(shared.get("x", source.read, max_age_ms=-1) for _ in range(50)))
    assert (await first).value == 1
    assert {item.value for item in found} == {2}


async def test_an_answer_that_takes_longer_than_it_is_kept_serves_those_that_waited() -> None:
    source = Source()
    shared = SharedReads(lambda: source.now_ms)
    found = await asyncio.gather(*(shared.get("x", source.read, max_age_ms=5) for _ in range(50)))
    assert {item.value for item in found} == {1}


async def test_those_that_waited_fail_with_the_one_that_read_and_the_next_tries_again() -> None:
    source = Source()
    source.fails = True
    shared = SharedReads(lambda: source.now_ms)
    found = await asyncio.gather(
        *(shared.get("x", source.read, max_age_ms=100) for _ in range(50)), return_exceptions=True
    )
    assert source.reads == 1
    assert all(isinstance(item, ExchangeUnavailable) for item in found)
    source.fails = False
    assert (await shared.get("x", source.read, max_age_ms=100)).value == 2


async def test_one_that_gives_up_reading_leaves_it_to_the_next() -> None:
    source = Source()
    shared = SharedReads(lambda: source.now_ms)
    impatient = asyncio.create_task(shared.get("x", source.read, max_age_ms=100))
    patient = asyncio.create_task(shared.get("x", source.read, max_age_ms=100))
    await asyncio.sleep(0)
    impatient.cancel()
    assert (await patient).value == 2


async def test_a_read_that_is_not_waited_for_goes_on_and_its_answer_is_kept() -> None:
    source = Source()
    shared = SharedReads(lambda: source.now_ms)
    with pytest.raises(ExchangeUnavailable, match="no answer within"):
        await shared.soon("x", source.read, max_age_ms=100, within_s=0)
    assert (await shared.soon("x", source.read, max_age_ms=100, within_s=5)).value == 1
    assert source.reads == 1


async def test_a_read_that_fails_when_nobody_waits_any_more_is_quiet() -> None:
    source = Source()
    source.fails = True
    shared = SharedReads(lambda: source.now_ms)
    with pytest.raises(ExchangeUnavailable, match="no answer within"):
        await shared.soon("x", source.read, max_age_ms=100, within_s=0)
    with pytest.raises(ExchangeUnavailable, match="does not answer"):
        await shared.soon("x", source.read, max_age_ms=100, within_s=5)
    assert not shared._going_on


@pytest.fixture
async def clients(exchange: Exchange) -> Any:  # noqa: ANN401 - a list of clients, closed afterwards
    host = Host(rest_url=exchange.url, clock=ExchangeClock(), ban=Ban("127.0.0.1"))
    found = [
        BybitClient(host, Credentials(api_key=f"key-{number}", signer=HmacSigner("secret")))
        for number in range(20)
    ]
    yield found
    for client in found:
        await client.close()


def asked_for(exchange: Exchange, path: str) -> int:
    return sum(1 for seen in exchange.seen if seen.path == path)


async def test_prices_are_read_once_for_all_accounts(exchange: Exchange, clients: list[BybitClient]) -> None:
    tickers = {"list": [{"symbol": "BTCUSDT", "lastPrice": "38000", "usdIndexPrice": "38000"}]}
    exchange.answer("/v5/market/tickers", tickers)
    found = await asyncio.gather(*(BybitAccount(client).prices() for client in clients))
    assert {prices["BTC"] for prices in found} == {Decimal(38000)}
    assert asked_for(exchange, "/v5/market/tickers") == 1


Make = Callable[[BybitClient], LegacyLoans | PoolLoans]


def pool(client: BybitClient) -> PoolLoans:
    return PoolLoans(client, candidates=(), margin_call_ltv=Decimal("0.85"), liquidation_ltv=Decimal("0.95"))


@pytest.mark.parametrize(
    ("make", "paths"),
    [
        (LegacyLoans, ["/v5/crypto-loan/collateral-data"]),
        (
            pool,
            [
                "/v5/crypto-loan-common/collateral-data",
                "/v5/crypto-loan/collateral-data",
                "/v5/crypto-loan-common/loanable-data",
            ],
        ),
    ],
)
async def test_terms_are_read_once_for_all_accounts(
    exchange: Exchange, clients: list[BybitClient], make: Make, paths: list[str]
) -> None:
    exchange.answer("/v5/crypto-loan/ongoing-orders", {"list": [ORDER], "nextPageCursor": ""})
    exchange.answer("/v5/crypto-loan-common/position", POSITION)
    exchange.answer("/v5/crypto-loan/collateral-data", TERMS)
    exchange.answer("/v5/crypto-loan-common/collateral-data", TIERS)
    books = await asyncio.gather(*(make(client).loans() for client in clients))
    assert all(len(book.loans) == 1 for book in books)
    assert [asked_for(exchange, path) for path in paths] == [1] * len(paths)
