"""Every row of the table "what an answer means", as a read and as a write."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aioresponses import aioresponses
from multidict import CIMultiDict

from ltv_guard.adapters.bybit.answers import (
    Answer,
    ClockRefused,
    Limited,
    TransientError,
    WriteLimited,
    take_read,
    take_write,
)
from ltv_guard.adapters.bybit.codes import MEANINGS, WriteOutcome
from ltv_guard.core.model.errors import (
    ExchangeUnavailable,
    NeedsHuman,
    Remedy,
    WriteError,
    WriteNotSent,
    WriteOutcomeUnknown,
    WriteRejected,
)

if TYPE_CHECKING:
    from conftest import Parts

BOOK = (Path(__file__).parents[3] / "docs" / "operations.md").read_text(encoding="utf-8").splitlines()
URL = "https://api.example.com"
ADJUST = "/v5/crypto-loan/adjust-ltv"
MAXIMUM = "/v5/crypto-loan/max-collateral-amount"

UNKNOWN = [
    *(10000, 10016, 10014, 177018, 177002, 177021),
    *(148019, 148021, 148026, 148034, 148035, 148036, 148041, 131214, 131230),
]
LIMITS = [10006, 10018]
REMEDIES = {
    Remedy.CLOCK: [10002, -1],
    Remedy.HUMAN: [
        *(10003, 10004, 10005, 10007, 10008, 10009, 10010, 10024, 10027, 10028, 33004, -2015),
        *(131004, 131202, 131204, 131209, 131217, 131226, 131232),
    ],
    Remedy.BALANCE: [177011, 148012, 148029, 148037, 131212, 131213, 131228],
    Remedy.MAXIMUM: [177013, 177016, 148009],
    Remedy.COIN: [177015, 148006, 148048, 131239],
    Remedy.NOT_TAKEN: [148004, 148014, 177006, 177017, 177020, 131229, 131231, 131233],
    Remedy.SMALLER: [148047],
    Remedy.LARGER: [148002],
    Remedy.PRECISION: [177004, 148003, 148005, 148028, 148042, 131210],
    Remedy.NEVER: [
        *(10001, 10017, 10029, 177003, 177019, 148039, 148040),
        *(131203, 131207, 131208, 131211, 131215),
    ],
    Remedy.DEBT: [177010, 148032, 148033, 148038],
    Remedy.GONE: [177005, 148013, 148023, 148027],
    Remedy.LIQUIDATION: [148031],
}
REJECTED = [(code, remedy) for remedy, codes in REMEDIES.items() for code in codes]


class MockedResponse(aiohttp.ClientResponse):
    """aioresponses leaves out `stream_writer`, which aiohttp 3.14 asks for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - aiohttp's own arguments
        class Writer:
            output_size = 0

        super().__init__(*args, stream_writer=Writer(), **kwargs)  # type: ignore[arg-type]


@pytest.fixture
def mocked() -> Iterator[aioresponses]:
    with aioresponses() as mock:
        now = {"retCode": 0, "result": {"timeNano": "1700000000000000000"}}
        mock.get(f"{URL}/v5/market/time", payload=now, repeat=True, response_class=MockedResponse)
        yield mock


@pytest.fixture
def parts(connect: Callable[..., Parts]) -> Parts:
    return connect(URL)


def coded(code: object, result: object = None) -> dict[str, object]:
    return {"retCode": code, "retMsg": "no", "result": {} if result is None else result, "time": 1}


async def read(parts: Parts, mock: aioresponses, **answer: Any) -> object:  # noqa: ANN401 - of aioresponses
    mock.get(f"{URL}{MAXIMUM}?orderId=1", repeat=True, response_class=MockedResponse, **answer)
    return await parts.client.get(MAXIMUM, {"orderId": "1"})


