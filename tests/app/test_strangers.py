"""Whoever reaches the port: refused, bounded, escaped, and never at the cost of a loan."""

from __future__ import annotations

import ast
import asyncio
import hmac
import inspect
import time
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import product as every_combination
from typing import TYPE_CHECKING

import aiohttp
import pytest
from e2e_world import command, until
from http_world import TOKEN, Shop, a_free_port, asking, open_shop
from secret_files import write_secret
from slow_clients import come, descriptors_of, memory_of

from ltv_guard.adapters.http import door
from ltv_guard.adapters.http.door import MOST_CONNECTIONS, is_token
from ltv_guard.core.model.status import Status

if TYPE_CHECKING:
    from conftest import OpenWorld

CHANGES = ("/api/v1/pause", "/api/v1/resume", "/api/v1/ack")
FORM = "application/x-www-form-urlencoded"
WITH_TOKEN = f"Authorization: Bearer {TOKEN}"
# Head of a request, beside the path and the body; a form has the token in its body.
STRANGERS: dict[str, tuple[list[str], int]] = {
    "no token": (["Host: localhost"], 401),
    "a wrong token": (["Host: localhost", "Authorization: Bearer wrong"], 401),
    "a part of it": (["Host: localhost", WITH_TOKEN[:-1]], 401),
    "more than it": (["Host: localhost", f"{WITH_TOKEN}x"], 401),
    "it as another scheme": (["Host: localhost", f"Authorization: Basic {TOKEN}"], 401),
    "it as a cookie": (["Host: localhost", f"Cookie: token={TOKEN}"], 401),
    "a name elsewhere": (["Host: evil.example", WITH_TOKEN], 421),
    "a name that ends like ours": (["Host: evil.localhost", WITH_TOKEN], 421),
    "an address within a name": (["Host: 127.0.0.1.evil.example", WITH_TOKEN], 421),
    "no name": (["Host:", WITH_TOKEN], 421),
    "another site's page": (["Host: localhost", WITH_TOKEN, "Origin: https://evil.example"], 403),
    "a page of no origin": (["Host: localhost", WITH_TOKEN, "Origin: null"], 403),
    "a page on another port": (["Host: localhost:1", WITH_TOKEN, "Origin: http://localhost:2"], 403),
    "cross-site": (["Host: localhost", WITH_TOKEN, "Sec-Fetch-Site: cross-site"], 403),
    "same-site": (["Host: localhost", WITH_TOKEN, "Sec-Fetch-Site: same-site"], 403),
}


@pytest.mark.parametrize(("head", "status"), STRANGERS.values(), ids=STRANGERS)
async def test_a_stranger_changes_nothing_by_whatever_way(head: list[str], status: int) -> None:
    shop = Shop()
    async with open_shop(shop) as asked:
        for path, kind in every_combination(CHANGES, (FORM, "application/json")):
            body = b"reason=x&alarm=" if kind == FORM else b'{"reason": "x"}'
            if kind == FORM and WITH_TOKEN in head:
                body += f"&token={TOKEN}".encode()
            lines = [f"POST {path} HTTP/1.1", *head, f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
            answer = await asked.raw("\r\n".join([*lines, "", ""]).encode() + body)
            assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer
    assert shop.changed == [], "a stranger must never change anything"


async def test_a_token_in_the_address_or_a_name_in_the_target_is_none() -> None:
    shop = Shop()
    async with open_shop(shop) as asked:
        for target, head, status in (
            (f"/api/v1/pause?token={TOKEN}", "Host: localhost", 401),
            ("http://localhost/api/v1/pause", f"Host: evil.example\r\n{WITH_TOKEN}", 421),
        ):
            sent = f"POST {target} HTTP/1.1\r\n{head}\r\nContent-Length: 0\r\n\r\n"
            answer = await asked.raw(sent.encode())
            assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer
    assert shop.changed == [], "a stranger must never change anything"


def test_a_token_is_compared_in_constant_time_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    real = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    for given in ("", TOKEN[:1], TOKEN[:-1], TOKEN, f"{TOKEN}x", "\u00fc" * 1000):
        assert is_token(given, TOKEN) == (given == TOKEN)
    # Of one length, so that neither the time nor the length of what is compared tells anything.
    assert {(len(one), len(other)) for one, other in compared} == {(32, 32)}
    assert len(compared) == 6


def test_no_line_of_the_server_compares_a_token_by_itself() -> None:
    package = inspect.getfile(door).rpartition("/")[0]
    found = []
    for name in ("door", "server", "asked", "views", "page"):
        with open(f"{package}/{name}.py", encoding="utf-8") as source:  # noqa: PTH123 - as short as it gets
            tree = ast.parse(source.read())
        compared = (ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Compare))
        found += [said for said in compared if "token" in said]
    assert {said.rpartition(".")[2] for said in found} <= {"token is None", "token is not None"}, found


