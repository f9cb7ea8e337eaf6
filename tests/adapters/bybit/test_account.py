from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from ltv_guard.adapters.bybit import BybitAccount, ExchangeClock
from ltv_guard.core.model.errors import ExchangeUnavailable
from ltv_guard.core.ports import AccountExchange, Identity

if TYPE_CHECKING:
    from conftest import Exchange, Parts, Seen

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


async def test_days_alone_are_counted_from_now(exchange: Exchange, account: BybitAccount) -> None:
    exchange.answer(KEY, DESCRIBED | {"deadlineDay": 83, "expiredAt": None})
    identity = await account.identify()
    assert identity.expires_at_ms is not None
    assert 82 * 86_400_000 < identity.expires_at_ms - time.time() * 1000 < 84 * 86_400_000
    assert (identity.expires_at or "").endswith("Z")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"readOnly": 1}, {"read_only": True, "can_adjust": False, "can_transfer": False}),
        ({"readOnly": "1"}, {"read_only": True}),
        ({"permissions": {"Wallet": ["Withdraw"]}}, {"can_withdraw": True, "can_transfer": False}),
        ({"permissions": {"Wallet": ["AccountTransfer"]}}, {"can_transfer": True, "can_adjust": False}),
        ({"permissions": None}, {"can_withdraw": False, "can_adjust": False}),
        ({"ips": ["*"], "deadlineDay": 83}, {"ip_bound": False}),
        ({"ips": []}, {"ip_bound": False}),
        (
            {"expiredAt": "2026-05-15T03:21:05Z", "deadlineDay": 5},
            {"expires_at": "2026-05-15T03:21:05.000Z", "expires_at_ms": 1778815265000},
        ),
        ({"expiredAt": "1970-01-01T00:00:00Z", "deadlineDay": -1}, {"expires_at": None}),
        ({"expiredAt": "1970-01-01T00:00:00Z", "deadlineDay": -20000}, {"expires_at": None}),
        ({"expiredAt": "", "deadlineDay": True}, {"expires_at": None}),
        ({"expiredAt": "soon", "deadlineDay": "x"}, {"expires_at": None}),
        ({"expiredAt": 10**30, "deadlineDay": 10**30}, {"expires_at": None}),
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
    "change", [{"userID": None}, {"userID": True}, {"userID": "a b"}, {"userID": "x" * 65}]
)
async def test_a_key_that_cannot_be_told_is_unavailable(
    exchange: Exchange, account: BybitAccount, change: dict[str, Any]
) -> None:
    exchange.answer(KEY, DESCRIBED | change)
    with pytest.raises(ExchangeUnavailable, match="makes no sense"):
        await account.identify()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"readOnly": None}, {"read_only": False, "can_adjust": True}),
        ({"readOnly": "NaN"}, {"read_only": False, "can_adjust": True}),
        ({"permissions": [1]}, {"can_adjust": True, "can_transfer": True, "can_withdraw": False}),
        ({"permissions": {"Spot": "SpotTrade", "Wallet": None}}, {"can_adjust": True, "can_transfer": False}),
        ({"vipLevel": "\u202eVIP-1\x1b[2J"}, {"vip_level": "\\u202eVIP-1\\u001b[2J"}),
    ],
)
async def test_what_cannot_be_told_of_a_key_is_left_to_the_exchange_to_refuse(
    exchange: Exchange, connect: Connect, change: dict[str, Any], expected: dict[str, object]
) -> None:
    client = connect(exchange.url).client
    exchange.answer(KEY, DESCRIBED | change)
    identity = await BybitAccount(client).identify()
    assert {name: getattr(identity, name) for name in expected} == expected
    assert bool(client.oddities.current()) == ("vipLevel" not in change)


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
    "balance", ["", {}, [7], [{"coin": "BTC", "walletBalance": "1", "transferBalance": "-1"}]]
)
async def test_a_wallet_that_makes_no_sense_is_unavailable(
    exchange: Exchange, account: BybitAccount, balance: object
) -> None:
    exchange.answer(WALLET, {"balance": balance})
    with pytest.raises(ExchangeUnavailable, match="makes no sense"):
        await account.wallet(["BTC"])


@pytest.mark.parametrize(
    "balance", ["", {}, [7], [{"coin": "BTC", "walletBalance": "1", "transferBalance": "much"}]]
)
async def test_a_unified_account_that_makes_no_sense_is_unavailable(
    exchange: Exchange, account: BybitAccount, balance: object
) -> None:
    exchange.answer(WALLET, {"balance": balance})
    with pytest.raises(ExchangeUnavailable, match="makes no sense"):
        await account.unified(["BTC"])


ODD_ROWS: list[object] = [
    {"coin": "ETH", "walletBalance": "3", "transferBalance": ""},
    {"coin": "ETH", "walletBalance": "3", "transferBalance": "-1"},
    {"coin": "ETH", "walletBalance": "3"},
    {"coin": "ETH", "walletBalance": "3", "transferBalance": "1e999999"},
    {"coin": "eth", "walletBalance": "3", "transferBalance": "3"},
    {"coin": None, "walletBalance": "3", "transferBalance": "3"},
    {"coin": "\u0395\u03a4\u0397", "walletBalance": "3", "transferBalance": "3"},
    None,
    "ETH",
]


