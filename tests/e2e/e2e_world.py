"""A sandbox, a configuration and a journal; the real daemon against them; and the oracle that judges it.

The oracle knows nothing of how the guard works: it compares what the sandbox's ledger did with what the
journal says, intent by intent.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from ltv_guard import app
from ltv_guard.adapters.journal import open_journal
from ltv_guard.core.intents import Intent, State
from ltv_guard.sandbox import Exchange, Fault, Sandbox, parse_scenario
from ltv_guard.settings import Settings, load

Event = dict[str, Any]
Tree = dict[str, Any]

USER, ORDER, LEGACY = "1", "1001", "crypto_loan_legacy"
KEY, SECRET = "key-of-one", "secret-that-nobody-may-see"
TARGETS = {"add": Decimal("0.65"), "reduce": Decimal("0.55")}
# Prices at which the order of user 1 (30000 USDT on 1 BTC) asks for an adjustment, and for none.
NEEDY = {"add": Decimal(38000), "reduce": Decimal(100000)}
CALM = Decimal(52000)
SLACK = Decimal("0.003")  # marks and roundings


def scenario_of(price: Decimal = CALM, **changes: object) -> Tree:
    """User 1 owes 30000 USDT on 1 BTC and has 5 BTC to add."""
    order = {"loan_coin": "USDT", "debt": "30000", "collateral_coin": "BTC", "collateral": "1"}
    return {
        "name": "e2e",
        "market": {"coins": {"BTC": {"path": [[0, str(price)]]}}},
        "keys": [{"key": KEY, "secret": SECRET, "user": USER}],
        "users": {USER: {"funding": {"BTC": "5"}, "orders": [{"order_id": ORDER, **order}]}},
        **changes,
    }


def config_of(url: str, folder: Path) -> Tree:
    """A live configuration that settles in about a second; releases are on and wait for nothing."""
    return {
        "mode": "live",
        "exchange": {"base_url": url, "recv_window_ms": 1000, "request_timeout_s": 0.8},
        "accounts": {
            "main": {"products": [LEGACY], "api_key_file": "main.key", "api_secret_file": "main.secret"}
        },
        "schedule": {"poll_interval_s": 0.2, "settle_interval_s": 0.1, "shutdown_timeout_s": 3},
        "settlement": {"processing_margin_s": 0.2, "history_lag_s": 0.3},
        "policy": {
            "reduce": {"enabled": True, "after_s": 0, "after_foreign_add_s": 0},
            "limits": {"cooldown_s": 0},
        },
        "journal": {"url": f"sqlite:///{folder / 'journal.db'}"},
        "logging": {"format": "json"},
    }


def merged(tree: Mapping[str, Any], changes: Mapping[str, Any]) -> Tree:
    both = dict(tree)
    for key, value in changes.items():
        both[key] = merged(both[key], value) if isinstance(both.get(key), dict) and value else value
    return both


async def until(
    holds: Callable[[], bool | Awaitable[bool]], *, within_s: float = 40, why: Callable[[], object] = str
) -> None:
    """Waits for what can be observed; the bound is only there to end a test that failed."""
    try:
        async with asyncio.timeout(within_s):
            while True:
                held = holds()
                if held if isinstance(held, bool) else await held:
                    return
                await asyncio.sleep(0.03)
    except TimeoutError:
        raise AssertionError(f"not within {within_s} s: {why()}") from None


@dataclass(slots=True)
class World:
    """One exchange, one configuration file, one journal."""

    folder: Path
    exchange: Exchange
    events: list[Event]
    config: Tree
    daemons: list[asyncio.Task[int]] = field(default_factory=list)

    # What is set up

    @property
    def config_file(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def journal_url(self) -> str:
        url: str = self.config["journal"]["url"]
        return url

    def configure(self, changes: Mapping[str, Any]) -> None:
        self.config = merged(self.config, changes)
        self.config_file.write_text(yaml.safe_dump(self.config))

    def settings(self) -> Settings:
        return load(self.config_file, environ={})

    def fault(self, kind: str, **parameters: object) -> None:
        self.exchange.add_fault(Fault.model_validate({"kind": kind, **parameters}))

    def price(self, price: Decimal | int | str, coin: str = "BTC") -> None:
        self.exchange.set_price(coin, Decimal(price))

    async def trust_journal(self) -> None:
        """Seals the journal as a daemon that has waited long enough does, so that the next one need not."""
        journal = await open_journal(self.journal_url, writer=True)
        await journal.begin_run("an earlier run", 0)
        await journal.seal()
        await journal.close()

    # What runs

    @asynccontextmanager
    async def guarded(self) -> AsyncIterator[asyncio.Event]:
        """The real daemon, for as long as the block lasts; it must end well."""
        stop = asyncio.Event()
        daemon = asyncio.create_task(app.run_daemon(self.settings(), stop))
        self.daemons.append(daemon)
        try:
            yield stop
        finally:
            stop.set()
            async with asyncio.timeout(15):
                status = await daemon
        assert status == 0

    async def until(self, holds: Callable[[], bool | Awaitable[bool]], *, within_s: float = 40) -> None:
        def check() -> bool | Awaitable[bool]:
            for daemon in self.daemons:
                if daemon.done() and daemon.exception() is not None:
                    daemon.result()
            return holds()

        await until(check, within_s=within_s, why=self.story)

    def story(self) -> str:
        """What happened, for the message of a failed test."""
        news = [event for event in self.events if event["level"] != "debug"]
        told = [event for event in news if event["event"] != "cycle_finished"][-40:]
        rows = [f"{row.direction} {row.amount} by {row.by} at {row.time_ms}" for row in self.effects()]
        return "\n".join([f"LTV {self.ltv()}", *rows, *(json.dumps(event, default=str) for event in told)])

    # What can be observed

    def ltv(self, order: str = ORDER, user: str = USER) -> Decimal:
        """The true LTV, unrounded, at this moment; 0 once the loan is gone."""
        loan = self.exchange.ledger.accounts[user].orders[order]
        return loan.ltv(self.exchange.moment().prices) if loan.status == "open" else Decimal(0)

    def effects(self, order: str | None = None) -> list[Any]:
        """The ledger's adjustments that came over the API."""
        return [
            row for row in self.exchange.ledger.effects if row.by == "api" and order in {None, row.loan_id}
        ]

    def adjustments_sent(self) -> list[Tree]:
        return [entry for entry in self.exchange.writes if entry["endpoint"] == "adjust"]

    def heard(self, event: str) -> list[Event]:
        return [item for item in self.events if item["event"] == event]

    async def intents(self) -> tuple[Intent, ...]:
        """The journal, newest first."""
        journal = await open_journal(self.journal_url, writer=False)
        try:
            return await journal.list_intents()
        finally:
            await journal.close()

    async def none_is_open(self) -> bool:
        return not any(intent.is_open for intent in await self.intents())

    def is_at_target(self, direction: str = "add", order: str = ORDER) -> bool:
        """Whether the loan is where an unhindered adjustment brings it, and not beyond."""
        return TARGETS[direction] - SLACK <= self.ltv(order) <= TARGETS[direction]

    async def until_settled_at_target(self, direction: str = "add", *, within_s: float = 40) -> None:
        """Waits until the loan is protected (or released), and every intent closed."""

        async def settled() -> bool:
            return self.is_at_target(direction) and await self.none_is_open()

        await self.until(settled, within_s=within_s)

    # The oracle

    async def judge(self, *, nothing_open: bool = True) -> dict[str, list[Intent]]:
        """At most one effect an intent, and a journal that tells the truth. Returns intents by state."""
        intents = await self.intents()
        judge(intents, self.effects(), self.adjustments_sent(), nothing_open=nothing_open)
        by_state: dict[str, list[Intent]] = {}
        for intent in intents:
            by_state.setdefault(intent.state.value, []).append(intent)
        return by_state


