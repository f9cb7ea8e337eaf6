"""What an answer of the exchange means: one table of its codes, and how reads and writes take them. Pure.

Codes of v5/error, of both loan products and of transfers. A write's answer is believed to be a refusal only
where the table says so: everything else leaves the outcome unknown, for the history to tell.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from ltv_guard.adapters.bybit.fields import Nonsense, Row, clean, identity, json_number
from ltv_guard.core.errors import (
    ExchangeUnavailable,
    NeedsHuman,
    Remedy,
    WriteOutcomeUnknown,
    WriteRejected,
)

OK, BANNED, LIMITED, CLIENT_ERROR, SERVER_ERROR = 200, 403, 429, 400, 500
LONGEST_MESSAGE = 200


class Passing(ExchangeUnavailable):
    """A fault of the moment: the same read may succeed at once."""


class Limited(Passing):
    """Too many requests: wait for the reset first."""


class ClockRefused(Passing):
    """Our timestamp was outside the window: measure the clock first."""


class WriteLimited(WriteOutcomeUnknown):
    """Too many requests. Not executed, as far as known: which is not enough to send it again."""


class Outcome(StrEnum):
    """What a code leaves of a write."""

    UNKNOWN = "unknown"
    LIMITED = "limited"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Meaning:
    """One code: what it leaves of a write, in words, and what has to change where it was refused."""

    outcome: Outcome
    words: str
    remedy: Remedy | None = None


def _unknown(words: str) -> Meaning:
    return Meaning(Outcome.UNKNOWN, words)


def _refused(remedy: Remedy, words: str) -> Meaning:
    return Meaning(Outcome.REJECTED, words, remedy)


MEANINGS: Mapping[int, Meaning] = {
    10000: _unknown("the server timed out"),
    10016: _unknown("an error inside the exchange"),
    10014: _unknown("a duplicate request: an earlier one may have landed"),
    177018: _unknown("a duplicate request: an earlier one may have landed"),
    177002: _unknown("the exchange is busy"),
    148019: _unknown("the exchange is busy"),
    148021: _unknown("the exchange asks to try again"),
    148034: _unknown("it conflicts with another operation"),
    148035: _unknown("it conflicts with another operation"),
    148036: _unknown("it conflicts with another operation"),
    10006: Meaning(Outcome.LIMITED, "too many requests"),
    10002: _refused(Remedy.CLOCK, "the timestamp was outside the receive window"),
    10003: _refused(
        Remedy.HUMAN,
        "the API key is not valid here; most often it belongs to another environment "
        "(check exchange.environment: mainnet and testnet keys differ)",
    ),
    10004: _refused(Remedy.HUMAN, "the signature does not match: check the API secret or the RSA key"),
    10005: _refused(
        Remedy.HUMAN,
        "the API key lacks a permission: it needs Spot trade, and Account Transfer to move coins",
    ),
    10007: _refused(Remedy.HUMAN, "the user could not be authenticated: check the API key"),
    10009: _refused(Remedy.HUMAN, "the exchange has banned this address"),
    10010: _refused(Remedy.HUMAN, "the API key is bound to other addresses than this machine's"),
    10024: _refused(Remedy.HUMAN, "the exchange's compliance rules forbid it for this account"),
    10027: _refused(Remedy.HUMAN, "the account is banned from trading"),
    33004: _refused(Remedy.HUMAN, "the API key has expired: make a new one"),
    177011: _refused(Remedy.BALANCE, "not enough balance in the Funding wallet"),
    148012: _refused(Remedy.BALANCE, "not enough balance in the Funding wallet"),
    148029: _refused(Remedy.BALANCE, "more than the balance or the maximum"),
    148037: _refused(Remedy.BALANCE, "more than the balance or the maximum"),
    177013: _refused(Remedy.MAXIMUM, "the reduction is larger than the maximum"),
    177016: _refused(Remedy.MAXIMUM, "the LTV would be over the limit"),
    148009: _refused(Remedy.MAXIMUM, "the LTV would be over the limit"),
    177015: _refused(Remedy.COIN, "the platform's limit for this collateral is reached"),
    148004: _refused(Remedy.COIN, "the coin is not taken as collateral"),
    148006: _refused(Remedy.COIN, "the platform's limit for this collateral is reached"),
    148047: _refused(Remedy.COIN, "the platform's limit for this collateral is reached"),
    148048: _refused(Remedy.COIN, "the platform takes no more of this collateral"),
    177004: _refused(Remedy.NEVER, "the amount has too many decimals"),
    148003: _refused(Remedy.NEVER, "the amount has too many decimals"),
    148005: _refused(Remedy.NEVER, "the amount is not acceptable"),
    177003: _refused(Remedy.NEVER, "a parameter is not acceptable"),
    177019: _refused(Remedy.NEVER, "a parameter is not acceptable"),
    10001: _refused(Remedy.NEVER, "a parameter is not acceptable"),
    177005: _refused(Remedy.GONE, "there is no such loan"),
    148023: _refused(Remedy.GONE, "there is no such loan"),
    148013: _refused(Remedy.GONE, "there is no such loan"),
    148027: _refused(Remedy.GONE, "there is no such loan"),
    148031: _refused(Remedy.LIQUIDATION, "the loan is being liquidated"),
    # Transfers (v5/error, asset). What may be a failure half-way stays unknown: 131200, 131206.
    131214: _unknown("the transferId exists: an earlier one may have landed"),
    131212: _refused(Remedy.BALANCE, "not enough balance in the Unified account"),
    131213: _refused(Remedy.BALANCE, "the Unified account needs it for its own positions"),
    131203: _refused(Remedy.NEVER, "a parameter is not acceptable"),
    131207: _refused(Remedy.NEVER, "the account does not exist"),
    131208: _refused(Remedy.NEVER, "the transfer is forbidden"),
    131210: _refused(Remedy.NEVER, "the amount has too many decimals"),
    131211: _refused(Remedy.NEVER, "both accounts are the same"),
    131215: _refused(Remedy.NEVER, "the amount is not acceptable"),
    131004: _refused(Remedy.HUMAN, "the account needs to be verified (KYC)"),
    131217: _refused(Remedy.HUMAN, "the exchange's risk control forbids it"),
}
UNLISTED = _unknown("a code that is not known")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer, read whole. `headers` ignores the case of names."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """The frame around every result (v5/guide#common-response-parameters)."""

    code: int
    message: str
    result: object

    @property
    def meaning(self) -> Meaning:
        return MEANINGS.get(self.code, UNLISTED)

    def told(self, endpoint: str) -> str:
        """The code in words, with the exchange's own."""
        return f"{endpoint}: {self.meaning.words} (retCode {self.code}: {self.message})"


def open_envelope(body: bytes) -> Envelope:
    """Raises Nonsense, saying what is wrong with the body. Numbers become int or Decimal, never float."""
    if not body.strip():
        raise Nonsense("the answer is empty")
    try:
        # NaN is not JSON, yet some servers write it: one bad field must not cost the whole page.
        payload: Any = json.loads(
            body, parse_float=json_number, parse_int=json_number, parse_constant=Decimal
        )
    except (ValueError, RecursionError, ArithmeticError):
        raise Nonsense("the answer is not JSON") from None
    if not isinstance(payload, dict):
        raise Nonsense("the answer is JSON, but no object")
    code = payload.get("retCode")
    if isinstance(code, bool) or not isinstance(code, int):
        raise Nonsense("the answer has no retCode that is a whole number")
    return Envelope(code=code, message=_clean(payload.get("retMsg")), result=payload.get("result"))


def take_read(answer: Answer, endpoint: str) -> Row:
    """The result of a GET. Raises ExchangeUnavailable (Passing where another try may help), NeedsHuman."""
    if answer.status == LIMITED:
        raise Limited(f"{endpoint}: too many requests (HTTP {answer.status})")
    if answer.status >= SERVER_ERROR:
        raise Passing(f"{endpoint}: HTTP {answer.status}")
    try:
        envelope = open_envelope(answer.body)
    except Nonsense as exc:
        # A proxy's 404 or a redirect will be the same in a second; a garbled 200 need not.
        kind = Passing if answer.status == OK else ExchangeUnavailable
        raise kind(f"{endpoint}: {exc} (HTTP {answer.status})") from None
    if envelope.code != 0:
        raise _refusal_of_read(envelope, endpoint)
    if answer.status != OK:
        raise ExchangeUnavailable(f"{endpoint}: HTTP {answer.status}")
    if not isinstance(envelope.result, dict):
        raise Passing(f"{endpoint}: the answer has no result")
    return envelope.result


def _refusal_of_read(envelope: Envelope, endpoint: str) -> Exception:
    words, meaning = envelope.told(endpoint), envelope.meaning
    if meaning.remedy is Remedy.HUMAN:
        return NeedsHuman(words, code=envelope.code)
    if meaning.remedy is Remedy.CLOCK:
        return ClockRefused(words)
    if meaning.outcome is Outcome.LIMITED:
        return Limited(words)
    return Passing(words) if meaning.outcome is Outcome.UNKNOWN else ExchangeUnavailable(words)


def take_write(answer: Answer, endpoint: str, id_field: str = "adjustId") -> str:
    """The id that a POST is answered with. Raises WriteRejected where refused, else WriteOutcomeUnknown."""
    if answer.status == LIMITED:
        raise WriteLimited(f"{endpoint}: too many requests (HTTP {answer.status})")
    if answer.status != OK and not _may_refuse(answer.status):
        raise WriteOutcomeUnknown(f"{endpoint}: HTTP {answer.status}")
    try:
        envelope = open_envelope(answer.body)
    except Nonsense as exc:
        raise WriteOutcomeUnknown(f"{endpoint}: {exc} (HTTP {answer.status})") from None
    if envelope.code != 0:
        raise _refusal_of_write(envelope, endpoint)
    if answer.status != OK:
        raise WriteOutcomeUnknown(f"{endpoint}: retCode 0, but HTTP {answer.status}")
    try:
        return identity(envelope.result if isinstance(envelope.result, dict) else {}, id_field)
    except Nonsense:
        raise WriteOutcomeUnknown(f"{endpoint}: retCode 0, but no {id_field}") from None


def _may_refuse(status: int) -> bool:
    """4xx comes from the exchange's gateway; 403, 429, redirects and 5xx prove nothing."""
    return CLIENT_ERROR <= status < SERVER_ERROR and status not in {BANNED, LIMITED}


def _refusal_of_write(envelope: Envelope, endpoint: str) -> Exception:
    words, meaning = envelope.told(endpoint), envelope.meaning
    if meaning.outcome is Outcome.REJECTED and meaning.remedy is not None:
        return WriteRejected(words, code=envelope.code, remedy=meaning.remedy)
    kind = WriteLimited if meaning.outcome is Outcome.LIMITED else WriteOutcomeUnknown
    return kind(words, code=envelope.code)


def _clean(message: object) -> str:
    """The exchange's words on one line; 10004 quotes the signed text, key included, and loses it here."""
    text = re.sub(r"origin_string.*", "", str(message or ""), flags=re.DOTALL)
    return clean(text, LONGEST_MESSAGE)
