"""A sandbox, a configuration and a journal; the real daemon against them; and the oracle that judges it.

The suites are the same for an order and for a pool: `Product` holds what differs between the two.

The oracle knows nothing of how the guard works: it compares what the sandbox's ledger did with what the
journal says, intent by intent.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import product as every_combination
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e_forked import BARE, PACKAGE, ForkedProcess, forked
from secret_files import write_secret

from ltv_guard.adapters.journal import open_journal
from ltv_guard.adapters.settings import Settings, load
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.timing import TIMING, Timing
from ltv_guard.sandbox import Exchange, Fault, Sandbox, parse_scenario
from ltv_guard.service import run as app

Event = dict[str, Any]
Tree = dict[str, Any]

USER, ORDER, SECOND_ORDER, LEGACY = "1", "1001", "1002", "crypto_loan_legacy"
KEY, SECRET = "key-of-one", "secret-that-nobody-may-see"
TARGETS = {"add": Decimal("0.65"), "reduce": Decimal("0.55")}
# Prices at which the loan of user 1 (30000 USD to a whole BTC) asks for an adjustment, and for none.
NEEDY = {"add": Decimal(38000), "reduce": Decimal(100000)}
CALM = Decimal(52000)
NEAR = Decimal(40_500)  # LTV 0.741, trigger 0.75
KILLED = Path(__file__).with_name("e2e_killed.py")
INSTALLED = ("-m", PACKAGE)
FORKED = (INSTALLED, (KILLED,))  # what need not be started by an interpreter of its own
SLACK = Decimal("0.003")  # marks and roundings


# What the exchange answers where the machine was too slow: after the window, or too close to the last write.
REFUSED_AS_LATE = {10002, 10006}


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One of the two shapes of a loan: its names on the wire, and user 1's loan of it.

    Both loans have the same LTV at every price: nine tenths of the pool's BTC count, for as much of the debt.
    """

    name: str
    loan_id: str
    loans: str  # the endpoint that lists them, as faults name it
    adjust_path: str
    adjust_body: Tree
    ltv_field: str
    collateral_field: str
    borrowed: Tree
    settings: Tree = field(default_factory=dict)

    def __str__(self) -> str:
        return "pool" if self.loan_id == "pool" else "order"


AN_ORDER = Product(
    name=LEGACY,
    loan_id=ORDER,
    loans="orders",
    adjust_path="/v5/crypto-loan/adjust-ltv",
    adjust_body={"orderId": ORDER},
    ltv_field="currentLTV",
    collateral_field="collateralAmount",
    borrowed={
        "orders": [
            {
                "order_id": ORDER,
                "loan_coin": "USDT",
                "debt": "30000",
                "collateral_coin": "BTC",
                "collateral": "1",
            }
        ]
    },
)
A_POOL = Product(
    name="crypto_loan",
    loan_id="pool",
    loans="position",
    adjust_path="/v5/crypto-loan-common/adjust-ltv",
    adjust_body={"currency": "BTC"},
    ltv_field="ltv",
    collateral_field="amount",
    borrowed={"pool": {"flexible": {"USDT": "27000"}, "collateral": {"BTC": "1"}}},
    settings={"collateral_preference": ["BTC"]},
)
PRODUCTS = [AN_ORDER, A_POOL]
DIRECTIONS = ["add", "reduce"]


def crossed(
    *axes: Sequence[object], stays: Callable[..., bool], tells: Callable[..., bool] = lambda *_: True
) -> list[Any]:
    """Every combination of the axes; those that only vary one that `stays` in the default suite are slow.

    What a change need not wait for (not `tells`: a class of outcome is told by another one) is run at night.
    """

    def marks(values: Sequence[object]) -> Sequence[pytest.MarkDecorator]:
        if stays(*values):
            return ()
        return (pytest.mark.slow,) if tells(*values) else (pytest.mark.nightly,)

    return [
        pytest.param(*values, id="-".join(map(str, values)), marks=marks(values))
        for values in every_combination(*axes)
    ]