def judge(
    intents: Sequence[Intent], effects: Sequence[Any], sent: Sequence[Tree], *, nothing_open: bool = True
) -> None:
    """Compares journal, ledger and wire. An effect is traced to its send by the timestamp that was signed."""
    signed = {(item.key.loan_id, str(item.signed_at_ms)): item for item in intents if item.signed_at_ms}
    on_the_wire = Counter((json.loads(item["payload"])["orderId"], item["timestamp"]) for item in sent)
    assert all(times == 1 for times in on_the_wire.values()), f"a signed request left twice: {on_the_wire}"
    assert on_the_wire.keys() <= signed.keys(), "something left that was not written down before"

    of_intent: dict[str, list[Any]] = {item.intent_id: [] for item in intents}
    for row in effects:
        of_intent[signed[row.loan_id, row.signed_at].intent_id].append(row)
    for intent in intents:
        rows = of_intent[intent.intent_id]
        told = f"{intent.state} {intent.direction} {intent.amount} with the effects {rows}"
        assert len(rows) <= 1, f"two effects of one intent: {told}"
        for row in rows:
            assert (row.direction, row.amount) == (intent.direction.value, intent.amount), told
            assert row.maximum is None or row.amount <= row.maximum, told
        match intent.state:
            case State.CONFIRMED:
                assert [str(row.adjust_id) for row in rows] == [intent.adjust_id], told
            case State.ABSENT | State.WITHDRAWN | State.REJECTED:
                assert not rows, told
            case _:
                assert not nothing_open, f"still open, or not known: {told}"


