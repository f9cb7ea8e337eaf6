"""The HTTP server of a run: opened beside the guards once they have begun, and opened anew by a reload."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import structlog

from ltv_guard.core.model.defects import Defect
from ltv_guard.core.model.errors import JournalUnavailable
from ltv_guard.core.model.leases import FleetRegister
from ltv_guard.core.model.samples import ChartSample
from ltv_guard.core.model.status import Health, Status
from ltv_guard.guard.defects import Defects
from ltv_guard.service.notify.alarms import id_of
from ltv_guard.service.rounds import rounds

if TYPE_CHECKING:
    from ltv_guard.adapters.http.server import HttpServer

SERVER = "ltv_guard.adapters.http.server"
LOOK_S = 1.0
AGAIN_S = 60.0  # a port that can't be had is tried again after this

log = structlog.stdlib.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listens:
    """Where to listen, and who may change something. `host` None: nowhere."""

    host: str | None
    port: int
    token: str | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Implements `adapters.http.views.Views`. `acknowledged`: id of an alarm -> when (wall time, ms)."""

    listens: Callable[[], Listens]
    health: Callable[[], Health]
    see: Callable[[], Status]
    pause: Callable[[str | None, str], Awaitable[None]]
    resume: Callable[[str | None], Awaitable[bool]]
    ack: Callable[[str], Awaitable[list[str]]]
    waiting: Callable[[], Awaitable[Mapping[str, int]]]
    acknowledged: Callable[[], Awaitable[Mapping[str, int]]]
    samples: Callable[[], Mapping[str, Sequence[ChartSample]]]
    tell: Callable[[Defect], None]
    register: Callable[[], Awaitable[FleetRegister]] | None = None

    @property
    def token(self) -> str | None:
        """What a POST must carry, by the settings in force; None: nothing may be changed."""
        return self.listens().token

    @property
    def host(self) -> str:
        """The address that it listens on, by the settings in force; empty where it listens on none."""
        return self.listens().host or ""

    async def status(self) -> Status:
        """What is seen now, and what the journal has of it: what waits, acknowledgements, charts."""
        seen = self.see()
        waiting: Mapping[str, int] = {}
        acknowledged: Mapping[str, int] = {}
        with suppress(JournalUnavailable):
            waiting = await self.waiting()
            if seen.alerts:
                acknowledged = await self.acknowledged()
        alerts = [replace(item, acknowledged_ms=acknowledged.get(id_of(item))) for item in seen.alerts]
        return replace(seen, alerts=alerts, notices_waiting=waiting, samples=self.samples())

    async def workers(self) -> FleetRegister | None:
        """Who of a fleet guards what, as the journal has it; None: accounts are not shared."""
        return None if self.register is None else await self.register()


class Web:
    """`has_begun`: whether the first cycles are over. Nothing of the server is imported before."""

    def __init__(
        self, shown: Shown, has_begun: Callable[[], bool], defects: Defects, *, look_s: float = LOOK_S
    ) -> None:
        self._shown = shown
        self._has_begun = has_begun
        self._defects = defects
        self._look_s = look_s
        self._server: HttpServer | None = None
        self._at: tuple[str | None, int] = (None, 0)
        self._refused = 0.0

    async def watch(self) -> None:
        """Until it is cancelled."""
        try:
            await rounds("the HTTP server", self._look, self._look_s, self._defects)
        finally:
            await self._close()

    async def _look(self) -> None:
        if not self._has_begun():
            return
        listens = self._shown.listens()
        wanted, now = (listens.host, listens.port), asyncio.get_running_loop().time()
        is_news = wanted != self._at
        if not is_news and (self._server is not None or listens.host is None or now < self._refused):
            return
        await self._close()
        self._at, self._refused = wanted, now + AGAIN_S
        if listens.host is not None:
            await self._open(listens.host, listens.port, is_news=is_news)

    async def _open(self, host: str, port: int, *, is_news: bool) -> None:
        # In a thread: the guards go on meanwhile, and importing opens files.
        module = await asyncio.to_thread(importlib.import_module, SERVER)
        server: HttpServer = module.HttpServer(self._shown)
        try:
            port = await server.open(host, port)
        except (OSError, ValueError) as error:
            await server.close()
            if is_news:
                why = getattr(error, "strerror", None) or str(error)
                log.warning("http_not_served", host=host, port=port, why=why)
        else:
            self._server = server
            log.info("http_served", host=host, port=port)

    async def _close(self) -> None:
        if self._server is not None:
            await self._server.close()
            self._server = None