def shown_first(values: Iterable[Any], number: int) -> list[Any]:
    """The values as parameters: all but the first are slow, for they tell the same of another place."""
    return [
        pytest.param(value, id=str(value), marks=() if at < number else pytest.mark.slow)
        for at, value in enumerate(values)
    ]


def also_an_order(scenario: Tree, **changes: object) -> Tree:
    """Gives user 1 one more order, 1002, beside the loan that the scenario is about."""
    orders = scenario["users"][USER].setdefault("orders", [])
    orders.append({**AN_ORDER.borrowed["orders"][0], "order_id": SECOND_ORDER, **changes})
    return scenario


BOTH_PRODUCTS = {"accounts": {"main": {"products": [AN_ORDER.name, A_POOL.name]}}}


def scenario_of(price: Decimal = CALM, product: Product = AN_ORDER, **changes: object) -> Tree:
    """User 1 owes 30000 USD to a whole BTC and has 5 BTC to add."""
    return {
        "name": "e2e",
        "market": {"coins": {"BTC": {"path": [[0, str(price)]]}}},
        "coins": {"BTC": {"tiers": [{"ratio": "0.9"}]}},
        "keys": [{"key": KEY, "secret": SECRET, "user": USER}],
        "users": {USER: {"funding": {"BTC": "5"}, **deepcopy(product.borrowed)}},
        **changes,
    }


def with_quiet_orders(scenario: Tree, count: int) -> Tree:
    """The same, and user 1 has so many orders more, from 2000 on, whose collateral moves by another price."""
    scenario["market"]["coins"]["ETH"] = {"path": [[0, "2500"]]}
    orders = scenario["users"][USER]["orders"]
    quiet = {**orders[0], "collateral_coin": "ETH", "collateral": "20"}
    orders += [{**quiet, "order_id": str(2000 + at)} for at in range(count)]
    return scenario


