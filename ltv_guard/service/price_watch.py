"""Prices turned into looks: at an account whose loan crosses its trigger, and often at those near one.

What a price says sends nothing: it has the exchange asked for the loan's own LTV, and that one decides.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import structlog

from ltv_guard.core.model.loans import LoanKey
from ltv_guard.core.ports import PriceStream
from ltv_guard.core.watch.nearness import Nearness
from ltv_guard.core.watch.told_prices import PricesThen, ToldPrices
from ltv_guard.core.watch.trigger_index import TriggerIndex
from ltv_guard.core.watch.wake_limit import WakeLimit
from ltv_guard.core.watch.watched import Watched
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.snapshot import CycleResult
from ltv_guard.log.alert_repeater import AlertRepeater
from ltv_guard.service.armed import Armed

LOOK_S = 0.5  # how often it is asked anew who is near a trigger
CONFLATED_S = 0.01  # ticks of so long a time count as one: of each coin the latest

log = structlog.stdlib.get_logger()


@dataclass(slots=True)
class WatchedAccount:
    """What is known of one account's loans between two reads of them; `adjusted`: of those helped since."""

    watched: list[Watched] = field(default_factory=list)
    index: TriggerIndex = field(default_factory=TriggerIndex)
    adjusted: dict[LoanKey, Watched] = field(default_factory=dict)
    index_of_adjusted: TriggerIndex = field(default_factory=TriggerIndex)
    nearness: Nearness = field(default_factory=Nearness)
    wakes: WakeLimit = field(default_factory=WakeLimit)


class PricesOfMoments(dict[int, PricesThen]):
    """Prices as they were told by a moment (ms), looked up once for all loans of a page."""

    def __init__(self, told: ToldPrices) -> None:
        self._told = told

    def __missing__(self, at_ms: int) -> PricesThen:
        return self.setdefault(at_ms, self._told.at(at_ms))


