"""One message of the public spot stream, read strictly (v5/websocket/public/ticker). Pure."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal

from ltv_guard.adapters.bybit.fields import (
    MalformedPayload,
    Row,
    as_row,
    brief,
    coin,
    field,
    identity,
    json_number,
    moment,
    readable,
    whole,
)
from ltv_guard.adapters.bybit.ticker_wire import QUOTE, price_of

TOPIC = "tickers."


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """USD for one coin at `at_ms` (exchange time); `sequence` orders ticks of the same millisecond."""

    coin: str
    price: Decimal
    at_ms: int
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the exchange says to a request of ours; `request` is the id that we gave it."""

    operation: str
    succeeded: bool
    words: str
    request: str | None


def topic_of(name: str) -> str:
    """The topic of a coin's ticker (v5/websocket/public/ticker)."""
    return f"{TOPIC}{name}{QUOTE}"


def parse_message(text: str) -> Tick | Reply:
    """Raises MalformedPayload, saying what is wrong, for what is neither a ticker nor a reply."""
    try:
        payload = json.loads(text, parse_float=json_number, parse_int=json_number, parse_constant=str)
    except (ValueError, RecursionError):
        raise MalformedPayload("it is not JSON") from None
    row = as_row(payload)
    return _tick(row) if "topic" in row else _reply(row)


def _tick(row: Row) -> Tick:
    topic, data = field(row, "topic"), as_row(field(row, "data"))
    symbol = coin(data, "symbol")
    if topic != f"{TOPIC}{symbol}" or not symbol.endswith(QUOTE) or symbol == QUOTE:
        raise MalformedPayload("its topic and its symbol do not agree")
    price = price_of(data)
    if price is None:
        raise MalformedPayload("it has no price")
    return Tick(
        coin=symbol.removesuffix(QUOTE),
        price=price,
        at_ms=moment(row, "ts"),
        sequence=readable(row, "cs", whole) or 0,
    )


def _reply(row: Row) -> Reply:
    succeeded = field(row, "success")
    if not isinstance(succeeded, bool):
        raise MalformedPayload("its success is neither true nor false")
    return Reply(
        operation=brief(field(row, "op")),
        succeeded=succeeded,
        words=brief(row.get("ret_msg") or ""),
        request=readable(row, "req_id", identity),
    )


def request(operation: str, coins: Collection[str] = (), request_id: str = "") -> str:
    """A request as JSON (v5/ws/connect): `ping`, or to subscribe to coins or to end that."""
    asked: dict[str, object] = {"op": operation}
    if coins:
        asked |= {"req_id": request_id, "args": [topic_of(name) for name in coins]}
    return json.dumps(asked)