def config_of(url: str, folder: Path, product: Product = AN_ORDER) -> Tree:
    """A live configuration that settles in about a second; releases are on and wait for nothing."""
    return {
        "mode": "live",
        "exchange": {"base_url": url, "recv_window_ms": 1000, "request_timeout_s": 0.8},
        "accounts": {
            "main": {
                "products": [product.name],
                "api_key_file": "main.key",
                "api_secret_file": "main.secret",
            }
        },
        "schedule": {"poll_interval_s": 0.2, "settle_interval_s": 0.1, "shutdown_timeout_s": 3},
        "settlement": {"processing_margin_s": 0.2, "history_lag_s": 0.3},
        "policy": {
            "reduce": {"enabled": True, "after_s": 0, "after_foreign_add_s": 0},
            "limits": {"cooldown_s": 0},
            **product.settings,
        },
        "journal": {"url": f"sqlite:///{folder / 'journal.db'}"},
        "logging": {"format": "json"},
        "http": {"enabled": False},  # one port for all tests at once: those about it have one each
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
                looks_into_journal = not isinstance(held, bool)
                if await held if looks_into_journal else held:
                    return
                await asyncio.sleep(0.1 if looks_into_journal else 0.03)
    except TimeoutError:
        raise AssertionError(f"not within {within_s} s: {why()}") from None


@dataclass(slots=True)
class World:
    """One exchange, one configuration file, one journal."""

    folder: Path
    exchange: Exchange
    events: list[Event]
    config: Tree
    product: Product = AN_ORDER
    timing: Callable[[], Timing] = lambda: TIMING
    daemons: list[asyncio.Task[int]] = field(default_factory=list)

    # What is set up

    @property
    def config_file(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def journal_url(self) -> str:
        url: str = self.config["journal"]["url"]
        return url

    @property
    def stream_url(self) -> str:
        """Where its exchange tells prices as they change."""
        return f"{self.exchange.url.replace('http', 'ws', 1)}/v5/public/spot"

    def configure(self, changes: Mapping[str, Any]) -> None:
        self.config = merged(self.config, changes)
        self.config_file.write_text(yaml.safe_dump(self.config))

    def settings(self) -> Settings:
        return load(self.config_file, environ={}).model_copy(update={"timing": self.timing()})

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

    def ltv(self, loan_id: str | None = None, user: str = USER) -> Decimal:
        """The true LTV, unrounded, at this moment, of the product's first loan; 0 once it is gone."""
        account = self.exchange.ledger.accounts[user]
        name = loan_id or self.product.loan_id
        loan: Any = account.pool if name == "pool" else account.orders[name]
        return loan.ltv(self.exchange.moment().prices) if loan.status == "open" else Decimal(0)

    def effects(self, loan_id: str | None = None) -> list[Any]:
        """The ledger's adjustments that came over the API and have moved coins."""
        return [
            row for row in self.exchange.ledger.effects if row.by == "api" and loan_id in {None, row.loan_id}
        ]

    def by_hand(self, direction: str, amount: Decimal) -> Any:  # noqa: ANN401 - the sandbox's own row
        """What the user does to the product's first loan in the exchange's own app."""
        return self.exchange.user_adjust(USER, self.product.loan_id, direction, amount)

    def adjustments_sent(self) -> list[Tree]:
        return self.sent("adjust")

    def sent(self, *endpoints: str) -> list[Tree]:
        """What reached the exchange of these kinds of writes: adjust, repay, transfer."""
        return [entry for entry in self.exchange.writes if entry["endpoint"] in endpoints]

    def repayments(self) -> list[Any]:
        """The ledger's repayments that came over the API and have moved coins."""
        rows = self.exchange.ledger.repayments
        return [row for row in rows if row.by == "api" and row.applied_ms is not None]

    def transfers(self) -> list[Any]:
        """The ledger's transfers that have moved coins."""
        return [row for row in self.exchange.ledger.transfers.values() if row.applied_ms is not None]

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

    async def until_quiet(self) -> None:
        """Waits until nothing is open, and stays so while the guard looks twice more and sends nothing.

        That nothing is open may be true for an instant between two intents of one need.
        """
        sent = -1
        while sent != len(self.exchange.writes) or not await self.none_is_open():
            await self.until(self.none_is_open)
            sent, seen = len(self.exchange.writes), len(self.heard("cycle_finished"))
            await self.until(lambda seen=seen: len(self.heard("cycle_finished")) >= seen + 2)

    def is_at_target(self, direction: str = "add", loan_id: str | None = None) -> bool:
        """Whether the loan is where an unhindered adjustment brings it, and not beyond."""
        return TARGETS[direction] - SLACK <= self.ltv(loan_id) <= TARGETS[direction]

    async def until_settled_at_target(self, direction: str = "add", *, within_s: float = 40) -> None:
        """Waits until the loan is protected (or released), and every intent closed."""

        async def settled() -> bool:
            return self.is_at_target(direction) and await self.none_is_open()

        await self.until(settled, within_s=within_s)

    # The oracle

    async def judge(self, *, nothing_open: bool = True, twins: Sequence[Any] = ()) -> dict[str, list[Intent]]:
        """At most one effect an intent, and a journal that tells the truth. Returns intents by state."""
        intents = await judge_ledger(self.exchange, self.journal_url, nothing_open=nothing_open, twins=twins)
        by_state: dict[str, list[Intent]] = {}
        for intent in intents:
            by_state.setdefault(intent.state.value, []).append(intent)
        return by_state

    async def judged(self, *, though_struck: bool = False) -> list[Intent]:
        """The journal as it was judged, oldest first, without what a machine that stalled is to blame for.

        The exchange's log tells: it refused those requests as late or too close, and no fault had struck them
        (`though_struck`: or one that cannot have made them late). So does the journal, where a connection on
        this very machine took too long to be made.
        """
        await self.judge()
        stalled = {
            sent["timestamp"]
            for sent in self.adjustments_sent()
            if sent["ret_code"] in REFUSED_AS_LATE and (though_struck or not sent["faults"])
        }
        return [
            item
            for item in reversed(await self.intents())
            if str(item.signed_at_ms) not in stalled and "ConnectionTimeout" not in (item.ret_msg or "")
        ]

    async def ends(self) -> list[str]:
        """How every intent of `judged` ended."""
        return [intent.state.value for intent in await self.judged(though_struck=True)]

    def moved_what_was_needed(self, direction: str) -> bool:
        """Whether all that moved together is what the one need asked for, from one BTC at `NEEDY`."""
        moved = sum((row.amount for row in self.effects()), Decimal(0))
        ltv = Decimal(30000) / NEEDY[direction]
        return abs(moved - abs(ltv / TARGETS[direction] - 1)) <= SLACK


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What the ledger did for one request: to a loan, or (transfer) to the wallet of a coin."""

    endpoint: str
    subject: str
    signed_at: str
    direction: str
    amount: Decimal
    written_id: str
    maximum: Decimal | None = None


def _of_adjustment(row: Any) -> Done:  # noqa: ANN401 - the sandbox's own row
    return Done(
        endpoint="adjust",
        subject=row.loan_id,
        signed_at=row.signed_at,
        direction=row.direction,
        amount=row.amount,
        written_id=str(row.adjust_id),
        maximum=row.maximum,
    )


def _of_repayment(row: Any) -> Done:  # noqa: ANN401 - the same
    return Done(
        endpoint="repay_collateral" if row.selling else "repay_fixed" if row.debt.whole else "repay",
        subject=row.loan_id,
        signed_at=row.signed_at,
        direction="repay",
        amount=row.amount,
        written_id=f"repay-fixed-{row.repay_id}" if row.debt.fixed else f"repay-{row.repay_id}",
    )


def _of_transfer(row: Any) -> Done:  # noqa: ANN401 - the same
    return Done(
        endpoint="transfer",
        subject=row.coin,
        signed_at=row.signed_at,
        direction="transfer",
        amount=row.amount,
        written_id=row.transfer_id.replace("-", ""),
    )


# Which loan or coin a write is about, by the body that went over the wire.
SUBJECTS: dict[str, Callable[[Tree], str]] = {
    "adjust": lambda body: body.get("orderId", "pool"),
    "repay": lambda body: body.get("orderId", "pool"),
    "repay_collateral": lambda _: "pool",
    "repay_fixed": lambda _: "pool",
    "transfer": lambda body: body["coin"],
}
ENDPOINTS = {"add": "adjust", "reduce": "adjust", "repay": "repay", "transfer": "transfer"}


def _endpoint_of(intent: Intent) -> str:
    if intent.collateral_coin is not None:
        return "repay_collateral"
    return "repay_fixed" if intent.contract_id is not None else ENDPOINTS[intent.direction]


async def judge_ledger(
    exchange: Exchange, journal_url: str, *, nothing_open: bool = True, twins: Sequence[Any] = ()
) -> tuple[Intent, ...]:
    """Compares the exchange's own books with the journal. Returns the journal, newest first."""
    books = exchange.ledger
    done = [_of_adjustment(row) for row in books.effects if row.by == "api"]
    done += [_of_repayment(row) for row in books.repayments if row.by == "api" and row.applied_ms is not None]
    done += [_of_transfer(row) for row in books.transfers.values() if row.applied_ms is not None]
    journal = await open_journal(journal_url, writer=False)
    try:
        intents = await journal.list_intents()
    finally:
        await journal.close()
    sent = [entry for entry in exchange.writes if entry["endpoint"] in SUBJECTS]
    judge(intents, done, sent, nothing_open=nothing_open, twins=twins)
    return intents


def judge(
    intents: Sequence[Intent],
    effects: Sequence[Done],
    sent: Sequence[Tree],
    *,
    nothing_open: bool = True,
    twins: Sequence[Any] = (),
) -> None:
    """Compares journal, ledger and wire. An effect is traced to its send by the timestamp that was signed.

    `twins` are rows of the user's own hand that nobody could tell from an intent's: what became of that one
    is not known then, or told by the twin.
    """
    signed = {
        (_endpoint_of(item), item.key.loan_id, str(item.signed_at_ms)): item
        for item in intents
        if item.signed_at_ms
    }
    on_the_wire = Counter(
        (item["endpoint"], SUBJECTS[item["endpoint"]](json.loads(item["payload"])), item["timestamp"])
        for item in sent
    )
    assert all(times == 1 for times in on_the_wire.values()), f"a signed request left twice: {on_the_wire}"
    assert on_the_wire.keys() <= signed.keys(), "something left that was not written down before"

    of_intent: dict[str, list[Done]] = {item.intent_id: [] for item in intents}
    for row in effects:
        of_intent[signed[row.endpoint, row.subject, row.signed_at].intent_id].append(row)
    for intent in intents:
        rows = of_intent[intent.intent_id]
        told = f"{intent.state} {intent.direction} {intent.amount} with the effects {rows}"
        assert len(rows) <= 1, f"two effects of one intent: {told}"
        for row in rows:
            assert (row.direction, row.amount) == (intent.direction.value, intent.amount), told
            assert row.maximum is None or row.amount <= row.maximum, told
        likenesses = [
            str(row.adjust_id)
            for row in twins
            if (row.loan_id, row.direction, row.amount)
            == (intent.key.loan_id, intent.direction.value, intent.amount)
        ]
        match intent.state:
            case State.CONFIRMED if intent.adjust_id in likenesses:
                pass
            case State.AMBIGUOUS if likenesses:
                pass
            case State.CONFIRMED:
                assert [row.written_id for row in rows] == [intent.adjust_id], told
            case State.ABSENT | State.WITHDRAWN | State.REJECTED:
                assert not rows, told
            case _:
                assert not nothing_open, (
                    f"still open, or not known: {intent.state} {intent.direction} {intent.amount}"
                )


@asynccontextmanager
async def open_world(
    folder: Path,
    events: list[Event],
    scenario: Mapping[str, Any] | None = None,
    *,
    config: Mapping[str, Any] | None = None,
    product: Product = AN_ORDER,
    trusted: bool = True,
    timing: Callable[[], Timing] = lambda: TIMING,
) -> AsyncIterator[World]:
    """`trusted`: the journal is one that a daemon may go on with; otherwise it is new, and waits first."""
    async with Sandbox(parse_scenario(scenario or scenario_of(product=product))).serve() as exchange:
        world = World(folder, exchange, events, config_of(exchange.url, folder, product), product, timing)
        for key in exchange.scenario.keys:
            name = "main" if key.key == KEY else key.key
            write_secret(folder / f"{name}.key", key.key)
            write_secret(folder / f"{name}.secret", key.secret or "")
        world.configure(config or {})
        if trusted:
            await world.trust_journal()
        yield world


class Command:
    """The installed command in a process of its own; its output is read as it comes."""

    def __init__(self, process: asyncio.subprocess.Process | ForkedProcess) -> None:
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
    program: Sequence[object] = INSTALLED,
) -> AsyncIterator[Command]:
    """`ltv-guard ARGUMENTS`; whatever is left of it when the block ends is killed."""
    words, environ = [str(word) for word in arguments], {**BARE, **(environ or {})}
    if program in FORKED and not any(name.startswith("PYTHON") for name in environ):
        running = Command(await forked(str(program[-1]), words, environ))
    else:
        running = Command(
            await asyncio.create_subprocess_exec(
                sys.executable,
                *(str(word) for word in program),
                *words,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=environ,
            )
        )
    try:
        yield running
    finally:
        if running.process.returncode is None:
            running.process.kill()
        await running.ends()


async def ran(*arguments: object, environ: Mapping[str, str] | None = None) -> tuple[int, Command]:
    """Runs a command to its end."""
    async with command(*arguments, environ=environ) as running:
        return await running.ends(), running


async def is_killed(world: World, when: str, step: str) -> None:
    """`run` in a process that the kernel kills at one step (see e2e_killed.py)."""
    async with command(when, step, "run", "-c", world.config_file, program=(KILLED,)) as daemon:
        assert await daemon.ends() == -signal.SIGKILL, daemon.output
