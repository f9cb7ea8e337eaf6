"""An exchange whose every answer takes its time, and a daemon of one account, on a loop of made-up time."""

from __future__ import annotations

import asyncio
import itertools
import selectors
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

from exchange_model import POLICY, ModelAccount, ModelLoans, ModelPath, World, shown_loan

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.history import History
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import Channel, Kind, Loan, LoanKey, Moment, Product
from ltv_guard.core.model.policy import Rulebook, TransferRules
from ltv_guard.core.ports import Hear, Identity, SignedAdjustment
from ltv_guard.core.reconcile.settlement import SettlementTimeouts
from ltv_guard.guard.cycle import Guard
from ltv_guard.guard.snapshot import GuardOptions
from ltv_guard.guard.surroundings import AccountPorts, Surroundings

T = TypeVar("T")

POLL_S, SETTLE_S = 15.0, 2.0
STEPS = 500  # of the integral
TRIGGER = POLICY.add.trigger_ltv


class _NoWaiting(selectors.SelectSelector):
    """What a loop would wait for has passed already."""

    passed_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            msg = "nothing will ever happen any more"
            raise RuntimeError(msg)
        self.passed_s += max(0.0, timeout)
        return super().select(0)


class MadeUpTime(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._passing = _NoWaiting()
        super().__init__(self._passing)

    def time(self) -> float:
        return self._passing.passed_s


def in_made_up_time(work: Coroutine[Any, Any, T]) -> T:
    """What it returns, at once, however long it sleeps."""
    with asyncio.Runner(loop_factory=MadeUpTime) as runner:
        return runner.run(work)


@dataclass(slots=True)
class SlowWorld(World):
    """`answer_s`: how long an answer takes by the time (s).

    `history_answers`: so many pages a history has. `turn_s`: how long each turn to write is waited for. It
    notes when the breach of whom is `watched` was shown first, and when an add for it came; None: for any.
    """

    answer_s: Callable[[float], float] = lambda _: 0.05
    history_answers: int = 1
    turn_s: float = 0
    is_empty: bool = False  # what is asked for a loan by its id
    watched: LoanKey | None = None
    shown_s: float | None = None
    added: asyncio.Event = field(default_factory=asyncio.Event)
    added_s: float | None = None

    def now(self) -> Moment:
        if (late_ms := int(time_s() * 1000) - self.monotonic_ms) > 0:
            self.advance(late_ms)
        return World.now(self)

    async def answer(self, what: str) -> Moment:
        """Takes its time. Returns when the request left."""
        leaves = self.now()
        await asyncio.sleep(self.answer_s(time_s()))
        self.now()
        return leaves

    def book(self, product: Product, keys: Collection[LoanKey], asked: Moment) -> LoanBook:
        loans = tuple(shown_loan(self, key) for key in keys)
        if self.shown_s is None and any(loan.key == self.watched and loan.ltv >= TRIGGER for loan in loans):
            self.shown_s = time_s()
        return LoanBook(product=product, loans=loans, began=asked)

    def came(self, intent: Intent) -> None:
        if self.watched in {None, intent.key}:
            self.added_s = time_s()
            self.added.set()

    def answers_until_the_add(self) -> float:
        """How many, one after the other, fit between the showing and the add."""
        assert self.shown_s is not None
        assert self.added_s is not None
        width = (self.added_s - self.shown_s) / STEPS
        return sum(width / self.answer_s(self.shown_s + (at + 0.5) * width) for at in range(STEPS))


class SlowPath(ModelPath):
    world: SlowWorld

    async def history(self, since_ms: int) -> History:
        asked = await self.world.answer("history")
        rows = self.world.shown_rows(self.channel.product, self.channel.kind, since_ms)
        for _ in range(self.world.history_answers - 1):
            await self.world.answer("history")
        return History(rows=rows, began=asked)

    async def turn(self) -> bool:
        await asyncio.sleep(self.world.turn_s)
        self.world.now()
        return self.world.turn_s > 0

    async def send(self, signed: SignedAdjustment) -> str:
        self.world.now()
        try:
            return await super().send(signed)
        finally:
            await self.world.answer("send")


class SlowLoans(SlowPath, ModelLoans):
    async def loans(self, hear: Hear | None = None) -> LoanBook:
        world = self.world
        keys, size = [key for key in world.loans if key.product is self.product], world.rows_per_page
        pages = [keys[at : at + size] for at in range(0, len(keys), size)]
        parts: list[LoanBook] = []
        for page in pages:
            asked = await world.answer(f"loans {self.product}")
            parts.append(world.book(self.product, page, asked))
            if hear is not None:
                hear(parts[-1])
        return LoanBook(
            product=self.product,
            loans=tuple(loan for part in parts for loan in part.loans),
            began=parts[0].began,
            pages=len(pages),
            asked={loan.key: part.began for part in parts for loan in part.loans},
        )

    async def loan(self, key: LoanKey) -> LoanBook:
        asked = await self.world.answer("loan")
        return self.world.book(self.product, [] if self.world.is_empty else [key], asked)

    async def max_reduction(self, loan: Loan, coin: str) -> Decimal:
        await self.world.answer("maximum")
        return await super().max_reduction(loan, coin)


class SlowAccount(ModelAccount):
    world: SlowWorld

    async def identify(self) -> Identity:
        await self.world.answer("key")
        return await super().identify()

    async def wallet(self, coins: Collection[str]) -> Mapping[str, Decimal]:
        await self.world.answer("wallet")
        return await super().wallet(coins)

    async def unified(self, coins: Collection[str]) -> Mapping[str, Decimal]:
        await self.world.answer("unified")
        return await super().unified(coins)

    async def prices(self, *, again: bool = False) -> Mapping[str, Decimal]:
        await self.world.answer("prices")
        return await super().prices(again=again)


def time_s() -> float:
    return asyncio.get_running_loop().time()


async def claimed(_: Identity) -> None:
    """It is."""


class SlowAccountDaemon:
    """One account, looked at as the daemon does; `streams`: prices wake it."""

    def __init__(
        self,
        world: SlowWorld,
        *,
        transfers: bool = False,
        claim: Callable[[Identity], Awaitable[None]] = claimed,
    ) -> None:
        self.world = world
        world.on_sent = world.came
        self.journal = MemoryJournal()
        self.has_looked = asyncio.Event()
        self._woken = asyncio.Event()
        numbers, seeds = itertools.count(1), itertools.count(17, 389)
        products = list({key.product: None for key in world.loans})
        self.guard = Guard(
            GuardOptions(
                account="main",
                environment="testnet",
                live=True,
                poll_interval_ms=int(POLL_S * 1000),
                timeouts=SettlementTimeouts(processing_margin_ms=2_000, history_lag_ms=5_000),
                transfers=transfers,
            ),
            AccountPorts(
                account=SlowAccount(world),
                products=[SlowLoans(world, product) for product in products],
                others=[
                    *(SlowPath(world, Channel(product, Kind.REPAYMENT)) for product in products),
                    *([SlowPath(world, Channel(Product.FUNDING, Kind.TRANSFER))] if transfers else []),
                ],
            ),
            Surroundings(
                clock=world,
                claim=claim,
                new_id=lambda: f"i{next(numbers)}",
                seed=lambda: next(seeds),
            ),
            journal=self.journal,
            rulebook=Rulebook(default=POLICY, transfers=TransferRules(enabled=transfers)),
        )

    def wake(self, key: LoanKey) -> None:
        """Prices put it at its trigger."""
        self.guard.urge([key])
        self._woken.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            began_s = time_s()
            self._woken.clear()
            result = await self.guard.cycle()
            self.has_looked.set()
            if not (result.in_haste or result.goes_on or self._woken.is_set()):
                wait_s = SETTLE_S if result.busy else max(0.0, began_s + POLL_S - time_s())
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._woken.wait()

    async def end(self, running: asyncio.Task[None]) -> None:
        """Of `run`, and of what it has begun."""
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await self.guard.drain()
