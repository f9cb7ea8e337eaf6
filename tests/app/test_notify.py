"""Who is told of trouble, when, how often, and that it is over: nothing lost, nobody flooded."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from core_builders import loan
from e2e_world import NEEDY, ORDER, Command, World, command, ran, until
from http_world import Shop, open_shop
from secret_files import write_secret
from watch_targets import a_box

from ltv_guard.adapters.journal import open_journal
from ltv_guard.core.model.errors import JournalUnavailable
from ltv_guard.core.model.notices import ACKNOWLEDGED_MS, LEVELS, Alarm, Notice
from ltv_guard.core.model.status import AccountStatus, AlertStatus, Health, LoanStatus, Status
from ltv_guard.guard.defects import Defects
from ltv_guard.log.alert_repeater import AlertRepeater
from ltv_guard.log.events import CATALOGUE
from ltv_guard.service.notify import words
from ltv_guard.service.notify.alarms import id_of, turn
from ltv_guard.service.notify.courier import MOST, WITHIN_S, Courier
from ltv_guard.service.notify.desk import Desk, Orders, Sight
from ltv_guard.service.notify.heard import Heard

if TYPE_CHECKING:
    from conftest import OpenWorld

D = Decimal
ALERT = AlertStatus(
    event="breach_unanswered", since_ms=0, account="main", product="crypto_loan_legacy", loan_id="1001"
)
REPEAT_MS = 300_000


# When an alarm is told: a table.


def alarm(**changes: object) -> Alarm:
    given: dict[str, object] = {
        "alarm_id": id_of(ALERT),
        "event": ALERT.event,
        "account": "main",
        "product": "crypto_loan_legacy",
        "loan_id": "1001",
        "since_ms": 0,
        "told_at_ms": 0,
    }
    return Alarm(**{**given, **changes})  # type: ignore[arg-type]


ACKED = {"acknowledged_at_ms": 100, "acknowledged_ltv": D("0.80")}


@pytest.mark.parametrize(
    ("known", "now_ms", "ltv", "told"),
    [
        ([], 0, None, "begun"),
        ([alarm()], REPEAT_MS - 1, None, None),
        ([alarm()], REPEAT_MS, None, "again"),
        ([alarm(told_at_ms=REPEAT_MS)], 2 * REPEAT_MS - 1, None, None),
        ([alarm(**ACKED)], 10 * REPEAT_MS, D("0.80"), None),
        ([alarm(**ACKED)], 10 * REPEAT_MS, D("0.8199"), None),
        ([alarm(**ACKED)], 200, D("0.82"), "again"),
        ([alarm(**ACKED)], 100 + ACKNOWLEDGED_MS - 1, None, None),
        ([alarm(**ACKED)], 100 + ACKNOWLEDGED_MS, D("0.80"), "again"),
        ([alarm(acknowledged_at_ms=100)], 200, D("0.80"), "changed"),
    ],
)
def test_an_alarm_is_told_again_until_it_is_acknowledged_and_when_it_gets_worse(
    known: list[Alarm], now_ms: int, ltv: Decimal | None, told: str | None
) -> None:
    found = turn([ALERT], known, now_ms=now_ms, repeat_ms=REPEAT_MS, ltv_of=lambda _: ltv, sees_all=True)

    assert [name for name in ("begun", "again", "changed", "over") if getattr(found, name)] == (
        [told] if told else []
    )
    if told == "again":
        assert (found.again[0].told_at_ms, found.again[0].acknowledged_at_ms) == (now_ms, None)


@pytest.mark.parametrize(("sees_all", "over"), [(True, 1), (False, 0)])
def test_what_lasts_no_more_is_over_once_everything_has_been_looked_at(sees_all: bool, over: int) -> None:  # noqa: FBT001
    found = turn([], [alarm()], now_ms=0, repeat_ms=1, ltv_of=lambda _: None, sees_all=sees_all)

    assert len(found.over) == over


# A courier, in virtual time.


def notice(number: int, level: str = "warning") -> Notice:
    return Notice(
        notice_id=str(number),
        target="phone",
        level=level,
        title=f"title {number}",
        body="b",
        made_at_ms=number,
    )


@dataclass
class Round:
    """A courier with its target and its outbox; time passes as it is told."""

    held: list[Notice] = field(default_factory=list)
    got: list[str] = field(default_factory=list)
    works: bool = True
    journal_works: bool = True
    now: float = 1000.0

    def __post_init__(self) -> None:
        self.courier = Courier(
            "phone", self.send, waiting=self.waiting, delivered=self.delivered, monotonic=lambda: self.now
        )

    def more(self, notice: Notice) -> None:
        self.held.append(notice)
        self.courier.expect()

    async def send(self, title: str, _body: str, _level: str) -> bool:
        self.got.append(title)
        return self.works

    async def waiting(self, _target: str) -> Sequence[Notice]:
        return list(self.held)

    async def delivered(self, ids: Sequence[str]) -> None:
        if not self.journal_works:
            raise JournalUnavailable("the disk is full")
        self.held = [item for item in self.held if item.notice_id not in ids]

    async def passes(self, seconds: int) -> None:
        for _ in range(seconds):
            await self.courier.go()
            self.now += 1


async def test_few_are_brought_one_by_one_in_order() -> None:
    way = Round([notice(1), notice(2), notice(3)])
    await way.passes(10)
    assert way.got == ["title 1", "title 2", "title 3"]
    assert way.held == []


async def test_a_target_that_is_down_for_an_hour_gets_one_summary_after_it(
    events: list[dict[str, Any]],
) -> None:
    way = Round(works=False)
    for number in range(60):
        way.more(notice(number, "critical" if number == 7 else "warning"))
        await way.passes(60)
    assert len(way.got) < 20  # it was asked ever more rarely
    way.works, before = True, len(way.got)
    await way.passes(1200)
    (told,) = way.got[before:]
    assert told == "ltv-guard: 60 notices have waited (1 critical, 59 warning)"
    assert way.held == []
    assert [item["event"] for item in events] == ["notices_held_up", "notices_arrive_again"]


async def test_a_flood_is_bounded_and_the_rest_comes_as_one() -> None:
    way = Round()
    for number in range(100):
        way.more(notice(number))
        await way.passes(1)
    assert len(way.got) == MOST
    await way.passes(int(WITHIN_S) + 1)
    assert len(way.got) == MOST + 1
    assert "80 notices" in way.got[-1]


async def test_what_arrived_is_not_brought_again_though_the_journal_could_not_note_it() -> None:
    way = Round([notice(1)], journal_works=False)
    await way.passes(10)
    way.journal_works = True
    way.more(notice(2))
    await way.passes(10)
    assert way.got == ["title 1", "title 2"]
    assert way.held == []


async def test_a_courier_that_expects_nothing_asks_nothing_of_the_journal() -> None:
    way = Round()
    await way.passes(3)
    way.held.append(notice(1))
    await way.passes(3)
    assert way.got == []
    way.courier.expect()
    await way.passes(1)
    assert way.got == ["title 1"]


# The desk, on a real journal.


@dataclass
class Post:
    """A desk over a journal in `folder`, its targets, and what lasts. Time passes as it is told."""

    lasting: list[AlertStatus] = field(default_factory=list)
    got: list[tuple[str, str, str]] = field(default_factory=list)
    targets: Mapping[str, tuple[str, str]] = field(
        default_factory=lambda: {"phone": ("json://phone", "critical")}
    )
    loans: tuple[LoanStatus, ...] = ()
    now_ms: int = 1_700_000_000_000
    digest_at: int | None = None
    sees_all: bool = True
    wallet: Mapping[str, Decimal] | None = None
    reserve: Mapping[str, Decimal] = field(default_factory=dict)

    def send(self, url: str, title: str, body: str, _level: str) -> bool:
        self.got.append((url, title, body))
        return True

    def status(self) -> Status:
        account = AccountStatus(
            name="main",
            outcome="ok",
            withheld=None,
            unsighted_s=1,
            trouble=None,
            loans=self.loans,
            wallet=self.wallet,
            reserve=self.reserve,
        )
        return Status(
            at_ms=self.now_ms,
            version="1",
            mode="live",
            environment="testnet",
            exchange="https://api-testnet.bybit.com",
            health=Health(troubles={}),
            accounts=(account,),
        )

    def desk(self, outbox: Any) -> Desk:  # noqa: ANN401 - the journal's, or one that fails
        sight = Sight(
            orders=lambda: Orders(targets=self.targets, repeat_s=300, digest_at=self.digest_at),
            outbox=lambda: outbox,
            lasting=lambda: self.lasting,
            status=self.status,
            sees_all=lambda: self.sees_all,
        )
        return Desk(
            sight,
            self.send,
            Defects(AlertRepeater(lambda: 0)),
            now_ms=lambda: self.now_ms,
            monotonic=lambda: self.now_ms / 1000,
        )

    async def passes(self, desk: Desk, looks: int = 1, *, seconds: int = 1) -> None:
        for _ in range(looks):
            await desk.look()
            await desk.end()
            self.now_ms += seconds * 1000

    @property
    def titles(self) -> list[str]:
        return [title for _, title, _ in self.got]


@asynccontextmanager
async def a_desk(folder: Path, post: Post) -> AsyncIterator[Desk]:
    journal = await open_journal(f"sqlite:///{folder / 'journal.db'}")
    try:
        yield post.desk(journal.outbox)
    finally:
        await journal.close()


def standing(ltv: str = "0.80") -> LoanStatus:
    return LoanStatus(
        loan=loan(ltv),
        trigger_ltv=D("0.75"),
        target_ltv=D("0.65"),
        fall_to_trigger=D(0),
        fall_to_margin_call=D("0.08"),
        fall_to_liquidation=D("0.1579"),
        doing="breach",
        tell_reason=lambda: "",
    )


BREACH = replace(ALERT, details={"why": "dry_run", "ltv": "0.80"})


async def test_an_alarm_says_what_a_person_needs_at_three_in_the_morning(tmp_path: Path) -> None:
    post = Post(lasting=[BREACH], loans=(standing(),))
    async with a_desk(tmp_path, post) as desk:
        await post.passes(desk, 3)
    ((_, title, body),) = post.got
    assert title == "ltv-guard CRITICAL: breach_unanswered, main 1001"
    for said in ("dry_run", "LTV 0.80", "trigger 0.75", "liquidation 0.95", "at 31,578.95 USDT a BTC"):
        assert said in body
    assert "What to do: Add by hand" in body
    assert "Runbook: docs/operations.md#breach_unanswered" in body
    assert f"ltv-guard ack {id_of(ALERT)}" in body


async def test_what_was_said_within_one_look_comes_in_the_order_in_which_it_was_said(tmp_path: Path) -> None:
    post = Post(targets={"phone": ("json://phone", "info")})
    said = ["guard_in_time", "clock_jumped", "config_reloaded", "adjustment_sent", "read_failed"]
    async with a_desk(tmp_path, post) as desk:
        for event in said:
            desk.hear({"event": event, "level": "info"})
        await post.passes(desk, 6)
    assert post.titles == [f"ltv-guard INFO: {event}" for event in said]


async def test_the_words_of_the_catalogue_come_without_its_marks(tmp_path: Path) -> None:
    post = Post(lasting=[AlertStatus(event=event, since_ms=0, account="main") for event in CATALOGUE])
    async with a_shaky_desk(tmp_path, post, "waiting") as (desk, shaky):
        await post.passes(desk)
        notices = "\n".join(notice.body for notice in await shaky.outbox.waiting("phone"))
    assert not re.search(r"`|\*|\]\(", notices)
    assert "Add by hand" in notices


async def test_an_alarm_is_repeated_acknowledged_gets_worse_and_is_over(tmp_path: Path) -> None:
    post = Post(lasting=[BREACH], loans=(standing(),))
    journal = await open_journal(f"sqlite:///{tmp_path / 'journal.db'}")
    desk = post.desk(journal.outbox)
    await post.passes(desk, 10, seconds=60)
    assert len(post.got) == 2  # at once, and after five minutes
    await journal.outbox.acknowledge(id_of(ALERT)[:4], post.now_ms)
    await post.passes(desk, 30, seconds=60)
    assert len(post.got) == 2
    post.loans = (standing("0.82"),)
    await post.passes(desk, 2)
    assert len(post.got) == 3
    post.lasting = []
    await post.passes(desk, 2)
    assert post.titles[-1] == "ltv-guard: over: breach_unanswered, main crypto_loan_legacy 1001"
    await post.passes(desk, 30, seconds=60)
    assert len(post.got) == 4
    await journal.close()


async def test_a_restart_tells_nothing_twice_and_forgets_nothing(tmp_path: Path) -> None:
    post = Post(lasting=[BREACH])
    async with a_desk(tmp_path, post) as desk:
        await post.passes(desk, 3)
    post.lasting, post.sees_all = [], False
    async with a_desk(tmp_path, post) as desk:
        await post.passes(desk, 3)  # nothing was looked at yet: it is neither over nor new
        post.lasting, post.sees_all = [BREACH], True
        await post.passes(desk, 3)
        assert len(post.got) == 1
        post.lasting = []
        await post.passes(desk, 3)
    assert "over" in post.titles[1]


async def test_each_target_hears_from_its_level_on_and_none_of_its_own_troubles(tmp_path: Path) -> None:
    levels = ("info", "warning", "error", "critical")
    post = Post(targets={level: (f"json://{level}", level) for level in levels})
    async with a_desk(tmp_path, post) as desk:
        for level in (*levels, "debug"):
            desk.hear({"event": "defect", "level": level, "why": f"of {level}"})
        desk.hear({"event": "notices_held_up", "level": "warning", "recipient": "phone"})
        await post.passes(desk, 6)
    heard = {level: [title for url, title, _ in post.got if url == f"json://{level}"] for level in levels}
    assert [len(heard[level]) for level in levels] == [4, 3, 2, 1]


async def test_a_critical_line_of_what_lasts_is_not_told_beside_its_alarm(tmp_path: Path) -> None:
    post = Post(lasting=[BREACH])
    async with a_desk(tmp_path, post) as desk:
        for _ in range(5):
            line = {"event": ALERT.event, "level": "critical", "account": "main"}
            desk.hear({**line, "product": ALERT.product, "loan_id": "1001"})
            await post.passes(desk)
    assert len(post.got) == 1


async def test_the_digest_comes_once_a_day_and_says_how_everything_stands(tmp_path: Path) -> None:
    post = Post(loans=(standing("0.60"),), wallet={"BTC": D("2")}, reserve={"BTC": D("1.8")})
    start = (post.now_ms // 86_400_000 + 1) * 86_400_000
    post.now_ms, post.digest_at = start + (8 * 60 - 5) * 60_000, 8 * 60
    async with a_desk(tmp_path, post) as desk:
        await post.passes(desk, 2 * 24 * 60, seconds=60)
    assert post.titles == ["ltv-guard: 1 accounts, all is well"] * 2
    assert "LTV 0.60" in post.got[0][2]
    assert "wallet: 2 BTC; it survives a fall of 23%" in post.got[0][2]


async def test_the_digest_of_hundreds_is_no_longer_than_a_message() -> None:
    post = Post(loans=(standing(),) * 300)
    status = replace(post.status(), alerts=(BREACH,) * 300)
    _, body = words.digest(status)
    assert len(body.splitlines()) == 13  # the account, ten loans and how many more, what is wrong
    assert body.count("and 290 more") == 2
    assert body.count("breach_unanswered 1001") == 10


async def test_a_journal_that_can_not_be_used_is_told_from_memory() -> None:
    class Broken:
        def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - every method
            async def fails(*_args: object) -> None:
                raise JournalUnavailable("the disk is full")

            return fails

    post = Post(lasting=[AlertStatus(event="journal_unavailable", since_ms=0, details={"why": "full"})])
    desk = post.desk(Broken())
    await post.passes(desk, 10)
    assert post.titles == ["ltv-guard CRITICAL: journal_unavailable"]


class Shaky:
    """A journal's outbox of which some methods fail for as long as they are named."""

    def __init__(self, outbox: Any, *failing: str, error: Exception | None = None) -> None:  # noqa: ANN401
        self.outbox = outbox
        self.failing = set(failing)
        self.error = error or JournalUnavailable("the disk is full")

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - every method
        async def asked(*given: Any) -> Any:  # noqa: ANN401 - every method's
            if name in self.failing:
                raise self.error
            return await getattr(self.outbox, name)(*given)

        return asked


