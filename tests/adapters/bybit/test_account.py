from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from ltv_guard.adapters.bybit import BybitAccount, ExchangeClock
from ltv_guard.core.errors import ExchangeUnavailable
from ltv_guard.ports import AccountExchange, Identity

if TYPE_CHECKING:
    from conftest import Exchange, Parts

    Connect = Callable[..., Parts]

KEY = "/v5/user/query-api"
WALLET = "/v5/asset/transfer/query-account-coins-balance"
TICKERS = "/v5/market/tickers"

DESCRIBED = {
    "readOnly": 0,
    "permissions": {"Spot": ["SpotTrade"], "Wallet": ["AccountTransfer"]},
    "ips": ["203.0.113.7"],
    "deadlineDay": -2,
    "vipLevel": "VIP-1",
    "userID": 24617703,
}


@pytest.fixture
def account(exchange: Exchange, connect: Connect) -> BybitAccount:
    return BybitAccount(connect(exchange.url).client)


def test_it_is_what_the_guard_asks_for(account: BybitAccount) -> None:
    port: AccountExchange = account
    assert port is account


async def test_a_key_is_identified(exchange: Exchange, account: BybitAccount) -> None:
    exchange.answer(KEY, DESCRIBED)
    assert await account.identify() == Identity(
        user_id="24617703",
        vip_level="VIP-1",
        read_only=False,
        can_withdraw=False,
        can_adjust=True,
        can_transfer=True,
        ip_bound=True,
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"readOnly": 1}, {"read_only": True, "can_adjust": False, "can_transfer": False}),
        ({"readOnly": "1"}, {"read_only": True}),
        ({"permissions": {"Wallet": ["Withdraw"]}}, {"can_withdraw": True, "can_transfer": False}),
        ({"permissions": {"Wallet": ["AccountTransfer"]}}, {"can_transfer": True, "can_adjust": False}),
        ({"permissions": None}, {"can_withdraw": False, "can_adjust": False}),
        ({"ips": ["*"], "deadlineDay": 83}, {"ip_bound": False, "expires_at": "in 83 days"}),
        ({"ips": []}, {"ip_bound": False}),
        ({"expiredAt": "2026-05-15T03:21:05Z"}, {"expires_at": "2026-05-15T03:21:05Z"}),
        ({"vipLevel": None}, {"vip_level": ""}),
        ({"userID": "7"}, {"user_id": "7"}),
    ],
)
async def test_what_a_key_may_do_is_read_carefully(
    exchange: Exchange, account: BybitAccount, change: dict[str, Any], expected: dict[str, object]
) -> None:
    exchange.answer(KEY, DESCRIBED | change)
    identity = await account.identify()
    assert {name: getattr(identity, name) for name in expected} == expected


@pytest.mark.parametrize(
    "change", [{"userID": None}, {"userID": True}, {"readOnly": None}, {"permissions": [1]}]
)
async def test_a_key_that_cannot_be_told_is_unavailable(
    exchange: Exchange, account: BybitAccount, change: dict[str, Any]
) -> None:
    exchange.answer(KEY, DESCRIBED | change)
    with pytest.raises(ExchangeUnavailable, match="makes no sense"):
        await account.identify()


async def test_the_wallet_counts_what_can_leave_it(exchange: Exchange, account: BybitAccount) -> None:
    rows = [
        {"coin": "BTC", "walletBalance": "2", "transferBalance": "1.5", "bonus": ""},
        {"coin": "ETH", "walletBalance": "3", "transferBalance": "4"},
        {"coin": "XRP", "walletBalance": "odd, but nobody asked"},
    ]
    exchange.answer(WALLET, {"accountType": "FUND", "balance": rows})
    found = await account.wallet(["ETH", "BTC", "USDT", "BTC"])
    assert found == {"BTC": Decimal("1.5"), "ETH": Decimal(3), "USDT": Decimal(0)}
    assert exchange.requests(WALLET)[0].query == "accountType=FUND&coin=BTC%2CETH%2CUSDT"


