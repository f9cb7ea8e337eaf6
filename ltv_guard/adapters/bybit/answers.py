"""What an answer of the exchange means for what was asked: how reads and writes take it. Pure.

A write's answer is believed to be a refusal only where the table of codes says so: everything else leaves the
outcome unknown, for the history to tell.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ltv_guard.adapters.bybit.codes import MEANINGS, UNLISTED, Meaning, WriteOutcome
from ltv_guard.adapters.bybit.fields import MalformedPayload, Row, brief, identity, json_number
from ltv_guard.core.model.errors import (
    ExchangeUnavailable,
    NeedsHuman,
    Remedy,
    WriteOutcomeUnknown,
    WriteRejected,
)

OK, UNAUTHORIZED, BANNED, LIMITED, CLIENT_ERROR, SERVER_ERROR = 200, 401, 403, 429, 400, 500
LONGEST_MESSAGE = 200
CODES = range(-(2**31), 2**31)
DIGITS = re.compile(r"-?[0-9]{1,9}")
KEY_REFUSED = "the exchange does not accept the API key"
MEND_EXCHANGE = "the exchange has trouble of its own: look after the loans in its app, and wait"
MEND_URL = "check exchange.base_url, and what stands between this machine and the exchange (a proxy)"
MEND_KEY = "check the key and its secret, exchange.environment, and whether the key still exists"


class TransientError(ExchangeUnavailable):
    """A fault of the moment: the same read may succeed at once."""


class RequestRefused(ExchangeUnavailable):
    """The exchange answers with a code that is for this request: others may be answered all the same."""


class UnlistedCode(RequestRefused, TransientError):
    """One that is not known: it may as well be a fault of the moment."""


class Limited(TransientError):
    """Too many requests: wait for the reset first. `whole_address`: it is not this user's endpoint alone."""

    def __init__(self, message: str, *, whole_address: bool = False) -> None:
        super().__init__(message)
        self.whole_address = whole_address


class ClockRefused(TransientError):
    """Our timestamp was outside the window: measure the clock first."""


class WriteLimited(WriteOutcomeUnknown):
    """Too many requests. Not executed, as far as known: which is not enough to send it again."""

    came_too_soon = True

    def __init__(self, message: str, *, code: int | None = None, whole_address: bool = False) -> None:
        super().__init__(message, code=code)
        self.whole_address = whole_address