async def test_two_daemons_on_one_journal_tell_nothing_of_each_other(tmp_path: Path) -> None:
    posts = [Post(lasting=[BREACH], targets={"phone": (f"json://{name}", "critical")}) for name in "ab"]
    journal = await open_journal(f"sqlite:///{tmp_path / 'journal.db'}")
    desks = [post.desk(journal.outbox_of([name])) for name, post in zip("ab", posts, strict=True)]

    async def pass_by() -> None:
        for _ in range(5):
            for post, desk in zip(posts, desks, strict=True):
                await post.passes(desk)

    await pass_by()
    posts[0].lasting = []
    await pass_by()
    begun = "ltv-guard CRITICAL: breach_unanswered, main 1001"
    over = "ltv-guard: over: breach_unanswered, main crypto_loan_legacy 1001"
    assert [post.titles for post in posts] == [[begun, over], [begun]]
    assert {url for url, _, _ in posts[1].got} == {"json://b"}
    await journal.close()


WRITES, READS = ("keep", "delivered"), ("alarms", "waiting")
FULL = AlertStatus(event="journal_unavailable", since_ms=0, details={"why": "full"})
WRITTEN_OF_FULL = [
    "ltv-guard CRITICAL: journal_unavailable",
    "ltv-guard: over: journal_unavailable",
]