async def write(parts: Parts, mock: aioresponses, **answer: Any) -> str:  # noqa: ANN401 - of aioresponses
    mock.post(f"{URL}{ADJUST}", repeat=True, response_class=MockedResponse, **answer)
    return await parts.client.send(ADJUST, b"{}", {})


def requests_of(mock: aioresponses, method: str, path: str) -> int:
    return sum(
        len(calls) for (verb, url), calls in mock.requests.items() if (verb, url.path) == (method, path)
    )


def test_the_table_is_whole() -> None:
    listed = [*UNKNOWN, *LIMITS, *(code for code, _ in REJECTED)]
    assert len(listed) == len(set(listed))
    assert sorted(MEANINGS) == sorted(listed)
    for code, meaning in MEANINGS.items():
        assert (meaning.remedy is not None) == (meaning.outcome is WriteOutcome.REJECTED), code
        assert meaning.words
        assert bool(meaning.mend) == (meaning.remedy is Remedy.HUMAN), code


@pytest.mark.parametrize("code", sorted(MEANINGS))
def test_each_code_has_its_line_in_the_operators_book(code: int) -> None:
    meaning = MEANINGS[code]
    remedy = meaning.mend or meaning.remedy or "-"
    line = f"| {code} | {meaning.outcome} | {meaning.words} | {remedy} |"
    assert line in BOOK, f"docs/operations.md lacks the line:\n{line}"


def test_the_operators_book_lists_no_code_that_is_in_no_table() -> None:
    listed = {int(line.split("|")[1]) for line in BOOK if re.match(r"\| -?[0-9]+ \|", line)}
    assert listed == set(MEANINGS)


@pytest.mark.parametrize(("code", "remedy"), REJECTED)
async def test_a_refused_write_is_rejected_with_its_remedy(
    parts: Parts, mocked: aioresponses, code: int, remedy: Remedy
) -> None:
    with pytest.raises(WriteRejected) as caught:
        await write(parts, mocked, payload=coded(code))
    assert (caught.value.code, caught.value.remedy) == (code, remedy)
    assert MEANINGS[code].words in str(caught.value)
    assert requests_of(mocked, "POST", ADJUST) == 1
    assert parts.clock.is_doubted == (remedy is Remedy.CLOCK)


