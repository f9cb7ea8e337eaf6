"""When an answer was made: one whose `time` is another belongs to another request. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from ltv_guard.adapters.bybit.fields import MalformedPayload, json_number, moment
from ltv_guard.core.model.loans import Moment

APART_MS = 3000  # so far may an answer's time lie outside of the time that it took to come
AT_THE_END = re.compile(rb'"time"\s*:\s*"?([0-9]{13})"?\s*\}\s*\Z')
LONGEST_TAIL = 80


def time_of(body: bytes) -> int | None:
    """In ms (v5/guide#common-response-parameters); None where there is none that can be.

    It stands at the end, where it is found without reading the whole twice.
    """
    found = AT_THE_END.search(body[-LONGEST_TAIL:])
    if found is not None:
        return _plausible({"time": found[1].decode()})
    if b'"time"' not in body:
        return None
    try:
        return _plausible(json.loads(body, parse_int=json_number, parse_float=json_number))
    except (ValueError, RecursionError):
        return None


def apart_ms(body: bytes, sent: Moment, came: Moment) -> int:
    """How far the answer's time lies before (-) or after (+) the time between the two; 0 within APART_MS."""
    at_ms = time_of(body)
    if at_ms is None:
        return 0
    earliest, latest = sent.exchange_ms - APART_MS, came.exchange_ms + APART_MS
    if at_ms < earliest:
        return at_ms - sent.exchange_ms
    return at_ms - came.exchange_ms if at_ms > latest else 0


def _plausible(payload: object) -> int | None:
    try:
        return moment(payload, "time") if isinstance(payload, Mapping) else None
    except MalformedPayload:
        return None
