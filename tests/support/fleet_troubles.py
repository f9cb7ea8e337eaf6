"""A fleet that is struck round after round, in the middle of a breach, while answers are lost.

Each round the price falls, so that every loan needs help; a worker is struck before that or right after. Its
accounts have to be protected by the others, each loan by what it needs and not more.
"""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import partial
from urllib.parse import parse_qs, urlsplit

from e2e_world import CALM, SLACK, TARGETS, Command, World, command, until
from fleet_world import LEASE_S, holders, loan_of, names, shares
from journal_postgres import PostgresMachine
from wires import Wire

FALL = Decimal("0.85")  # from the target to above the trigger
LOST_ANSWERS = 4
WITHIN_S = 180
WINDOW_MS, MARGIN_S = 2000, 0.2
HANDED_OVER = "ended in order: until all were handed over"
BOUND_S = LEASE_S + WINDOW_MS / 1000 + MARGIN_S + 4  # of a machine with more to do than it can


@dataclass
class Member:
    """A worker, and its wires to the journal and to the exchange."""

    journal: Wire
    exchange: Wire
    running: Command


@dataclass
class Figures:
    """`first_s`: from a worker's death to the first of its loans that was protected, a round each.

    Of one that ended in order (`HANDED_OVER`): until the others had all its accounts.
    """

    first_s: dict[str, list[float]] = field(default_factory=dict)
    rounds: int = 0

    def add(self, trouble: str, seconds: float) -> None:
        self.first_s.setdefault(trouble, []).append(seconds)

    def __str__(self) -> str:
        told = (
            f"{name}: {len(found)}, "
            f"{sorted(found)[len(found) // 2]:.1f} s (median), {max(found):.1f} s (worst)"
            for name, found in self.first_s.items()
        )
        return "\n".join((f"{self.rounds} rounds; until the first loan was protected:", *told))


def has_its_journal(worker: Command) -> bool:
    """Whether the last that it told of its journal was not that it has none."""
    told = [
        line["event"]
        for line in worker.events
        if line["event"] in {"journal_unavailable", "journal_available"}
    ]
    return told[-1:] != ["journal_unavailable"]


