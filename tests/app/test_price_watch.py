"""Prices turned into looks, with a stream that says what a test wants."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest
import structlog
from core_builders import loan, policy

from ltv_guard.core.decide.decision import Cause, Decision
from ltv_guard.core.decide.reason import Because, Reason
from ltv_guard.core.model.loans import Loan, LoanKey, Moment
from ltv_guard.core.model.policy import thresholds
from ltv_guard.guard.snapshot import CycleResult
from ltv_guard.log.alert_repeater import AlertRepeater
from ltv_guard.service.armed import Armed
from ltv_guard.service.duties import Duties
from ltv_guard.service.price_watch import PriceWatch

AT = {"USDT": Decimal(1), "BTC": Decimal(50_000)}


@dataclass
class Stream:
    """Prices by hand."""

    url: str = "ws://prices"
    prices: dict[str, Decimal] = field(default_factory=lambda: dict(AT))
    why_lost: str | None = None
    followed: frozenset[str] = frozenset()
    news: asyncio.Event = field(default_factory=asyncio.Event)
    changed: set[str] = field(default_factory=set)

    def follow(self, coins: Collection[str]) -> None:
        self.followed = frozenset(coins)

    def tell(self, **prices: int | Decimal) -> None:
        self.prices |= {coin: Decimal(price) for coin, price in prices.items()}
        self.changed |= prices.keys()
        self.news.set()

    def lose(self, why: str | None) -> None:
        self.why_lost, self.prices = why, {"USDT": Decimal(1)}
        self.news.set()

    async def moved(self) -> frozenset[str]:
        await self.news.wait()
        self.news.clear()
        found, self.changed = frozenset(self.changed), set()
        return found

    async def run(self) -> None:
        await asyncio.Event().wait()


@dataclass
class Watched:
    """A watch of two accounts, and what it did."""

    watch: PriceWatch
    stream: Stream
    woken: list[tuple[str, list[str]]]
    paces: list[tuple[str, float]]

    async def hears(self, price: Decimal) -> None:
        """One price, and what follows from it has."""
        self.stream.tell(BTC=price)
        async with asyncio.timeout(5):
            while self.stream.news.is_set():  # noqa: ASYNC110 - it waits for the end of what is set
                await asyncio.sleep(0.001)

    async def until_woken(self, times: int) -> None:
        async with asyncio.timeout(5):
            while len(self.woken) < times:  # noqa: ASYNC110 - a list signals nothing
                await asyncio.sleep(0.01)


def result(*loans: Loan, protect: bool = True, asked_s: Sequence[float] = (), **said: Any) -> CycleResult:  # noqa: ANN401
    """Each loan's page was asked for at `asked_s` (monotonic); else now."""
    asked_ms = [int(at * 1000) for at in asked_s or [time.monotonic()] * len(loans)]
    moments = [Moment(exchange_ms=at_ms, monotonic_ms=at_ms) for at_ms in asked_ms]
    asked = {item.key: moment for item, moment in zip(loans, moments, strict=True)}
    decisions = tuple(
        Decision(
            loan=item,
            policy=policy(protect=protect),
            limits=thresholds(policy(), item),
            cause=Cause.IN_BOUNDS,
            reason=Reason(kind=Because.IN_BOUNDS, ltv=item.ltv, limits=thresholds(policy(), item)),
        )
        for item in loans
    )
    return CycleResult(loans=len(loans), decisions=decisions, asked=asked, **said)


@asynccontextmanager
async def watching(*accounts: str, monotonic: Callable[[], float] = time.monotonic) -> AsyncIterator[Watched]:
    woken: list[tuple[str, list[str]]] = []
    paces: list[tuple[str, float]] = []
    stream = Stream()

    def wake(name: str, keys: Collection[LoanKey]) -> None:
        woken.append((name, sorted(item.loan_id for item in keys)))

    duties = Duties(
        guards={},
        poll_s=15,
        settle_s=2,
        shutdown_s=1,
        measure_clock=_nothing,
        heartbeat=_nothing,
        fastest_poll_s=1,
    )
    armed = Armed(lambda name, pace_s: paces.append((name, pace_s)), lambda: duties)
    watch = PriceWatch(wake, armed, AlertRepeater(lambda: 0), monotonic=monotonic)
    watch.use(stream, accounts or ("main",))
    running = asyncio.create_task(watch.run())
    try:
        yield Watched(watch, stream, woken, paces)
    finally:
        running.cancel()
        await asyncio.wait([running])


async def _nothing(*_: object) -> Any:  # noqa: ANN401
    return 0