class PriceWatch:
    """`wake` has an account looked at, for the loans that it names; `armed` hears of those near a trigger."""

    def __init__(
        self,
        wake: Callable[[str, Collection[LoanKey]], None],
        armed: Armed,
        alerts: AlertRepeater,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wake = wake
        self._armed = armed
        self._alerts = alerts
        self._defects = Defects(alerts)
        self._monotonic = monotonic
        self._stream: PriceStream | None = None
        self._told = ToldPrices()
        self._accounts: dict[str, WatchedAccount] = {}
        self._lost_s = 0.0
        self._looked_s = 0.0
        self._other_stream = asyncio.Event()

    def use(self, stream: PriceStream | None, accounts: Collection[str]) -> None:
        """Prices come from there from now on, for these accounts."""
        self._accounts = {name: self._accounts.get(name, WatchedAccount()) for name in accounts}
        if stream is not self._stream:
            self._stream, self._told = stream, ToldPrices()
            self._other_stream.set()
        if stream is None:
            self._alerts.ended("price stream")
        self._follow()

    def saw(self, name: str, result: CycleResult) -> None:
        """The loans were read, each at prices of its own. What could not be read is as it was.

        In haste only those were that were helped: until the next list they are as that left them.
        """
        account = self._accounts.get(name)
        if account is None:
            return
        with self._defects.contained("working out trigger prices"):
            coins = account.index.coins
            if not result.in_haste:
                self._learn(account, result)
            self._learn_adjusted(account, result)
            if account.index.coins != coins:
                self._follow()
            if due := self._due(account, account.index.coins):
                self._wake(name, due)
            self._look_at(name, account)

    def _learn(self, account: WatchedAccount, result: CycleResult) -> None:
        account.index = TriggerIndex()  # what was is over, whatever goes wrong
        adjusted, account.adjusted = account.adjusted, {}
        told, asked = PricesOfMoments(self._told), result.asked
        found = [
            Watched(item.loan, item.limits.trigger, told[asked[item.loan.key].monotonic_ms])
            for item in result.decisions
            if item.policy.protect and item.loan.key in asked  # it may be gone since it was decided on
        ]
        if result.blind:
            read = {item.loan.key for item in found}
            found += (item for item in account.watched if item.loan.key not in read)
            account.adjusted = {key: item for key, item in adjusted.items() if key not in read}
        account.watched = found
        account.index = TriggerIndex(found)
        account.wakes.looked()

    def _learn_adjusted(self, account: WatchedAccount, result: CycleResult) -> None:
        account.index_of_adjusted = TriggerIndex()
        for item in result.decisions if result.adjusted else ():
            if (loan := result.adjusted.get(item.loan.key)) is not None:
                told = self._told.at(result.asked[loan.key].monotonic_ms)
                account.adjusted[loan.key] = Watched(loan, item.limits.trigger, told)
        account.index_of_adjusted = TriggerIndex(account.adjusted.values())

    async def run(self) -> None:
        """Until it is cancelled. An error of ours ends it, and is raised."""
        while True:
            self._other_stream.clear()
            works: list[Coroutine[Any, Any, object]] = [self._other_stream.wait()]
            if self._stream is not None:
                works += [self._stream.run(), self._listen(self._stream)]
            await _first_of(works)

    async def _listen(self, stream: PriceStream) -> None:
        while True:
            try:
                async with asyncio.timeout(LOOK_S):
                    moved = await stream.moved()
            except TimeoutError:
                moved = frozenset()
            self._told.saw(stream.prices, self._now_ms())
            self._tell(stream)
            self._wake_all(
                (name, due)
                for name, account in self._accounts.items()
                if account.wakes.waiting or not moved.isdisjoint(account.index.coins)
                if (due := self._due(account, moved))
            )
            if self._monotonic() - self._looked_s >= LOOK_S:
                self._looked_s = self._monotonic()
                for name, account in self._accounts.items():
                    self._look_at(name, account)
            await asyncio.sleep(CONFLATED_S)

    def _wake_all(self, woken: Iterable[tuple[str, Collection[LoanKey]]]) -> None:
        """Those first whose loans are furthest beyond their triggers: they ask the exchange in this order."""
        for name, due in sorted(woken, key=lambda item: self.gap(item[0])):
            self._wake(name, due)
            self._look_at(name, self._accounts[name])

    def gap(self, name: str) -> Decimal:
        """The part by which prices may fall before the account is at a trigger; below 0 beyond."""
        gap, account = None, self._accounts.get(name)
        with self._defects.contained("seeing who is furthest beyond a trigger"):
            gap = None if account is None else account.index.gap(self._now())
        return Decimal("Infinity") if gap is None else gap

    def _due(self, account: WatchedAccount, moved: Collection[str]) -> Collection[LoanKey]:
        """The loans of an account that these prices have it looked at for, now."""
        with self._defects.contained("comparing prices with triggers"):
            prices = self._now()
            known = [coin for coin in moved if coin in prices]
            for index in (account.index, account.index_of_adjusted):
                account.wakes.ask(index.crossed(prices, known))
            return account.wakes.due(self._now_ms())
        # Until the loans are read anew: the error would come with each tick.
        account.index = account.index_of_adjusted = TriggerIndex()
        return ()

    def _look_at(self, name: str, account: WatchedAccount) -> None:
        with self._defects.contained("seeing who is near a trigger"):
            if account.nearness.is_armed(account.index.gap(self._now()), self._now_ms()):
                self._armed.arm(name)
            else:
                self._armed.disarm(name)

    def _now(self) -> Mapping[str, Decimal]:
        return {} if self._stream is None else self._stream.prices

    def _follow(self) -> None:
        if self._stream is not None:
            self._stream.follow(
                frozenset(coin for account in self._accounts.values() for coin in account.index.coins)
            )

    def _tell(self, stream: PriceStream) -> None:
        """One word at the start of a fault and one at its end, whatever else goes wrong in between."""
        if stream.why_lost is None:
            if len(stream.prices) > 1 and self._alerts.ended("price stream"):
                log.info("price_stream_back", seconds=round(self._monotonic() - self._lost_s))
        elif self._alerts.changed("price stream", "lost"):
            self._lost_s = self._monotonic()
            log.warning("price_stream_lost", why=stream.why_lost, stream=stream.url)

    def _now_ms(self) -> int:
        return int(self._monotonic() * 1000)


async def _first_of(works: Iterable[Coroutine[Any, Any, object]]) -> None:
    """Until the first has ended; the others are cut off. Raises what that one raises."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
