"""The wire: a request read as bytes, carried out through the API, answered in the exchange's envelope."""

from __future__ import annotations

import asyncio
from collections import deque
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from ltv_guard.sandbox import mishaps
from ltv_guard.sandbox.api import ENDPOINTS
from ltv_guard.sandbox.calls import Call, Endpoint, authenticate, carry_out, parse_params, target_of
from ltv_guard.sandbox.exchange import Exchange
from ltv_guard.sandbox.faults import Fault
from ltv_guard.sandbox.limits import Allowance
from ltv_guard.sandbox.payloads import Payload
from ltv_guard.sandbox.refusals import Refusal
from ltv_guard.sandbox.signatures import SignedRequest, check_window

REMEMBERED = 50
BANNED = "<html><body><h1>403 Forbidden</h1><p>access too frequent</p></body></html>"


class Wire:
    """Answers /v5/ requests; everything that was received is counted and logged."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self._late: set[asyncio.Task[None]] = set()
        self._answered: dict[str, deque[tuple[Decimal, str]]] = {}

    async def close(self) -> None:
        """Gives up what would still have been applied late."""
        for task in self._late:
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Handle one request under /v5/."""
        raw = await request.read()
        exchange = self.exchange
        exchange.callers[request.remote or ""] += 1
        if exchange.scenario.market.start == "first_request":
            exchange.start()
        if not exchange.limits.admits_address(request.remote or "", exchange.clock.real_s()):
            return web.Response(status=403, text=BANNED, content_type="text/html")
        endpoint = ENDPOINTS.get(request.path)
        if endpoint is None or endpoint.method != request.method:
            exchange.requests[f"refused {request.method} {request.path}"] += 1
            return web.Response(status=404, text="404 page not found")
        return await self._answer(request, *self._read(request, endpoint, raw))

    def _read(self, request: web.Request, endpoint: Endpoint, raw: bytes) -> tuple[Call, Refusal | None]:
        query = request.raw_path.partition("?")[2]
        header = request.headers.get
        signed = SignedRequest(
            key=header("X-BAPI-API-KEY", ""),
            timestamp=header("X-BAPI-TIMESTAMP", ""),
            recv_window=header("X-BAPI-RECV-WINDOW", ""),
            signature=header("X-BAPI-SIGN", ""),
            payload=raw if endpoint.writes else query.encode(),
        )
        unreadable: Refusal | None = None
        params: Payload = {}
        try:
            params = parse_params(endpoint, parse_qsl(query, keep_blank_values=True), raw)
        except Refusal as refused:
            unreadable = refused
        call = Call(endpoint=endpoint, signed=signed, params=params, address=request.remote or "")
        target = target_of(endpoint, params, self.exchange.keys.get(signed.key))
        call.faults = self.exchange.faults.take(target, self.exchange.clock.real_s())
        if shift := call.fault("clock_offset"):
            call.clock_shift_ms = shift.offset_ms
        if call.fault("cursor_loop"):
            call.params.pop("cursor", None)
        return call, unreadable

    async def _answer(
        self, request: web.Request, call: Call, unreadable: Refusal | None
    ) -> web.StreamResponse:
        log = self._log(request, call)
        if fault := call.fault("close_before"):
            return await mishaps.lose(request, fault)
        if fault := call.fault("hang_before"):
            return await mishaps.lose(request, fault, mishaps.duration_s(fault))
        if fault := call.fault("redirect"):
            return mishaps.redirect(fault)
        if fault := call.fault("apply_late"):
            return await self._apply_late(request, call, unreadable, fault, log)
        if useless := next((fault for fault in call.faults if fault.kind in mishaps.USELESS), None):
            return self._answer_uselessly(call, unreadable, useless, log)
        envelope, headers = self._outcome(call, unreadable, log)
        return await self._deliver(request, call, envelope, headers)

    def _answer_uselessly(
        self, call: Call, unreadable: Refusal | None, fault: Fault, log: dict[str, Any]
    ) -> web.Response:
        """Carries it out or not, as the fault says, and tells nothing. A 403 with `seconds` is a ban."""
        envelope = self._envelope(call, 0, "OK", {})
        if fault.applied:
            envelope, _ = self._outcome(call, unreadable, log)
        if fault.kind == "http_error" and fault.status == web.HTTPForbidden.status_code and fault.seconds:
            self.exchange.limits.ban(call.address, self.exchange.clock.real_s(), fault.seconds)
        return mishaps.useless_answer(fault, envelope)

    async def _deliver(
        self, request: web.Request, call: Call, envelope: Payload, headers: dict[str, str]
    ) -> web.StreamResponse:
        if fault := call.fault("close_after"):
            return await mishaps.lose(request, fault)
        if fault := call.fault("hang_after"):
            return await mishaps.lose(request, fault, mishaps.duration_s(fault))
        if fault := call.fault("slow"):
            await asyncio.sleep(mishaps.duration_s(fault, Decimal(1)))
        text = mishaps.spoil(envelope, call.faults)
        return mishaps.json_response(self._as_cached(call, text), headers)

    def _as_cached(self, call: Call, text: str) -> str:
        """What was answered at that path long enough ago, where a fault says so."""
        now_s = self.exchange.clock.real_s()
        earlier = self._answered.setdefault(call.endpoint.path, deque(maxlen=REMEMBERED))
        fault = call.fault("old_answer")
        if fault is None or fault.seconds is None:
            earlier.append((now_s, text))
            return text
        old = [told for at_s, told in earlier if now_s - at_s >= fault.seconds]
        return old[-1] if old else text

    def _outcome(
        self, call: Call, unreadable: Refusal | None, log: dict[str, Any]
    ) -> tuple[Payload, dict[str, str]]:
        """Authenticate and carry out, now."""
        allowance = None
        try:
            allowance = self._admit(call, unreadable)
            envelope = self._envelope(call, 0, "OK", carry_out(self.exchange, call))
        except Refusal as refused:
            envelope = self._envelope(call, refused.code, refused.message, {})
            allowance = refused.allowance if isinstance(refused, _TooMany) else allowance
        log["ret_code"] = envelope["retCode"]
        return envelope, self._limit_headers(allowance)

    def _admit(self, call: Call, unreadable: Refusal | None) -> Allowance | None:
        allowance = authenticate(self.exchange, call)
        if allowance and not allowance.granted:
            raise _TooMany(allowance)
        if unreadable:
            raise unreadable
        return allowance

    async def _apply_late(
        self, request: web.Request, call: Call, unreadable: Refusal | None, fault: Fault, log: dict[str, Any]
    ) -> web.StreamResponse:
        """Admit now, apply after a delay. The window counts at arrival, or at application."""
        try:
            allowance = self._admit(call, unreadable)
        except Refusal as refused:
            log["ret_code"] = refused.code
            envelope = self._envelope(call, refused.code, refused.message, {})
            return await self._deliver(request, call, envelope, {})
        outcome: asyncio.Future[Payload] = asyncio.get_running_loop().create_future()

        async def apply() -> None:
            await asyncio.sleep(float(fault.delay_s))
            outcome.set_result(self._late_outcome(call, fault, log))

        task = asyncio.create_task(apply())
        self._late.add(task)
        task.add_done_callback(self._late.discard)
        if fault.answer == "given":
            envelope = await outcome
            return await self._deliver(request, call, envelope, self._limit_headers(allowance))
        return await mishaps.lose(request, fault, mishaps.duration_s(fault) if fault.answer == "hung" else 0)

    def _late_outcome(self, call: Call, fault: Fault, log: dict[str, Any]) -> Payload:
        try:
            if fault.check == "application":
                check_window(call.signed, self.exchange.clock.now_ms() + call.clock_shift_ms)
            envelope = self._envelope(call, 0, "OK", carry_out(self.exchange, call))
        except Refusal as refused:
            envelope = self._envelope(call, refused.code, refused.message, {})
        log["ret_code"] = envelope["retCode"]
        return envelope

    def _envelope(self, call: Call, code: int, message: str, result: Payload) -> Payload:
        now = self.exchange.clock.now_ms() + call.clock_shift_ms
        return {"retCode": code, "retMsg": message, "result": result, "retExtInfo": {}, "time": now}

    def _limit_headers(self, allowance: Allowance | None) -> dict[str, str]:
        if allowance is None:
            return {}
        reset = self.exchange.clock.now_ms() + int(allowance.wait_s * 1000)
        return {
            "X-Bapi-Limit": str(allowance.limit),
            "X-Bapi-Limit-Status": str(allowance.left),
            "X-Bapi-Limit-Reset-Timestamp": str(reset),
        }

    def _log(self, request: web.Request, call: Call) -> dict[str, Any]:
        exchange, endpoint, signed = self.exchange, call.endpoint, call.signed
        exchange.requests[f"{endpoint.method} {endpoint.path}"] += 1
        entry = {
            "time_ms": exchange.clock.now_ms(),
            "method": request.method,
            "path": endpoint.path,
            "endpoint": endpoint.name,
            "key": signed.key,
            "timestamp": signed.timestamp,
            "recv_window": signed.recv_window,
            "signature": signed.signature,
            "sign_type": request.headers.get("X-BAPI-SIGN-TYPE", ""),
            "payload": signed.payload.decode(errors="replace"),
            "content_type": request.headers.get("Content-Type", ""),
            "faults": [fault.kind for fault in call.faults],
            "ret_code": None,
        }
        (exchange.writes if endpoint.writes else exchange.reads).append(entry)
        return entry


class _TooMany(Refusal):
    def __init__(self, allowance: Allowance) -> None:
        super().__init__(10006, "Too many visits. Exceeded the API Rate Limit.")
        self.allowance = allowance