class WriteFailed(WriteRejected):
    """The answer names what was written, and says that it failed: an end."""

    def __init__(self, message: str, *, written_id: str) -> None:
        super().__init__(message, code=0, remedy=Remedy.BALANCE)
        self.written_id = written_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer, read whole. `headers` ignores the case of names.

    `hang_up` closes the connection that it came over, where that may be used again.
    """

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    hang_up: Callable[[], None] = field(default=lambda: None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """The frame around every result (v5/guide#common-response-parameters)."""

    code: int
    message: str
    result: object

    @property
    def meaning(self) -> Meaning:
        """What its code means, by the answer table; UNLISTED where that lacks it."""
        return MEANINGS.get(self.code, UNLISTED)

    def told(self, endpoint: str) -> str:
        """The code in words, with the exchange's own."""
        return f"{endpoint}: {self.meaning.words} (retCode {self.code}: {self.message})"


def open_envelope(body: bytes, *, exact: bool = False, hides: str = "") -> Envelope:
    """Numbers become int or Decimal, never float. Raises MalformedPayload, saying what is wrong.

    `exact`: letters that no text can hold (a lone surrogate, broken UTF-8), or a retCode in quotes, spoil the
    whole. Without it such letters spoil the field that they stand in, and a code in quotes is read as it is
    meant: one odd name or code must not cost the whole page. `hides`: see `take_read`.
    """
    if not body.strip():
        raise MalformedPayload("the answer is empty")
    try:
        text = body.decode("utf-8-sig", errors="strict" if exact else "replace")
        # NaN is not JSON, yet some servers write it: one bad field must not cost the whole page.
        payload: Any = json.loads(
            text, parse_float=json_number, parse_int=json_number, parse_constant=Decimal
        )
        if exact:
            json.dumps(payload, ensure_ascii=False, default=str).encode()
    except UnicodeError:
        raise MalformedPayload("the answer holds letters that no text can hold") from None
    except (ValueError, RecursionError, ArithmeticError):
        raise MalformedPayload("the answer is not JSON") from None
    if not isinstance(payload, dict):
        raise MalformedPayload("the answer is JSON, but no object")
    code = payload.get("retCode")
    if not exact and isinstance(code, str) and DIGITS.fullmatch(code):
        code = int(code)
    if isinstance(code, bool) or not isinstance(code, int) or code not in CODES:
        raise MalformedPayload("the answer has no retCode that is a whole number of ordinary size")
    return Envelope(code=code, message=_clean(payload.get("retMsg"), hides), result=payload.get("result"))


def take_read(answer: Answer, endpoint: str, *, hides: str = "") -> Row:
    """The result of a GET. Raises ExchangeUnavailable (TransientError: try again), NeedsHuman.

    `hides`: the API key, which the exchange's message may quote, and which nobody may see.
    """
    if answer.status == LIMITED:
        raise Limited(f"{endpoint}: too many requests (HTTP {answer.status})")
    if answer.status >= SERVER_ERROR:
        raise TransientError(f"{endpoint}: HTTP {answer.status}", mend=MEND_EXCHANGE)
    try:
        envelope = open_envelope(answer.body, hides=hides)
    except MalformedPayload as exc:
        if answer.status == UNAUTHORIZED:
            raise NeedsHuman(f"{endpoint}: {KEY_REFUSED} (HTTP {answer.status})", mend=MEND_KEY) from None
        # A proxy's 404 or a redirect will be the same in a second; a garbled 200 need not.
        kind = TransientError if answer.status == OK else ExchangeUnavailable
        mend = "" if answer.status == OK else MEND_URL
        raise kind(f"{endpoint}: {exc} (HTTP {answer.status})", mend=mend) from None
    if envelope.code != 0:
        raise _refusal_of_read(envelope, endpoint)
    if answer.status != OK:
        raise ExchangeUnavailable(f"{endpoint}: HTTP {answer.status}", mend=MEND_URL)
    if not isinstance(envelope.result, dict):
        raise TransientError(f"{endpoint}: the answer has no result")
    return envelope.result


def _refusal_of_read(envelope: Envelope, endpoint: str) -> Exception:
    words, meaning = envelope.told(endpoint), envelope.meaning
    if meaning.remedy is Remedy.HUMAN:
        return NeedsHuman(words, code=envelope.code, mend=meaning.mend)
    if meaning.remedy is Remedy.CLOCK:
        return ClockRefused(words)
    if meaning.outcome is WriteOutcome.LIMITED:
        return Limited(words, whole_address=meaning.whole_address)
    if meaning is UNLISTED:
        return UnlistedCode(words)
    return TransientError(words) if meaning.outcome is WriteOutcome.UNKNOWN else RequestRefused(words)


def take_write(
    answer: Answer, endpoint: str, id_field: str | None = "adjustId", *, hides: str = ""
) -> str | None:
    """The id that a POST is answered with. Raises WriteRejected where refused, else WriteOutcomeUnknown.

    `id_field` None: no id comes back from there, and none is asked for. `hides`: as for `take_read`.
    """
    if answer.status == LIMITED:
        raise WriteLimited(f"{endpoint}: too many requests (HTTP {answer.status})")
    if answer.status != OK and not _may_refuse(answer.status):
        raise WriteOutcomeUnknown(f"{endpoint}: HTTP {answer.status}")
    try:
        envelope = open_envelope(answer.body, exact=True, hides=hides)
    except MalformedPayload as exc:
        if answer.status == UNAUTHORIZED:
            raise WriteOutcomeUnknown(
                f"{endpoint}: {KEY_REFUSED} (HTTP {answer.status})", remedy=Remedy.HUMAN, mend=MEND_KEY
            ) from None
        raise WriteOutcomeUnknown(f"{endpoint}: {exc} (HTTP {answer.status})") from None
    if envelope.code != 0:
        raise _refusal_of_write(envelope, endpoint)
    if answer.status != OK:
        raise WriteOutcomeUnknown(f"{endpoint}: retCode 0, but HTTP {answer.status}")
    result = envelope.result if isinstance(envelope.result, dict) else {}
    if id_field is None:
        return None
    try:
        written_id = identity(result, id_field)
    except MalformedPayload:
        raise WriteOutcomeUnknown(f"{endpoint}: retCode 0, but no {id_field}") from None
    if result.get("status") == "FAILED":
        raise WriteFailed(f"{endpoint}: the exchange answers that it failed", written_id=written_id)
    return written_id


def _may_refuse(status: int) -> bool:
    """4xx comes from the exchange's gateway; 403, 429, redirects and 5xx prove nothing."""
    return CLIENT_ERROR <= status < SERVER_ERROR and status not in {BANNED, LIMITED}


def _refusal_of_write(envelope: Envelope, endpoint: str) -> Exception:
    words, meaning, code = envelope.told(endpoint), envelope.meaning, envelope.code
    if meaning.outcome is WriteOutcome.REJECTED and meaning.remedy is not None:
        return WriteRejected(words, code=code, remedy=meaning.remedy, mend=meaning.mend)
    if meaning.outcome is WriteOutcome.LIMITED:
        return WriteLimited(words, code=code, whole_address=meaning.whole_address)
    return WriteOutcomeUnknown(words, code=code, remedy=meaning.remedy)


def _clean(message: object, hides: str) -> str:
    """The exchange's words on one line, every letter one that can be shown.

    10004 quotes the signed text, key included, and loses it here.
    """
    text = re.sub(r"origin_string.*", "", str(message or ""), flags=re.DOTALL)
    return brief(text.replace(hides, "(hidden)") if hides else text, LONGEST_MESSAGE)