@pytest.mark.parametrize("code", [*UNKNOWN, *LIMITS, 424242, -7])
async def test_a_write_that_was_not_provably_refused_is_unknown(
    parts: Parts, mocked: aioresponses, code: int
) -> None:
    with pytest.raises(WriteOutcomeUnknown) as caught:
        await write(parts, mocked, payload=coded(code))
    assert caught.value.code == code
    assert requests_of(mocked, "POST", ADJUST) == 1


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 500, "body": "<html>"},
        {"status": 502, "body": "<html>"},
        {"status": 504, "body": ""},
        {"status": 503, "payload": coded(177011)},
        {"status": 403, "body": "<html>"},
        {"status": 403, "payload": coded(10003)},
        {"status": 429, "body": ""},
        {"status": 429, "payload": coded(10001)},
        {"status": 302, "payload": coded(10001), "headers": {"Location": "/x"}},
        {"status": 404, "body": "<html>"},
        {"status": 401, "payload": coded(0, {"adjustId": "1"})},
        {"status": 201, "payload": coded(0, {"adjustId": "1"})},
        {"body": ""},
        {"body": "   "},
        {"body": "OK"},
        {"body": b"\xff\xfe\x00"},
        {"body": "[" * 100_000},
        {"body": "9" * 10_000},
        {"payload": ["retCode", 0]},
        {"payload": {}},
        {"payload": coded("0", {"adjustId": "1"})},
        {"payload": coded(None, {"adjustId": "1"})},
        {"payload": coded(False, {"adjustId": "1"})},  # noqa: FBT003
        {"payload": coded(True)},  # noqa: FBT003
        {"payload": coded(0.0, {"adjustId": "1"})},
        {"payload": coded("10001")},
        {"payload": coded(10**30)},
        {"payload": coded(-(10**30))},
        {"body": '{"retCode": 1e30}'},
        {"body": '{"retCode": 10001.0}'},
        {"body": '{"retCode": 177011, "retMsg": "\\ud800"}'},
        {"body": '{"retCode": 0, "retMsg": "\\udfff", "result": {"adjustId": "1"}}'},
        {"body": '{"retCode": 177011, "retMsg": "", "retExtInfo": {"\\ud800": 1}}'},
        {"body": b'{"retCode": 177011, "retMsg": "\xed\xa0\x80"}'},
        {"body": b'{"retCode": 177011, "retMsg": "\xff"}'},
        {"status": 401, "body": ""},
        {"payload": coded(0)},
        {"payload": coded(0, {"adjustId": ""})},
        {"payload": coded(0, {"adjustId": None})},
        {"payload": coded(0, {"adjustId": True})},
        {"payload": coded(0, {"adjustId": ["1"]})},
        {"payload": coded(0, "1")},
        {"payload": coded(0, [{"adjustId": "1"}])},
        {"exception": TimeoutError()},
        {"exception": aiohttp.ServerDisconnectedError()},
        {"exception": aiohttp.ClientOSError(104, "reset")},
        {"exception": aiohttp.SocketTimeoutError()},
        {"exception": aiohttp.ClientPayloadError()},
        {"exception": aiohttp.ClientConnectionError("Connection closed")},
        {"exception": ValueError("a bug in the library")},
    ],
    ids=repr,
)
async def test_any_other_answer_to_a_write_is_unknown(
    parts: Parts, mocked: aioresponses, answer: dict[str, Any]
) -> None:
    with pytest.raises(WriteOutcomeUnknown):
        await write(parts, mocked, **answer)
    assert requests_of(mocked, "POST", ADJUST) == 1
    assert (parts.ban.remaining_s > 0) == (answer.get("status") == 403)


@pytest.mark.parametrize("given", ["1794318409405331968", 27511])
async def test_an_accepted_write_gives_its_adjust_id_as_text(
    parts: Parts, mocked: aioresponses, given: object
) -> None:
    assert await write(parts, mocked, payload=coded(0, {"adjustId": given})) == str(given)


async def test_a_gateways_4xx_with_a_known_code_is_a_refusal(parts: Parts, mocked: aioresponses) -> None:
    with pytest.raises(WriteRejected):
        await write(parts, mocked, status=401, payload=coded(10003))


async def test_a_connection_that_timed_out_is_not_sent(parts: Parts, mocked: aioresponses) -> None:
    with pytest.raises(WriteNotSent):
        await write(parts, mocked, exception=aiohttp.ConnectionTimeoutError())


@pytest.mark.parametrize("code", REMEDIES[Remedy.HUMAN])
async def test_a_read_refused_for_the_key_needs_a_human_at_once(
    parts: Parts, mocked: aioresponses, code: int
) -> None:
    with pytest.raises(NeedsHuman) as caught:
        await read(parts, mocked, payload=coded(code))
    assert caught.value.code == code
    assert requests_of(mocked, "GET", MAXIMUM) == 1


async def test_10003_says_that_it_is_most_often_the_wrong_environment(
    parts: Parts, mocked: aioresponses
) -> None:
    with pytest.raises(NeedsHuman, match="another environment"):
        await read(parts, mocked, payload=coded(10003))


# The limit of the address holds every request for seconds.
TRIED_AGAIN = [*UNKNOWN, *(code for code in LIMITS if code != 10018), 424242]


@pytest.mark.parametrize("code", [*TRIED_AGAIN, pytest.param(10018, marks=pytest.mark.slow)])
async def test_a_read_that_failed_for_the_moment_is_tried_three_times(
    parts: Parts, mocked: aioresponses, code: int
) -> None:
    with pytest.raises(ExchangeUnavailable, match=str(code)):
        await read(parts, mocked, payload=coded(code))
    assert requests_of(mocked, "GET", MAXIMUM) == 3


