"""LTVs and prices are noted once a minute, where somebody could look at them, and outlast a run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal

import pytest
from core_builders import loan

from ltv_guard.core.model.errors import JournalUnavailable
from ltv_guard.core.model.loans import Owner
from ltv_guard.core.model.samples import MOST_LOANS, ChartSample
from ltv_guard.core.model.status import AccountStatus, Health, LoanStatus, Status
from ltv_guard.guard.defects import Defects
from ltv_guard.log.alert_repeater import AlertRepeater
from ltv_guard.service import recorder as recorders
from ltv_guard.service.recorder import DAY_MS, Recorder, RecorderSource

NOW, MINUTE = 1_790_000_000_000, 60_000
OWNER = Owner("testnet", "1")


class Kept:
    """A journal's samples, which may fail."""

    def __init__(self) -> None:
        self.rows: list[tuple[Owner, ChartSample]] = []
        self.fails = False

    async def keep(self, owner: Owner, sample: ChartSample) -> None:
        self._check()
        self.rows.append((owner, sample))

    async def since(self, owner: Owner, since_ms: int) -> tuple[ChartSample, ...]:
        self._check()
        return tuple(item for whose, item in self.rows if whose == owner and item.at_ms >= since_ms)

    def _check(self) -> None:
        if self.fails:
            raise JournalUnavailable("full")


def a_loan(number: int) -> LoanStatus:
    none = Decimal(0)
    return LoanStatus(
        loan=loan("0.60", loan_id=str(number)),
        trigger_ltv=Decimal("0.75"),
        target_ltv=Decimal("0.65"),
        fall_to_trigger=none,
        fall_to_margin_call=none,
        fall_to_liquidation=none,
        doing="in_bounds",
        tell_reason=lambda: "",
    )


class Bench:
    def __init__(self) -> None:
        account = AccountStatus(
            name="main",
            outcome="ok",
            withheld=None,
            unsighted_s=0,
            trouble=None,
            loans=tuple(map(a_loan, range(30))),
        )
        self.status = Status(
            at_ms=NOW,
            version="1",
            mode="live",
            environment="testnet",
            exchange="https://api-testnet.bybit.com",
            health=Health(troubles={}),
            accounts=(account,),
            prices={"BTC": Decimal(50000), "DOGE": Decimal(1)},
        )
        self.kept = Kept()
        self.is_wanted = True
        self.owners = {"main": OWNER, "other": Owner("testnet", "2")}
        self.asked = 0
        self.recorder = self.another()

    def another(self) -> Recorder:
        source = RecorderSource(
            is_wanted=lambda: self.is_wanted,
            status=self.put_together,
            now_ms=lambda: self.status.at_ms,
            owners=lambda: {account.name: self.owners[account.name] for account in self.status.accounts},
            samples=lambda: self.kept,
        )
        return Recorder(source, Defects(AlertRepeater(lambda: 0)))

    def put_together(self) -> Status:
        self.asked += 1
        return self.status

    def at(self, ms: int) -> None:
        self.status = replace(self.status, at_ms=ms)

    @contextmanager
    def watched(self, recorder: Recorder) -> Iterator[None]:
        watching = asyncio.create_task(recorder.watch())
        yield
        watching.cancel()

    @property
    def shown(self) -> list[int]:
        return [item.at_ms for item in self.recorder.shown()["main"]]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(recorders, "LOOK_S", 0)
    return Bench()


async def looked(times: int = 12) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


async def test_it_notes_the_nearest_loans_and_their_prices_once_a_minute(bench: Bench) -> None:
    with bench.watched(bench.recorder):
        for later in (0, 59_999, MINUTE, MINUTE + 1):
            bench.at(NOW + later)
            await looked()
    assert [item.at_ms for _, item in bench.kept.rows] == bench.shown == [NOW, NOW + MINUTE]
    assert bench.asked == 2  # with a thousand loans that takes long
    (owner, sample), _ = bench.kept.rows
    assert owner == OWNER
    assert [int(key.loan_id) for key in sample.ltvs] == list(range(MOST_LOANS))
    assert sample.prices == {"BTC": Decimal(50000)}


async def test_a_clock_that_was_set_back_does_not_silence_it(bench: Bench) -> None:
    with bench.watched(bench.recorder):
        await looked()
        bench.at(NOW - 3_600_000)
        await looked()
    assert len(bench.kept.rows) == 2


async def test_where_nobody_can_look_nothing_is_noted(bench: Bench) -> None:
    bench.is_wanted = False
    with bench.watched(bench.recorder):
        await looked()
    assert bench.kept.rows == []


async def test_another_run_goes_on_with_the_last_day(bench: Bench) -> None:
    for ago in (DAY_MS + 1, DAY_MS - 1, MINUTE):
        bench.kept.rows.append((OWNER, ChartSample(at_ms=NOW - ago, ltvs={}, prices={})))
    with bench.watched(bench.recorder):
        await looked()
    assert bench.shown == [NOW - DAY_MS + 1, NOW - MINUTE, NOW]


async def test_a_journal_that_can_not_be_used_interrupts_no_curve(bench: Bench) -> None:
    bench.kept.rows = [(OWNER, ChartSample(at_ms=NOW - MINUTE, ltvs={}, prices={}))]
    bench.kept.fails = True
    with bench.watched(bench.recorder):
        await looked()
        assert bench.shown == [NOW]
        bench.kept.fails = False
        bench.at(NOW + MINUTE)
        await looked()
    assert bench.shown == [NOW - MINUTE, NOW, NOW + MINUTE]


async def test_a_journal_that_can_not_be_used_interrupts_no_other_account(bench: Bench) -> None:
    (account,) = bench.status.accounts
    bench.status = replace(bench.status, accounts=(account, replace(account, name="other")))
    bench.kept.fails = True
    with bench.watched(bench.recorder):
        await looked()
    assert {name: len(samples) for name, samples in bench.recorder.shown().items()} == {"main": 1, "other": 1}
