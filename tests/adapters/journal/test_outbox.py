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
