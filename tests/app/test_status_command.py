"""`ltv-guard status` shows what the running daemon sees, and says so where none answers."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from e2e_world import NEEDY, ORDER, ran
from http_world import a_free_port, served
from rich.console import Console

from ltv_guard.adapters.http.status_json import as_tree
from ltv_guard.cli.status import look
from ltv_guard.cli.status_table import is_calm, shown
from ltv_guard.cli.terminal import console
from ltv_guard.core.model.status import AccountStatus, Health, Status

if TYPE_CHECKING:
    from conftest import OpenWorld


async def test_it_shows_the_loans_and_that_nothing_is_wrong(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world, served(world):
        status, said = await ran("status", "-c", world.config_file)
        assert (status, said.errors) == (0, [])
        for word in ("nothing is wrong", ORDER, "0.75", "0.95"):
            assert word in said.output
        status, said = await ran("status", "-c", world.config_file, "--json")
        assert status == 0
        assert json.loads(said.output)["accounts"]["main"]["loans"][0]["loan_id"] == ORDER


async def test_what_is_wrong_is_shown_and_is_exit_status_1(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world, served(world, {"mode": "dry_run"}):
        world.price(NEEDY["add"])
        await world.until(lambda: bool(world.heard("breach_unanswered")))
        status, said = await ran("status", "-c", world.config_file)
        assert status == 1
        for word in ("breach_unanswered", "dry_run", "nothing is sent"):
            assert word in said.output


@pytest.mark.parametrize(("http", "status"), [({"enabled": True}, 1), ({"enabled": False}, 2)])
async def test_where_no_daemon_answers_it_says_what_to_look_at(
    open_a_world: OpenWorld, http: dict[str, bool], status: int
) -> None:
    async with open_a_world() as world:
        world.configure({"http": {**http, "port": a_free_port()}})
        ended, said = await ran("status", "-c", world.config_file)
        assert ended == status
        (sentence,) = said.errors
        assert ("no daemon answers" in sentence) == (status == 1)
        assert ("http.enabled" in sentence) == (status == 2)


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        ({"environment": "mainnet"}, "it guards main (mainnet, OURS), and this names main (testnet, OURS)"),
        ({"exchange": "http://there"}, "main (testnet, http://there), and this names main (testnet, OURS)"),
        ({"accounts": {"other": {}}}, "it guards other (testnet, OURS), and this names main (testnet, OURS)"),
        ({"accounts": {}}, "it guards no account (testnet, OURS)"),
        (None, "something else than ltv-guard answers"),
    ],
)
async def test_another_daemon_on_its_port_is_not_taken_for_its_own(
    open_a_world: OpenWorld, theirs: dict[str, object] | None, said: str
) -> None:
    async with open_a_world() as world, AsyncExitStack() as stack:
        exchange = world.settings().exchange.rest_url
        tree = {**status_tree(exchange), **theirs} if theirs is not None else {"accounts": {"main": {}}}
        port = await stack.enter_async_context(answering(tree))
        world.configure({"http": {"enabled": True, "port": port}})
        for flags in ((), ("--json",), ("--watch",)):
            status, ran_ = await ran("status", "-c", world.config_file, *flags)
            assert status == 1
            (sentence,) = ran_.errors
            assert said.replace("OURS", exchange) in sentence
            assert ("http.port" in sentence) == (theirs is not None)


async def test_who_watches_sees_that_the_daemon_is_gone_and_that_it_is_back(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world:
        world.configure({"http": {"enabled": True, "port": a_free_port()}})
        loaded = world.settings()

        async def seen() -> tuple[str, bool]:
            seen_now, calm = await asyncio.to_thread(look, loaded)
            recorded = Console(width=200, record=True, file=io.StringIO())
            recorded.print(seen_now)
            return recorded.export_text(), calm

        for _ in range(2):
            assert "no daemon answers" in (await seen())[0]
            async with answering(status_tree(loaded.exchange.rest_url), loaded.http.port):
                assert ("nothing is wrong" in (await seen())[0], (await seen())[1]) == (True, True)


def status_tree(exchange: str) -> dict[str, object]:
    """Of a daemon of user 1's that is well."""
    account = AccountStatus(name="main", outcome="ok", withheld=None, unsighted_s=1, trouble=None)
    return as_tree(
        Status(
            at_ms=0,
            version="1",
            mode="live",
            environment="testnet",
            exchange=exchange,
            health=Health(troubles={}),
            accounts=(account,),
        )
    )


@asynccontextmanager
async def answering(tree: object, port: int = 0) -> AsyncIterator[int]:
    """A server that says so, whatever it is asked."""

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response(tree)

    app = web.Application()
    app.router.add_get("/{rest:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def test_all_is_calm_only_without_troubles_and_alerts() -> None:
    assert is_calm({"ready": True, "alerts": []})
    assert not is_calm({"ready": True, "alerts": [{}]})
    assert not is_calm({"ready": False, "alerts": []})


def test_a_narrow_terminal_shows_ids_and_reasons_unbroken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    loan = {
        "loan_id": "1883197367624138752",
        "ltv": "0.5124",
        "trigger_ltv": "0.75",
        "margin_call_ltv": "0.87",
        "liquidation_ltv": "0.95",
        "fall_to_liquidation": "0.461",
        "reason": "LTV 0.5124 is within bounds",
    }
    account = {"withheld": {"kind": "paused", "detail": "lunch"}, "set_aside": [], "loans": [loan]}
    terminal = console()
    with terminal.capture() as captured:
        terminal.print(shown({**status_tree("http://here"), "accounts": {"main": account}}))
    said = captured.get()
    for words in (loan["loan_id"], loan["reason"], "nothing is sent: paused (lunch)"):
        assert words in said, said
