"""The trackers that no other test holds: the intent book writes, the loan registry tells what is gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from core_builders import START, intent, key, loan, moment, row
from exchange_model import a_guard, a_world
from held_intents import intent_in

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.errors import JournalUnavailable
from ltv_guard.core.model.history import History, RowStatus
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loan_book import LoanBook, SetAside
from ltv_guard.core.model.loans import Direction, LoanKey, Moment, Product
from ltv_guard.core.ports import Episode
from ltv_guard.core.reconcile.freshness import Doubt, Freshness
from ltv_guard.core.reconcile.settlement import SettlementTimeouts
from ltv_guard.guard.freshness_judge import FreshnessJudge
from ltv_guard.guard.state.intent_book import IntentBook
from ltv_guard.guard.state.loan_registry import LoanRegistry
from ltv_guard.guard.state.memory import Memory
from ltv_guard.guard.state.unwritten_episodes import UnwrittenEpisodes

PLANNED = intent(State.PLANNED, signed_at_ms=None, recv_window_ms=None)
SENT = PLANNED.to(State.SENT, START + 200, signed_at_ms=START, recv_window_ms=5_000)


async def test_each_step_of_an_intent_is_in_the_journal_and_in_memory() -> None:
    journal = MemoryJournal()
    book = IntentBook(journal)
    await book.plan(PLANNED)
    assert list(book.every) == [PLANNED] == [await intent_in(journal, "i1")]
    assert await book.write_sent(SENT)
    assert list(book.every) == [SENT] == [await intent_in(journal, "i1")]
    unknown = SENT.to(State.UNKNOWN, START + 300)
    await book.record(SENT, unknown)
    assert list(book.every) == [unknown] == [await intent_in(journal, "i1")]


EPISODE = Episode(key=PLANNED.key, opened_at_ms=START)


async def that_wait(episodes: UnwrittenEpisodes) -> list[Episode]:
    """Those that are still to be written; after that none waits any more."""
    found: list[Episode] = []

    async def write(waiting: Sequence[Episode]) -> None:
        found.extend(waiting)

    await episodes.write_rest(write)
    return found


@pytest.mark.parametrize("has_waited", [False, True])
@pytest.mark.parametrize("is_paused", [False, True])
async def test_an_episode_is_written_with_what_is_marked_sent_else_it_goes_on_waiting(
    *, has_waited: bool, is_paused: bool
) -> None:
    journal = MemoryJournal()
    book = IntentBook(journal)
    if has_waited:
        await book.plan(PLANNED)
    book.episodes.add([EPISODE])
    if is_paused:
        await journal.pause(None, "test", START)
    assert await book.write_sent(SENT) is not is_paused
    assert await journal.episodes(SENT.owner) == (() if is_paused else (EPISODE,))
    assert await that_wait(book.episodes) == ([EPISODE] if is_paused else [])


async def test_it_takes_the_episode_of_no_other_loan_along() -> None:
    journal, other = MemoryJournal(), replace(EPISODE, key=key("other"))
    book = IntentBook(journal)
    book.episodes.add([EPISODE, other])
    assert await book.write_sent(SENT)
    assert await journal.episodes(SENT.owner) == (EPISODE,)
    assert await that_wait(book.episodes) == [other]


async def test_an_episode_noted_while_others_are_written_waits_for_the_next() -> None:
    waiting, later = UnwrittenEpisodes(), replace(EPISODE, closed_at_ms=START + 1)
    waiting.add([EPISODE])

    async def write(episodes: Sequence[Episode]) -> None:
        assert list(episodes) == [EPISODE]
        waiting.add([later])

    await waiting.write_rest(write)
    assert await that_wait(waiting) == [later]
    assert await that_wait(waiting) == []


async def test_where_writing_fails_episodes_go_on_waiting() -> None:
    waiting = UnwrittenEpisodes()
    waiting.add([EPISODE])

    async def fails(_: Sequence[Episode]) -> None:
        raise JournalUnavailable("the disk is full")

    with pytest.raises(JournalUnavailable):
        await waiting.write_rest(fails)
    assert await that_wait(waiting) == [EPISODE]


async def test_an_error_in_an_episode_keeps_no_other_from_being_written_and_comes_out_after_them() -> None:
    waiting, journal = UnwrittenEpisodes(), MemoryJournal()
    odd, *ours = (replace(EPISODE, key=key(name)) for name in ("odd", "1", "2"))

    async def fails_for_the_odd_one(episodes: Sequence[Episode]) -> None:
        if odd in episodes:
            raise KeyError("a defect")
        await journal.write_episodes(SENT.owner, episodes)

    waiting.add([ours[0], odd, ours[1]])
    for _ in range(2):  # alone, it fails as it did among others
        with pytest.raises(KeyError):
            await waiting.write_rest(fails_for_the_odd_one)
        assert await journal.episodes(SENT.owner) == tuple(ours)
    assert await that_wait(waiting) == [odd]


async def test_a_journal_that_fails_between_episodes_is_asked_for_no_further_one() -> None:
    waiting, asked = UnwrittenEpisodes(), list[Sequence[Episode]]()

    async def fails_twice(episodes: Sequence[Episode]) -> None:
        asked.append(episodes)
        raise KeyError("a defect") if len(asked) == 1 else JournalUnavailable("the disk is full")

    waiting.add([replace(EPISODE, key=key(name)) for name in ("1", "2")])
    with pytest.raises(JournalUnavailable):
        await waiting.write_rest(fails_twice)
    assert [len(episodes) for episodes in asked] == [2, 1]


async def test_an_error_in_an_episode_has_the_intent_written_alone_and_any_other_comes_out() -> None:
    waiting, asked = UnwrittenEpisodes(), list[Episode | None]()

    async def fails_once(_: Intent, episode: Episode | None) -> bool:
        asked.append(episode)
        if len(asked) == 1:
            raise KeyError("a defect")
        return True

    waiting.add([EPISODE])
    assert await waiting.write_with(SENT, fails_once)
    assert asked == [EPISODE, None]
    assert await that_wait(waiting) == [EPISODE]
    asked.clear()
    with pytest.raises(KeyError):
        await waiting.write_with(SENT, fails_once)
    assert asked == [None]


@pytest.mark.parametrize("is_written", [False, True])
def test_what_was_noted_of_an_intent_is_dropped_unless_it_was_written(*, is_written: bool) -> None:
    memory, prices = Memory(MemoryJournal()), {SENT.coin: Decimal(100)}
    memory.intents.remember([SENT if is_written else replace(SENT, intent_id="another")])
    memory.freshness.note_price(SENT, prices)
    memory.forget_unless_written(SENT)
    halved = {coin: price / 2 for coin, price in prices.items()}
    assert memory.freshness.price_has_moved(SENT, halved, Decimal(0)) is is_written


async def test_what_is_begun_counts_for_the_day_before_it_is_written_down_and_once() -> None:
    book, now, begun = IntentBook(MemoryJournal()), moment(START), {PLANNED.intent_id: PLANNED}
    once = {PLANNED.coin: PLANNED.amount}
    assert book.spent_24h(PLANNED.direction, now, begun) == once
    assert await book.write_sent(SENT)
    assert book.spent_24h(PLANNED.direction, now, begun) == once
    ended = {PLANNED.intent_id: PLANNED.to(State.WITHDRAWN, START + 1)}
    assert IntentBook(MemoryJournal()).spent_24h(PLANNED.direction, now, ended) == {}


async def test_what_the_journal_does_not_take_is_not_remembered() -> None:
    journal = MemoryJournal()
    book = IntentBook(journal)
    await book.plan(PLANNED)
    await journal.pause(None, "test", START)
    assert not await book.write_sent(SENT)
    with pytest.raises(JournalUnavailable):
        await book.record(SENT, SENT.to(State.UNKNOWN, START + 300))
    with pytest.raises(JournalUnavailable):
        await book.plan(PLANNED)
    assert list(book.every) == [PLANNED]


def test_a_guard_that_follows_another_shares_its_journal() -> None:
    before = a_guard(a_world("0.60"), MemoryJournal())
    with pytest.raises(ValueError, match="only with its journal"):
        a_guard(a_world("0.60"), MemoryJournal(), after=before)


def a_book(*ids: str, aside: tuple[SetAside, ...] = ()) -> LoanBook:
    loans = tuple(replace(loan("0.60"), key=key(each)) for each in ids)
    began = Moment(exchange_ms=START, monotonic_ms=0)
    return LoanBook(product=key("1").product, loans=loans, began=began, set_aside=aside)


def gone(registry: LoanRegistry, *ids: str, aside: tuple[SetAside, ...] = ()) -> list[LoanKey]:
    return [item.key for item in registry.saw(a_book(*ids, aside=aside))]


def test_a_loan_is_gone_once_two_reads_in_a_row_lack_it() -> None:
    registry = LoanRegistry()
    assert gone(registry, "1", "2") == []
    assert gone(registry, "1") == gone(registry, "1", "2") == gone(registry, "1") == []
    assert gone(registry, "1") == [key("2")]
    assert registry.keys == {key("1")}
    assert registry.loan(key("2")) is None


@pytest.mark.parametrize("nameless", [False, True])
def test_a_loan_that_may_be_among_what_was_set_aside_is_not_gone(nameless: bool) -> None:  # noqa: FBT001
    registry = LoanRegistry()
    gone(registry, "1", "2")
    aside = SetAside(key=key("?" if nameless else "2"), why="odd", nameless=nameless)
    assert [gone(registry, "1", aside=(aside,)) for _ in range(3)] == [[], [], []]


def test_a_part_of_them_tells_who_is_there_and_of_none_that_it_is_gone() -> None:
    registry = LoanRegistry()
    gone(registry, "1", "2")
    assert gone(registry, "1") == []
    registry.saw_part(a_book("2", "3"))
    assert registry.keys == {key("1"), key("2"), key("3")}
    assert gone(registry, "1") == []
    assert set(gone(registry, "1")) == {key("2"), key("3")}


def test_a_read_of_one_product_tells_nothing_of_the_other() -> None:
    registry = LoanRegistry()
    gone(registry, "1")
    other = next(
        product for product in (Product.LEGACY, Product.CRYPTO_LOAN) if product is not key("1").product
    )
    nothing = LoanBook(product=other, loans=(), began=Moment(exchange_ms=START, monotonic_ms=0))
    assert [registry.saw(nothing) for _ in range(3)] == [[], [], []]


def test_an_ltv_that_prices_alone_contradict_waits_but_not_in_an_emergency() -> None:
    memory = Memory(MemoryJournal())
    judge = FreshnessJudge(memory, SettlementTimeouts(history_lag_ms=5_000))
    found = Freshness(doubt=Doubt.LTV_LAGS, collateral_is_new=True, as_led=True)
    last = intent(State.CONFIRMED)
    memory.freshness.saw(
        last, fresh=False, at=Moment(exchange_ms=START, monotonic_ms=0), long_enough_ms=10_000
    )
    soon, later = (Moment(exchange_ms=START, monotonic_ms=ms) for ms in (10_000, 10_001))
    assert judge.may_not_wait([last], found, soon, emergency=True)
    assert not judge.may_not_wait([last], found, soon, emergency=False)
    assert judge.may_not_wait([last], found, later, emergency=False)
    assert not judge.may_not_wait([last], replace(found, as_led=False), later, emergency=False)


@pytest.mark.parametrize(
    ("found", "emergency", "believed"),
    [
        ({}, False, False),
        ({}, True, True),
        ({"harmless": True}, False, True),
        ({"as_before": Decimal("0.2")}, False, True),
        ({"collateral_is_new": False, "harmless": True}, True, False),
    ],
)
def test_what_is_doubted_for_long_is_believed_where_no_more_than_the_ltv_may_be_old(
    found: Any,  # noqa: ANN401
    *,
    emergency: bool,
    believed: bool,
) -> None:
    memory = Memory(MemoryJournal())
    judge = FreshnessJudge(memory, SettlementTimeouts(history_lag_ms=5_000))
    last, doubted = intent(State.CONFIRMED), Freshness(doubt=Doubt.LTV_LAGS, collateral_is_new=True)
    since, soon, later = (Moment(exchange_ms=START, monotonic_ms=ms) for ms in (0, 10_000, 10_001))
    memory.freshness.saw(last, fresh=False, at=since, long_enough_ms=10_000)
    shown = replace(doubted, **found)
    assert not judge.may_not_wait([last], shown, soon, emergency=emergency)
    assert judge.may_not_wait([last], shown, later, emergency=emergency) is believed


@pytest.mark.parametrize(
    ("noted", "now", "by", "moved"),
    [
        ("50000", "48000", "0.03", True),
        ("50000", "52000", "0.03", True),
        ("50000", "48000", "0.05", False),
        ("50000", "49950", "0", False),  # that is noise
        ("50000", None, "0.03", False),
        (None, "48000", "0.03", False),
    ],
)
def test_whether_a_price_has_moved_by_so_much_since_an_adjustment_was_planned(
    noted: str | None, now: str | None, by: str, *, moved: bool
) -> None:
    tracker, planned = Memory(MemoryJournal()).freshness, intent()
    before, after = (None if price is None else {"BTC": Decimal(price)} for price in (noted, now))
    tracker.note_price(planned, before)
    assert tracker.price_has_moved(planned, after, Decimal(by)) is moved


@pytest.mark.parametrize(("later_ms", "is_less"), [(599_999, False), (600_000, True)])
def test_what_was_owed_before_more_was_borrowed_counts_for_ten_minutes(
    later_ms: int, *, is_less: bool
) -> None:
    tracker, began_ms = Memory(MemoryJournal()).freshness, 1_000
    for debt, ms in (("20000", began_ms), ("30000", began_ms + later_ms)):
        tracker.believed(loan(debt=debt), Moment(exchange_ms=START, monotonic_ms=ms))
    assert tracker.owes_less(loan(debt="25000")) is is_less
    assert tracker.owes_less(loan(debt="19000"))


def test_a_coin_that_is_owed_no_more_is_less_than_before() -> None:
    tracker, now = Memory(MemoryJournal()).freshness, Moment(exchange_ms=START, monotonic_ms=0)
    tracker.believed(loan(debt="20000"), now)
    free = replace(loan(), debts=())
    assert tracker.owes_less(free)
    tracker.believed(free, now)
    assert not tracker.owes_less(free)


def test_of_rows_that_are_shown_as_processed_those_of_ours_that_are_confirmed_have_succeeded() -> None:
    memory, ours = Memory(MemoryJournal()), intent(State.CONFIRMED, adjust_id="own")
    memory.intents.remember([ours, intent(State.CONFIRMED, intent_id="i2", adjust_id="other")])
    listed = tuple(row(name, status=RowStatus.PROCESSING) for name in ("own", "by hand"))
    memory.shelf.put(ours.channel, History(rows=listed, began=moment(START)), START)
    assert [item.status for item in memory.rows.of(ours.key)] == [RowStatus.SUCCESS, RowStatus.PROCESSING]


def test_the_last_release_is_the_latest_of_those_that_ended_so() -> None:
    book = IntentBook(MemoryJournal())
    for number, (direction, state) in enumerate(
        [
            (Direction.REDUCE, State.CONFIRMED),
            (Direction.REDUCE, State.CONFIRMED),
            (Direction.REDUCE, State.ABSENT),
            (Direction.ADD, State.CONFIRMED),
        ]
    ):
        ended = intent(state, direction=direction, intent_id=f"i{number}", updated_at_ms=START + number)
        book.remember([ended])
    assert book.last_release_ms(ended.key) == START + 1
    assert book.last_release_ms(ended.key, {State.ABSENT}) == START + 2
    assert book.last_release_ms(ended.key, {State.AMBIGUOUS}) is None