@asynccontextmanager
async def a_shaky_desk(
    folder: Path, post: Post, *failing: str, error: Exception | None = None
) -> AsyncIterator[tuple[Desk, Shaky]]:
    journal = await open_journal(f"sqlite:///{folder / 'journal.db'}")
    try:
        shaky = Shaky(journal.outbox, *failing, error=error)
        yield post.desk(shaky), shaky
    finally:
        await journal.close()


@pytest.mark.parametrize("failing", [WRITES, READS, (*WRITES, *READS)])
async def test_an_alarm_is_told_once_whatever_the_journal_refuses_and_so_is_its_end(
    failing: tuple[str, ...], tmp_path: Path
) -> None:
    post = Post(lasting=[FULL, BREACH])
    async with a_shaky_desk(tmp_path, post, *failing) as (desk, shaky):
        await post.passes(desk, 20)
        shaky.failing.clear()
        await post.passes(desk, 20)
        assert sorted(post.titles) == sorted(
            [WRITTEN_OF_FULL[0], "ltv-guard CRITICAL: breach_unanswered, main 1001"]
        )
        assert {alarm.event for alarm in await shaky.outbox.alarms()} == {FULL.event, BREACH.event}
        post.lasting = [BREACH]
        await post.passes(desk, 20)
        assert post.titles[2:] == WRITTEN_OF_FULL[1:]