# How much they may cost.


@dataclass
class SlowShop(Shop):
    """Its status takes as long as it is told; how many are asked for at a time is noted."""

    goes_on: asyncio.Event = field(default_factory=asyncio.Event)
    now: int = 0
    most: int = 0

    async def status(self) -> Status:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.goes_on.wait()
            return await super().status()
        finally:
            self.now -= 1


async def test_of_many_who_ask_at_once_one_answer_is_made_at_a_time_and_all_get_theirs() -> None:
    shop = SlowShop()
    async with open_shop(shop) as asked:
        paths = ("/", "/metrics", "/api/v1/status") * 10
        answers = [asyncio.create_task(asked.get(path)) for path in paths]
        await until(lambda: shop.now > 0)
        for path in ("/livez", "/readyz"):
            assert (await asked.get(path))[0] == 200
        shop.goes_on.set()
        assert [status for status, _ in await asyncio.gather(*answers)] == [200] * len(paths)
        assert shop.most == 1


async def test_hundreds_who_ask_and_go_are_forgotten() -> None:
    shop = SlowShop()
    async with open_shop(shop) as asked:
        port, before = int(asked.url.rpartition(":")[2]), _tasks()
        for _ in range(300):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await writer.drain()
            writer.transport.abort()
        assert (await asked.get("/livez"))[0] == 200
        await until(lambda: _tasks() - before <= MOST_CONNECTIONS + 2)
        shop.goes_on.set()
        assert (await asked.get("/"))[0] == 200
        assert shop.now == 0


def _tasks() -> int:
    return len(asyncio.all_tasks())


async def test_a_change_that_has_begun_is_done_though_whoever_asked_hangs_up() -> None:
    shop, begun, goes_on = Shop(), asyncio.Event(), asyncio.Event()

    async def pause(account: str | None, reason: str) -> None:
        begun.set()
        await goes_on.wait()
        shop.changed.append(("pause", account or "all", reason))

    shop.pause = pause  # type: ignore[method-assign]
    async with open_shop(shop) as asked:
        asking_for_it = asyncio.create_task(asked.post("/api/v1/pause", {"reason": "x"}))
        await begun.wait()
        asking_for_it.cancel()
        await asyncio.wait([asking_for_it])
        assert (await asked.get("/livez"))[0] == 200
        goes_on.set()
        await until(lambda: shop.changed == [("pause", "all", "x")])


async def test_whoever_comes_and_goes_leaves_nothing_behind() -> None:
    async with open_shop(Shop()) as asked:
        port, loop = int(asked.url.rpartition(":")[2]), asyncio.get_running_loop()
        for _ in range(500):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.transport.abort()
        assert (await asked.get("/livez"))[0] == 200
        timers = [item for item in loop._scheduled if not item.cancelled()]  # type: ignore[attr-defined]
        assert len(timers) < MOST_CONNECTIONS * 2


@pytest.mark.parametrize(
    "many", [400, pytest.param(10_000, marks=[pytest.mark.nightly, pytest.mark.timeout(600)])]
)
async def test_slow_clients_are_bounded_and_the_guard_keeps_its_time(
    open_a_world: OpenWorld, many: int
) -> None:
    port = a_free_port()
    async with open_a_world() as world:
        write_secret(world.folder / "http.token", f"{TOKEN}\n")
        world.configure({"http": {"enabled": True, "port": port, "token_file": "http.token"}})
        async with command("run", "-c", world.config_file) as daemon, asking(port) as asked:
            await until(lambda: bool(daemon.heard("http_served")), why=lambda: daemon.output)
            assert (await asked.get("/metrics"))[0] == 200
            pid = daemon.process.pid
            memory, descriptors, seen = (
                memory_of(pid),
                descriptors_of(pid),
                len(daemon.heard("cycle_finished")),
            )
            began, most, answered, tried = time.monotonic(), 0, 0, 0
            flood = asyncio.create_task(come(port, many))
            while not flood.done():
                await asyncio.wait([flood], timeout=0.1)
                most, tried = max(most, descriptors_of(pid)), tried + 1
                with suppress(OSError, aiohttp.ClientError):
                    answered += (await asked.get("/livez"))[0] == 200
            took = time.monotonic() - began
            cycles = len(daemon.heard("cycle_finished")) - seen
            grown = memory_of(pid) - memory
            said = (
                f"{flood.result()} of {many} in {took:.1f} s: {cycles} cycles, /livez {answered} of {tried}, "
            )
            print(f"{said}{most - descriptors} descriptors, {grown / 2**20:.1f} MiB more")  # noqa: T201
            assert most - descriptors <= MOST_CONNECTIONS * 3  # some come before the oldest are gone
            assert grown < 40 * 2**20
            assert answered > 0.9 * tried
            assert cycles >= 3
            daemon.process.terminate()
            assert await daemon.ends() == 0
