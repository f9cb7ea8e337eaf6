"""Transfers to the Funding wallet: our own id goes out as a UUID, and is found again in the list."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from aiohttp import web

from ltv_guard.adapters.bybit import ExchangeClock, transfers
from ltv_guard.adapters.bybit.fields import MalformedPayload
from ltv_guard.adapters.bybit.transfers import own_id, parse_transfer, transfer_body
from ltv_guard.adapters.bybit.write_endpoint import WriteEndpoint
from ltv_guard.core.model.errors import (
    ExchangeUnavailable,
    Remedy,
    WriteOutcomeUnknown,
    WriteRejected,
)
from ltv_guard.core.model.history import HistoryRow, RowStatus
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Channel, Direction, Kind, LoanKey, Owner, Product
from ltv_guard.core.ports import WritePath

if TYPE_CHECKING:
    from conftest import Exchange, Parts, Seen

    Connect = Callable[..., Parts]

D = Decimal
TRANSFER = "/v5/asset/transfer/inter-transfer"
LIST = "/v5/asset/transfer/query-inter-transfer-list"
NOW_MS = 1_670_986_962_783
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
DAY_AGO_MS = NOW_MS - 26 * HOUR_MS
UUID_TEXT = "5f0c4b7e-9d3a-4c1e-8b2f-6a7d0e1c2b3a"
OWN = "5f0c4b7e9d3a4c1e8b2f6a7d0e1c2b3a"
ANOTHER = "selfTransfer_a1091cc7-9364-4b74-8de1-18f02c6f2d5c"

# v5/asset/transfer/inter-transfer-list, as documented, going our way.
ROW = {
    "transferId": UUID_TEXT,
    "coin": "BTC",
    "amount": "0.31700000",
    "fromAccountType": "UNIFIED",
    "toAccountType": "FUND",
    "timestamp": "1670986962000",
    "status": "SUCCESS",
}


def intent(amount: str = "1E-8", intent_id: str = OWN) -> Intent:
    return Intent(
        intent_id=intent_id,
        owner=Owner("testnet", "1"),
        account="main",
        key=LoanKey(Product.FUNDING, "BTC"),
        direction=Direction.TRANSFER,
        coin="BTC",
        amount=D(amount),
        state=State.PLANNED,
        reason="a test",
        coins_before=D(0),
        ltv_before=D("0.8"),
        observed_at_ms=NOW_MS,
        seen_ids=frozenset(),
        created_at_ms=NOW_MS,
        updated_at_ms=NOW_MS,
    )


def page(*items: object, cursor: str = "") -> dict[str, object]:
    return {"list": list(items), "nextPageCursor": cursor}


@pytest.fixture
def desk(exchange: Exchange, connect: Connect) -> WriteEndpoint:
    async def at_once(_: float) -> None:
        return

    clock = ExchangeClock(monotonic=lambda: 0.0, wall=lambda: NOW_MS / 1000, sleep=at_once)
    return transfers(connect(exchange.url, clock=clock).client)


def test_it_is_what_the_guard_asks_for(desk: WriteEndpoint) -> None:
    port: WritePath = desk
    assert port.channel == Channel(Product.FUNDING, Kind.TRANSFER)


# What leaves


def test_the_body_has_five_strings_a_uuid_and_a_plain_amount() -> None:
    assert transfer_body(intent()) == (
        b'{"transferId":"5f0c4b7e-9d3a-4c1e-8b2f-6a7d0e1c2b3a","coin":"BTC","amount":"0.00000001",'
        b'"fromAccountType":"UNIFIED","toAccountType":"FUND"}'
    )


async def test_what_is_signed_is_what_is_sent_and_our_id_comes_back(
    exchange: Exchange, desk: WriteEndpoint
) -> None:
    exchange.answer(TRANSFER, {"transferId": UUID_TEXT, "status": "SUCCESS"})
    signed = await desk.sign(intent())
    assert await desk.send(signed) == OWN
    (seen,) = exchange.requests(TRANSFER)
    assert (seen.method, seen.body) == ("POST", transfer_body(intent()))
    assert UUID(json.loads(seen.body)["transferId"]).hex == OWN
    assert seen.headers["X-BAPI-TIMESTAMP"] == str(signed.signed_at_ms)


@pytest.mark.parametrize("shown", [UUID_TEXT, UUID_TEXT.upper(), OWN])
async def test_our_id_is_ours_however_it_is_written(
    exchange: Exchange, desk: WriteEndpoint, shown: str
) -> None:
    exchange.answer(TRANSFER, {"transferId": shown})
    assert await desk.send(await desk.sign(intent())) == OWN


@pytest.mark.parametrize("status", ["SUCCESS", "PENDING", "STATUS_UNKNOWN", "", None, 7])
async def test_the_answers_status_decides_nothing_the_list_does(
    exchange: Exchange, desk: WriteEndpoint, status: object
) -> None:
    exchange.answer(TRANSFER, {"transferId": UUID_TEXT, "status": status})
    assert await desk.send(await desk.sign(intent())) == OWN


async def test_a_failure_in_the_answer_is_an_end(exchange: Exchange, desk: WriteEndpoint) -> None:
    exchange.answer(TRANSFER, {"transferId": UUID_TEXT, "status": "FAILED"})
    with pytest.raises(WriteRejected, match="failed"):
        await desk.send(await desk.sign(intent()))


async def test_a_failure_of_anothers_transfer_is_no_end_of_ours(
    exchange: Exchange, desk: WriteEndpoint
) -> None:
    exchange.answer(TRANSFER, {"transferId": ANOTHER, "status": "FAILED"})
    with pytest.raises(WriteOutcomeUnknown, match="not ours"):
        await desk.send(await desk.sign(intent()))


@pytest.mark.parametrize("shown", [ANOTHER, "11111111-2222-4333-8444-555555555555", "7"])
async def test_an_id_that_is_not_ours_leaves_the_outcome_unknown(
    exchange: Exchange, desk: WriteEndpoint, shown: str
) -> None:
    exchange.answer(TRANSFER, {"transferId": shown, "status": "SUCCESS"})
    with pytest.raises(WriteOutcomeUnknown, match="not ours"):
        await desk.send(await desk.sign(intent()))


@pytest.mark.parametrize("result", [{}, {"transferId": ""}, {"transferId": None}, {"adjustId": OWN}, []])
async def test_without_an_id_the_outcome_is_unknown(
    exchange: Exchange, desk: WriteEndpoint, result: object
) -> None:
    exchange.answer(TRANSFER, result)
    with pytest.raises(WriteOutcomeUnknown, match="no transferId"):
        await desk.send(await desk.sign(intent()))
    assert len(exchange.requests(TRANSFER)) == 1


async def test_an_id_that_was_used_may_have_been_used_by_us(exchange: Exchange, desk: WriteEndpoint) -> None:
    exchange.answer(TRANSFER, 131214)
    with pytest.raises(WriteOutcomeUnknown, match="may have landed"):
        await desk.send(await desk.sign(intent()))


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (131212, Remedy.BALANCE),
        (131213, Remedy.BALANCE),
        (131210, Remedy.PRECISION),
        (131208, Remedy.NEVER),
        (131004, Remedy.HUMAN),
        (10005, Remedy.HUMAN),
    ],
)
async def test_a_refusal_names_its_remedy(
    exchange: Exchange, desk: WriteEndpoint, code: int, remedy: Remedy
) -> None:
    exchange.answer(TRANSFER, code)
    with pytest.raises(WriteRejected) as refused:
        await desk.send(await desk.sign(intent()))
    assert refused.value.remedy is remedy


async def test_a_lacking_permission_is_named(exchange: Exchange, desk: WriteEndpoint) -> None:
    exchange.answer(TRANSFER, 10005)
    with pytest.raises(WriteRejected, match="Account Transfer"):
        await desk.send(await desk.sign(intent()))


# What is listed


def test_the_documented_row_is_read_to_the_numbers_that_stand_there() -> None:
    assert parse_transfer(ROW) == HistoryRow(
        adjust_id=OWN,
        key=LoanKey(Product.FUNDING, "BTC"),
        coin="BTC",
        direction=Direction.TRANSFER,
        amount=D("0.317"),
        at_ms=1670986962000,
        ltv_before=None,
        ltv_after=None,
        status=RowStatus.SUCCESS,
    )


@pytest.mark.parametrize(
    ("status", "read", "moved"),
    [
        ("SUCCESS", RowStatus.SUCCESS, "0.317"),
        ("PENDING", RowStatus.PROCESSING, "0"),
        ("STATUS_UNKNOWN", RowStatus.PROCESSING, "0"),
        ("FAILED", RowStatus.FAILED, "0"),
    ],
)
def test_coins_have_come_once_the_status_says_so(status: str, read: RowStatus, moved: str) -> None:
    row = parse_transfer(ROW | {"status": status})
    assert row is not None
    assert (row.status, row.change) == (read, D(moved))


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        ("FUND", "UNIFIED"),
        ("UNIFIED", "SPOT"),
        ("CONTRACT", "FUND"),
        ("UNIFIED", "EARN"),
        ("UNIFIED", "UNIFIED"),
    ],
)
def test_what_goes_another_way_is_passed_over_whatever_else_it_says(source: str, destination: str) -> None:
    strange = {"transferId": ANOTHER, "status": "NEW_WORD", "amount": "?"}
    row = ROW | strange | {"fromAccountType": source, "toAccountType": destination}
    assert parse_transfer(row) is None


@pytest.mark.parametrize("shown", [f"selfTransfer_{UUID_TEXT}", f"x-{UUID_TEXT.upper()}_1", UUID_TEXT, OWN])
def test_our_uuid_is_ours_wherever_it_stands_in_the_lists_id(shown: str) -> None:
    row = parse_transfer(ROW | {"transferId": shown})
    assert row is not None
    assert row.adjust_id == OWN


def test_a_transfer_by_hand_is_none_of_ours() -> None:
    row = parse_transfer(ROW | {"transferId": ANOTHER})
    assert row is not None
    assert row.adjust_id not in {OWN, ""}


@pytest.mark.parametrize("text", ["7", "", "not-a-uuid", "0" * 40])
def test_an_id_that_no_intent_can_have_is_left_as_it_is(text: str) -> None:
    assert own_id(text) == text


WRONG: list[object] = [None, "", [], {}, True, "x y"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in ROW for value in WRONG),
        *(("amount", value) for value in ("NaN", "-1", "1e999")),
        ("timestamp", "1.5"),
        ("timestamp", "soon"),
        ("status", "NEW_WORD"),
        ("status", "success"),
    ],
    ids=str,
)
def test_a_row_that_makes_no_sense_is_refused(name: str, value: object) -> None:
    with pytest.raises(MalformedPayload):
        parse_transfer(ROW | {name: value})


@pytest.mark.parametrize("row", [None, [], "SUCCESS", 7])
def test_what_is_no_row_is_refused(row: object) -> None:
    with pytest.raises(MalformedPayload):
        parse_transfer(row)


def listed(number: int, at_ms: int, **changes: object) -> dict[str, object]:
    return ROW | {"transferId": str(UUID(int=number)), "timestamp": str(at_ms)} | changes


async def test_the_list_is_read_by_pages_of_fifty_from_the_time_that_matters_on(
    exchange: Exchange, desk: WriteEndpoint
) -> None:
    """The exchange shows a week of the past, from `startTime` on. Reads are few: no empty pages."""
    first = [listed(number, NOW_MS - number) for number in range(50)]
    exchange.answer(LIST, page(*first, cursor="a=b"), page(listed(50, NOW_MS - 50), cursor="end"), page())
    history = await desk.history(DAY_AGO_MS)
    assert len(history.rows) == 51
    assert history.began.exchange_ms == NOW_MS
    assert [seen.query for seen in exchange.requests(LIST)] == [
        f"limit=50&startTime={DAY_AGO_MS}",
        f"limit=50&startTime={DAY_AGO_MS}&cursor=a%3Db",
    ]


async def test_pages_full_of_others_are_read_past(exchange: Exchange, desk: WriteEndpoint) -> None:
    others = [listed(number, NOW_MS, fromAccountType="FUND", toAccountType="UNIFIED") for number in range(50)]
    exchange.answer(LIST, page(*others, cursor="a"), page(listed(50, NOW_MS - 1)))
    assert [row.adjust_id for row in (await desk.history(DAY_AGO_MS)).rows] == [UUID(int=50).hex]


async def test_a_longer_past_is_read_week_by_week(exchange: Exchange, desk: WriteEndpoint) -> None:
    """What a daemon left open, that then stood still for longer than the list shows, is found."""

    def week(seen: Seen) -> web.Response:
        start_ms = int(seen.params["startTime"])
        rows = [row for row in every if start_ms <= int(str(row["timestamp"])) <= start_ms + 7 * DAY_MS]
        return web.json_response({"retCode": 0, "result": page(*reversed(rows))})

    times = [NOW_MS - days * DAY_MS for days in (19, 13, 12, 1, 0)]
    every = [listed(number, at_ms) for number, at_ms in enumerate(times)]
    exchange.handlers[LIST] = week
    since_ms = NOW_MS - 20 * DAY_MS
    history = await desk.history(since_ms)
    assert sorted(row.at_ms for row in history.rows) == times
    asked = [int(seen.params["startTime"]) for seen in exchange.requests(LIST)]
    assert asked == [since_ms, since_ms + 7 * DAY_MS, since_ms + 14 * DAY_MS]


@pytest.mark.parametrize("ahead_ms", [0, 1, DAY_MS])
async def test_a_clock_that_went_back_still_has_the_list_read(
    exchange: Exchange, desk: WriteEndpoint, ahead_ms: int
) -> None:
    exchange.answer(LIST, page())
    assert (await desk.history(NOW_MS + ahead_ms)).rows == ()
    assert len(exchange.requests(LIST)) == 1


@pytest.mark.parametrize(
    "answers",
    [
        [{"list": {}}],
        [page(*[ROW] * 50, cursor="a"), page(*[ROW] * 50, cursor="a")],
        [web.Response(status=404)],
    ],
    ids=["no list", "a cursor that comes again", "no answer"],
)
async def test_a_list_that_makes_no_sense_proves_nothing(
    exchange: Exchange, desk: WriteEndpoint, answers: list[object]
) -> None:
    exchange.answer(LIST, *answers)
    with pytest.raises(ExchangeUnavailable):
        await desk.history(DAY_AGO_MS)


async def test_a_row_that_makes_no_sense_is_doubted_and_the_others_are_read(
    exchange: Exchange, desk: WriteEndpoint
) -> None:
    now = str(NOW_MS)
    strange = [
        ROW | {"timestamp": now, "status": "NEW_WORD"},
        listed(7, NOW_MS, fromAccountType=None),
        listed(8, NOW_MS),
        None,
    ]
    exchange.answer(LIST, page(*strange))
    history = await desk.history(DAY_AGO_MS)
    assert [row.adjust_id for row in history.rows] == [UUID(int=8).hex]
    own, other, nameless = history.doubtful
    assert (own.adjust_id, own.coin, own.amount) == (OWN, "BTC", D("0.317"))
    assert (other.adjust_id, nameless.adjust_id) == (UUID(int=7).hex, None)


async def test_two_intents_never_have_one_uuid(exchange: Exchange, desk: WriteEndpoint) -> None:
    def echo(seen: Seen) -> web.Response:
        return web.json_response({"retCode": 0, "result": json.loads(seen.body)})

    exchange.handlers[TRANSFER] = echo
    other = replace(intent(), intent_id="0" * 31 + "1")
    sent: set[Any] = {await desk.send(await desk.sign(item)) for item in (intent(), other)}
    assert sent == {OWN, other.intent_id}