async def test_what_is_over_while_nothing_can_be_written_is_over_once(tmp_path: Path) -> None:
    post = Post(lasting=[FULL])
    async with a_shaky_desk(tmp_path, post) as (desk, shaky):
        await post.passes(desk, 3)
        shaky.failing.update(WRITES)
        post.lasting = []
        await post.passes(desk, 20)
        assert post.titles == WRITTEN_OF_FULL
        shaky.failing.clear()
        await post.passes(desk, 20)
        assert post.titles == WRITTEN_OF_FULL
        assert await shaky.outbox.alarms() == ()


async def test_what_could_not_be_written_is_repeated_and_acknowledged_like_any_other(tmp_path: Path) -> None:
    post = Post(lasting=[BREACH])
    async with a_shaky_desk(tmp_path, post, *WRITES) as (desk, shaky):
        await post.passes(desk, 11, seconds=60)
        assert len(post.got) == 3  # at once, and after five minutes, and after ten
        shaky.failing.clear()
        await post.passes(desk)
        await shaky.outbox.acknowledge("", post.now_ms)
        await post.passes(desk, 20, seconds=60)
        assert len(post.got) == 3


async def test_an_acknowledgement_of_before_the_alarm_was_written_counts(tmp_path: Path) -> None:
    post = Post(lasting=[BREACH])
    async with a_shaky_desk(tmp_path, post) as (desk, shaky):
        await post.passes(desk)
        shaky.failing.update(WRITES)
        await post.passes(desk, 6, seconds=60)  # told again, which could not be written
        assert len(post.got) == 2
        await shaky.outbox.acknowledge("", post.now_ms)
        await post.passes(desk, 2)
        shaky.failing.clear()
        await post.passes(desk, 20, seconds=60)
        assert len(post.got) == 2


