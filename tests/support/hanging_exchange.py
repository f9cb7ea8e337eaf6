"""An exchange that answers in 50 ms, but for what hangs, and a daemon of one account, in made-up time.

A read is given up after two tries of 4 s, a write after one, as the client does.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal

from exchange_model import POLICY, ModelAccount, ModelLoans, ModelPath, a_world
from exchange_world import HELD, OWED
from slow_exchange import SlowWorld, time_s

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.errors import ExchangeUnavailable, WriteOutcomeUnknown
from ltv_guard.core.model.history import History
from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import Channel, Kind, LoanKey, Product
from ltv_guard.core.model.policy import LoanPolicy, Rulebook, TransferRules
from ltv_guard.core.ports import Hear, Identity, SignedAdjustment
from ltv_guard.core.reconcile.settlement import SettlementTimeouts
from ltv_guard.guard.cycle import Guard
from ltv_guard.guard.snapshot import GuardOptions
from ltv_guard.guard.surroundings import AccountPorts, Surroundings

QUICK_S, READ_GIVEN_UP_S, WRITE_GIVEN_UP_S = 0.05, 8.5, 4.0


@dataclass(slots=True)
class Hung(SlowWorld):
    """`hangs`: what does not answer."""

    hangs: set[str] = field(default_factory=set)
    quick_s: float = QUICK_S
    takes_s: dict[str, float] = field(default_factory=dict)  # what takes longer
    empty: bool = False  # a loan that is asked for by its id is not listed
    left: list[tuple[float, LoanKey]] = field(default_factory=list)
    asked: list[tuple[float, str]] = field(default_factory=list)

    async def said(self, what: str, given_up_s: float = READ_GIVEN_UP_S) -> None:
        self.now()
        self.asked.append((time_s(), what))
        if what in self.hangs:
            await asyncio.sleep(given_up_s)
            self.now()
            raise ExchangeUnavailable(f"{what}: no answer")
        await asyncio.sleep(self.takes_s.get(what, self.quick_s))
        self.now()


class _Path(ModelPath):
    world: Hung

    async def history(self, since_ms: int) -> History:
        asked = self.world.now()
        await self.world.said(f"history {self.channel.product} {self.channel.kind}")
        return History(
            rows=self.world.shown_rows(self.channel.product, self.channel.kind, since_ms), began=asked
        )

    async def turn(self) -> bool:
        return False

    async def send(self, signed: SignedAdjustment) -> str | None:
        world = self.world
        world.now()
        intent = signed.body.intent
        world.left.append((time_s(), intent.key))
        found = await super().send(signed)
        what = f"send {intent.key.loan_id}"
        try:
            await world.said(what, WRITE_GIVEN_UP_S)
        except ExchangeUnavailable as error:
            raise WriteOutcomeUnknown("no answer") from error
        return found


class _Loans(_Path, ModelLoans):
    async def loans(self, hear: Hear | None = None) -> LoanBook:
        world = self.world
        keys = [key for key in world.loans if key.product is self.product]
        pages = [keys[at : at + world.rows_per_page] for at in range(0, len(keys), world.rows_per_page)]
        parts = []
        for page in pages:
            asked = world.now()
            await world.said(f"loans {self.product}")
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
        asked = self.world.now()
        await self.world.said("loan")
        return self.world.book(self.product, [] if self.world.empty else [key], asked)


class _Account(ModelAccount):
    world: Hung

    async def wallet(self, coins: Collection[str]) -> Mapping[str, Decimal]:
        await self.world.said("wallet")
        return await super().wallet(coins)

    async def unified(self, coins: Collection[str]) -> Mapping[str, Decimal]:
        await self.world.said("unified")
        return await super().unified(coins)

    async def prices(self, *, again: bool = False) -> Mapping[str, Decimal]:
        await self.world.said("prices")
        return await super().prices(again=again)


async def claimed(_: Identity) -> None:
    """It is."""


class Daemon:
    """As that of `slow_exchange`: each 15 s, after 2 s where it is busy, at once where prices wake it."""

    def __init__(
        self, world: Hung, *, policy: LoanPolicy = POLICY, transfers: bool = False, streams: bool = False
    ) -> None:
        self.world = world
        self.journal = MemoryJournal()
        self.results: list[object] = []
        self._woken = asyncio.Event()
        numbers, seeds = itertools.count(1), itertools.count(17, 389)
        products = list({key.product: None for key in world.loans})
        rules = replace(TransferRules(), enabled=transfers)
        self.guard = Guard(
            GuardOptions(
                account="main",
                environment="testnet",
                live=True,
                timeouts=SettlementTimeouts(processing_margin_ms=2_000, history_lag_ms=5_000),
                transfers=transfers,
            ),
            AccountPorts(
                account=_Account(world),
                products=[_Loans(world, product) for product in products],
                others=[
                    *(_Path(world, Channel(product, Kind.REPAYMENT)) for product in products),
                    _Path(world, Channel(Product.FUNDING, Kind.TRANSFER)),
                ],
            ),
            Surroundings(
                clock=world,
                claim=claimed,
                new_id=lambda: f"i{next(numbers)}",
                seed=lambda: next(seeds),
                prices=(lambda: {HELD: world.price, OWED: Decimal(1)}) if streams else dict,
            ),
            journal=self.journal,
            rulebook=Rulebook(default=policy, transfers=rules),
        )

    def wake(self, key: LoanKey) -> None:
        self.guard.urge([key])
        self._woken.set()

    async def run(self) -> None:
        while True:
            began_s = time_s()
            self._woken.clear()
            result = await self.guard.cycle()
            self.results.append(result)
            if not (result.in_haste or result.goes_on or self._woken.is_set()):
                wait_s = 1.0 if result.busy else max(0.0, began_s + 15 - time_s())
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._woken.wait()


def a_hung_world(*ltvs: str, pool: str | None = None, per_page: int = 100, unified: str = "0") -> Hung:
    plain = a_world(*ltvs, pool=pool, unified=unified)
    return Hung(loans=plain.loans, wallet=plain.wallet, unified=plain.unified, rows_per_page=per_page)


def falls(world: Hung, key: LoanKey, ltv: str) -> None:
    """That loan alone: it borrows more, say."""
    loan = world.loans[key]
    world.now()
    loan.debt *= Decimal(ltv) / world.ltv(key)
    world.note()


async def added_after_s(daemon: Daemon, key: LoanKey, since_s: float, within_s: float = 60) -> float:
    while time_s() < since_s + within_s:
        for at_s, whom in daemon.world.left:
            if whom == key and at_s >= since_s:
                return at_s - since_s
        await asyncio.sleep(0.05)
    return float("inf")


async def crossing(world: Hung, whom: LoanKey, ltv: str, hangs: Collection[str], **how: object) -> float:
    daemon = Daemon(world, **how)  # type: ignore[arg-type]
    running = asyncio.create_task(daemon.run())
    await asyncio.sleep(40)
    world.hangs |= set(hangs)
    falls(world, whom, ltv)
    began_s = time_s()
    daemon.wake(whom)
    found = await added_after_s(daemon, whom, began_s)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return found