class FleetInTrouble:
    """`accounts` of one configuration, shared by `workers`; `pooled`: the journal's URL behind PgBouncer."""

    def __init__(
        self,
        world: World,
        stack: AsyncExitStack,
        machine: PostgresMachine,
        *,
        accounts: int,
        workers: int,
        pooled: str | None = None,
    ) -> None:
        self.figures = Figures()
        self.members: list[Member] = []
        self.every: list[Command] = []
        self._world = world
        self._stack = stack
        self._machine = machine
        self._accounts = names(accounts)
        self._workers = workers
        self._pooled = pooled
        self._price = CALM
        self._is_first = True

    async def begin(self) -> None:
        for _ in range(self._workers):
            journal = await self._stack.enter_async_context(Wire(self._to_journal))
            exchange = await self._stack.enter_async_context(Wire(self._to_exchange))
            self.members.append(Member(journal, exchange, await self._started(journal, exchange)))
        await self._until(self.is_even)

    async def end(self) -> None:
        for member in self.members:
            await self._ended_well(member)

    def takeovers(self) -> int:
        """Accounts that another worker took because their holder's lease had run out."""
        return sum(
            line["epoch"] > 1 and not line["orderly"]
            for worker in self.every
            for line in worker.heard("lease_taken")
        )

    def broken(self) -> list[object]:
        """What no trouble excuses."""
        bad = {"cycle_failed", "defect", "loan_gone", "intent_ambiguous"}
        return [line for worker in self.every for line in worker.events if line["event"] in bad]

    async def round(self, trouble: str) -> None:
        """One worker is struck; in the end all loans are safe, and the fleet is whole again."""
        self.figures.rounds += 1
        self._world.fault("close_after", endpoint="adjust", times=LOST_ANSWERS)
        struck = self.members.pop(0)
        held = await holders(self._world.journal_url)
        name = await self._name_of(struck)
        orphans = [account for account, worker in held.items() if worker == name]
        await TROUBLES[trouble](self, struck, orphans)
        self.members.append(struck)
        await self._until(self.is_even)

    # What strikes.

    async def killed(self, struck: Member, orphans: Sequence[str]) -> None:
        struck.running.process.kill()
        await self._taken_over("killed", orphans)
        struck.running = await self._started(struck.journal, struck.exchange)

    async def killed_at_work(self, struck: Member, _orphans: Sequence[str]) -> None:
        self._breach()
        await asyncio.sleep(0.3)
        struck.running.process.kill()
        await self._safe()
        struck.running = await self._started(struck.journal, struck.exchange)

    async def stopped(self, struck: Member, orphans: Sequence[str], *, for_s: float = 0) -> None:
        """It wakes up in the middle of a breach, and believes that it still holds them."""
        struck.running.process.send_signal(signal.SIGSTOP)
        stopped_at = time.monotonic()
        await self._taken_over("stopped", orphans)
        await asyncio.sleep(stopped_at + for_s - time.monotonic())
        self._breach()
        struck.running.process.send_signal(signal.SIGCONT)
        await self._safe()

    async def journal_cut(self, struck: Member, orphans: Sequence[str]) -> None:
        struck.journal.cut()
        await self._taken_over("journal cut", orphans)
        struck.journal.mend()

    async def journal_held(self, struck: Member, orphans: Sequence[str]) -> None:
        """What it wrote last arrives after others have taken its accounts."""
        struck.journal.hold()
        await self._taken_over("journal half open", orphans)
        self._breach()
        struck.journal.mend()
        await self._safe()

    async def journal_held_at_work(self, struck: Member, _orphans: Sequence[str]) -> None:
        self._breach()
        await asyncio.sleep(0.3)
        struck.journal.hold()
        await self._safe()
        struck.journal.mend()

    async def exchange_held(self, struck: Member, orphans: Sequence[str]) -> None:
        """What it sent last comes late. It holds its leases, and sees nothing: a person ends it."""
        self._breach()
        await asyncio.sleep(0.3)
        struck.exchange.hold()
        await asyncio.sleep(2)
        await self._handed_over(struck)

    async def exchange_cut(self, struck: Member, orphans: Sequence[str]) -> None:
        struck.exchange.cut()
        self._breach()
        await asyncio.sleep(1)
        await self._handed_over(struck)

    async def ended(self, struck: Member, orphans: Sequence[str]) -> None:
        """The others have its accounts soon, and wait for nothing."""
        asked_at = await self._ended_well(struck)

        def taken() -> dict[str, float]:
            lines = [line for worker in self.every for line in worker.heard("lease_taken")]
            at = [(line["account"], datetime.fromisoformat(line["timestamp"]).timestamp()) for line in lines]
            return {name: when for name, when in sorted(at) if name in orphans and when > asked_at}

        await self._until(lambda: len(taken()) == len(orphans))
        self.figures.add(HANDED_OVER, max(taken().values()) - asked_at)
        self._breach()
        await self._safe()
        struck.running = await self._started(struck.journal, struck.exchange)

    async def slow_wires(self, struck: Member, _orphans: Sequence[str]) -> None:
        struck.journal.slow(0.01)
        struck.exchange.slow(0.01)
        self._breach()
        await self._safe()
        struck.journal.mend()
        struck.exchange.mend()

    async def server_restarted(self, _struck: Member, _orphans: Sequence[str]) -> None:
        """Nothing is sent while it is down."""
        await asyncio.to_thread(self._machine.stop)
        await asyncio.sleep(0.5)  # what had been written down before that has left by now
        sent = len(self._world.adjustments_sent())
        self._breach()
        await asyncio.sleep(LEASE_S + 1)
        assert len(self._world.adjustments_sent()) == sent, "sent without a journal: it must never be"
        await asyncio.to_thread(self._machine.start)
        await self._safe()

    # What is seen.

    def is_safe(self, account: str) -> bool:
        return self._ltv(account) <= TARGETS["add"]

    async def is_even(self) -> bool:
        each = len(self._accounts) // self._workers
        return await shares(self._world.journal_url) == [each] * self._workers

    def _ltv(self, account: str) -> Decimal:
        return self._world.ltv(loan_of(account), user=str(self._accounts.index(account) + 1))

    def _breach(self) -> None:
        self._price = Decimal(38000) if self._is_first else self._price * FALL
        self._is_first = False
        self._world.price(self._price)

    async def _taken_over(self, trouble: str, orphans: Sequence[str]) -> None:
        """After a worker was struck: what it held breaches, and another protects it."""
        began = time.monotonic()
        self._breach()
        await self._until(lambda: any(map(self.is_safe, orphans)))
        self.figures.add(trouble, time.monotonic() - began)
        await self._safe()

    async def _handed_over(self, struck: Member) -> None:
        await self._ended_well(struck)
        await self._safe()
        struck.exchange.mend()
        struck.running = await self._started(struck.journal, struck.exchange)

    async def _ended_well(self, member: Member) -> float:
        """Returns when it was asked to: once it has its journal, without which it ends with status 1."""
        await self._until(lambda: has_its_journal(member.running))
        asked_at = time.time()
        member.running.process.terminate()
        assert await member.running.ends() == 0, member.running.output[-4000:]
        return asked_at

    async def _safe(self) -> None:
        """Every loan is where its need brings it, and not beyond; every intent has ended."""
        await self._until(lambda: all(map(self.is_safe, self._accounts)))
        await self._until(self._world.none_is_open)
        beyond = {name: ltv for name in self._accounts if (ltv := self._ltv(name)) < TARGETS["add"] - SLACK}
        assert not beyond, f"what is beyond the need must never be added: {beyond}"

    async def _until(self, holds: Callable[[], bool | Awaitable[bool]]) -> None:
        await until(holds, within_s=WITHIN_S, why=self._story)

    def _story(self) -> str:
        """What is not safe, and the last that each worker has told, for the message of a failed test."""
        unsafe = {name: f"{self._ltv(name):.4f}" for name in self._accounts if not self.is_safe(name)}
        told = [
            json.dumps({key: value for key, value in line.items() if key != "cycle_id"})
            for worker in self.every
            for line in [item for item in worker.events if item["event"] != "cycle_finished"][-25:]
        ]
        return "\n".join([f"round {self.figures.rounds}, unsafe: {unsafe}", *told])

    # What it is made of.

    async def _started(self, journal: Wire, exchange: Wire) -> Command:
        parts = urlsplit(self._world.journal_url)
        how = "?pooler=transaction" if self._pooled else ""
        environ = {
            "LTV_GUARD_JOURNAL__URL": f"postgresql://postgres@127.0.0.1:{journal.port}{parts.path}{how}",
            "LTV_GUARD_EXCHANGE__BASE_URL": f"http://127.0.0.1:{exchange.port}",
        }
        running = await self._stack.enter_async_context(
            command("run", "-c", self._world.config_file, environ=environ)
        )
        self.every.append(running)
        return running

    async def _name_of(self, member: Member) -> str:
        await self._until(lambda: bool(member.running.heard("lease_taken")))
        name: str = member.running.heard("lease_taken")[0]["worker"]
        return name

    async def _to_journal(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._pooled:
            return await asyncio.open_connection("127.0.0.1", urlsplit(self._pooled).port)
        (folder,) = parse_qs(urlsplit(self._world.journal_url).query)["host"]
        return await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.5432")

    async def _to_exchange(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        place = urlsplit(self._world.exchange.url)
        return await asyncio.open_connection(place.hostname, place.port)


Strike = Callable[[FleetInTrouble, Member, Sequence[str]], Awaitable[None]]
TROUBLES: dict[str, Strike] = {
    "killed": FleetInTrouble.killed,
    "killed at work": FleetInTrouble.killed_at_work,
    "stopped": FleetInTrouble.stopped,
    "stopped for long": partial(FleetInTrouble.stopped, for_s=30),
    "journal cut": FleetInTrouble.journal_cut,
    "journal half open": FleetInTrouble.journal_held,
    "journal half open at work": FleetInTrouble.journal_held_at_work,
    "exchange half open": FleetInTrouble.exchange_held,
    "exchange cut": FleetInTrouble.exchange_cut,
    "ended": FleetInTrouble.ended,
    "slow wires": FleetInTrouble.slow_wires,
    "server restarted": FleetInTrouble.server_restarted,
}
