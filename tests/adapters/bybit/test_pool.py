"""An account's pool over a real socket: what is read, what it does without, and the adjustment's body."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from ltv_guard.adapters.bybit import ExchangeClock, PoolLoans, RequestLimits
from ltv_guard.core.model.errors import ExchangeUnavailable, Remedy, WriteRejected
from ltv_guard.core.model.history import RowStatus
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Collateral, Direction, Loan, LoanKey, Owner, Product
from ltv_guard.core.ports import LoanExchange

if TYPE_CHECKING:
    from conftest import Exchange, Parts, Seen

    Connect = Callable[..., Parts]

ROOT = "/v5/crypto-loan-common"
POSITION, HISTORY, TERMS = f"{ROOT}/position", f"{ROOT}/adjustment-history", f"{ROOT}/collateral-data"
MAXIMUM, ADJUST = f"{ROOT}/max-collateral-amount", f"{ROOT}/adjust-ltv"
LEGACY_TERMS = "/v5/crypto-loan/collateral-data"
LOANABLE = "/v5/crypto-loan-common/loanable-data"

NOW_MS = 1_700_000_000_000
HOUR_S, DAY_MS = 3600, 86_400_000
D = Decimal
POOL = LoanKey(Product.CRYPTO_LOAN, "pool")


def position(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    return {
        "borrowList": [{"loanCurrency": "USDT", "flexibleTotalDebt": "24000", "fixedTotalDebt": "0"}],
        "collateralList": [{"currency": "BTC", "amount": "1", "amountUSD": "40000"}],
        "ltv": "0.600000",
        "totalCollateral": "40000.00",
        "totalDebt": "24000.00",
        "colRes": "0",
    } | changes


EMPTY = {"borrowList": [], "collateralList": [], "ltv": "", "totalDebt": "0", "totalCollateral": "0"}


def ratios(*coins: str, ratio: str = "0.8") -> dict[str, Any]:
    tiers = [{"collateralRatio": ratio, "minValue": "0", "maxValue": ""}]
    return {"collateralRatioConfigList": [{"currencies": ",".join(coins), "collateralRatioList": tiers}]}


def legacy_terms(**accuracies: int) -> dict[str, Any]:
    rows = [
        {"currency": coin, "collateralAccuracy": digits, "marginCallLTV": "0.87", "liquidationLTV": "0.95"}
        for coin, digits in accuracies.items()
    ]
    return {"vipCoinList": [{"vipLevel": "VIP0", "list": rows}]}


def row(number: int, **changes: object) -> dict[str, object]:
    return {
        "adjustId": number,
        "adjustTime": NOW_MS - 1000,
        "preLTV": "0.8",
        "afterLTV": "0.65",
        "amount": "0.08",
        "collateralCurrency": "BTC",
        "direction": 0,
        "status": 1,
    } | changes


class Time:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def pool(exchange: Exchange, connect: Connect, time: Time) -> PoolLoans:
    async def at_once(_: float) -> None:
        return

    clock = ExchangeClock(monotonic=time, wall=lambda: NOW_MS / 1000 + time.seconds, sleep=at_once)
    spacing = dict.fromkeys([POSITION, HISTORY, TERMS, MAXIMUM, ADJUST, LEGACY_TERMS, LOANABLE], 1e-6)
    exchange.answer(POSITION, position())
    exchange.answer(TERMS, ratios("BTC", "USDT"))
    exchange.answer(LEGACY_TERMS, legacy_terms(BTC=6, USDT=4))
    return PoolLoans(
        connect(exchange.url, clock=clock, limits=RequestLimits(spacing_s=spacing)).client,
        candidates=("USDT", "BTC"),
        margin_call_ltv=D("0.84"),
        liquidation_ltv=D("0.91"),
    )


async def only_loan(pool: PoolLoans) -> Loan:
    (loan,) = (await pool.loans()).loans
    return loan


def intent(direction: Direction = Direction.ADD, amount: str = "0.00000001") -> Intent:
    return Intent(
        intent_id="i1",
        owner=Owner("testnet", "1"),
        account="main",
        key=POOL,
        direction=direction,
        coin="BTC",
        amount=D(amount),
        state=State.PLANNED,
        reason="a test",
        coins_before=D(1),
        ltv_before=D("0.8"),
        observed_at_ms=NOW_MS,
        seen_ids=frozenset(),
        created_at_ms=NOW_MS,
        updated_at_ms=NOW_MS,
    )


def test_it_is_what_the_guard_asks_for(pool: PoolLoans) -> None:
    port: LoanExchange = pool
    assert port.product is Product.CRYPTO_LOAN


async def test_a_pool_is_one_loan_with_the_operators_thresholds(exchange: Exchange, pool: PoolLoans) -> None:
    book = await pool.loans()
    (loan,) = book.loans
    assert (book.product, book.began.exchange_ms, book.set_aside) == (Product.CRYPTO_LOAN, NOW_MS, ())
    assert (loan.key, loan.ltv) == (POOL, D("0.6"))
    assert (loan.margin_call_ltv, loan.liquidation_ltv) == (D("0.84"), D("0.91"))
    assert [(item.coin, item.amount, item.accuracy) for item in loan.collateral] == [
        ("BTC", D(1), 6),
        ("USDT", D(0), 4),
    ]


async def test_an_account_without_a_pool_is_quiet_and_asks_for_no_terms(
    exchange: Exchange, pool: PoolLoans
) -> None:
    exchange.answer(POSITION, EMPTY)
    book = await pool.loans()
    assert (book.loans, book.set_aside) == ((), ())
    assert {seen.path for seen in exchange.seen} <= {POSITION, "/v5/market/time"}


@pytest.mark.parametrize(
    "payload",
    [
        position(ltv="n/a", totalDebt=""),
        position(collateralList=None),
        position(collateralList=[]),
        {},
    ],
    ids=["two sums", "null coins", "no collateral", "nothing"],
)
async def test_a_pool_that_makes_no_sense_is_set_aside_with_a_reason(
    exchange: Exchange, pool: PoolLoans, payload: dict[str, Any]
) -> None:
    exchange.answer(POSITION, payload)
    book = await pool.loans()
    assert book.loans == ()
    (aside,) = book.set_aside
    assert aside.key == POOL
    assert aside.why


async def test_a_position_that_cannot_be_read_is_an_outage(exchange: Exchange, pool: PoolLoans) -> None:
    exchange.answer(POSITION, web.Response(status=502))
    with pytest.raises(ExchangeUnavailable):
        await pool.loans()


# Terms


async def test_terms_are_read_once_an_hour(exchange: Exchange, pool: PoolLoans, time: Time) -> None:
    for _ in range(3):
        await pool.loans()
    assert len(exchange.requests(TERMS)) == 1
    exchange.answer(TERMS, ratios("BTC", "USDT", ratio="0.7"))
    time.seconds = HOUR_S + 1
    assert (await only_loan(pool)).collateral[0].tiers[0].ratio == D("0.7")
    assert len(exchange.requests(TERMS)) == 2


@pytest.mark.parametrize("answer", [web.Response(status=404), web.Response(status=401), 10024])
async def test_an_outage_of_the_terms_is_bridged_and_tried_again_each_minute(
    exchange: Exchange, pool: PoolLoans, time: Time, answer: object
) -> None:
    before = await only_loan(pool)
    exchange.answer(TERMS, answer)
    time.seconds = HOUR_S + 1
    assert await only_loan(pool) == before
    assert await only_loan(pool) == before
    asked = len(exchange.requests(TERMS))
    time.seconds += 61
    await pool.loans()
    assert len(exchange.requests(TERMS)) == asked + 1


async def test_without_terms_from_the_beginning_the_pool_cannot_be_read(
    exchange: Exchange, pool: PoolLoans
) -> None:
    exchange.answer(TERMS, {"collateralRatioConfigList": "soon"})
    with pytest.raises(ExchangeUnavailable, match="terms make no sense"):
        await pool.loans()
    exchange.answer(TERMS, ratios("BTC"))
    assert (await only_loan(pool)).ltv == D("0.6")


@pytest.mark.parametrize("answer", [web.Response(status=404), 10000, {}, {"vipCoinList": 5}])
async def test_the_old_products_terms_may_be_gone_and_the_pool_is_seen(
    exchange: Exchange, pool: PoolLoans, answer: object, time: Time
) -> None:
    """Legacy loans run off: their terms give accuracies, and nobody loses sight of a pool without them."""
    exchange.answer(LEGACY_TERMS, answer)
    loan = await only_loan(pool)
    assert [(item.coin, item.accuracy) for item in loan.collateral] == [("BTC", 8), ("USDT", 8)]
    exchange.answer(LEGACY_TERMS, legacy_terms(BTC=6, USDT=4))
    time.seconds = 61
    assert [item.accuracy for item in (await only_loan(pool)).collateral] == [6, 4]
    exchange.answer(LEGACY_TERMS, answer)
    time.seconds += HOUR_S + 1
    assert [item.accuracy for item in (await only_loan(pool)).collateral] == [6, 4]


async def test_a_coin_that_the_old_product_does_not_know_has_eight_decimals(
    exchange: Exchange, pool: PoolLoans
) -> None:
    exchange.answer(LEGACY_TERMS, legacy_terms(BTC=6))
    assert [item.accuracy for item in (await only_loan(pool)).collateral] == [6, 8]


@pytest.mark.parametrize(
    "odd", [{}, "x", {"currency": "USDT", "flexibleBorrowingAccuracy": 99}, {"currency": 7}]
)
async def test_a_debt_is_as_fine_as_it_can_be_borrowed(
    exchange: Exchange, pool: PoolLoans, odd: object
) -> None:
    exchange.answer(LEGACY_TERMS, legacy_terms(BTC=6, USDT=8))
    documented = {"currency": "USDT", "flexibleBorrowingAccuracy": 4, "fixedBorrowingAccuracy": 6}
    exchange.answer(LOANABLE, {"list": [odd, documented]})
    assert {debt.coin: debt.accuracy for debt in (await only_loan(pool)).debts}["USDT"] == 4


async def test_where_that_is_not_told_a_debt_is_as_fine_as_collateral(
    exchange: Exchange, pool: PoolLoans
) -> None:
    exchange.answer(LEGACY_TERMS, legacy_terms(USDT=6))
    exchange.answer(LOANABLE, web.Response(status=404))
    assert {debt.coin: debt.accuracy for debt in (await only_loan(pool)).debts}["USDT"] == 6


async def test_how_fine_debts_are_is_asked_again_within_a_minute_where_the_answer_was_slow(
    exchange: Exchange, pool: PoolLoans, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ltv_guard.adapters.bybit.pool.LOANABLE_WITHIN_S", 0.05)
    answered = asyncio.Event()

    async def slow(_: object) -> web.StreamResponse:
        await answered.wait()
        return web.Response(status=502)

    exchange.handlers[LOANABLE] = slow
    assert {debt.coin: debt.accuracy for debt in (await only_loan(pool)).debts} == {"USDT": 4}
    answered.set()
    exchange.answer(LOANABLE, {"list": [{"currency": "USDT", "flexibleBorrowingAccuracy": 2}]})
    time.seconds = 61
    assert {debt.coin: debt.accuracy for debt in (await only_loan(pool)).debts} == {"USDT": 2}


async def test_a_read_of_terms_that_is_given_up_is_made_again_within_a_minute_and_holds_up_nobody_before(
    exchange: Exchange, pool: PoolLoans, time: Time
) -> None:
    await pool.loans()
    asked, answered = asyncio.Event(), asyncio.Event()

    async def slow(_: object) -> web.StreamResponse:
        asked.set()
        await answered.wait()
        return web.Response(status=502)

    exchange.handlers[TERMS] = slow
    time.seconds = HOUR_S + 1
    reading = asyncio.create_task(pool.loans())
    await asked.wait()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert (await only_loan(pool)).collateral[0].tiers[0].ratio == D("0.8")
    assert len(exchange.requests(TERMS)) == 2
    answered.set()
    exchange.answer(TERMS, ratios("BTC", "USDT", ratio="0.7"))
    time.seconds += 61
    assert (await only_loan(pool)).collateral[0].tiers[0].ratio == D("0.7")


@pytest.mark.parametrize("path", [TERMS, LEGACY_TERMS])
async def test_while_terms_of_before_serve_no_pool_waits_long_for_new_ones(
    exchange: Exchange, pool: PoolLoans, time: Time, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr("ltv_guard.adapters.bybit.pool.RENEWED_WITHIN_S", 0.05)
    before = await only_loan(pool)
    answered = asyncio.Event()
    answer = exchange.handlers[path]

    async def slow(seen: Seen) -> web.StreamResponse:
        await answered.wait()
        return answer(seen)  # type: ignore[return-value]

    exchange.handlers[path] = slow
    time.seconds = HOUR_S + 1
    async with asyncio.timeout(1):
        assert await only_loan(pool) == before
    answered.set()
    time.seconds += 61
    assert await only_loan(pool) == before
    assert len(exchange.requests(path)) == 2


async def test_a_coin_that_the_terms_leave_out_for_once_stays_as_fine_as_it_was(
    exchange: Exchange, pool: PoolLoans, time: Time
) -> None:
    exchange.answer(LOANABLE, {"list": [{"currency": "USDT", "flexibleBorrowingAccuracy": 2}]})
    before = await only_loan(pool)
    exchange.answer(LEGACY_TERMS, legacy_terms(ETH=3))
    exchange.answer(LOANABLE, {"list": []})
    time.seconds = HOUR_S + 1
    assert await only_loan(pool) == before


# History and maximum


async def test_the_history_is_read_to_its_end_with_every_status(exchange: Exchange, pool: PoolLoans) -> None:
    pages = [
        {"list": [row(3, status=2), row(2, status=3)], "nextPageCursor": "2"},
        {"list": [row(1)], "nextPageCursor": "1"},
        {"list": [], "nextPageCursor": ""},
    ]
    exchange.answer(HISTORY, *pages)
    history = await pool.history(NOW_MS - DAY_MS)
    assert [(item.adjust_id, item.status) for item in history.rows] == [
        ("3", RowStatus.PROCESSING),
        ("2", RowStatus.FAILED),
        ("1", RowStatus.SUCCESS),
    ]
    assert all(item.key == POOL for item in history.rows)


@pytest.mark.case(7)
async def test_a_row_without_a_status_is_doubted_and_the_others_are_read(
    exchange: Exchange, pool: PoolLoans
) -> None:
    exchange.answer(HISTORY, {"list": [row(1, status=None), row(2), row(3, status=4)], "nextPageCursor": ""})
    history = await pool.history(0)
    assert [item.adjust_id for item in history.rows] == ["2"]
    assert [(item.name, item.key) for item in history.doubtful] == [("1", POOL), ("3", POOL)]


async def test_the_maximum_reduction_is_asked_coin_by_coin(exchange: Exchange, pool: PoolLoans) -> None:
    exchange.answer(MAXIMUM, {"maxCollateralAmount": "0.00210611"})
    loan = await only_loan(pool)
    assert await pool.max_reduction(loan, "BTC") == D("0.00210611")
    assert [seen.query for seen in exchange.requests(MAXIMUM)] == ["currency=BTC"]
    assert await pool.max_reduction(loan, "DOGE") == 0
    exchange.answer(MAXIMUM, {"maxCollateralAmount": "lots"})
    with pytest.raises(ExchangeUnavailable):
        await pool.max_reduction(loan, "BTC")


# Writing


@pytest.mark.parametrize(("direction", "code"), [(Direction.ADD, "0"), (Direction.REDUCE, "1")])
async def test_an_adjustment_is_a_post_of_currency_amount_and_direction(
    exchange: Exchange, pool: PoolLoans, direction: Direction, code: str
) -> None:
    exchange.answer(ADJUST, {"adjustId": 27511})
    signed = await pool.sign(intent(direction))
    assert await pool.send(signed) == "27511"  # a number there, a string here
    (seen,) = exchange.requests(ADJUST)
    assert seen.method == "POST"
    assert json.loads(seen.body) == {"currency": "BTC", "amount": "0.00000001", "direction": code}
    assert seen.body == signed.body


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (148004, Remedy.NOT_TAKEN),
        (148006, Remedy.COIN),
        (148047, Remedy.SMALLER),
        (148048, Remedy.COIN),
        (148012, Remedy.BALANCE),
        (148009, Remedy.MAXIMUM),
        (148003, Remedy.PRECISION),
        (148005, Remedy.PRECISION),
        (148023, Remedy.GONE),
    ],
)
async def test_a_refusal_names_its_remedy(
    exchange: Exchange, pool: PoolLoans, code: int, remedy: Remedy
) -> None:
    exchange.answer(ADJUST, code)
    with pytest.raises(WriteRejected) as refused:
        await pool.send(await pool.sign(intent()))
    assert (refused.value.code, refused.value.remedy) == (code, remedy)


def test_a_coin_of_the_pool_has_a_step() -> None:
    assert Collateral(coin="USDT", amount=D(1), accuracy=4).step == D("0.0001")
