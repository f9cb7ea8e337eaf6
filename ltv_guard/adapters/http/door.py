"""Who is let in: a bounded number of connections, each for a bounded time, by a name that is ours."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import socket
from hashlib import sha256
from typing import Any

from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest
from aiohttp.web_server import Server

MOST_CONNECTIONS = 64  # the oldest makes room for a new one: those who are slow on purpose shut nobody out
LONGEST_CONNECTION_S = 30.0
LARGEST_BODY = 4096


class Door(Server):
    """aiohttp's server, with room for so many at a time."""

    def __init__(self, *given: Any, **named: Any) -> None:  # noqa: ANN401 - as aiohttp has them
        super().__init__(*given, **named)
        self._ends: dict[RequestHandler, asyncio.TimerHandle] = {}

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        too_many = len(self._connections) - MOST_CONNECTIONS
        for oldest in list(self._connections.values())[: max(0, too_many)]:
            oldest.abort()
        self._ends[handler] = self._loop.call_later(LONGEST_CONNECTION_S, transport.abort)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        # Whoever comes and goes thousands of times in those seconds would have it keep as many of them.
        if (end := self._ends.pop(handler, None)) is not None:
            end.cancel()
        super().connection_lost(handler, exc)

    def _make_request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> BaseRequest:
        return BaseRequest(message, payload, protocol, writer, task, self._loop, client_max_size=LARGEST_BODY)


def is_ours(host: str | None, configured: str) -> bool:
    """Whether a Host header names this server. A page elsewhere can point a name of its own at any address.

    So an address will do, whichever it is, and of names only the configured one and this machine's.
    """
    name = _without_port(host or "")
    try:
        return bool(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        return name.lower().rstrip(".") in {"localhost", configured.lower(), socket.gethostname().lower()}


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def is_from_elsewhere(request: BaseRequest) -> bool:
    """Whether a browser says that another site's page sent it."""
    origin = request.headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("Host"):
        return True
    return request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}


def is_token(given: str, token: str | None) -> bool:
    """In constant time, whatever was given."""
    if token is None:
        return False
    given_bytes = given.encode(errors="surrogatepass")  # a header may hold any byte
    return hmac.compare_digest(sha256(given_bytes).digest(), sha256(token.encode()).digest())
