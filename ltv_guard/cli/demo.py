"""`ltv-guard demo`: the sandbox, and the real daemon against it, beside an unguarded twin of its loan."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from ltv_guard import sandbox
from ltv_guard.adapters.settings import Settings, load
from ltv_guard.adapters.settings.shipped import shipped
from ltv_guard.cli import terminal
from ltv_guard.cli.demo_screen import Screen
from ltv_guard.cli.demo_view import DemoRecord, line_of, sum_up
from ltv_guard.cli.exit_status import exits
from ltv_guard.cli.options import no_config_option
from ltv_guard.cli.scenario import played, scenario_file
from ltv_guard.log import format as logs
from ltv_guard.log.escaping import clean
from ltv_guard.sandbox.state import state_of
from ltv_guard.service import run as app

LOOK_S = 0.25
LINE_EVERY = 8  # looks, where there is no terminal to redraw
SETTLE_S = 1.5  # after the scenario's end, for what is under way
USUAL_PORT = 9464
SLACK_S = 15.0  # beyond the scenario's own length: then something is wrong

Playing = tuple[sandbox.Exchange, asyncio.Task[int], Settings]


@click.command("demo")
@no_config_option("the demo", "its loans and its policy are its own; `ltv-guard plan -c FILE` shows yours")
@click.option(
    "--scenario", help="A file, or the name of one that ships.", default="flash_crash", show_default=True
)
@exits
def command(scenario: str) -> int:
    """Watch a loan survive a crash that liquidates its unguarded twin.

    Example: ltv-guard demo --scenario slow_decline
    """
    return asyncio.run(played(_run(scenario_file(scenario))))


async def _run(scenario: Path) -> int:
    """Plays a scenario. Status 1 if the guarded loan was lost."""
    console = terminal.console()
    watched = DemoRecord()
    with tempfile.TemporaryDirectory(prefix="ltv-guard-demo-") as folder:
        async with _playing(scenario, Path(folder)) as (exchange, daemon, settings):
            screen = _screen(settings, console)
            console.print(Text(clean(exchange.scenario.name), "bold"), end=": ")
            console.print(clean(exchange.scenario.about))
            console.print("Two equal loans. ltv-guard keeps one of them, nobody the other.")
            console.print(f"Its page, while this runs: {screen.page}\n", soft_wrap=True)
            await _show(exchange, daemon, console, watched, screen)
        state = state_of(exchange, wire=False)
    return sum_up(state, watched, console)


@contextlib.asynccontextmanager
async def _playing(scenario: Path, folder: Path) -> AsyncIterator[Playing]:
    """The sandbox and the daemon, until the block is left."""
    async with sandbox.Sandbox(scenario).serve() as exchange:
        settings = load(
            shipped("sandbox.yaml"),
            environ={
                "LTV_GUARD_EXCHANGE__BASE_URL": exchange.url,
                "LTV_GUARD_JOURNAL__URL": f"sqlite:///{folder / 'journal.db'}",
                "LTV_GUARD_HTTP__PORT": str(_free_port()),
            },
        )
        with (folder / "log.jsonl").open("w") as stream:
            logs.configure(style="json", stream=stream)
            stop = asyncio.Event()
            daemon = asyncio.create_task(app.run_daemon(settings, stop))
            try:
                yield exchange, daemon, settings
            finally:
                stop.set()
                await daemon
                logs.configure(style="console", level="CRITICAL", stream=sys.stderr)


def _free_port() -> int:
    """The usual one, unless a guard (or who else) has it."""
    for port in (USUAL_PORT, 0):
        with socket.socket() as tried, contextlib.suppress(OSError):
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(("127.0.0.1", port))
            found: int = tried.getsockname()[1]
            return found
    return USUAL_PORT


def _screen(settings: Settings, console: Console) -> Screen:
    return Screen(
        trigger=settings.policy.add.trigger_ltv,
        pool_margin_call=settings.policy.pool_terms.margin_call_ltv,
        page=f"http://127.0.0.1:{settings.http.port}",
        unicode=console.encoding.startswith("utf"),
    )


async def _show(
    exchange: sandbox.Exchange,
    daemon: asyncio.Task[int],
    console: Console,
    watched: DemoRecord,
    screen: Screen,
) -> None:
    """A live table on a terminal, a plain line every few seconds elsewhere."""
    market = exchange.market
    deadline = time.monotonic() + float(market.length_s / market.plan.speed_up) + SLACK_S
    ended_at: float | None = None
    looks = 0
    live = Live(console=console, auto_refresh=False) if console.is_terminal else None
    with live or contextlib.nullcontext():
        while time.monotonic() < deadline and not daemon.done():
            state = state_of(exchange, wire=False)
            watched.look(state)
            if live is not None:
                live.update(screen.show(state, watched), refresh=True)
            elif looks % LINE_EVERY == 0:
                console.print(line_of(state), soft_wrap=True)
            looks += 1
            if state["ended"] and ended_at is None:
                ended_at = time.monotonic()
            if ended_at is not None and time.monotonic() - ended_at > SETTLE_S:
                return
            await asyncio.sleep(LOOK_S)