@pytest.mark.parametrize(
    "code",
    [code for code, remedy in REJECTED if remedy not in {Remedy.HUMAN, Remedy.CLOCK}],
)
async def test_a_read_that_was_refused_is_not_tried_again(
    parts: Parts, mocked: aioresponses, code: int
) -> None:
    with pytest.raises(ExchangeUnavailable) as caught:
        await read(parts, mocked, payload=coded(code))
    assert not isinstance(caught.value, TransientError)
    assert requests_of(mocked, "GET", MAXIMUM) == 1


async def test_a_timestamp_refused_twice_is_given_up_after_measuring_once(
    parts: Parts, mocked: aioresponses
) -> None:
    with pytest.raises(ClockRefused):
        await read(parts, mocked, payload=coded(10002))
    assert requests_of(mocked, "GET", MAXIMUM) == 2
    assert requests_of(mocked, "GET", "/v5/market/time") == 5


@pytest.mark.parametrize(
    ("answer", "tries"),
    [
        ({"status": 500, "body": "<html>"}, 3),
        ({"status": 503, "payload": coded(10003)}, 3),
        ({"status": 429, "body": ""}, 3),
        ({"body": ""}, 3),
        ({"body": "no"}, 3),
        ({"payload": [1]}, 3),
        ({"payload": coded("0.0")}, 3),
        ({"payload": coded(10**30)}, 3),
        ({"body": '{"retCode": 1e30}'}, 3),
        ({"payload": coded(True, {"a": 1})}, 3),  # noqa: FBT003
        ({"payload": {"retCode": 0}}, 3),
        ({"payload": coded(0, [1])}, 3),
        ({"exception": TimeoutError()}, 3),
        ({"exception": aiohttp.ServerDisconnectedError()}, 3),
        ({"status": 404, "body": "<html>"}, 1),
        ({"status": 302, "body": ""}, 1),
        ({"status": 418, "payload": coded(0, {})}, 1),
    ],
    ids=repr,
)
async def test_any_other_failed_read_is_unavailable(
    parts: Parts, mocked: aioresponses, answer: dict[str, Any], tries: int
) -> None:
    with pytest.raises(ExchangeUnavailable, match=MAXIMUM):
        await read(parts, mocked, **answer)
    assert requests_of(mocked, "GET", MAXIMUM) == tries


def test_what_the_exchange_says_is_quoted_on_one_line_and_without_the_signed_text() -> None:
    body = b'{"retCode": 10004, "retMsg": "error sign!\\n origin_string[1658384314791KEY5000]"}'
    with pytest.raises(NeedsHuman) as caught:
        take_read(Answer(status=200, body=body), "/x")
    assert "KEY" not in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(WriteError, match=r": a{200}\)$") as longest:
        take_write(Answer(status=200, body=b'{"retCode": 1, "retMsg": "%s"}' % (b"a" * 9999)), "/x")
    assert len(str(longest.value)) < 300


def test_an_api_key_in_the_exchanges_words_is_hidden_wherever_they_are_cut_off() -> None:
    key = "xK7pQ2mW9vR4tZ6bN1"
    for before in ("", "a" * 190):
        answer = Answer(
            status=200, body=b'{"retCode": 10003, "retMsg": "%sof %s"}' % (before.encode(), key.encode())
        )
        with pytest.raises(NeedsHuman) as read:
            take_read(answer, "/x", hides=key)
        with pytest.raises(WriteError) as written:
            take_write(answer, "/x", hides=key)
        assert key[:4] not in f"{read.value}{written.value}"


@pytest.mark.parametrize("status", [302, 403, 429, 500, 503])
def test_no_body_makes_a_refusal_of_a_status_that_proves_nothing(status: int) -> None:
    with pytest.raises(WriteOutcomeUnknown):
        take_write(Answer(status=status, body=b'{"retCode": 10001}'), "/x")


