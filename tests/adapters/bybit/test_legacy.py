"""Legacy loans over a real socket: whole lists or none, terms, and the adjustment's body."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from ltv_guard.adapters.bybit import ExchangeClock, LegacyLoans
from ltv_guard.adapters.bybit.turns import Turns
from ltv_guard.core.model.errors import ExchangeUnavailable
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loan_book import ListCutShort, LoanBook
from ltv_guard.core.model.loans import Direction, LoanKey, Owner, Product
from ltv_guard.core.ports import LoanExchange

if TYPE_CHECKING:
    from conftest import Exchange, Parts, Seen

    Connect = Callable[..., Parts]

ORDERS = "/v5/crypto-loan/ongoing-orders"
HISTORY = "/v5/crypto-loan/adjustment-history"
TERMS = "/v5/crypto-loan/collateral-data"
MAXIMUM = "/v5/crypto-loan/max-collateral-amount"
ADJUST = "/v5/crypto-loan/adjust-ltv"

NOW_MS = 1_700_000_000_000
HOUR_MS = 3_600_000
DAY_AGO_MS = NOW_MS - 26 * HOUR_MS


def order(number: int, **changes: object) -> dict[str, object]:
    return {
        "collateralAmount": "0.1",
        "collateralCurrency": "BTC",
        "currentLTV": "0.5",
        "expirationTime": "",
        "loanCurrency": "USDT",
        "orderId": str(number),
        "residualInterest": "0",
        "residualPenaltyInterest": "0",
        "totalDebt": "1000",
    } | changes


def row(number: int, at_ms: int) -> dict[str, object]:
    return {
        "adjustId": str(number),
        "adjustTime": str(at_ms),
        "afterLTV": "0.7",
        "amount": "0.001",
        "collateralCurrency": "BTC",
        "direction": 0,
        "orderId": "1",
        "preLTV": "0.6",
    }


def page(items: list[Any], cursor: str = "") -> dict[str, object]:
    return {"list": items, "nextPageCursor": cursor}


def terms(*coins: str, call: str = "0.87") -> dict[str, object]:
    rows = [
        {"currency": coin, "collateralAccuracy": 8, "marginCallLTV": call, "liquidationLTV": "0.95"}
        for coin in coins
    ]
    return {"vipCoinList": [{"vipLevel": "VIP0", "list": rows}]}


class Time:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def legacy(exchange: Exchange, connect: Connect, time: Time) -> LegacyLoans:
    async def at_once(_: float) -> None:
        return

    clock = ExchangeClock(monotonic=time, wall=lambda: NOW_MS / 1000 + time.seconds, sleep=at_once)
    exchange.answer(TERMS, terms("BTC"))
    return LegacyLoans(connect(exchange.url, clock=clock).client)


def test_it_is_what_the_guard_asks_for(legacy: LegacyLoans) -> None:
    port: LoanExchange = legacy
    assert port.product is Product.LEGACY


async def test_a_book_begins_before_its_first_request(
    exchange: Exchange, legacy: LegacyLoans, time: Time
) -> None:
    def slow(_: Seen) -> web.Response:
        time.seconds += 3
        return web.json_response({"retCode": 0, "result": page([order(1)])})

    exchange.handlers[ORDERS] = slow
    book = await legacy.loans()
    assert (book.began.monotonic_ms, book.began.exchange_ms) == (0, NOW_MS)
    assert book.loans[0].margin_call_ltv == Decimal("0.87")


async def test_all_pages_are_read_and_no_more(exchange: Exchange, legacy: LegacyLoans) -> None:
    first = [order(n) for n in range(100)]
    exchange.answer(ORDERS, page(first, "99"), page([order(100)]))
    book = await legacy.loans()
    assert len(book.loans) == 101
    queries = [seen.query for seen in exchange.requests(ORDERS)]
    assert queries == ["limit=100", "limit=100&cursor=99"]


async def test_a_row_is_as_old_as_the_request_of_its_page(
    exchange: Exchange, legacy: LegacyLoans, time: Time
) -> None:
    pages = iter([page([order(1), order(2)], "2"), page([order(2), order(3)])])

    def slow(_: Seen) -> web.Response:
        time.seconds += 3
        return web.json_response({"retCode": 0, "result": next(pages)})

    exchange.handlers[ORDERS] = slow
    book = await legacy.loans()
    asked = {loan.key.loan_id: book.asked_at(loan.key).monotonic_ms for loan in book.loans}
    # The second came twice: it is believed to be as old as the first time.
    assert list(asked.values()) == [0, 0, 3000]


async def test_a_page_that_waited_for_its_turn_is_no_older_than_that(
    exchange: Exchange, legacy: LegacyLoans, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asynccontextmanager
    async def comes_late(_self: Turns, _path: str, *, urgent: bool) -> AsyncIterator[None]:
        time.seconds += 2
        yield

    monkeypatch.setattr(Turns, "to_read", comes_late)
    exchange.answer(ORDERS, page([order(1)]))
    book = await legacy.loans()
    assert [book.asked_at(loan.key).monotonic_ms for loan in book.loans] == [2000]


async def test_each_page_is_told_as_it_comes_under_the_terms_of_before(
    exchange: Exchange, legacy: LegacyLoans, time: Time
) -> None:
    exchange.answer(ORDERS, page([order(1), order(2)], "2"), page([order(3)]))
    await legacy.loans()
    answers = iter([page([order(1), order(2, currentLTV="0.8"), {"orderId": "4"}], "2"), page([order(3)])])

    def slow(_: Seen) -> web.Response:
        time.seconds += 3
        return web.json_response({"retCode": 0, "result": next(answers)})

    exchange.handlers[ORDERS] = slow
    heard: list[LoanBook] = []
    whole = await legacy.loans(heard.append)

    told = [[(loan.key.loan_id, loan.ltv, loan.margin_call_ltv) for loan in part.loans] for part in heard]
    assert [[name for name, _, _ in part] for part in told] == [["1", "2"], ["3"]]
    assert told[0][1] == ("2", Decimal("0.8"), Decimal("0.87"))
    assert [part.began.monotonic_ms for part in heard] == [0, 3000]
    assert [loan for part in heard for loan in part.loans] == list(whole.loans)
    assert [item.key.loan_id for item in whole.set_aside] == ["4"]  # a part tells of what is understood


async def test_one_loan_is_read_by_its_id(exchange: Exchange, legacy: LegacyLoans) -> None:
    listed = [order(7, currentLTV="0.5"), order(8, currentLTV="0.78")]
    exchange.answer(ORDERS, page(listed))  # an exchange that takes no notice of the filter
    key = LoanKey(Product.LEGACY, str(order(7)["orderId"]))
    book = await legacy.loan(key)
    assert [(loan.key, loan.ltv) for loan in book.loans] == [(key, Decimal("0.5"))]
    assert [seen.query for seen in exchange.requests(ORDERS)] == [f"orderId={key.loan_id}"]


async def test_where_only_others_are_shown_for_an_id_nothing_is_known_of_it(
    exchange: Exchange, legacy: LegacyLoans
) -> None:
    """An exchange that takes no notice of the filter, and on whose first page it does not stand."""
    exchange.answer(ORDERS, page([order(7), order(8)]))
    with pytest.raises(ExchangeUnavailable, match="asked for order 9, it answers with others"):
        await legacy.loan(LoanKey(Product.LEGACY, "9"))


async def test_a_loan_that_is_not_listed_is_an_empty_book(exchange: Exchange, legacy: LegacyLoans) -> None:
    exchange.answer(ORDERS, page([]))
    book = await legacy.loan(LoanKey(Product.LEGACY, "1"))
    assert (book.loans, book.set_aside) == ((), ())


async def test_a_cursor_may_lead_to_an_empty_page(exchange: Exchange, legacy: LegacyLoans) -> None:
    exchange.answer(ORDERS, page([order(1)], "1"), page([], "again"))
    assert len((await legacy.loans()).loans) == 1


async def test_no_loans_need_no_terms(exchange: Exchange, legacy: LegacyLoans) -> None:
    exchange.answer(ORDERS, page([]))
    book = await legacy.loans()
    assert (book.loans, book.set_aside) == ((), ())
    assert exchange.requests(TERMS) == []


def history_of(numbers: list[int], *, cursor: Callable[[int], str] = str) -> Callable[[Seen], web.Response]:
    """A history as the exchange shows it: a cursor behind its last row too, and nothing behind that."""

    def answer(seen: Seen) -> web.Response:
        rows = [] if "cursor" in seen.params else [row(number, NOW_MS - number) for number in numbers]
        named = cursor(numbers[-1]) if rows else ""
        return web.json_response({"retCode": 0, "result": page(rows, named)})

    return answer


def queries_of(exchange: Exchange) -> list[str]:
    found = [seen.query for seen in exchange.requests(HISTORY)]
    exchange.seen.clear()
    return found


async def test_the_empty_page_behind_a_history_is_asked_for_beside_the_first_once_it_is_known(
    exchange: Exchange, legacy: LegacyLoans
) -> None:
    answer, both = history_of([3, 2, 1]), asyncio.Barrier(2)

    async def together(seen: Seen) -> web.Response:
        async with asyncio.timeout(5):
            await both.wait()
        return answer(seen)

    exchange.handlers[HISTORY] = answer
    assert len((await legacy.history(DAY_AGO_MS)).rows) == 3
    assert queries_of(exchange) == ["limit=100", "limit=100&cursor=1"]
    exchange.handlers[HISTORY] = together
    assert len((await legacy.history(DAY_AGO_MS)).rows) == 3
    assert sorted(queries_of(exchange)) == ["limit=100", "limit=100&cursor=1"]


async def test_where_the_first_page_ends_elsewhere_the_page_behind_it_is_read(
    exchange: Exchange, legacy: LegacyLoans
) -> None:
    exchange.handlers[HISTORY] = history_of([3, 2, 1])
    await legacy.history(DAY_AGO_MS)
    queries_of(exchange)
    exchange.handlers[HISTORY] = history_of([5, 4])
    found = await legacy.history(DAY_AGO_MS)
    assert {item.adjust_id for item in found.rows} == {"5", "4"}
    assert "limit=100&cursor=4" in queries_of(exchange)


async def test_a_history_that_names_another_cursor_each_time_is_soon_no_longer_guessed_at(
    exchange: Exchange, legacy: LegacyLoans
) -> None:
    times = iter(range(100))
    exchange.handlers[HISTORY] = history_of([3, 2, 1], cursor=lambda _: f"c{next(times)}")
    asked = []
    for _ in range(6):
        assert len((await legacy.history(DAY_AGO_MS)).rows) == 3
        asked.append(len(queries_of(exchange)))
    assert asked[0] == asked[-1] == 2


async def test_a_page_asked_for_ahead_that_fails_is_an_incomplete_read(
    exchange: Exchange, legacy: LegacyLoans
) -> None:
    answer = history_of([3, 2, 1])
    exchange.handlers[HISTORY] = answer
    await legacy.history(DAY_AGO_MS)

    def in_part(seen: Seen) -> web.Response:
        if "cursor" in seen.params:
            return web.json_response({"retCode": 0, "result": {"list": "x"}})
        return answer(seen)

    exchange.handlers[HISTORY] = in_part
    with pytest.raises(ExchangeUnavailable, match="makes no sense"):
        await legacy.history(DAY_AGO_MS)


@pytest.mark.parametrize("path", [ORDERS, HISTORY])
async def test_a_cursor_that_comes_again_is_an_error_never_the_end(
    exchange: Exchange, legacy: LegacyLoans, path: str
) -> None:
    exchange.answer(ORDERS, page([order(1)], "a"), page([order(2)], "b"), page([order(3)], "a"))
    exchange.answer(
        HISTORY, page([row(1, NOW_MS)], "a"), page([row(2, NOW_MS)], "b"), page([row(3, NOW_MS)], "a")
    )
    with pytest.raises(ExchangeUnavailable, match="no end"):
        await (legacy.loans() if path == ORDERS else legacy.history(DAY_AGO_MS))
    assert len(exchange.requests(path)) == 3


@pytest.mark.parametrize("second", ["down", "no sense", "the first again"])
async def test_what_comes_before_a_page_that_fails_is_told_with_the_error(
    exchange: Exchange, legacy: LegacyLoans, second: str
) -> None:
    first = page([order(1), order(2)], "a")
    pages = iter([first])

    def answer(_: Seen) -> web.Response:
        if (result := next(pages, None)) is None and second == "down":
            return web.Response(status=502)
        rest = {"list": "x"} if second == "no sense" else first
        return web.json_response({"retCode": 0, "result": result or rest})

    exchange.handlers[ORDERS] = answer
    with pytest.raises(ListCutShort) as raised:
        await legacy.loans()
    book = raised.value.book
    assert [item.key.loan_id for item in book.loans] == ["1", "2"]
    assert (book.pages > 1, book.cut_short) == (True, str(raised.value))
    assert book.asked.keys() == {item.key for item in book.loans}


async def test_a_list_whose_cursors_are_new_and_whose_loans_are_not_has_no_end(
    exchange: Exchange, legacy: LegacyLoans
) -> None:
    cursors = map(str, itertools.count())
    exchange.handlers[ORDERS] = lambda _: web.json_response(
        {"retCode": 0, "result": page([order(1)], next(cursors))}
    )
    with pytest.raises(ListCutShort, match="no end"):
        await legacy.loans()
    assert len(exchange.requests(ORDERS)) == 3


@pytest.mark.parametrize("status", [403, 502])
async def test_a_first_page_that_fails_and_a_ban_are_no_part_of_a_list(
    exchange: Exchange, legacy: LegacyLoans, status: int
) -> None:
    pages = iter([page([order(1)], "a")] if status == 403 else [])

    def answer(_: Seen) -> web.Response:
        if (result := next(pages, None)) is None:
            return web.Response(status=status)
        return web.json_response({"retCode": 0, "result": result})

    exchange.handlers[ORDERS] = answer
    with pytest.raises(ExchangeUnavailable) as raised:
        await legacy.loans()
    assert not isinstance(raised.value, ListCutShort)


async def test_a_list_of_implausibly_many_pages_is_an_error(exchange: Exchange, legacy: LegacyLoans) -> None:
    def endless(seen: Seen) -> web.Response:
        number = int(seen.params.get("cursor", "0"))
        return web.json_response({"retCode": 0, "result": page([order(number)], str(number + 1))})

    exchange.handlers[ORDERS] = endless
    with pytest.raises(ExchangeUnavailable, match="more than 200 pages"):
        await legacy.loans()
    assert len(exchange.requests(ORDERS)) == 200


@pytest.mark.parametrize(
    "result",
    [
        {},
        {"list": {}},
        {"list": "x"},
        {"list": [], "nextPageCursor": []},
        {"list": [], "nextPageCursor": True},
    ],
)
async def test_a_page_that_makes_no_sense_is_not_an_empty_one(
    exchange: Exchange, legacy: LegacyLoans, result: object
) -> None:
    exchange.answer(ORDERS, result)
    exchange.answer(HISTORY, result)
    with pytest.raises(ExchangeUnavailable, match="makes no sense"):
        await legacy.loans()
    with pytest.raises(ExchangeUnavailable, match="makes no sense"):
        await legacy.history(DAY_AGO_MS)


async def test_an_order_on_two_pages_is_one_loan(exchange: Exchange, legacy: LegacyLoans) -> None:
    exchange.answer(ORDERS, page([order(1), order(2)], "2"), page([order(2), order(3)]))
    assert [loan.key.loan_id for loan in (await legacy.loans()).loans] == ["1", "2", "3"]


@pytest.mark.parametrize("ltvs", [("0.78", "0.5"), ("0.5", "0.78"), ("0.5", "0.78", "0.5")])
async def test_of_an_order_that_one_answer_shows_twice_the_row_in_greater_danger_counts(
    exchange: Exchange, legacy: LegacyLoans, ltvs: tuple[str, ...]
) -> None:
    exchange.answer(ORDERS, page([order(1, currentLTV=ltv) for ltv in ltvs] + [order(2), None, None]))
    book = await legacy.loans()
    assert {loan.key.loan_id: loan.ltv for loan in book.loans} == {
        "1": Decimal("0.78"),
        "2": Decimal("0.5"),
    }
    (odd,) = legacy._client.oddities.current()
    assert (odd.row, odd.why) == ("1", "it is listed twice, differently")
    assert [loan.ltv for loan in (await legacy.loan(LoanKey(Product.LEGACY, "1"))).loans] == [Decimal("0.78")]


async def test_nonsense_is_set_aside_and_the_rest_goes_on(exchange: Exchange, legacy: LegacyLoans) -> None:
    exchange.answer(ORDERS, page([order(1, collateralAmount="NaN"), order(2), None]))
    book = await legacy.loans()
    assert [loan.key.loan_id for loan in book.loans] == ["2"]
    assert len(book.set_aside) == 2


async def test_a_bare_nan_costs_its_own_order_only(exchange: Exchange, legacy: LegacyLoans) -> None:
    text = json.dumps({"retCode": 0, "result": page([order(1, collateralAmount=float("nan")), order(2)])})
    assert "NaN" in text
    exchange.answer(ORDERS, web.Response(body=text.encode()))
    book = await legacy.loans()
    assert [loan.key.loan_id for loan in book.loans] == ["2"]
    assert "NaN" in book.set_aside[0].why


async def test_terms_are_kept_for_an_hour(exchange: Exchange, legacy: LegacyLoans, time: Time) -> None:
    exchange.answer(ORDERS, page([order(1)]))
    for _ in range(3):
        await legacy.loans()
        time.seconds += 1000
    assert len(exchange.requests(TERMS)) == 1
    exchange.answer(TERMS, terms("BTC", call="0.80"))
    time.seconds += 1000
    assert (await legacy.loans()).loans[0].margin_call_ltv == Decimal("0.80")


async def test_an_unknown_coin_has_the_terms_read_again(
    exchange: Exchange, legacy: LegacyLoans, time: Time
) -> None:
    exchange.answer(ORDERS, page([order(1), order(2, collateralCurrency="ETH")]))
    assert [loan.margin_call_ltv for loan in (await legacy.loans()).loans] == [Decimal("0.87")] * 2
    (odd,) = legacy._client.oddities.current()
    assert (odd.row, odd.why) == ("2", "the exchange gives no collateral terms for ETH")
    exchange.answer(TERMS, terms("BTC", "ETH", call="0.80"))
    time.seconds += 30
    assert (await legacy.loans()).loans[1].margin_call_ltv == Decimal("0.87")
    time.seconds += 30
    assert (await legacy.loans()).loans[1].margin_call_ltv == Decimal("0.80")
    assert legacy._client.oddities.current() == ()


@pytest.mark.parametrize("answer", [web.Response(status=404), web.Response(status=401), 10024])
async def test_an_outage_of_the_terms_does_not_blind(
    exchange: Exchange, legacy: LegacyLoans, time: Time, answer: object
) -> None:
    exchange.answer(ORDERS, page([order(1)]))
    await legacy.loans()
    exchange.answer(TERMS, answer)
    time.seconds += 4000
    for _ in range(3):
        assert len((await legacy.loans()).loans) == 1
    assert len(exchange.requests(TERMS)) == 2


async def test_while_terms_of_before_serve_no_loan_waits_long_for_new_ones(
    exchange: Exchange, legacy: LegacyLoans, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ltv_guard.adapters.bybit.terms_cache.RENEWED_WITHIN_S", 0.05)
    exchange.answer(ORDERS, page([order(1)]))
    await legacy.loans()
    answered = asyncio.Event()

    async def slow(_: Seen) -> web.StreamResponse:
        await answered.wait()
        return web.json_response({"retCode": 0, "result": terms("BTC", call="0.80")})

    exchange.handlers[TERMS] = slow
    time.seconds += 4000
    async with asyncio.timeout(1):
        assert (await legacy.loans()).loans[0].margin_call_ltv == Decimal("0.87")
    answered.set()
    await asyncio.sleep(0.05)  # it comes when nobody waits for it
    time.seconds += 61
    assert (await legacy.loans()).loans[0].margin_call_ltv == Decimal("0.80")
    assert len(exchange.requests(TERMS)) == 2


@pytest.mark.parametrize(
    "answer", [{"vipCoinList": None}, {}, {"vipCoinList": [{"vipLevel": "VIP0", "list": "?"}]}]
)
async def test_without_any_terms_the_loans_are_guarded_by_the_usual_ones(
    exchange: Exchange, legacy: LegacyLoans, time: Time, answer: object
) -> None:
    exchange.answer(ORDERS, page([order(1)]))
    exchange.answer(TERMS, answer)
    for _ in range(2):
        (loan,) = (await legacy.loans()).loans
        assert (loan.margin_call_ltv, loan.liquidation_ltv) == (Decimal("0.87"), Decimal("0.95"))
    assert len(exchange.requests(TERMS)) == 1
    assert [odd.endpoint for odd in legacy._client.oddities.current()].count(TERMS) == 1
    exchange.answer(TERMS, terms("BTC", call="0.80"))
    time.seconds += 60
    assert (await legacy.loans()).loans[0].margin_call_ltv == Decimal("0.80")


async def test_a_new_vip_level_has_the_terms_read_again(exchange: Exchange, legacy: LegacyLoans) -> None:
    exchange.answer(ORDERS, page([order(1)]))
    await legacy.loans()
    legacy.vip_level = "VIP-1"
    await legacy.loans()
    await legacy.loans()
    assert len(exchange.requests(TERMS)) == 2


async def test_a_new_vip_level_brings_its_own_terms(exchange: Exchange, legacy: LegacyLoans) -> None:
    exchange.answer(ORDERS, page([order(1)]))
    groups = [
        {"vipLevel": level, "list": terms("BTC", call=call)["vipCoinList"][0]["list"]}  # type: ignore[index]
        for level, call in [("VIP0", "0.80"), ("VIP1", "0.87")]
    ]
    exchange.answer(TERMS, {"vipCoinList": groups})
    found = []
    for legacy.vip_level in ("No VIP", "VIP-1", "VIP-1", "No VIP"):
        found.append((await legacy.loans()).loans[0].margin_call_ltv)
    assert found == [Decimal("0.80"), Decimal("0.87"), Decimal("0.87"), Decimal("0.80")]


async def test_terms_of_a_new_level_that_cannot_be_read_are_asked_for_once_a_minute(
    exchange: Exchange, legacy: LegacyLoans, time: Time
) -> None:
    exchange.answer(ORDERS, page([order(1)]))
    await legacy.loans()
    exchange.answer(TERMS, web.Response(status=404))
    legacy.vip_level = "VIP-1"
    for _ in range(5):
        assert len((await legacy.loans()).loans) == 1
        time.seconds += 15
    assert len(exchange.requests(TERMS)) == 3
    exchange.answer(TERMS, terms("BTC", call="0.80"))
    time.seconds += 60
    assert (await legacy.loans()).loans[0].margin_call_ltv == Decimal("0.80")


async def test_a_coin_that_new_terms_lack_keeps_those_of_before(
    exchange: Exchange, legacy: LegacyLoans, time: Time
) -> None:
    exchange.answer(ORDERS, page([order(1), order(2, collateralCurrency="ETH")]))
    exchange.answer(TERMS, terms("BTC", "ETH"), terms("ETH", call="0.80"))
    await legacy.loans()
    time.seconds += 3601
    book = await legacy.loans()
    assert [loan.margin_call_ltv for loan in book.loans] == [Decimal("0.87"), Decimal("0.80")]
    assert book.set_aside == ()


async def test_the_history_ends_where_rows_are_older_than_its_horizon(
    exchange: Exchange, legacy: LegacyLoans
) -> None:
    first = [row(n, NOW_MS - n) for n in range(1, 4)]
    second = [row(4, NOW_MS - 25 * HOUR_MS), row(5, NOW_MS - 27 * HOUR_MS)]
    exchange.answer(HISTORY, page(first, "a"), page(second, "b"), page([row(6, 0)]))
    history = await legacy.history(DAY_AGO_MS)
    assert [found.adjust_id for found in history.rows] == ["1", "2", "3", "4"]
    assert len(exchange.requests(HISTORY)) == 2
    assert history.began.exchange_ms == NOW_MS


async def test_rows_out_of_order_have_the_whole_history_read(exchange: Exchange, legacy: LegacyLoans) -> None:
    first, second = [row(1, NOW_MS - 50 * HOUR_MS), row(2, NOW_MS)], [row(3, NOW_MS - 60 * HOUR_MS)]
    exchange.answer(HISTORY, page(first, "a"), page(second, "b"), page([]))
    assert [found.adjust_id for found in (await legacy.history(DAY_AGO_MS)).rows] == ["2"]
    assert len(exchange.requests(HISTORY)) == 3


async def test_a_history_that_grows_while_it_is_read_still_ends_early(
    exchange: Exchange, legacy: LegacyLoans
) -> None:
    """Two new rows push the last two of a page onto the next: they come twice, and are one each."""
    first = [row(n, NOW_MS - n) for n in range(1, 5)]
    second = [*first[2:], row(5, NOW_MS - 30 * HOUR_MS)]
    exchange.answer(HISTORY, page(first, "a"), page(second, "b"), page([row(6, 0)]))
    assert [found.adjust_id for found in (await legacy.history(DAY_AGO_MS)).rows] == ["1", "2", "3", "4"]
    assert len(exchange.requests(HISTORY)) == 2


async def test_the_history_can_be_asked_to_reach_further_back(
    exchange: Exchange, legacy: LegacyLoans
) -> None:
    exchange.answer(HISTORY, page([row(1, NOW_MS - 50 * HOUR_MS), row(2, NOW_MS - 90 * HOUR_MS)]))
    assert len((await legacy.history(NOW_MS - 60 * HOUR_MS)).rows) == 1
    assert len((await legacy.history(NOW_MS - 100 * HOUR_MS)).rows) == 2
    assert len((await legacy.history(NOW_MS)).rows) == 0


@pytest.mark.case(7)
async def test_a_history_row_that_makes_no_sense_is_never_left_out_but_doubted(
    exchange: Exchange, legacy: LegacyLoans
) -> None:
    old = row(3, NOW_MS - 50 * HOUR_MS) | {"amount": ""}
    exchange.answer(HISTORY, page([row(1, NOW_MS), {**row(2, NOW_MS), "amount": "NaN"}, None, old]))
    history = await legacy.history(DAY_AGO_MS)
    assert [found.adjust_id for found in history.rows] == ["1"]
    doubted, nameless = history.doubtful
    assert (doubted.name, doubted.adjust_id, doubted.amount) == ("2", "2", None)
    assert (doubted.coin, doubted.direction, doubted.at_ms) == ("BTC", Direction.ADD, NOW_MS)
    assert "its amount is no number" in doubted.why
    assert (nameless.adjust_id, nameless.key, nameless.at_ms) == (None, None, None)
    assert [told.row for told in legacy._client.oddities.current()] == ["2", nameless.name]


@pytest.mark.case(43)
async def test_one_that_makes_sense_where_it_comes_again_is_no_doubtful_one(
    exchange: Exchange, legacy: LegacyLoans
) -> None:
    odd, plain = {**row(2, NOW_MS), "amount": "?"}, row(2, NOW_MS)
    exchange.answer(HISTORY, page([row(1, NOW_MS), odd], "a"), page([plain]))
    history = await legacy.history(DAY_AGO_MS)
    assert ([found.adjust_id for found in history.rows], history.doubtful) == (["1", "2"], ())


async def test_pages_that_are_too_large_together_are_not_read_to_their_end(
    exchange: Exchange, legacy: LegacyLoans
) -> None:
    def endless(seen: Seen) -> web.Response:
        number = int(seen.params.get("cursor", "0"))
        found = page([order(number)], str(number + 1)) | {"padding": "x" * 7_000_000}
        return web.json_response({"retCode": 0, "result": found})

    exchange.handlers[ORDERS] = endless
    with pytest.raises(ExchangeUnavailable, match="larger than"):
        await legacy.loans()
    assert len(exchange.requests(ORDERS)) <= 7


@pytest.mark.case(43)
async def test_a_cursor_of_absurd_size_is_not_sent_back(exchange: Exchange, legacy: LegacyLoans) -> None:
    exchange.answer(ORDERS, page([order(1)], "x" * 2_000_000))
    with pytest.raises(ExchangeUnavailable, match="longer than 1024 bytes"):
        await legacy.loans()
    assert len(exchange.requests(ORDERS)) == 1


@pytest.mark.case(44)
async def test_pages_that_take_too_long_together_are_not_read_to_their_end(
    exchange: Exchange, legacy: LegacyLoans, time: Time
) -> None:
    def slow(seen: Seen) -> web.Response:
        time.seconds += 2
        number = int(seen.params.get("cursor", "0"))
        return web.json_response({"retCode": 0, "result": page([row(number, NOW_MS)], str(number + 1))})

    exchange.handlers[HISTORY] = slow
    with pytest.raises(ExchangeUnavailable, match="together took longer than 16 s"):
        await legacy.history(DAY_AGO_MS)
    assert len(exchange.requests(HISTORY)) == 8


@pytest.mark.case(6)
async def test_a_list_that_is_null_is_empty(exchange: Exchange, legacy: LegacyLoans) -> None:
    exchange.answer(ORDERS, {"list": None, "nextPageCursor": None})
    exchange.answer(HISTORY, {"list": None, "nextPageCursor": ""})
    assert (await legacy.loans()).loans == ()
    assert (await legacy.history(DAY_AGO_MS)).rows == ()


async def test_the_maximum_reduction_is_read_for_the_order(exchange: Exchange, legacy: LegacyLoans) -> None:
    exchange.answer(ORDERS, page([order(7)]))
    exchange.answer(MAXIMUM, {"maxCollateralAmount": "0.00210611"}, {"maxCollateralAmount": "-1"})
    loan = (await legacy.loans()).loans[0]
    assert await legacy.max_reduction(loan, "BTC") == Decimal("0.00210611")
    assert exchange.requests(MAXIMUM)[0].query == "orderId=7"
    with pytest.raises(ExchangeUnavailable, match="negative"):
        await legacy.max_reduction(loan, "BTC")
    assert await legacy.max_reduction(loan, "ETH") == 0


async def test_what_is_signed_is_what_is_sent(exchange: Exchange, legacy: LegacyLoans) -> None:
    exchange.answer(ADJUST, {"adjustId": "1794318409405331968"})
    intent = Intent(
        intent_id="i1",
        owner=Owner("testnet", "1"),
        account="main",
        key=LoanKey(Product.LEGACY, "1794267532472646144"),
        direction=Direction.REDUCE,
        coin="BTC",
        amount=Decimal("1E-8"),
        state=State.PLANNED,
        reason="",
        coins_before=Decimal(1),
        ltv_before=Decimal("0.3"),
        observed_at_ms=0,
        seen_ids=frozenset(),
        created_at_ms=0,
        updated_at_ms=0,
    )
    signed = await legacy.sign(intent)
    assert (signed.intent_id, signed.recv_window_ms) == ("i1", 5000)
    assert await legacy.send(signed) == "1794318409405331968"
    seen = exchange.requests(ADJUST)[0]
    assert seen.method == "POST"
    assert seen.body == signed.body
    assert json.loads(seen.body) == {
        "orderId": "1794267532472646144",
        "amount": "0.00000001",
        "direction": "1",
    }
    assert seen.headers["X-BAPI-TIMESTAMP"] == str(signed.signed_at_ms)


async def test_how_an_order_ended_is_told_whatever_stands_beside_it(
    exchange: Exchange, legacy: LegacyLoans
) -> None:
    exchange.answer(ORDERS, page([order(1)]))
    (loan,) = (await legacy.loans()).loans
    ended = {"orderId": "1", "status": 2}
    exchange.answer("/v5/crypto-loan/borrow-history", {"list": [None, "?", {"orderId": []}, ended]})
    end = await legacy.end_of(loan)
    assert end is not None
    assert end.liquidated
