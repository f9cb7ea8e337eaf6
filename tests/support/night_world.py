"""An account for a night in virtual time: its exchange shows what it is told to show.

The truth is in the world of the state machines (`exchange_model`); `Shown` is what is shown beside it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, ClassVar

from exchange_model import (
    MARGIN_MS,
    POLICY,
    ModelAccount,
    ModelLoans,
    ModelPath,
    World,
    key_of,
)

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.history import History
from ltv_guard.core.model.loan_book import LoanBook, LoanEnd, SetAside
from ltv_guard.core.model.loans import Channel, Kind, Loan, LoanKey, Product
from ltv_guard.core.model.policy import LoanPolicy, Rulebook, TransferRules, WalletRules
from ltv_guard.core.ports import Hear, Identity, Oddity, SignedAdjustment
from ltv_guard.core.reconcile.settlement import SettlementTimeouts
from ltv_guard.guard.cycle import Guard
from ltv_guard.guard.settings_match import Matcher, Matches
from ltv_guard.guard.snapshot import GuardOptions
from ltv_guard.guard.surroundings import AccountPorts, Surroundings
from ltv_guard.service.duties import Duties
from ltv_guard.service.scheduler import Daemon

ONE = key_of(1)
KEY = Identity(
    user_id="7", vip_level="VIP0", read_only=False, can_withdraw=False, can_adjust=True, ip_bound=True
)


@dataclass(slots=True)
class Shown:
    """What the exchange shows or answers beside what the world knows. By loan: what differs of it, or how.

    `once` differs in the next read only. `read_takes_ms` is how long all loans take to be read.
    """

    differs: dict[LoanKey, dict[str, Any]] = field(default_factory=dict)
    once: dict[LoanKey, dict[str, Any]] = field(default_factory=dict)
    aside: tuple[SetAside, ...] = ()
    ends: dict[LoanKey, LoanEnd | Exception] = field(default_factory=dict)
    identity: Identity = KEY
    no_identity: Exception | None = None
    no_maximum: Exception | None = None
    prices: dict[str, Decimal] = field(default_factory=dict)
    oddities: list[Oddity] = field(default_factory=list)
    refusals: list[Exception] = field(default_factory=list)
    history_comes: asyncio.Event | None = None
    history_lacks: bool = False
    read_takes_ms: int = 0
    defect_in_prices: bool = False


class NightPath(ModelPath):
    """A way to write, as `ModelPath`, that may refuse in any way and whose history may take its time."""

    shown: Shown

    async def history(self, since_ms: int) -> History:
        if self.shown.history_comes is not None:
            await self.shown.history_comes.wait()
        found = await super().history(since_ms)
        return replace(found, rows=()) if self.shown.history_lacks else found

    async def send(self, signed: SignedAdjustment) -> str:
        if self.shown.refusals:
            raise self.shown.refusals.pop(0)
        return await super().send(signed)


class NightLoans(NightPath, ModelLoans):
    """A product, as `ModelLoans`, whose loans may be shown otherwise than they are."""

    async def loans(self, hear: Hear | None = None) -> LoanBook:
        book = await super().loans()
        shown = tuple(map(self._shown, book.loans))
        aside = tuple(item for item in self.shown.aside if item.key.product is self.product)
        there = tuple(loan for loan in shown if loan.key not in {item.key for item in aside})
        self.world.advance(self.shown.read_takes_ms)
        return replace(book, loans=there, set_aside=aside)

    async def loan(self, key: LoanKey) -> LoanBook:
        book = await super().loans()
        return replace(book, loans=tuple(self._shown(loan) for loan in book.loans if loan.key == key))

    def _shown(self, loan: Loan) -> Loan:
        changes = {**self.shown.differs.get(loan.key, {}), **self.shown.once.pop(loan.key, {})}
        return replace(loan, **{name: to(loan) if callable(to) else to for name, to in changes.items()})

    async def end_of(self, loan: Loan) -> LoanEnd | None:  # type: ignore[override]
        end = self.shown.ends.get(loan.key)
        if isinstance(end, Exception):
            raise end
        return end

    async def collateral_coins(self) -> Collection[str]:
        return {"BTC", "ETH"}

    async def max_reduction(self, loan: Loan, coin: str) -> Decimal:
        if self.shown.no_maximum is not None:
            raise self.shown.no_maximum
        return await super().max_reduction(loan, coin)


class NightAccount(ModelAccount):
    """The account, as `ModelAccount`, with a key that may change and prices that may be odd."""

    shown: Shown

    async def identify(self) -> Identity:
        if self.shown.no_identity is not None:
            raise self.shown.no_identity
        return self.shown.identity

    async def prices(self, *, again: bool = False) -> Mapping[str, Decimal]:
        if self.shown.defect_in_prices:
            raise ZeroDivisionError
        return {**await super().prices(again=again), **self.shown.prices}


class Night:
    """An account with its exchange, journal and guard, as the daemon runs it; time passes between cycles."""

    latest: ClassVar[Night]

    def __init__(self, world: World, **changes: object) -> None:
        Night.latest = self
        self.world = world
        self.shown = Shown()
        self.journal = MemoryJournal()
        self.clock_is_off_ms: int | Exception = 0
        ids = itertools.count(1)
        self.new_id: Callable[[], str] = lambda: f"i{next(ids)}"
        self._seeds = itertools.count(17, 389)
        self.start(**changes)

    def start(
        self,
        *,
        policy: LoanPolicy = POLICY,
        wallet: WalletRules | None = None,
        transfers: TransferRules | None = None,
        matches: bool = False,
        may_transfer: bool = False,
        **options: object,
    ) -> None:
        """A process that has just started; what an earlier one knew is in the journal only."""
        rulebook = Rulebook(
            default=policy, wallet=wallet or WalletRules(), transfers=transfers or TransferRules()
        )
        products = list({key.product: None for key in self.world.loans})
        loans = [NightLoans(self.world, product) for product in products]
        account = NightAccount(self.world)
        others = [
            *(Channel(product, Kind.REPAYMENT) for product in products),
            Channel(Product.FUNDING, Kind.TRANSFER),
        ]
        paths = [NightPath(self.world, channel) for channel in others]
        for part in (account, *loans, *paths):
            part.shown = self.shown
        margins = SettlementTimeouts(processing_margin_ms=MARGIN_MS, history_lag_ms=5_000)
        named = {"account": "main", "environment": "testnet", "live": True, "timeouts": margins}
        named["transfers"] = may_transfer
        matcher = Matcher(
            "main",
            rulebook,
            account=account,
            products=loans,
            matches=Matches({"main": ()}),
            clock=self.world,
            taken_for_granted=(),
        )
        self.guard = Guard(
            GuardOptions(**{**named, **options}),
            AccountPorts(
                account=account,
                products=loans,
                others=paths,
                oddities=lambda: tuple(self.shown.oddities),
            ),
            Surroundings(
                clock=self.world,
                new_id=lambda: self.new_id(),  # noqa: PLW0108 - it may be made to fail
                seed=lambda: next(self._seeds),
                claim=self._claim,
            ),
            journal=self.journal,
            rulebook=rulebook,
            matcher=matcher if matches else None,
        )
        self.daemon = Daemon(
            Duties(
                guards={"main": self.guard},
                poll_s=15,
                settle_s=2,
                shutdown_s=1,
                measure_clock=self._measure,
                heartbeat=self._claim,
            )
        )

    async def _claim(self, *_: object) -> None:
        """Nobody else has this user."""

    async def _measure(self) -> int:
        if isinstance(self.clock_is_off_ms, Exception):
            raise self.clock_is_off_ms
        return self.clock_is_off_ms

    async def cycles(self, count: int = 1, *, every_ms: int = 2_000) -> None:
        for _ in range(count):
            await self.daemon._cycle("main")
            await asyncio.sleep(0)  # what is told beside the cycles, as of a loan that is gone
            await asyncio.sleep(0)
            self.world.advance(every_ms)

    async def look_at_clock(self) -> None:
        await self.daemon._look_at_clock()

    async def end(self) -> None:
        await self.guard.drain()

    def price_for(self, ltv: str, key: LoanKey = ONE) -> None:
        """The price moves to where this loan has that LTV."""
        self.world.price = self.world.price * self.world.ltv(key) / Decimal(ltv)
        self.world.note()