@pytest.mark.case(5)
@pytest.mark.parametrize("odd", ODD_ROWS, ids=str)
async def test_an_odd_row_of_a_wallet_counts_as_unread_not_as_none_and_the_others_as_read(
    exchange: Exchange, connect: Connect, odd: object
) -> None:
    client = connect(exchange.url).client
    rows = [odd, {"coin": "BTC", "walletBalance": "2", "transferBalance": "1.5"}]
    exchange.answer(WALLET, {"balance": rows})
    assert await BybitAccount(client).wallet(["BTC", "ETH"]) == {"BTC": Decimal("1.5")}
    told = client.oddities.current()
    assert len(told) == (0 if odd == ODD_ROWS[4] else 1)
    exchange.answer(WALLET, {"balance": rows[1:]})
    assert (await BybitAccount(client).wallet(["BTC", "ETH"]))["ETH"] == 0
    assert client.oddities.current() == ()


async def test_an_odd_total_leaves_what_can_be_transferred_and_a_coin_listed_twice_is_unread(
    exchange: Exchange, account: BybitAccount
) -> None:
    rows = [
        {"coin": "BTC", "walletBalance": "", "transferBalance": "1.5"},
        {"coin": "ETH", "walletBalance": "3", "transferBalance": "3"},
        {"coin": "ETH", "walletBalance": "4", "transferBalance": "4"},
    ]
    exchange.answer(WALLET, {"balance": rows})
    assert await account.wallet(["BTC", "ETH", "USDT"]) == {"BTC": Decimal("1.5"), "USDT": Decimal(0)}


async def test_a_wallet_that_lists_nothing_holds_nothing(exchange: Exchange, account: BybitAccount) -> None:
    exchange.answer(WALLET, {"balance": None})
    assert await account.wallet(["BTC"]) == {"BTC": Decimal(0)}


def refuses(code: int, *names: str) -> Callable[[Seen], web.StreamResponse]:
    """Answers for all coins but these, which no request may name."""

    def handler(seen: Seen) -> web.StreamResponse:
        asked = seen.params["coin"].split(",")
        rows = [{"coin": name, "walletBalance": "1", "transferBalance": "1"} for name in asked]
        refused = {*asked} & {*names}
        return web.json_response({"retCode": code if refused else 0, "result": {"balance": rows}})

    return handler


@pytest.mark.parametrize("code", [131231, 131002])  # listed, and not
async def test_a_coin_that_the_exchange_refuses_to_tell_of_costs_itself_and_is_asked_for_later(
    exchange: Exchange, connect: Connect, code: int
) -> None:
    seconds = 0.0
    clock = ExchangeClock(monotonic=lambda: seconds, sleep=lambda _: asyncio.sleep(0))
    client = connect(exchange.url, clock=clock).client
    account = BybitAccount(client)
    exchange.handlers[WALLET] = refuses(code, "NONE")
    for _ in range(2):
        assert await account.wallet(["BTC", "ETH", "NONE"]) == {"BTC": Decimal(1), "ETH": Decimal(1)}
        (told,) = client.oddities.current()
        assert (told.row, str(code) in told.why) == ("NONE", True)
    assert exchange.requests(WALLET)[-1].params["coin"] == "BTC,ETH"
    exchange.handlers[WALLET] = refuses(code)
    seconds = 601
    assert (await account.wallet(["BTC", "ETH", "NONE"])).keys() == {"BTC", "ETH", "NONE"}
    assert client.oddities.current() == ()


async def test_where_no_coin_is_told_of_not_all_are_asked_for_one_by_one(
    exchange: Exchange, account: BybitAccount
) -> None:
    names = [f"C{number}" for number in range(10)]
    exchange.handlers[WALLET] = refuses(131231, *names)
    with pytest.raises(ExchangeUnavailable, match="131231"):
        await account.wallet(names)
    assert len(exchange.requests(WALLET)) == 4


async def test_an_outage_of_the_wallet_is_not_taken_for_a_refused_coin(
    exchange: Exchange, account: BybitAccount
) -> None:
    exchange.answer(WALLET, web.Response(status=404))
    with pytest.raises(ExchangeUnavailable):
        await account.wallet(["BTC", "ETH"])
    assert len(exchange.requests(WALLET)) == 1


async def test_an_answer_that_makes_no_sense_costs_the_coins_that_it_was_to_tell_of(
    exchange: Exchange, account: BybitAccount
) -> None:
    exchange.answer(WALLET, {}, {"balance": []})
    found = await account.wallet([f"C{number:02}" for number in range(12)])
    assert found == {"C10": Decimal(0), "C11": Decimal(0)}


@pytest.mark.case(3)
@pytest.mark.parametrize("index", ["0", "", None, "NaN", "-1", "1e999999", [], True, "\u0661"])
async def test_an_index_price_that_is_none_gives_way_to_the_last(
    exchange: Exchange, account: BybitAccount, index: object
) -> None:
    rows = [{"symbol": "BTCUSDT", "lastPrice": "21109.77", "usdIndexPrice": index}, {"symbol": "NILUSDT"}]
    exchange.answer(TICKERS, {"list": rows})
    assert (await account.prices())["BTC"] == Decimal("21109.77")


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