@asynccontextmanager
async def open_world(
    folder: Path,
    events: list[Event],
    scenario: Mapping[str, Any] | None = None,
    *,
    config: Mapping[str, Any] | None = None,
    trusted: bool = True,
) -> AsyncIterator[World]:
    """`trusted`: the journal is one that a daemon may go on with; otherwise it is new, and waits first."""
    async with Sandbox(parse_scenario(scenario or scenario_of())).serve() as exchange:
        world = World(folder, exchange, events, config_of(exchange.url, folder))
        for key in exchange.scenario.keys:
            name = "main" if key.key == KEY else key.key
            (folder / f"{name}.key").write_text(key.key)
            (folder / f"{name}.secret").write_text(key.secret or "")
        world.configure(config or {})
        if trusted:
            await world.trust_journal()
        yield world


class Command:
    """The installed command in a process of its own; its output is read as it comes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self.errors: list[str] = []
        self._reading = [
            asyncio.create_task(_read(process.stdout, self.lines)),
            asyncio.create_task(_read(process.stderr, self.errors)),
        ]

    @property
    def events(self) -> list[Event]:
        return [json.loads(line) for line in self.lines if line.startswith("{")]

    @property
    def output(self) -> str:
        return "".join([*self.lines, *self.errors])

    def heard(self, event: str) -> list[Event]:
        return [item for item in self.events if item["event"] == event]

    async def ends(self, *, within_s: float = 30) -> int:
        async with asyncio.timeout(within_s):
            status = await self.process.wait()
            await asyncio.gather(*self._reading)
        return status


async def _read(stream: asyncio.StreamReader | None, lines: list[str]) -> None:
    if stream is not None:
        while line := await stream.readline():
            lines.append(line.decode())


@asynccontextmanager
async def command(
    *arguments: object,
    environ: Mapping[str, str] | None = None,
    program: Sequence[object] = ("-m", "ltv_guard"),
) -> AsyncIterator[Command]:
    """`ltv-guard ARGUMENTS`; whatever is left of it when the block ends is killed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *(str(word) for word in (*program, *arguments)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **(environ or {})},
    )
    running = Command(process)
    try:
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await running.ends()


async def ran(*arguments: object, environ: Mapping[str, str] | None = None) -> tuple[int, Command]:
    """Runs a command to its end."""
    async with command(*arguments, environ=environ) as running:
        return await running.ends(), running