async def test_the_unified_account_counts_what_its_margin_lets_go(
    exchange: Exchange, account: BybitAccount
) -> None:
    rows = [
        {"coin": "BTC", "walletBalance": "2", "transferBalance": "0.5", "bonus": ""},
        {"coin": "ETH", "walletBalance": "3", "transferBalance": "3"},
    ]
    exchange.answer(WALLET, {"accountType": "UNIFIED", "balance": rows})
    found = await account.unified(["USDT", "ETH", "BTC"])
    assert found == {"BTC": Decimal("0.5"), "ETH": Decimal(3), "USDT": Decimal(0)}
    assert exchange.requests(WALLET)[0].query == "accountType=UNIFIED&coin=BTC%2CETH%2CUSDT"


async def test_a_coin_that_the_unified_account_has_borrowed_is_none_of_it(
    exchange: Exchange, account: BybitAccount
) -> None:
    rows = [
        {"coin": "BTC", "walletBalance": "-0.3", "transferBalance": "0"},
        {"coin": "USDT", "walletBalance": "900", "transferBalance": "800"},
    ]
    exchange.answer(WALLET, {"accountType": "UNIFIED", "balance": rows})
    assert await account.unified(["USDT", "BTC"]) == {"BTC": Decimal(0), "USDT": Decimal(800)}


@pytest.mark.parametrize("both", ["wallet", "unified"])
async def test_many_coins_are_asked_for_in_batches(
    exchange: Exchange, account: BybitAccount, both: str
) -> None:
    exchange.answer(WALLET, {"balance": []})
    found = await getattr(account, both)([f"C{n}" for n in range(25)])
    assert len(found) == 25
    assert [len(seen.params["coin"].split(",")) for seen in exchange.requests(WALLET)] == [10, 10, 5]


async def test_no_coins_are_not_asked_for(exchange: Exchange, account: BybitAccount) -> None:
    assert await account.wallet([]) == {}
    assert exchange.seen == []


@pytest.mark.parametrize(
    "balance", [None, [7], [{"coin": "BTC", "walletBalance": "-1", "transferBalance": "1"}]]
)
async def test_a_wallet_that_makes_no_sense_is_unavailable(
    exchange: Exchange, account: BybitAccount, balance: object
) -> None:
    exchange.answer(WALLET, {"balance": balance})
    with pytest.raises(ExchangeUnavailable, match="makes no sense"):
        await account.wallet(["BTC"])


@pytest.mark.parametrize(
    "balance", [None, [7], [{"coin": "BTC", "walletBalance": "1", "transferBalance": "much"}]]
)
async def test_a_unified_account_that_makes_no_sense_is_unavailable(
    exchange: Exchange, account: BybitAccount, balance: object
) -> None:
    exchange.answer(WALLET, {"balance": balance})
    with pytest.raises(ExchangeUnavailable, match="makes no sense"):
        await account.unified(["BTC"])


async def test_prices_are_index_prices_or_else_the_last(exchange: Exchange, account: BybitAccount) -> None:
    rows = [
        {"symbol": "BTCUSDT", "lastPrice": "21109.77", "usdIndexPrice": "21120.24"},
        {"symbol": "ETHUSDT", "lastPrice": "1500", "usdIndexPrice": ""},
        {"symbol": "USDCUSDT", "lastPrice": "0.9999", "usdIndexPrice": "0.9998"},
        {"symbol": "ETHBTC", "lastPrice": "0.07"},
        {"symbol": "ODDUSDT", "lastPrice": "NaN"},
        {"symbol": "NILUSDT", "lastPrice": "0"},
        {"symbol": "USDT", "lastPrice": "9"},
        "x",
    ]
    exchange.answer(TICKERS, {"category": "spot", "list": rows})
    assert await account.prices() == {
        "USDT": Decimal(1),
        "USDC": Decimal("0.9998"),
        "BTC": Decimal("21120.24"),
        "ETH": Decimal(1500),
    }
    assert exchange.requests(TICKERS)[0].query == "category=spot"


async def test_prices_are_asked_for_once_a_second(exchange: Exchange, connect: Connect) -> None:
    seconds = [0.0]
    account = BybitAccount(connect(exchange.url, clock=ExchangeClock(monotonic=lambda: seconds[0])).client)
    exchange.answer(TICKERS, {"list": []})
    await asyncio.gather(*(account.prices() for _ in range(5)))
    assert len(exchange.requests(TICKERS)) == 1
    seconds[0] = 1.0
    await account.prices()
    assert len(exchange.requests(TICKERS)) == 2


async def test_the_server_tells_its_time(exchange: Exchange, account: BybitAccount) -> None:
    assert await account.server_time() == 1_700_000_000_123