def test_an_unlisted_code_asks_for_another_coin_once_it_is_known_to_have_done_nothing() -> None:
    with pytest.raises(WriteOutcomeUnknown) as caught:
        take_write(Answer(status=200, body=b'{"retCode": 424242}'), "/x")
    assert caught.value.remedy is Remedy.COIN
    with pytest.raises(WriteOutcomeUnknown) as caught:
        take_write(Answer(status=200, body=b'{"retCode": 10016}'), "/x")
    assert caught.value.remedy is None


@pytest.mark.parametrize("body", [b"", b"  ", b"<html>", b"null"])
def test_http_401_without_a_word_is_the_key(body: bytes) -> None:
    answer = Answer(status=401, body=body)
    with pytest.raises(NeedsHuman, match="does not accept the API key") as read:
        take_read(answer, "/x")
    assert read.value.mend
    with pytest.raises(WriteOutcomeUnknown, match="does not accept the API key") as written:
        take_write(answer, "/x")
    assert written.value.remedy is Remedy.HUMAN


def test_one_odd_letter_costs_a_read_only_its_field() -> None:
    body = b'{"retCode": 0, "result": {"odd": "\xff\xed\xa0\x80", "lone": "\\ud800", "good": "1"}}'
    assert take_read(Answer(status=200, body=body), "/x")["good"] == "1"


def test_a_code_in_quotes_costs_a_read_nothing_and_leaves_a_write_unknown() -> None:
    assert take_read(Answer(status=200, body=b'{"retCode": "0", "result": {"good": "1"}}'), "/x") == {
        "good": "1"
    }
    with pytest.raises(Limited):
        take_read(Answer(status=200, body=b'{"retCode": "10006"}'), "/x")
    for odd in (b'"0x0"', b'""', b'" 0"', b'"0.0"', b"0.5", b"true", b"null"):
        with pytest.raises(TransientError):
            take_read(Answer(status=200, body=b'{"retCode": %s, "result": {}}' % odd), "/x")
    for code in (b"0", b"10001"):
        with pytest.raises(WriteOutcomeUnknown):
            take_write(
                Answer(status=200, body=b'{"retCode": "%s", "result": {"adjustId": "1"}}' % code), "/x"
            )


def test_what_the_exchange_says_is_written_down_in_letters_that_can_be_shown() -> None:
    body = b'{"retCode": 177011, "retMsg": "a\\u202eb\\u001b[31mc\\u0000"}'
    with pytest.raises(WriteRejected) as caught:
        take_write(Answer(status=200, body=body), "/x")
    assert str(caught.value).isprintable()
    assert "a\\u202eb\\u001b[31mc\\u0000" in str(caught.value)


def test_the_causes_that_a_person_has_to_mend_have_a_remedy_each() -> None:
    mends = {code: MEANINGS[code].mend for code in (10003, 10004, 10005, 10009, 10010, 10024, 33004)}
    assert len(set(mends.values())) == len(mends)


def test_limits_are_told_apart_from_other_failures() -> None:
    for body, status in ((b"", 429), (b'{"retCode": 10006}', 200), (b'{"retCode": 10018}', 200)):
        answer = Answer(status=status, body=body)
        with pytest.raises(Limited) as read:
            take_read(answer, "/x")
        with pytest.raises(WriteLimited) as written:
            take_write(answer, "/x")
        assert read.value.whole_address == written.value.whole_address == (b"10018" in body)
        assert written.value.came_too_soon
    with pytest.raises(WriteOutcomeUnknown) as failed:
        take_write(Answer(status=500, body=b""), "/x")
    assert not failed.value.came_too_soon


def test_headers_ignore_case() -> None:
    assert Answer(status=200, body=b"", headers=CIMultiDict({"x-bapi-limit": "1"})).headers["X-Bapi-Limit"]
