"""How faults look on the wire: spoiled results, useless answers, and connections that die."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import uuid4

from aiohttp import web

from ltv_guard.sandbox.faults import Fault
from ltv_guard.sandbox.payloads import Payload

USELESS = ("http_error", "empty_body", "not_json", "json_not_object", "ret_code", "no_adjust_id")
ENDLESS_S = Decimal(3600)
NAMED_BY = ("orderId", "coin", "currency", "loanCurrency", "symbol", "adjustId", "repayId", "transferId")


def duration_s(fault: Fault, default: Decimal = ENDLESS_S) -> float:
    """How long the fault lasts, in seconds."""
    return float(default if fault.seconds is None else fault.seconds)


async def lose(request: web.Request, fault: Fault, held_s: float = 0) -> web.Response:
    """Ends the connection without an answer, after holding it for a while."""
    await asyncio.sleep(held_s)
    transport = request.transport
    if transport is not None:
        if fault.reset and (peer := transport.get_extra_info("socket")) is not None:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()


def useless_answer(fault: Fault, envelope: Payload) -> web.Response:
    """Answers as the fault says; what was done, or not, cannot be told from it."""
    page = f"<html><body><h1>{fault.status}</h1><p>{fault.message}</p></body></html>"
    match fault.kind:
        case "http_error":
            text = page if fault.body is None else fault.body
            return web.Response(
                status=fault.status, text=text, content_type="text/html", headers=fault.headers
            )
        case "empty_body":
            return web.Response(text="", content_type="application/json", headers=fault.headers)
        case "not_json":
            return web.Response(text=fault.body or page, content_type="text/html", headers=fault.headers)
        case "json_not_object":
            return json_response(fault.body or '["sandbox", 0]', fault.headers)
        case "ret_code":
            told = {"retCode": fault.code, "retMsg": fault.message, "result": {}}
            return json_response(json.dumps(envelope | told), fault.headers)
        case _:
            told = {"retCode": 0, "retMsg": "OK", "result": {}}
            return json_response(json.dumps(envelope | told), fault.headers)


def redirect(fault: Fault) -> web.Response:
    """A redirect to where the fault says; 307 unless it names another such status."""
    status = fault.status if fault.status in {301, 302, 303, 307, 308} else 307
    return web.Response(status=status, headers={"Location": fault.location})


def json_response(text: str, headers: dict[str, str]) -> web.Response:
    """Text as the exchange sends it, valid JSON or not."""
    return web.Response(text=text, content_type="application/json", headers=headers)


def spoil(envelope: Payload, faults: list[Fault]) -> str:
    """Writes the envelope as JSON text, with what the faults put wrong in it."""
    for fault in faults:
        match fault.kind:
            case "wild_time":
                _shift_time(envelope, fault.offset_ms)
            case "nonsense":
                for row in _rows(envelope["result"], fault.loan_id):
                    _disfigure(row, fault)
            case "padding":
                envelope["result"]["padding"] = "x" * fault.size
            case "cursor_loop" if "nextPageCursor" in envelope["result"]:
                cursor = uuid4().hex if fault.value == "endless" else "again"
                envelope["result"]["nextPageCursor"] = cursor
            case _:
                pass
    text = json.dumps(envelope, default=str)
    for fault in faults:
        if fault.kind == "duplicate_key":
            text = f'{text[:-1]}, "retCode": {fault.code}}}'
    return text


def _shift_time(envelope: Payload, offset_ms: int) -> None:
    envelope["time"] += offset_ms
    result = envelope["result"]
    if "timeNano" in result:
        nano = int(result["timeNano"]) + offset_ms * 1_000_000
        result |= {"timeNano": str(nano), "timeSecond": str(nano // 1_000_000_000)}


def _rows(node: Any, name: str | None) -> Iterator[Payload]:  # noqa: ANN401 any JSON
    """Finds the objects that a name stands for: an order, a coin, or the pool's result itself."""
    if isinstance(node, list):
        for item in node:
            yield from _rows(item, name)
    elif isinstance(node, dict):
        names = {str(node.get(key)) for key in NAMED_BY}
        if name is None or name in names or (name == "pool" and "ltv" in node):
            yield node
        for item in node.values():
            yield from _rows(item, name)


def _disfigure(row: Payload, fault: Fault) -> None:
    if fault.field is None or fault.field not in row:
        return
    if fault.remove:
        del row[fault.field]
    else:
        row[fault.field] = fault.value
