"""The server: which path answers what. Changes nothing without the token, and holds up nobody else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response

from ltv_guard.adapters.http import page, status_json, workers_json
from ltv_guard.adapters.http.asked import Asked, asked_of, is_form, token_of_form, token_of_header
from ltv_guard.adapters.http.door import Door, is_from_elsewhere, is_ours, is_token
from ltv_guard.adapters.http.page_text import POLICY
from ltv_guard.adapters.http.views import Views
from ltv_guard.core.model.defects import Defect
from ltv_guard.core.model.errors import JournalUnavailable
from ltv_guard.core.model.status import Status
from ltv_guard.log.escaping import clean

JSON, TEXT = "application/json", "text/plain"
LONGEST_REASON = 500
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "same-origin",  # with none at all, a form of the page would have no origin
    "X-Content-Type-Options": "nosniff",
}
KEEPALIVE_S = 15.0
BACKLOG = 32

Answer = Callable[[BaseRequest], Awaitable[Response]]
Change = Callable[[Asked], Coroutine[None, None, Response]]
Made = TypeVar("Made")


class HttpServer:
    """Begun by `open`, which raises OSError where it can't listen; ended by `close`."""

    def __init__(self, views: Views) -> None:
        self._views = views
        self._door: Door | None = None
        self._server: asyncio.Server | None = None
        self._making = asyncio.Lock()
        self._maker = ThreadPoolExecutor(1, "pages")  # what it makes ends soon, and a thread anew costs more
        self._reads: dict[str, Answer] = {
            "/": self._page,
            "/livez": self._livez,
            "/readyz": self._readyz,
            "/metrics": self._metrics,
            "/api/v1/status": self._status,
            "/api/v1/workers": self._workers,
        }
        self._changes: dict[str, Change] = {
            "/api/v1/pause": self._pause,
            "/api/v1/resume": self._resume,
            "/api/v1/ack": self._ack,
        }

    async def open(self, host: str, port: int) -> int:
        """Returns the port that it listens on. Raises OSError where it can't."""
        loop = asyncio.get_running_loop()
        # Whoever has gone costs nothing more: his answer is not made.
        self._door = Door(
            self._answer, handler_cancellation=True, access_log=None, keepalive_timeout=KEEPALIVE_S
        )
        self._server = await loop.create_server(self._door, host, port, backlog=BACKLOG)
        listening: int = self._server.sockets[0].getsockname()[1]
        return listening

    async def close(self) -> None:
        """Ends all connections at once; what was never opened is closed as well."""
        if self._server is not None:
            self._server.close()
        if self._door is not None:
            self._door.pre_shutdown()
            await self._door.shutdown(timeout=0.0)
        self._maker.shutdown(wait=False)

    async def _answer(self, request: BaseRequest) -> Response:
        try:
            response = await self._answered(request)
        except JournalUnavailable as error:
            response = _json(503, error=str(error))
        except Exception as error:  # noqa: BLE001 - an error of ours costs this answer, and is told
            self._views.tell(Defect(what="an answer over HTTP", error=error))
            response = _json(500, error="it could not be answered: see the log")
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    async def _answered(self, request: BaseRequest) -> Response:
        if not is_ours(request.headers.get("Host"), self._views.host):
            return _json(421, error="this server is asked for by an address, or by its own name")
        if request.path in self._changes:
            return await self._changed(request)
        answer = self._reads.get(request.path)
        if answer is None:
            return _json(404, error="there is nothing here")
        if request.method not in {"GET", "HEAD"}:
            return _json(405, error="it can only be read")
        return await answer(request)

    async def _changed(self, request: BaseRequest) -> Response:
        refused = self._refused(request)
        if refused is not None:
            return refused
        try:
            asked = await asked_of(request)
            if is_form(request) and not is_token(token_of_form(asked), self._views.token):
                return _without_token()
            # What has begun is done, also for somebody who hangs up meanwhile.
            response = await asyncio.shield(self._changes[request.path](asked))
        except ValueError as error:
            return _json(400, error=clean(str(error)))
        if is_form(request):  # of the page, which is shown again
            return Response(status=303, headers={"Location": "/"})
        return response

    def _refused(self, request: BaseRequest) -> Response | None:
        """What can be known before the body is read: of a stranger, nothing is read but a form."""
        if request.method != "POST":
            return _json(405, error="it is a POST")
        if is_from_elsewhere(request):
            return _json(403, error="it comes from another site's page")
        if self._views.token is None:
            return _json(403, error="nothing can be changed over HTTP: http.token_file is not set")
        if not is_form(request) and not is_token(token_of_header(request), self._views.token):
            return _without_token()
        return None

    async def _page(self, _request: BaseRequest) -> Response:
        may_change = self._views.token is not None
        body = await self._made(lambda status: page.as_html(status, may_change=may_change))
        policy = {"Content-Security-Policy": POLICY}
        return Response(body=body, content_type="text/html", charset="utf-8", headers=policy)

    async def _livez(self, _request: BaseRequest) -> Response:
        return Response(text="the event loop turns\n", content_type=TEXT)

    async def _readyz(self, _request: BaseRequest) -> Response:
        health = self._views.health()
        body = status_json.health_as_json(health)
        return Response(body=body, status=200 if health.is_well else 503, content_type=JSON)

    async def _status(self, _request: BaseRequest) -> Response:
        return Response(body=await self._made(status_json.as_json), content_type=JSON)

    async def _workers(self, _request: BaseRequest) -> Response:
        async with self._making:
            register = await self._views.workers()
        if register is None:
            return _json(404, error="accounts are not shared: fleet.enabled is false")
        return Response(body=workers_json.as_json(register), content_type=JSON)

    async def _metrics(self, _request: BaseRequest) -> Response:
        body, kind = await self._made(_as_metrics)
        return Response(body=body, headers={"Content-Type": kind})

    async def _made(self, make: Callable[[Status], Made]) -> Made:
        """In a thread, and one after the other: many who ask at once must not crowd out the guards."""
        async with self._making:
            status, loop = await self._views.status(), asyncio.get_running_loop()
            return await loop.run_in_executor(self._maker, make, status)

    async def _pause(self, asked: Asked) -> Response:
        reason = str(asked.get("reason") or "asked for over HTTP")[:LONGEST_REASON]
        await self._views.pause(_account(asked), reason)
        return _json(200, paused=_account(asked) or "all accounts", reason=reason)

    async def _resume(self, asked: Asked) -> Response:
        lifted = await self._views.resume(_account(asked))
        return _json(200, resumed=_account(asked) or "all accounts", lifted=lifted)

    async def _ack(self, asked: Asked) -> Response:
        return _json(200, acknowledged=await self._views.ack(str(asked.get("alarm", ""))))


def _account(asked: Asked) -> str | None:
    name = asked.get("account")
    return None if name is None else str(name)


def _without_token() -> Response:
    return _json(401, error="it needs the header 'Authorization: Bearer TOKEN'")


def _json(status: int, **body: object) -> Response:
    return Response(body=json.dumps(body).encode(), status=status, content_type=JSON)


def _as_metrics(status: Status) -> tuple[bytes, str]:
    """The text and its type. In a thread: the library is imported once it is asked for, and is 3 MB."""
    from ltv_guard.adapters.http import metrics  # noqa: PLC0415 - see above

    return metrics.as_text(status), metrics.TYPE
