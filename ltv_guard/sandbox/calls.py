"""Calls: a request that was read, the endpoint it is for, and whether its sender may make it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from ltv_guard.sandbox.exchange import Exchange
from ltv_guard.sandbox.faults import Fault, Target
from ltv_guard.sandbox.limits import Allowance
from ltv_guard.sandbox.market import Moment
from ltv_guard.sandbox.payloads import Payload
from ltv_guard.sandbox.records import Direction, Handling
from ltv_guard.sandbox.refusals import LEGACY, POOL, Refusal, refusal
from ltv_guard.sandbox.scenario import ApiKey
from ltv_guard.sandbox.signatures import SignedRequest, check_end, check_key, check_permission

PLAIN_NUMBER = re.compile(r"\d+(\.\d+)?")
DIRECTIONS: dict[str, Direction] = {"0": "add", "1": "reduce"}


@dataclass(slots=True, kw_only=True)
class Call:
    """One request as it came in; `key` is set once its signature is known to be good."""

    endpoint: Endpoint
    signed: SignedRequest
    params: Payload
    address: str
    faults: list[Fault] = field(default_factory=list)
    key: ApiKey | None = None
    clock_shift_ms: int = 0

    def fault(self, kind: str) -> Fault | None:
        """The fault of that kind that strikes this request; None: none does."""
        return next((fault for fault in self.faults if fault.kind == kind), None)

    @property
    def user(self) -> str:
        """The user whose key signed. Raises Refusal (10003) where no key has."""
        if self.key is None:
            raise Refusal(10003, "API key is invalid.")
        return self.key.user

    def text(self, name: str) -> str:
        """A parameter that must be there, as a string. Raises Refusal (10001) where it is not."""
        value = self.params.get(name)
        if not isinstance(value, str) or not value:
            raise Refusal(10001, f"Request parameter error: {name}")
        return value

    def optional(self, name: str) -> str | None:
        """A parameter as a string; None where it is not there, or empty."""
        return self.params.get(name) or None

    def number(self, name: str, default: int) -> int:
        """A parameter as a whole number, or `default`. Raises Refusal (10001)."""
        text = self.optional(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdigit()):
            raise Refusal(10001, f"Request parameter error: {name}")
        return int(text)


def directions(exchange: Exchange) -> dict[str, Direction]:
    """What "0" and "1" mean to this exchange."""
    if not exchange.scenario.directions_reversed:
        return DIRECTIONS
    return {"0": "reduce", "1": "add"}


Handler = Callable[[Exchange, Call, Moment], Payload]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A path, its short name in faults and counts, and what it asks of the key."""

    path: str
    name: str
    handler: Handler
    method: str = "GET"
    product: str | None = None
    signed: bool = True
    permission: tuple[str, str] | None = ("Spot", "SpotTrade")

    @property
    def writes(self) -> bool:
        """Whether it changes anything."""
        return self.method == "POST"


def parse_params(endpoint: Endpoint, query: list[tuple[str, str]], body: bytes) -> Payload:
    """The query, or the JSON object of strings that a POST must have. Raises Refusal (10001)."""
    if not endpoint.writes:
        return dict(query)
    try:
        document = json.loads(body, parse_float=Decimal)
    except ValueError:
        raise Refusal(10001, "Request body is not JSON") from None
    if not isinstance(document, dict) or not all(isinstance(value, str) for value in document.values()):
        raise Refusal(10001, "Request body must be a JSON object of strings")
    return document


def target_of(endpoint: Endpoint, params: Payload, key: ApiKey | None) -> Target:
    """What a request is about before it is carried out, for the faults to choose by."""
    loan_id = params.get("orderId") or ("pool" if endpoint.product == POOL else None)
    return Target(
        endpoint=endpoint.name,
        path=endpoint.path,
        product=endpoint.product,
        direction=DIRECTIONS.get(str(params.get("direction"))),
        user=key.user if key else None,
        loan_id=loan_id,
    )


def authenticate(exchange: Exchange, call: Call) -> Allowance | None:
    """Checks key, window, signature, permission and rate limit, in that order. Raises Refusal."""
    if not call.endpoint.signed:
        return None
    server_ms = exchange.clock.now_ms() + call.clock_shift_ms
    call.key = check_key(exchange.keys, call.signed, server_ms, call.address)
    check_end(exchange.key_ends_ms(call.key), server_ms)
    if call.endpoint.permission:
        check_permission(call.key, *call.endpoint.permission, writes=call.endpoint.writes)
    plan = exchange.limits.plan
    limit = plan.writes_per_s if call.endpoint.writes else plan.reads_per_s
    return exchange.limits.allow(call.user, call.endpoint.path, limit, exchange.clock.real_s())


def amount_of(call: Call, product: str) -> Decimal:
    """The coins that a write is for. Raises Refusal where it is no plain number."""
    text = call.text("amount")
    if not PLAIN_NUMBER.fullmatch(text):
        raise refusal("precision", product, "Amount is not a plain number")
    return Decimal(text)


def handling_of(call: Call) -> Handling:
    """How the exchange treats a write out of the ordinary; a legacy loan's are final at once."""
    lag, slow, failed = (call.fault(kind) for kind in ("history_lag", "status_processing", "status_failed"))
    hidden_s = (lag and lag.seconds) or Decimal(0)
    if call.endpoint.product == LEGACY:
        return Handling(hidden_s=hidden_s)
    return Handling(
        hidden_s=hidden_s,
        processing_s=(slow and slow.seconds) or Decimal(0),
        fails=failed is not None,
    )


def carry_out(exchange: Exchange, call: Call) -> Payload:
    """Does what the request asks, at this very moment. Raises Refusal."""
    return call.endpoint.handler(exchange, call, exchange.look())