async def test_the_account_whose_loan_crosses_is_woken_for_that_loan() -> None:
    async with watching("main", "other") as seen:
        seen.watch.saw("main", result(loan("0.60", loan_id="1"), loan("0.50", loan_id="2", held="1.2")))
        seen.watch.saw("other", result(loan("0.40", debt="20000")))
        assert seen.stream.followed == {"BTC"}
        seen.stream.tell(BTC=39_500)
        await seen.until_woken(1)
        assert seen.woken == [("main", ["1"])]
        assert seen.paces[0] == ("main", 1)


async def test_of_accounts_that_cross_at_once_the_one_furthest_beyond_its_trigger_is_woken_first() -> None:
    ltvs = {"a": "0.60", "b": "0.66", "c": "0.62", "d": "0.64"}
    async with watching(*ltvs) as seen:
        for name, ltv in ltvs.items():
            # So much is held that the order's own amounts bear the LTV out.
            seen.watch.saw(name, result(loan(ltv, held=str(Decimal("0.6") / Decimal(ltv)))))
        seen.stream.tell(BTC=35_000)
        await seen.until_woken(4)
        assert [name for name, _ in seen.woken] == ["b", "d", "c", "a"]


async def test_what_is_not_protected_or_no_longer_there_wakes_nobody() -> None:
    async with watching() as seen:
        seen.watch.saw("main", result(loan()))
        seen.watch.saw("main", result())
        assert seen.stream.followed == frozenset()
        seen.watch.saw("main", result(loan(), protect=False))
        assert seen.stream.followed == frozenset()
        seen.watch.saw("nobody", result(loan()))
        seen.stream.tell(BTC=1)
        await asyncio.sleep(0.1)
        assert seen.woken == []


async def test_a_loan_that_went_after_it_was_decided_on_costs_the_others_no_trigger() -> None:
    async with watching("one") as watched:
        both = result(loan("0.70", loan_id="1"), loan("0.70", loan_id="2"))
        asked = {key: at for key, at in both.asked.items() if key.loan_id == "2"}
        watched.watch.saw("one", replace(both, asked=asked))
        await watched.hears(Decimal(35_000))
        await watched.until_woken(1)
        assert watched.woken == [("one", ["2"])]


async def test_a_product_that_could_not_be_read_keeps_its_triggers() -> None:
    async with watching() as seen:
        seen.watch.saw("main", result(loan()))
        seen.watch.saw("main", result(blind=True))
        seen.stream.tell(BTC=39_500)
        await seen.until_woken(1)


async def test_each_page_of_a_list_has_the_prices_of_its_own_moment() -> None:
    """In a fall of 2 % a second, where the exchange reckons with other prices than the stream tells."""
    clock, price, prices = 100.0, Decimal(50_000), list[Decimal]()
    async with watching(monotonic=lambda: clock) as seen:
        for _ in range(20):
            await seen.hears(price)
            prices.append(price)
            clock, price = clock + 0.1, price * Decimal("0.998")
        pages = {"first": ("0.60", 0), "tenth": ("0.65", 9), "last": ("0.70", 19)}
        loans = [loan(ltv, loan_id=name, held="2") for name, (ltv, _) in pages.items()]
        asked_s = [100.05 + at / 10 for _, at in pages.values()]
        seen.watch.saw("main", result(*loans, asked_s=asked_s))
        for name, (ltv, at) in reversed(pages.items()):
            trigger = prices[at] * Decimal(ltv) / Decimal("0.75")
            before = list(seen.woken)
            await seen.hears(trigger * Decimal("1.001"))
            assert seen.woken == before
            clock += 1
            await seen.hears(trigger * Decimal("0.999"))
            assert seen.woken == [*before, ("main", [name])]


async def test_what_its_page_showed_below_a_line_already_is_no_crossing() -> None:
    clock = 100.0
    async with watching(monotonic=lambda: clock) as seen:
        await seen.hears(Decimal(50_000))
        clock += 1
        await seen.hears(Decimal(39_000))  # by their amounts both are beyond their triggers now
        loans = loan("0.60", loan_id="before"), loan("0.60", loan_id="after")
        seen.watch.saw("main", result(*loans, asked_s=[100.5, 101.5]))
        assert seen.woken == [("main", ["before"])]


async def test_what_could_not_be_read_keeps_the_prices_of_when_it_was() -> None:
    async with watching() as seen:
        await seen.hears(Decimal(50_000))
        seen.watch.saw("main", result(loan("0.60", held="2")))
        await seen.hears(Decimal(45_000))
        seen.watch.saw("main", result(blind=True))
        await seen.hears(Decimal(39_990))
        await seen.until_woken(1)


