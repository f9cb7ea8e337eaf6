"""A daemon of a world, served over HTTP on a port of its own; and raw requests to it."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import aiohttp
from e2e_world import World, merged, until
from secret_files import write_secret

from ltv_guard.adapters.http.server import HttpServer
from ltv_guard.core.model.defects import Defect
from ltv_guard.core.model.leases import FleetRegister, FleetStatus
from ltv_guard.core.model.samples import ChartSample
from ltv_guard.core.model.status import AccountStatus, AlertStatus, Health, Status
from ltv_guard.guard.defects import Defects
from ltv_guard.log.alert_repeater import AlertRepeater

TOKEN = "a-token-that-nobody-may-see"


def a_free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@dataclass(frozen=True)
class Served:
    url: str
    session: aiohttp.ClientSession

    async def raw(self, request: bytes, *, ends: bool = False) -> bytes:
        """The head of the answer to these bytes; `ends`: after which nothing more comes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", int(self.url.rpartition(":")[2]))
        writer.write(request)
        if ends:
            writer.write_eof()
        async with asyncio.timeout(10):
            try:
                return await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError as error:
                return error.partial
            finally:
                writer.close()

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        async with self.session.get(self.url + path, headers=headers) as answer:
            return answer.status, await answer.text()

    async def tree(self, path: str = "/api/v1/status") -> Any:  # noqa: ANN401 - JSON
        async with self.session.get(self.url + path) as answer:
            return await answer.json()

    async def post(
        self, path: str, body: object = None, *, token: str | None = TOKEN, **headers: str
    ) -> tuple[int, Any]:
        sent = {**headers, **({"Authorization": f"Bearer {token}"} if token is not None else {})}
        async with self.session.post(self.url + path, json=body, headers=sent) as answer:
            return answer.status, await answer.json()


@asynccontextmanager
async def served(world: World, config: Mapping[str, Any] | None = None) -> AsyncIterator[Served]:
    """The real daemon in this process, once it listens."""
    port = a_free_port()
    write_secret(world.folder / "http.token", TOKEN + "\n")
    http = {"enabled": True, "port": port, "token_file": "http.token"}
    world.configure(merged({"http": http}, config or {}))
    async with world.guarded(), asking(port) as asked:
        await world.until(lambda: bool(world.heard("http_served")))
        yield asked


@dataclass
class Shop:
    """Views without a daemon behind them: what was changed through the server is noted."""

    token: str | None = TOKEN
    host: str = "127.0.0.1"
    troubles: dict[str, str] = field(default_factory=dict)
    accounts: tuple[AccountStatus, ...] = ()
    alerts: tuple[AlertStatus, ...] = ()
    changed: list[tuple[str, ...]] = field(default_factory=list)
    at_ms: int = 0
    samples: dict[str, tuple[ChartSample, ...]] = field(default_factory=dict)
    prices: dict[str, Decimal] | None = None
    fleet: FleetStatus | None = None
    register: FleetRegister | None = None
    defects: Defects = field(
        default_factory=lambda: Defects(AlertRepeater(lambda: int(time.monotonic() * 1000)))
    )

    def tell(self, defect: Defect) -> None:
        self.defects.tell(defect)

    def health(self) -> Health:
        return Health(troubles=self.troubles)

    async def status(self) -> Status:
        return Status(
            at_ms=self.at_ms,
            version="1",
            mode="live",
            environment="testnet",
            exchange="https://api-testnet.bybit.com",
            health=self.health(),
            accounts=self.accounts,
            alerts=self.alerts,
            samples=self.samples,
            prices=self.prices,
            fleet=self.fleet,
        )

    async def workers(self) -> FleetRegister | None:
        return self.register

    async def pause(self, account: str | None, reason: str) -> None:
        if account not in {None, "main"}:
            raise ValueError(f"there is no account {account}")
        self.changed.append(("pause", account or "all", reason))

    async def resume(self, account: str | None) -> bool:
        self.changed.append(("resume", account or "all"))
        return True

    async def ack(self, alarm_id: str) -> list[str]:
        self.changed.append(("ack", alarm_id))
        return [alarm_id]


@asynccontextmanager
async def open_shop(shop: Shop) -> AsyncIterator[Served]:
    """The server alone."""
    server = HttpServer(shop)
    port = await server.open("127.0.0.1", 0)
    try:
        async with asking(port) as asked:
            yield asked
    finally:
        await server.close()


@asynccontextmanager
async def asking(port: int) -> AsyncIterator[Served]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        yield Served(f"http://127.0.0.1:{port}", session)


async def until_ready(asked: Served, ready: int) -> None:
    async def is_so() -> bool:
        return (await asked.get("/readyz"))[0] == ready

    await until(is_so)
