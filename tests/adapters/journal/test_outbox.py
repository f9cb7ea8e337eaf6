"""What people are to be told waits in the journal until it is delivered; alarms outlast a run."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from ltv_guard.adapters.journal import open_journal
from ltv_guard.adapters.journal.outbox import MOST_WAITING
from ltv_guard.core.model.notices import Alarm, Notice


def notice(number: int, target: str = "phone", **changes: object) -> Notice:
    given = {"level": "critical", "title": f"title {number}", "body": "a\nb", "made_at_ms": number}
    return Notice(notice_id=f"{number:032x}", target=target, **{**given, **changes})  # type: ignore[arg-type]


ALARM = Alarm(
    alarm_id="3f9ac0de",
    event="breach_unanswered",
    account="main",
    product="crypto_loan_legacy",
    loan_id="1001",
    since_ms=1,
    told_at_ms=2,
)


async def test_what_waits_is_read_back_in_order_until_it_is_delivered(url: str) -> None:
    journal = await open_journal(url)
    await journal.outbox.keep([notice(2), notice(1), notice(3, target="desk")])
    await journal.close()
    journal = await open_journal(url)
    assert await journal.outbox.waiting("phone") == (notice(1), notice(2))
    assert await journal.outbox.counted() == {"phone": 2, "desk": 1}
    await journal.outbox.delivered([notice(1).notice_id])
    assert await journal.outbox.waiting("phone") == (notice(2),)
    await journal.close()


async def test_of_too_many_the_newest_are_kept(url: str) -> None:
    journal = await open_journal(url)
    await journal.outbox.keep([notice(number) for number in range(MOST_WAITING + 7)])
    held = await journal.outbox.waiting("phone")
    assert [item.made_at_ms for item in held] == list(range(7, MOST_WAITING + 7))
    await journal.close()


async def test_alarms_are_kept_changed_acknowledged_and_over(url: str) -> None:
    journal = await open_journal(url)
    other = replace(ALARM, alarm_id="00000001", loan_id="1002")
    await journal.outbox.keep([], [ALARM, other])
    assert await journal.outbox.acknowledge("3f9", 50) == (replace(ALARM, acknowledged_at_ms=50),)
    noticed = replace(ALARM, acknowledged_at_ms=50, acknowledged_ltv=Decimal("0.7895"))
    await journal.outbox.keep([], [noticed], over=["00000001"])
    assert await journal.outbox.alarms() == (noticed,)
    assert await journal.outbox.acknowledge("nothing", 60) == ()
    assert await journal.outbox.acknowledge("", 60) == (replace(ALARM, acknowledged_at_ms=60),)
    await journal.close()


async def test_what_no_database_takes_is_kept_escaped(url: str) -> None:
    journal = await open_journal(url)
    await journal.outbox.keep([notice(1, title="\x00\ud800", body="\x00\nb" + "x" * 9000)])
    (held,) = await journal.outbox.waiting("phone")
    assert "\x00" not in held.title + held.body
    assert held.body.count("\n") == 1
    await journal.close()


# Several daemons on one database.


async def test_a_daemon_sees_acknowledges_and_ends_its_own_alarms_alone(url: str) -> None:
    journal = await open_journal(url)
    one, other = journal.outbox_of(["1"]), journal.outbox_of(["2"])
    await one.keep([], [ALARM])
    assert await other.alarms() == ()
    await other.keep([], [replace(ALARM, told_at_ms=9)])
    assert await one.alarms() == (ALARM,)
    assert await other.acknowledge("3f9", 50) == (replace(ALARM, told_at_ms=9, acknowledged_at_ms=50),)
    assert await one.alarms() == (ALARM,)
    await other.keep([], over=[ALARM.alarm_id])
    assert (await one.alarms(), await other.alarms()) == ((ALARM,), ())
    assert await other.acknowledge("", 60) == ()
    assert len(await journal.outbox.acknowledge("3f9", 70)) == 1  # as `ltv-guard ack` does
    assert await one.alarms() == (replace(ALARM, acknowledged_at_ms=70),)
    await journal.close()


async def test_what_waits_for_a_target_is_brought_by_the_daemon_that_wrote_it(url: str) -> None:
    journal = await open_journal(url)
    one, other = journal.outbox_of(["1"]), journal.outbox_of(["2"])
    await one.keep([notice(1), notice(2)])
    await other.keep([notice(3)])
    assert await one.waiting("phone") == (notice(1), notice(2))
    assert await other.waiting("phone") == (notice(3),)
    assert (await one.counted(), await other.counted()) == ({"phone": 2}, {"phone": 1})
    await other.delivered([notice(3).notice_id])
    assert (await one.counted(), await other.counted()) == ({"phone": 2}, {})
    await journal.close()


async def test_a_daemon_whose_name_is_another_now_goes_on_with_what_it_had(url: str) -> None:
    journal = await open_journal(url)
    await journal.outbox_of(["key"]).keep([notice(1)], [ALARM])
    now = journal.outbox_of(["user", "key"])
    assert await now.alarms() == (ALARM,)
    again = replace(ALARM, told_at_ms=9)
    await now.keep([notice(2)], [again])
    assert await now.alarms() == (again,)
    assert await now.waiting("phone") == (notice(1), notice(2))
    assert await now.counted() == {"phone": 2}
    assert await now.acknowledge("3", 50) == (replace(again, acknowledged_at_ms=50),)
    await now.keep([], over=[ALARM.alarm_id])
    assert await journal.outbox.alarms() == ()
    await journal.close()