async def test_what_another_stream_told_is_no_price_of_a_loan() -> None:
    async with watching() as seen:
        await seen.hears(Decimal(50_000))
        seen.stream = Stream(prices={"USDT": Decimal(1)})
        seen.watch.use(seen.stream, ["main"])
        seen.watch.saw("main", result(loan("0.60", held="2")))
        await seen.hears(Decimal(39_000))
        assert seen.woken == []


async def test_a_loan_that_was_helped_in_haste_may_cross_anew_before_the_next_list() -> None:
    """It was helped at 40,000 USD from LTV 0.75 to 0.65: by its own amounts its trigger is at 34,667 now."""
    clock, before, helped = 100.0, loan("0.75"), loan("0.65", held=str(Decimal(15) / 13))
    async with watching(monotonic=lambda: clock) as seen:
        await seen.hears(Decimal(40_000))
        clock += 1
        seen.watch.saw("main", result(before))
        for adjusted in ({}, {before.key: helped}, {}):
            seen.watch.saw("main", result(before, in_haste=True, adjusted=adjusted))
        await seen.hears(Decimal(35_000))
        clock += 1
        assert seen.woken == []
        await seen.hears(Decimal(34_000))
        assert seen.woken == [("main", ["1001"])]
        seen.watch.saw("main", result(helped))  # the next list: what holds is what it shows
        clock += 1
        await seen.hears(Decimal(40_000))
        seen.watch.saw("main", result(loan("0.30", debt="15000", held="1.25")))
        clock += 1
        await seen.hears(Decimal(34_000))
        assert len(seen.woken) == 1


async def test_what_was_helped_is_known_as_such_until_it_is_read_again() -> None:
    clock, before, helped = 100.0, loan("0.75", held="1"), loan("0.65", held=str(Decimal(15) / 13))
    async with watching(monotonic=lambda: clock) as seen:
        await seen.hears(Decimal(40_000))
        seen.watch.saw("main", result(before))
        seen.watch.saw("main", result(before, in_haste=True, adjusted={before.key: helped}))
        clock += 1
        seen.watch.saw("main", result(blind=True))
        await seen.hears(Decimal(34_000))
        assert seen.woken == [("main", ["1001"])]


async def test_what_crosses_while_the_loans_are_read_is_told_after_it() -> None:
    async with watching() as seen:
        seen.stream.tell(BTC=39_500)
        seen.watch.saw("main", result(loan()))
        await seen.until_woken(1)


async def test_an_error_of_ours_costs_one_account_its_prices_until_it_is_read_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with watching("main", "other") as seen:
        for name in ("main", "other"):
            seen.watch.saw(name, result(loan(loan_id=name)))
        broken = seen.watch._accounts["main"].index
        monkeypatch.setattr(broken, "_parts", [None])
        with structlog.testing.capture_logs() as told:
            seen.stream.tell(BTC=39_500)
            await seen.until_woken(1)
            seen.stream.tell(BTC=50_000)
            await asyncio.sleep(0.1)
        assert [item["event"] for item in told if item["log_level"] != "debug"] == ["defect"]
        assert seen.woken == [("other", ["other"])]
        seen.watch.saw("main", result(loan(loan_id="main")))
        seen.stream.tell(BTC=39_500)
        await seen.until_woken(2)


async def test_a_fault_is_told_once_and_so_is_its_end_also_where_another_stream_ends_it() -> None:
    with structlog.testing.capture_logs() as told:
        async with watching() as seen:
            seen.watch.saw("main", result(loan()))
            for why in ("closed", "closed again", "silent"):
                seen.stream.lose(why)
                await asyncio.sleep(0.05)
            other = Stream(url="ws://other", prices={"USDT": Decimal(1)})
            seen.watch.use(other, ["main"])
            await asyncio.sleep(0.05)
            assert [item["event"] for item in told] == ["price_stream_lost"]
            other.tell(BTC=50_000)
            await asyncio.sleep(0.05)
    assert [item["event"] for item in told] == ["price_stream_lost", "price_stream_back"]


async def test_without_prices_the_last_ltvs_tell_who_is_near() -> None:
    async with watching() as seen:
        seen.watch.use(None, ["main"])
        seen.watch.saw("main", result(loan("0.60")))
        assert seen.paces == []
        seen.watch.saw("main", result(loan("0.74"), loan("0", loan_id="2")))
        assert seen.paces == [("main", 1)]
