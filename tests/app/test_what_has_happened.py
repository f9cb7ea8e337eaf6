"""A grave event that is over when it is told: shown for a day, or until somebody takes note of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2e_world import AN_ORDER, scenario_of
from http_world import served

from ltv_guard.adapters.journal import open_journal
from ltv_guard.core.model.status import AccountStatus, AlertStatus, Health, Status
from ltv_guard.guard.defects import Defects
from ltv_guard.log.alert_repeater import MOST_SHOWN, SHOWN_MS, AlertRepeater
from ltv_guard.log.events import ONCE
from ltv_guard.service.notify.alarms import id_of
from ltv_guard.service.notify.desk import Desk, Orders, Sight

if TYPE_CHECKING:
    from conftest import OpenWorld

LIQUIDATED = {"event": "loan_liquidated", "level": "critical", "account": "main", "loan_id": "1001"}


def test_it_lasts_for_a_day_and_no_longer() -> None:
    now = 0
    alerts = AlertRepeater(lambda: now)
    alerts.happened("loan_liquidated", loan_id="1001")
    now = SHOWN_MS
    assert alerts.events(1) == ["loan_liquidated"]
    assert [lasted for _, lasted in alerts.lasting(1)] == [SHOWN_MS]
    now += 1
    assert alerts.events(1) == []


def test_it_is_shown_until_somebody_takes_note_of_it_and_by_whoever_takes_over() -> None:
    before = AlertRepeater(lambda: 0)
    before.happened("loan_liquidated", loan_id="1001")
    before.happened("loan_liquidated", loan_id="1002")
    alerts = AlertRepeater(lambda: 0)
    alerts.shows_too(before)
    noted = alerts.noted(lambda alert: alert.details["loan_id"] == "1001")
    assert [alert.details["loan_id"] for alert in noted] == ["1001"]
    assert [alert.details["loan_id"] for alert, _ in alerts.lasting(1)] == ["1002"]


def test_however_many_happen_a_bounded_number_is_held() -> None:
    alerts = AlertRepeater(lambda: 0)
    for number in range(MOST_SHOWN + 5):
        alerts.happened("loan_liquidated", loan_id=str(number))
    assert len(alerts.lasting(1)) == MOST_SHOWN


def test_the_catalogue_knows_what_is_over_when_it_is_told() -> None:
    assert {"loan_liquidated", "adjustment_ambiguous"} <= ONCE
    assert not {"guard_blind", "breach_unanswered", "needs_human"} & ONCE


@dataclass
class Phone:
    """A desk with one target, in virtual time."""

    lasting: list[AlertStatus] = field(default_factory=list)
    got: list[tuple[str, str]] = field(default_factory=list)
    now_ms: int = 1_700_000_000_000

    def happens(self, desk: Desk) -> None:
        about = AlertStatus(
            event="loan_liquidated",
            since_ms=self.now_ms,
            account="main",
            loan_id="1001",
            has_happened=True,
        )
        self.lasting.append(about)
        desk.hear(LIQUIDATED)

    def noted(self, ids: Collection[str]) -> None:
        self.lasting = [item for item in self.lasting if id_of(item) not in ids]

    def send(self, _url: str, title: str, body: str, _level: str) -> bool:
        self.got.append((title, body))
        return True

    def status(self) -> Status:
        account = AccountStatus(name="main", outcome="ok", withheld=None, unsighted_s=1, trouble=None)
        return Status(
            at_ms=self.now_ms,
            version="1",
            mode="live",
            environment="testnet",
            exchange="https://api-testnet.bybit.com",
            health=Health(troubles={}),
            accounts=(account,),
        )

    def desk(self, outbox: Any) -> Desk:  # noqa: ANN401 - the journal's
        sight = Sight(
            orders=lambda: Orders(targets={"phone": ("json://phone", "critical")}, repeat_s=300),
            outbox=lambda: outbox,
            lasting=lambda: self.lasting,
            status=self.status,
            sees_all=lambda: True,
            noted=self.noted,
        )
        return Desk(
            sight,
            self.send,
            Defects(AlertRepeater(lambda: 0)),
            now_ms=lambda: self.now_ms,
            monotonic=lambda: self.now_ms / 1000,
        )

    async def passes(self, desk: Desk, seconds: int, *, by: int = 1) -> None:
        for _ in range(0, seconds, by):
            await desk.look()
            await desk.end()
            self.now_ms += by * 1000


async def test_it_rings_each_time_and_again_until_acknowledged_and_no_end_is_told(tmp_path: Path) -> None:
    phone = Phone()
    journal = await open_journal(f"sqlite:///{tmp_path / 'journal.db'}")
    try:
        desk = phone.desk(journal.outbox)
        for _ in range(2):  # the same loan once more: rung for at once, though it is shown already
            phone.happens(desk)
            await phone.passes(desk, 3)
        titles = [title for title, _ in phone.got]
        assert titles == ["ltv-guard CRITICAL: loan_liquidated, main 1001"] * 2
        own = id_of(phone.lasting[0])
        assert all(f"ltv-guard ack {own}" in body for _, body in phone.got)
        await phone.passes(desk, 310, by=10)
        assert len(phone.got) == 3
        assert "It happened 5 min ago, and nobody has acknowledged it." in phone.got[-1][1]
        await journal.outbox.acknowledge(own[:4], phone.now_ms)
        await phone.passes(desk, 2 * 3600, by=60)
        assert (len(phone.got), phone.lasting) == (3, [])
        assert await journal.outbox.alarms() == ()
    finally:
        await journal.close()


async def test_a_liquidation_is_in_heartbeat_status_and_page_until_it_is_acknowledged(
    open_a_world: OpenWorld,
) -> None:
    async with (
        open_a_world(scenario_of(Decimal(52000), AN_ORDER), config={"mode": "dry_run"}) as world,
        served(world) as asked,
    ):
        await world.until(lambda: bool(world.heard("cycle_finished")))  # a loan never seen is not missed
        world.price(20000)
        await world.until(lambda: bool(world.heard("loan_liquidated")))
        heard = len(world.heard("cycle_finished"))
        await world.until(lambda: len(world.heard("cycle_finished")) > heard + 1)
        assert "loan_liquidated" in world.heard("cycle_finished")[-1]["critical"]
        (alert,) = [item for item in (await asked.tree())["alerts"] if item["event"] == "loan_liquidated"]
        assert alert["loan_id"] == world.heard("loan_liquidated")[0]["loan_id"]
        _, page = await asked.get("/")
        assert "shown for a day, or until acknowledged" in page

        assert len((await asked.post("/api/v1/ack", {}))[1]["acknowledged"]) >= 1

        assert "loan_liquidated" not in {item["event"] for item in (await asked.tree())["alerts"]}
        heard = len(world.heard("cycle_finished"))
        await world.until(lambda: len(world.heard("cycle_finished")) > heard + 1)
        assert "loan_liquidated" not in world.heard("cycle_finished")[-1]["critical"]
