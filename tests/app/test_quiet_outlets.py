"""What outlets do while nothing happens: as little as may be (benchmarks/outlets.py has the figures)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from core_builders import loan
from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from ltv_guard.adapters.http import metrics
from ltv_guard.core.model.status import AccountStatus, AlertStatus, Counts, Health, LoanStatus, Status
from ltv_guard.guard.defects import Defects
from ltv_guard.log.alert_repeater import AlertRepeater
from ltv_guard.service.notify.desk import Desk, Orders, Sight
from ltv_guard.service.rounds import rounds
from ltv_guard.service.spans import Spans
from ltv_guard.service.web import Listens, Shown

if TYPE_CHECKING:
    import pytest

D = Decimal
ODD = 'a "name"\nof \\ others, {é}'


def item(name: str) -> LoanStatus:
    of = loan("0.7")
    return LoanStatus(
        loan=replace(of, key=replace(of.key, loan_id=name)),
        trigger_ltv=D("0.75"),
        target_ltv=D("0.65"),
        fall_to_trigger=D("0.0667"),
        fall_to_margin_call=D("0.17"),
        fall_to_liquidation=D("0.26"),
        doing="none",
        tell_reason=lambda: "",
    )


def status(*alerts: AlertStatus) -> Status:
    took = Spans()
    took.add(0.07)
    counts = Counts(
        requests={"ok": 4, ODD: 2},
        adjustments={("add", "confirmed"): 3},
        cycles=took.shown,
        breaches=took.shown,
    )
    account = AccountStatus(
        name="main",
        outcome="ok",
        withheld=None,
        unsighted_s=1.25,
        trouble=None,
        loans=(item("1001"), item(ODD)),
        wallet={"BTC": D("1E-8"), ODD: D(10**9)},
        counts=counts,
    )
    return Status(
        at_ms=0,
        version="1",
        mode="live",
        environment="testnet",
        exchange="https://api-testnet.bybit.com",
        health=Health(troubles={}),
        accounts=(account,),
        alerts=alerts,
        uses_stream=True,
        prices={"BTC": D("50000.5")},
        notices_waiting={"phone": 2},
    )


class Library(Collector):
    def collect(self) -> Iterator[Metric]:
        return metrics.families(status())


def test_metrics_are_written_byte_for_byte_as_the_library_writes_them() -> None:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Library())
    assert metrics.as_text(status()) == generate_latest(registry)


async def test_all_looks_of_one_pause_come_in_the_same_turn_of_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop, looks = asyncio.get_running_loop(), []
    monkeypatch.setattr(loop, "time", lambda: 1000.37)
    for pause_s in (1.0, 0.25):
        sleeps: list[float] = []

        async def slept(seconds: float, sleeps: list[float] = sleeps) -> None:
            sleeps.append(seconds)
            raise asyncio.CancelledError

        async def look() -> None:
            looks.append(1)

        with monkeypatch.context() as patched:
            patched.setattr(asyncio, "sleep", slept)
            task = asyncio.ensure_future(rounds("x", look, pause_s, Defects(AlertRepeater(lambda: 0))))
            await asyncio.wait([task])
        assert round(1000.37 + sleeps[0], 6) % pause_s == 0
    assert looks == [1, 1]


class Untouchable:
    """An outbox that nobody may ask."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"{name} was asked for")


class BlankOnce:
    """An outbox without anything in it, that counts how often it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def alarms(self) -> tuple[()]:
        self.asked.append("alarms")
        return ()

    async def waiting(self, target: str) -> tuple[()]:
        self.asked.append(f"waiting {target}")
        return ()


async def test_a_desk_that_knows_of_nothing_puts_nothing_together_and_asks_no_journal() -> None:
    outbox: object = BlankOnce()
    orders = Orders(targets={"phone": ("json://phone", "warning")}, digest_at=480)

    def no_status() -> Status:
        raise AssertionError("all was put together")

    sight = Sight(
        orders=lambda: orders,
        outbox=lambda: outbox,  # type: ignore[arg-type, return-value] # as much as is asked for
        lasting=list,
        status=no_status,
        sees_all=lambda: True,
    )
    desk = Desk(sight, lambda *_: True, Defects(AlertRepeater(lambda: 0)), now_ms=lambda: 0)
    assert desk.may_hold_any(orders)  # an earlier run may have left something
    for _ in range(3):
        await desk.look()
        await desk.end()
    assert isinstance(outbox, BlankOnce)
    assert sorted(outbox.asked) == ["alarms", "waiting phone"]
    assert not desk.may_hold_any(orders)
    outbox = Untouchable()
    await desk.look()


async def test_acknowledgements_are_looked_up_only_while_something_is_wrong() -> None:
    asked = []

    async def acknowledged() -> dict[str, int]:
        asked.append(1)
        return {}

    async def waiting() -> dict[str, int]:
        return {}

    shown = status()

    async def refused(*_: object) -> list[str]:
        raise AssertionError

    views = Shown(
        listens=lambda: Listens(host="127.0.0.1", port=1),
        health=lambda: shown.health,
        see=lambda: shown,
        pause=refused,  # type: ignore[arg-type] # never called
        resume=refused,  # type: ignore[arg-type]
        ack=refused,
        waiting=waiting,
        acknowledged=acknowledged,
        samples=dict,
        tell=lambda _: None,
    )
    await views.status()
    assert asked == []
    shown = status(AlertStatus(event="guard_blind", since_ms=0))
    await views.status()
    assert asked == [1]
