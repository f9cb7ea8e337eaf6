"""Repayments of both products: the bytes that leave, and the documented lists to their numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from ltv_guard.adapters.bybit import ExchangeClock, repayments
from ltv_guard.adapters.bybit.fields import MalformedPayload
from ltv_guard.adapters.bybit.order_wire import parse_repayment
from ltv_guard.adapters.bybit.pool_wire import parse_repayment as parse_pool_repayment
from ltv_guard.adapters.bybit.write_endpoint import WriteEndpoint
from ltv_guard.core.model.errors import ExchangeUnavailable, Remedy, WriteOutcomeUnknown, WriteRejected
from ltv_guard.core.model.history import HistoryRow, RowStatus
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Channel, Direction, Kind, LoanKey, Owner, Product
from ltv_guard.core.ports import WritePath

if TYPE_CHECKING:
    from conftest import Exchange, Parts, Seen

    Connect = Callable[..., Parts]

D = Decimal
NOW_MS = 1_728_630_000_000
HOUR_MS = 3_600_000
ORDER = LoanKey(Product.LEGACY, "1794267532472646144")
POOL = LoanKey(Product.CRYPTO_LOAN, "pool")
WRITES = {
    Product.LEGACY: "/v5/crypto-loan/repay",
    Product.CRYPTO_LOAN: "/v5/crypto-loan-flexible/repay",
}
LISTS = {
    Product.LEGACY: "/v5/crypto-loan/repayment-history",
    Product.CRYPTO_LOAN: "/v5/crypto-loan-flexible/repayment-history",
}

# v5/crypto-loan/repay-transaction, as documented: times and types are strings there.
ROW = {
    "collateralCurrency": "ETH",
    "collateralReturn": "0.1",
    "loanCurrency": "USDT",
    "loanTerm": "7",
    "orderId": "1794267532472646144",
    "repayAmount": "200",
    "repayId": "1794271131730737664",
    "repayStatus": 1,
    "repayTime": "1728629786884",
    "repayType": "1",
}
# v5/new-crypto-loan/flexible/repay-orders, as documented.
POOL_ROW = {
    "loanCurrency": "BTC",
    "repayAmount": "0.007",
    "repayId": "1773",
    "repayStatus": 1,
    "repayTime": 1752570731274,
    "repayType": 1,
}
ROWS: dict[Product, dict[str, Any]] = {Product.LEGACY: ROW, Product.CRYPTO_LOAN: POOL_ROW}
PARSERS = {Product.LEGACY: parse_repayment, Product.CRYPTO_LOAN: parse_pool_repayment}
BOTH = pytest.mark.parametrize("product", [Product.LEGACY, Product.CRYPTO_LOAN])


def intent(key: LoanKey = ORDER, coin: str = "USDT", amount: str = "1E-8") -> Intent:
    return Intent(
        intent_id="5f0c4b7e9d3a4c1e8b2f6a7d0e1c2b3a",
        owner=Owner("testnet", "1"),
        account="main",
        key=key,
        direction=Direction.REPAY,
        coin=coin,
        amount=D(amount),
        state=State.PLANNED,
        reason="a test",
        coins_before=D(36000),
        ltv_before=D("0.8"),
        observed_at_ms=NOW_MS,
        seen_ids=frozenset(),
        created_at_ms=NOW_MS,
        updated_at_ms=NOW_MS,
    )


def page(*items: object, cursor: str = "") -> dict[str, object]:
    return {"list": list(items), "nextPageCursor": cursor}


@pytest.fixture
def desk(exchange: Exchange, connect: Connect) -> Callable[[Product], WriteEndpoint]:
    async def at_once(_: float) -> None:
        return

    clock = ExchangeClock(monotonic=lambda: 0.0, wall=lambda: NOW_MS / 1000, sleep=at_once)
    client = connect(exchange.url, clock=clock).client
    return lambda product: repayments(client, product)


MakeDesk = Callable[[Product], WriteEndpoint]


@BOTH
def test_it_is_what_the_guard_asks_for(desk: MakeDesk, product: Product) -> None:
    port: WritePath = desk(product)
    assert port.channel == Channel(product, Kind.REPAYMENT)


# What leaves


@pytest.mark.parametrize(
    ("key", "coin", "body"),
    [
        (ORDER, "USDT", b'{"orderId":"1794267532472646144","amount":"0.00000001"}'),
        (POOL, "BTC", b'{"loanCurrency":"BTC","amount":"0.00000001"}'),
    ],
    ids=["order", "pool"],
)
async def test_a_repayment_is_a_post_of_two_strings_in_plain_notation(
    exchange: Exchange, desk: MakeDesk, key: LoanKey, coin: str, body: bytes
) -> None:
    path = WRITES[key.product]
    exchange.answer(path, {"repayId": "1771"})
    wanted = intent(key, coin)
    signed = await desk(key.product).sign(wanted)
    assert (signed.intent_id, signed.recv_window_ms) == (wanted.intent_id, 5000)
    assert await desk(key.product).send(signed) == "repay-1771"
    (seen,) = exchange.requests(path)
    assert (seen.method, seen.body) == ("POST", body)
    assert seen.headers["X-BAPI-TIMESTAMP"] == str(signed.signed_at_ms)


@BOTH
@pytest.mark.parametrize(
    "result", [{}, {"repayId": ""}, {"repayId": None}, {"repayId": [1]}, {"adjustId": "1771"}, [], None]
)
async def test_without_a_repay_id_the_outcome_is_unknown(
    exchange: Exchange, desk: MakeDesk, product: Product, result: object
) -> None:
    exchange.answer(WRITES[product], result)
    with pytest.raises(WriteOutcomeUnknown, match="no repayId"):
        await desk(product).send(await desk(product).sign(intent()))
    assert len(exchange.requests(WRITES[product])) == 1


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (177011, Remedy.BALANCE),
        (148012, Remedy.BALANCE),
        (177004, Remedy.PRECISION),
        (177010, Remedy.DEBT),
        (177005, Remedy.GONE),
        (148031, Remedy.LIQUIDATION),
        (10005, Remedy.HUMAN),
    ],
)
async def test_a_refusal_names_its_remedy(
    exchange: Exchange, desk: MakeDesk, code: int, remedy: Remedy
) -> None:
    exchange.answer(WRITES[Product.LEGACY], code)
    with pytest.raises(WriteRejected) as refused:
        await desk(Product.LEGACY).send(await desk(Product.LEGACY).sign(intent()))
    assert refused.value.remedy is remedy


# What is listed


def test_the_documented_row_of_an_order_is_read_to_the_numbers_that_stand_there() -> None:
    assert parse_repayment(ROW) == HistoryRow(
        adjust_id="repay-1794271131730737664",
        key=ORDER,
        coin="USDT",
        direction=Direction.REPAY,
        amount=D(200),
        at_ms=1728629786884,
        ltv_before=None,
        ltv_after=None,
        status=RowStatus.SUCCESS,
    )


def test_the_documented_row_of_a_pool_is_read_to_the_numbers_that_stand_there() -> None:
    assert parse_pool_repayment(POOL_ROW) == HistoryRow(
        adjust_id="repay-1773",
        key=POOL,
        coin="BTC",
        direction=Direction.REPAY,
        amount=D("0.007"),
        at_ms=1752570731274,
        ltv_before=None,
        ltv_after=None,
        status=RowStatus.SUCCESS,
    )


@BOTH
def test_strings_or_numbers_and_unknown_fields_make_the_same_row(product: Product) -> None:
    texts = {name: str(value) for name, value in ROWS[product].items()} | {"novelty": []}
    numbers = ROWS[product] | {
        "repayId": int(ROWS[product]["repayId"]),
        "repayTime": int(ROWS[product]["repayTime"]),
    }
    parse = PARSERS[product]
    assert parse(texts) == parse(numbers) == parse(ROWS[product])


@BOTH
@pytest.mark.parametrize(
    ("status", "read", "paid"),
    [
        (1, RowStatus.SUCCESS, True),
        (2, RowStatus.PROCESSING, False),
        (3, RowStatus.FAILED, False),
        ("3", RowStatus.FAILED, False),
    ],
)
def test_a_debt_shrinks_once_the_status_says_so(
    product: Product, status: object, read: RowStatus, *, paid: bool
) -> None:
    row = PARSERS[product](ROWS[product] | {"repayStatus": status})
    assert (row.status, row.change) == (read, -row.amount if paid else 0)


@BOTH
@pytest.mark.parametrize("kind", [1, "1", 2, "2", 5, 6, 7, None])
def test_whoever_repaid_the_row_is_read_since_it_explains_the_debt(product: Product, kind: object) -> None:
    row = PARSERS[product](ROWS[product] | {"repayType": kind})
    assert replace(row, with_collateral=False) == replace(
        PARSERS[product](ROWS[product]), with_collateral=False
    )


@pytest.mark.parametrize(
    ("kind", "told"), [(7, True), ("7", True), (1, False), (2, False), (None, None), ("x", None)]
)
def test_a_pools_row_tells_whether_collateral_has_paid(kind: object, told: object) -> None:
    row = PARSERS[Product.CRYPTO_LOAN](ROWS[Product.CRYPTO_LOAN] | {"repayType": kind})
    assert row.with_collateral is told


WRONG: list[object] = [None, "", [], {}, True, "NaN", "1e999", "x y"]


@BOTH
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in ("repayAmount", "repayTime", "repayStatus") for value in WRONG),
        ("repayAmount", "-1"),
        *((name, value) for name in ("repayId", "loanCurrency") for value in WRONG[:5]),
        *(("repayStatus", value) for value in (0, 4, "5")),
        ("repayTime", "1.5"),
    ],
    ids=str,
)
def test_a_row_that_makes_no_sense_is_refused(product: Product, name: str, value: object) -> None:
    with pytest.raises(MalformedPayload):
        PARSERS[product](ROWS[product] | {name: value})


@pytest.mark.parametrize("row", [None, [], 7, {name: ROW[name] for name in ROW if name != "orderId"}])
def test_an_orders_row_without_its_order_is_refused(row: object) -> None:
    with pytest.raises(MalformedPayload):
        parse_repayment(row)


@BOTH
async def test_the_list_is_read_by_pages_of_a_hundred_as_far_as_it_matters(
    exchange: Exchange, desk: MakeDesk, product: Product
) -> None:
    def row(number: int, hours_ago: int) -> dict[str, Any]:
        time = NOW_MS - hours_ago * HOUR_MS
        return ROWS[product] | {"repayId": str(number), "repayTime": time}

    exchange.answer(
        LISTS[product],
        page(row(4, 0), row(3, 1), cursor="a"),
        page(row(3, 1), row(2, 30), cursor="b"),  # the list moved on: a row comes twice
        page(row(1, 50)),
    )
    history = await desk(product).history(NOW_MS - 26 * HOUR_MS)
    assert [item.adjust_id for item in history.rows] == ["repay-4", "repay-3"]
    assert history.began.exchange_ms == NOW_MS
    assert [seen.query for seen in exchange.requests(LISTS[product])] == ["limit=100", "limit=100&cursor=a"]


@BOTH
@pytest.mark.parametrize(
    "answers",
    [
        [{"list": {}}],
        [{}],
        [page(ROW, cursor="a"), page(ROW | {"repayId": "2"}, cursor="a")],
    ],
    ids=["a list that is none", "no list", "a cursor that comes again"],
)
async def test_a_list_that_makes_no_sense_proves_nothing(
    exchange: Exchange, desk: MakeDesk, product: Product, answers: list[object]
) -> None:
    exchange.answer(LISTS[product], *answers)
    with pytest.raises(ExchangeUnavailable, match=r"makes no sense|no end"):
        await desk(product).history(0)


@BOTH
async def test_a_row_that_makes_no_sense_is_doubted_and_the_others_are_read(
    exchange: Exchange, desk: MakeDesk, product: Product
) -> None:
    good = ROWS[product]
    rows = [good, {"repayId": "1"}, None, good | {"repayId": "2", "repayStatus": 9}]
    exchange.answer(LISTS[product], page(*rows))
    history = await desk(product).history(0)
    assert len(history.rows) == 1
    first, second, third = history.doubtful
    assert (first.name, first.amount, first.direction) == ("repay-1", None, Direction.REPAY)
    assert (second.adjust_id, second.direction) == (None, Direction.REPAY)
    assert (third.adjust_id, third.amount) == ("repay-2", history.rows[0].amount)


async def test_each_product_has_a_list_of_its_own(exchange: Exchange, desk: MakeDesk) -> None:
    def empty(_: Seen) -> Any:  # noqa: ANN401 - a response
        raise AssertionError("the other product's list was asked")

    exchange.answer(LISTS[Product.CRYPTO_LOAN], page(POOL_ROW))
    exchange.handlers[LISTS[Product.LEGACY]] = empty
    history = await desk(Product.CRYPTO_LOAN).history(0)
    assert history.of(POOL) == history.rows