class Instant:
    """An outbox that answers at once, and holds nothing. `meanwhile` happens while it is read."""

    def __init__(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        self._meanwhile = meanwhile

    async def alarms(self) -> tuple[Alarm, ...]:
        self._meanwhile()
        return ()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - every other method
        async def nothing(*_args: object) -> tuple[()]:
            return ()

        return nothing


async def test_an_alert_that_ends_while_the_journal_is_read_costs_nothing() -> None:
    post = Post(lasting=[BREACH])

    def over() -> None:
        post.lasting = []

    await post.desk(Instant(over)).look()


async def test_a_thousand_alarms_ask_once_how_everything_stands_and_let_the_loop_turn() -> None:
    class Counting(Post):
        asked = 0

        def status(self) -> Status:
            self.asked += 1
            return super().status()

    post = Counting(lasting=[replace(BREACH, loan_id=str(number)) for number in range(1000)])
    turns = await turns_during(post.desk(Instant()).look())
    assert post.asked == 1
    assert turns >= 10


async def turns_during(work: Coroutine[Any, Any, None]) -> int:
    """How often the loop got on with something else."""
    turns, working = 0, asyncio.create_task(work)
    while not working.done():
        await asyncio.sleep(0)
        turns += 1
    await working
    return turns


async def test_a_defect_while_notices_are_written_down_holds_none_of_them_back(
    tmp_path: Path, events: list[dict[str, Any]]
) -> None:
    post = Post(lasting=[BREACH])
    async with a_shaky_desk(tmp_path, post, "keep", error=TypeError("odd")) as (desk, _):
        await post.passes(desk, 3)
    assert post.titles == ["ltv-guard CRITICAL: breach_unanswered, main 1001"]
    assert [item["what"] for item in events if item["event"] == "defect"] == ["writing notifications down"]


async def test_an_errand_that_ends_in_a_defect_is_told_and_run_again(
    tmp_path: Path, events: list[dict[str, Any]]
) -> None:
    post = Post(lasting=[BREACH])
    async with a_shaky_desk(tmp_path, post, "waiting", error=TypeError("odd")) as (desk, shaky):
        await post.passes(desk, 3)
        assert post.got == []
        shaky.failing.clear()
        await post.passes(desk, 3)
    assert post.titles == ["ltv-guard CRITICAL: breach_unanswered, main 1001"]
    assert [item["what"] for item in events if item["event"] == "defect"] == ["bringing notifications"]


async def test_a_status_that_can_not_be_had_ends_no_acknowledgement(tmp_path: Path) -> None:
    class Odd(Post):
        def status(self) -> Status:
            raise KeyError("odd")

    post = Odd(lasting=[BREACH])
    async with a_shaky_desk(tmp_path, post) as (desk, shaky):
        await post.passes(desk, 2)
        await shaky.outbox.acknowledge("", post.now_ms)
        await post.passes(desk, 20, seconds=60)
    assert len(post.got) == 1


class Unspeakable:
    def __str__(self) -> str:
        raise ValueError("no words")


async def test_words_that_fail_cost_an_event_its_details_and_nothing_else(
    tmp_path: Path, events: list[dict[str, Any]]
) -> None:
    post = Post(targets={"phone": ("json://phone", "warning")})
    async with a_desk(tmp_path, post) as desk:
        desk.hear({"event": "read_failed", "level": "warning", "account": "main", "why": Unspeakable()})
        desk.hear({"event": "config_reloaded", "level": "warning"})
        await post.passes(desk, 3)
    assert post.titles == ["ltv-guard WARNING: read_failed, main", "ltv-guard WARNING: config_reloaded"]
    assert post.got[0][2] == "Its details could not be put into words."
    assert [item["what"] for item in events if item["event"] == "defect"] == ["the words of a notification"]


async def test_a_status_that_can_not_be_had_costs_an_alarm_its_details(tmp_path: Path) -> None:
    class Odd(Post):
        def status(self) -> Status:
            raise KeyError("odd")

    post = Odd(lasting=[BREACH], digest_at=(Post.now_ms // 60_000) % 1440)
    async with a_desk(tmp_path, post) as desk:
        await post.passes(desk, 3)
    assert sorted(post.titles) == [
        "ltv-guard CRITICAL: breach_unanswered, main 1001",
        "ltv-guard: the digest of the day",
    ]
    assert f"ltv-guard ack {id_of(ALERT)}" in next(body for _, title, body in post.got if "breach" in title)


async def test_a_look_that_fails_loses_nothing_and_the_next_one_comes(tmp_path: Path) -> None:
    post = Post()
    odd = [KeyError("odd")]

    def lasting() -> list[AlertStatus]:
        if odd:
            raise odd.pop()
        return []

    async with a_desk(tmp_path, post) as desk:
        desk._sight = replace(desk._sight, lasting=lasting)
        desk._look_s = 0.01
        desk.hear({"event": "needs_human", "level": "critical", "account": "main"})
        watching = asyncio.create_task(desk.watch())
        await until(lambda: post.titles == ["ltv-guard CRITICAL: needs_human, main"])
        watching.cancel()
    assert not odd


async def test_much_that_is_told_in_passing_pushes_out_nothing_grave(tmp_path: Path) -> None:
    post = Post(targets={"phone": ("json://phone", "critical"), "desk": ("json://desk", "info")})
    async with a_desk(tmp_path, post) as desk:
        desk.hear({"event": "needs_human", "level": "critical", "account": "main"})
        for _ in range(2000):
            desk.hear({"event": "adjustment_sent", "level": "info"})
        await post.passes(desk, 2)
    assert ("json://phone", "ltv-guard CRITICAL: needs_human, main") in [got[:2] for got in post.got]


def test_what_nobody_is_to_hear_of_is_not_kept_and_the_rest_keeps_its_order() -> None:
    heard = Heard()
    heard.only_from(["critical", "warning"])
    said = [{"event": str(number), "level": LEVELS[number % 4]} for number in range(20)]
    for event in said:
        heard.hear(event)
    assert heard.taken() == [event for event in said if event["level"] != "info"]
    assert heard.taken() == []
    heard.only_from([])
    heard.hear(said[3])
    assert heard.taken() == []


def test_troubles_of_one_name_that_differ_in_what_fails_are_alarms_of_their_own() -> None:
    def blind(what: str) -> AlertStatus:
        return AlertStatus(event="guard_blind", since_ms=0, account="main", details={"what": what})

    def overdue(contract: str) -> AlertStatus:
        return replace(ALERT, event="loan_overdue", details={"contract": contract, "owed": "USDT=1"})

    assert id_of(overdue("7")) != id_of(overdue("8"))
    assert id_of(overdue("7")) == id_of(replace(overdue("7"), details={"contract": "7", "owed": "USDT=2"}))
    assert id_of(blind("orders")) != id_of(blind("pool"))
    assert id_of(blind("pool")) == id_of(blind("pool"))


async def test_a_critical_line_is_not_told_beside_the_alarm_of_the_same_what(tmp_path: Path) -> None:
    blind = AlertStatus(event="guard_blind", since_ms=0, account="main", details={"what": "pool"})
    post = Post(lasting=[blind])
    async with a_desk(tmp_path, post) as desk:
        for what in ("pool", "orders"):
            desk.hear({"event": "guard_blind", "level": "critical", "account": "main", "what": what})
        await post.passes(desk, 3)
    assert ["what: pool" in body for _, _, body in post.got].count(True) == 1
    assert ["what: orders" in body for _, _, body in post.got].count(True) == 1


async def test_each_fixed_loan_of_a_pool_rings_by_itself(tmp_path: Path) -> None:
    def overdue(contract: str) -> AlertStatus:
        return AlertStatus(
            event="loan_overdue", since_ms=0, account="main", loan_id="pool", details={"contract": contract}
        )

    post = Post(lasting=[overdue("7")])
    async with a_desk(tmp_path, post) as desk:
        await post.passes(desk, 3)
        post.lasting = [overdue("7"), overdue("8")]
        for contract in "78":
            event = {"event": "loan_overdue", "level": "critical", "account": "main", "loan_id": "pool"}
            desk.hear(event | {"contract": contract})
        await post.passes(desk, 3)
    assert [f"contract: {name}" in body for name in "78" for _, _, body in post.got].count(True) == 2
    assert len(post.got) == 2


async def test_a_target_that_raises_or_is_slow_holds_up_no_other(tmp_path: Path) -> None:
    post = Post(targets={"bad": ("bad://", "critical"), "good": ("good://", "critical")}, lasting=[BREACH])
    send = post.send

    def some_fail(url: str, title: str, body: str, level: str) -> bool:
        if url == "bad://":
            raise RuntimeError(url)
        return send(url, title, body, level)

    post.send = some_fail  # type: ignore[method-assign]
    async with a_desk(tmp_path, post) as desk:
        await post.passes(desk, 3)
    assert len(post.got) == 1


# The real daemon, the real Apprise, a server on this machine.


def told_to(world: World, port: int, **notify: object) -> None:
    write_secret(world.folder / "phone.url", f"json://user:password-nobody-may-see@127.0.0.1:{port}/")
    world.configure(
        {"mode": "dry_run", "notify": {"targets": {"phone": {"url_file": "phone.url"}}, **notify}}
    )


async def nothing_waits(world: World) -> bool:
    """Whether all that was written for its target has been delivered."""
    journal = await open_journal(world.journal_url, writer=False)
    try:
        return not await journal.outbox.waiting("phone")
    finally:
        await journal.close()


async def running(daemon: Command) -> None:
    await until(lambda: bool(daemon.heard("cycle_finished")), why=lambda: daemon.output)


@pytest.mark.slow
async def test_an_alarm_reaches_its_target_is_acknowledged_and_a_slow_target_delays_no_cycle(
    open_a_world: OpenWorld,
) -> None:
    async with a_box() as box, open_a_world() as world:
        told_to(world, box.port, repeat_s=1)
        async with command("run", "-c", world.config_file) as daemon:
            await running(daemon)
            world.price(NEEDY["add"])
            await until(lambda: bool(daemon.heard("breach_unanswered")), why=lambda: daemon.output)
            await until(lambda: bool(box.got), within_s=10, why=lambda: daemon.output)
            assert ORDER in box.titles[0]
            await until(lambda: len(box.got) >= 2)  # it rings again
            box.slow_s, held = 30, len(box.got)
            await until(lambda: len(box.got) > held)  # and waits for its answer
            seen = len(daemon.heard("cycle_finished"))
            await until(lambda: len(daemon.heard("cycle_finished")) > seen + 5, within_s=15)
            assert len(box.got) == held + 1
            box.slow_s = 0
            status, said = await ran("ack", "-c", world.config_file)
            assert (status, "acknowledged" in said.output) == (0, True)
            await asyncio.sleep(1)  # it is seen with the next look
            await until(lambda: nothing_waits(world))
            quiet = len(box.got)
            await asyncio.sleep(3)  # it would have rung twice
            assert len(box.got) == quiet
            daemon.process.terminate()
            assert await daemon.ends() == 0
            assert "nobody-may-see" not in daemon.output


@pytest.mark.slow
async def test_what_a_killed_daemon_could_not_deliver_is_delivered_after_its_restart_once(
    open_a_world: OpenWorld,
) -> None:
    async with a_box() as nobody:
        port = nobody.port
    async with open_a_world() as world:
        told_to(world, port)
        async with command("run", "-c", world.config_file) as daemon:
            await running(daemon)
            world.price(NEEDY["add"])
            await until(lambda: bool(daemon.heard("notices_held_up")), why=lambda: daemon.output)
            daemon.process.send_signal(signal.SIGKILL)
            await daemon.ends()
        async with a_box(port) as box, command("run", "-c", world.config_file) as again:
            await until(lambda: bool(box.got), why=lambda: again.output)
            await asyncio.sleep(5)
            assert len(box.got) == 1
            assert ORDER in box.titles[0]
            again.process.terminate()
            assert await again.ends() == 0


async def test_a_test_message_says_which_target_takes_it(open_a_world: OpenWorld) -> None:
    async with a_box() as box, open_a_world() as world:
        told_to(world, box.port)
        status, said = await ran("notify", "--test", "-c", world.config_file)
        assert (status, said.output) == (0, "phone: sent\n")
        assert box.titles == ["ltv-guard: a test"]
        told_to(world, 1)
        status, said = await ran("notify", "--test", "-c", world.config_file)
        assert (status, "NOT sent" in said.output) == (1, True)
        assert "nobody-may-see" not in said.output
        assert (await ran("notify", "--test", "nobody", "-c", world.config_file))[0] == 2


async def test_an_alarm_that_nobody_knows_is_said_so(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world:
        status, said = await ran("ack", "3f9a", "-c", world.config_file)
        assert (status, said.output) == (1, "no alarm that lasts begins with 3f9a\n")


async def test_over_http_the_token_acknowledges() -> None:
    shop = Shop()
    async with open_shop(shop) as asked:
        assert (await asked.post("/api/v1/ack", {"alarm": "3f9a"}, token=None))[0] == 401
        assert await asked.post("/api/v1/ack", {"alarm": "3f9a"}) == (200, {"acknowledged": ["3f9a"]})
    assert shop.changed == [("ack", "3f9a")]
