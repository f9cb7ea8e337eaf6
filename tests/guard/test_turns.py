"""The turn to write comes first: what is decided on was read after it, and the most urgent loan has it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from decimal import Decimal

import pytest
import structlog
from exchange_model import POLICY, ModelAccount, ModelLoans, World, a_guard, a_world, key_of
from one_at_a_time import one_at_a_time

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import Direction, LoanKey, Owner
from ltv_guard.core.model.policy import RepayRule
from ltv_guard.core.ports import Episode, Hear
from ltv_guard.guard import rereads
from ltv_guard.guard.appraised import Rest
from ltv_guard.guard.at_rest import AtRest
from ltv_guard.guard.directions import Directions
from ltv_guard.guard.snapshot import Snapshot

TARGET = Decimal("0.65")
A_PAGE = 100
NEAR = Decimal("0.0005")  # fingerprints and roundings
PAGES = pytest.mark.parametrize("rows_per_page", [100, 1], ids=["one page", "many pages"])


def a_proven_world(*ltvs: str, rows_per_page: int = 100) -> World:
    """One whose history has shown what directions mean: several adjustments may leave in one cycle."""
    world = a_world(*ltvs, "0.50")
    world.rows_per_page = rows_per_page
    world.move(key_of(len(ltvs) + 1), Direction.ADD, Decimal("0.05"), None)
    world.advance(1_000)
    return world


def moves(world: World, factor: str) -> Callable[[], None]:
    def move() -> None:
        world.price *= Decimal(factor)

    return move


def landed_at(world: World) -> list[Decimal]:
    """The LTVs that our adjustments led to, in their order."""
    rows = [row.shown for row in world.rows if row.intent_id is not None]
    return [row.ltv_after for row in rows if row.ltv_after is not None]


def served(world: World) -> list[str]:
    return [intent.key.loan_id for intent in world.sent]


@PAGES
@pytest.mark.parametrize("factor", ["0.98", "1.02"], ids=["falls", "rises"])
async def test_each_amount_is_of_facts_from_after_its_turn(factor: str, rows_per_page: int) -> None:
    world = a_proven_world("0.83", "0.81", "0.80", rows_per_page=rows_per_page)
    one_at_a_time(world, moves(world, factor))
    await a_guard(world, MemoryJournal()).cycle()
    assert served(world) == ["1", "2", "3"]
    assert [TARGET - NEAR <= ltv <= TARGET for ltv in landed_at(world)] == [True] * 3


async def test_the_turn_is_that_of_the_loan_which_is_worst_by_then() -> None:
    world = a_proven_world("0.80", "0.78", "0.76")

    def the_last_gets_worse() -> None:
        world.loans[key_of(3)].debt *= Decimal("1.1")

    one_at_a_time(world, the_last_gets_worse)
    await a_guard(world, MemoryJournal()).cycle()
    assert served(world) == ["1", "3", "2"]


@PAGES
async def test_a_loan_that_comes_to_its_trigger_meanwhile_is_helped_in_the_same_cycle(
    rows_per_page: int,
) -> None:
    world, journal = a_proven_world("0.80", "0.77", "0.74", rows_per_page=rows_per_page), MemoryJournal()
    one_at_a_time(world, moves(world, "0.98"))
    await a_guard(world, journal).cycle()
    assert served(world) == ["1", "2", "3"]
    assert [TARGET - NEAR <= ltv <= TARGET for ltv in landed_at(world)] == [True] * 3
    episodes = await journal.episodes(Owner("testnet", "7"))
    assert {episode.key.loan_id for episode in episodes} == {"1", "2", "3"}


@PAGES
async def test_such_a_loan_is_helped_once_its_episode_is_durable(
    monkeypatch: pytest.MonkeyPatch, rows_per_page: int
) -> None:
    early: list[LoanKey] = []
    write_sent = MemoryJournal.write_sent

    async def sent(self: MemoryJournal, intent: Intent, episode: Episode | None = None) -> bool:
        written = await write_sent(self, intent, episode)
        durable = {episode.key for episode in await self.episodes(intent.owner)}
        early.extend({intent.key} - durable)
        return written

    monkeypatch.setattr(MemoryJournal, "write_sent", sent)
    world = a_proven_world("0.80", "0.77", "0.74", rows_per_page=rows_per_page)
    one_at_a_time(world, moves(world, "0.98"))
    await a_guard(world, MemoryJournal()).cycle()
    assert (served(world), early) == (["1", "2", "3"], [])


@PAGES
async def test_where_the_turn_is_free_nothing_is_read_again(
    monkeypatch: pytest.MonkeyPatch, rows_per_page: int
) -> None:
    reads: list[str] = []
    loans, prices = ModelLoans.loans, ModelAccount.prices

    async def noting(self: ModelLoans, hear: Hear | None = None) -> LoanBook:
        reads.append("loans")
        return await loans(self, hear)

    async def noting_prices(self: ModelAccount, *, again: bool = False) -> object:
        reads.append("prices")
        return await prices(self, again=again)

    monkeypatch.setattr(ModelLoans, "loans", noting)
    monkeypatch.setattr(ModelAccount, "prices", noting_prices)
    world = a_proven_world("0.76", "0.60", rows_per_page=rows_per_page)
    one_at_a_time(world, moves(world, "0.98"))
    await a_guard(world, MemoryJournal()).cycle()
    assert served(world) == ["1"]
    assert reads == ["loans", "prices"]


@PAGES
async def test_a_loan_that_can_t_be_read_in_its_turn_is_helped_by_what_is_known(rows_per_page: int) -> None:
    world = a_proven_world("0.80", "0.78", rows_per_page=rows_per_page)

    def the_list_fails() -> None:
        world.orders_down = True

    one_at_a_time(world, the_list_fails)
    await a_guard(world, MemoryJournal()).cycle()
    assert served(world) == ["1", "2"]


@PAGES
async def test_a_repayment_too_is_of_facts_from_after_its_turn(rows_per_page: int) -> None:
    world = a_proven_world("0.80", "0.78", rows_per_page=rows_per_page)
    world.wallet = {"BTC": Decimal(0), "USDT": Decimal(100_000)}
    one_at_a_time(world, moves(world, "0.98"))
    policy = replace(POLICY, repay=RepayRule(enabled=True))
    await a_guard(world, MemoryJournal(), policy=policy).cycle()
    assert [(intent.key.loan_id, intent.direction) for intent in world.sent] == [
        ("1", Direction.REPAY),
        ("2", Direction.REPAY),
    ]
    assert TARGET - NEAR <= world.ltv(key_of(2)) <= TARGET


async def test_coins_that_are_not_enough_go_to_the_loan_that_is_worst_by_then() -> None:
    world = a_proven_world("0.80", "0.78", "0.77")
    world.wallet["BTC"] = Decimal("0.30")

    def the_last_gets_worse() -> None:
        world.loans[key_of(3)].debt *= Decimal("1.12")

    one_at_a_time(world, the_last_gets_worse)
    await a_guard(world, MemoryJournal()).cycle()
    assert served(world)[1] == "3"


def reads_of_single_loans(monkeypatch: pytest.MonkeyPatch, world: World, *, take_ms: int) -> list[str]:
    """The ids of the loans that are read one by one, each of which takes its time."""
    read: list[str] = []
    loan = ModelLoans.loan

    async def slowly(self: ModelLoans, key: LoanKey) -> LoanBook:
        read.append(key.loan_id)
        world.advance(take_ms)
        return await loan(self, key)

    monkeypatch.setattr(ModelLoans, "loan", slowly)
    return read


async def test_a_search_that_finds_nobody_among_many_does_not_hold_up_the_cycle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = a_proven_world(*["0.80"] * 30, rows_per_page=1)

    def all_but_prices_get_better() -> None:
        for number in range(2, 31):
            world.loans[key_of(number)].debt *= Decimal("0.8")

    one_at_a_time(world, all_but_prices_get_better)
    read = reads_of_single_loans(monkeypatch, world, take_ms=300)
    await a_guard(world, MemoryJournal()).cycle()
    assert served(world) == ["1"]
    assert len(read) < 10


@pytest.mark.parametrize("gone", [True, False], ids=["gone", "still there"])
async def test_whom_prices_put_beyond_liquidation_costs_those_that_can_be_saved_no_turn(
    monkeypatch: pytest.MonkeyPatch, *, gone: bool
) -> None:
    world = a_proven_world("0.94", "0.935", "0.93", "0.90", rows_per_page=1)

    def falls() -> None:
        if world.price == falls_from:
            world.price *= Decimal("0.97")
            for number in (2, 3) if gone else ():
                del world.loans[key_of(number)]

    falls_from = world.price
    one_at_a_time(world, falls)
    read = reads_of_single_loans(monkeypatch, world, take_ms=1)
    await a_guard(world, MemoryJournal()).cycle()
    assert read[:3] == ["2", "3", "4"]  # two at once
    assert served(world) == ["1", "4", *([] if gone else ["2", "3"])]


async def test_a_stream_of_prices_tells_whom_to_read_and_the_exchange_whom_to_help(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The stream puts one beyond liquidation. It lies: that costs reads of two others, and nobody's turn."""
    world = a_proven_world("0.94", "0.80", "0.78", "0.76", rows_per_page=1)
    told = {"BTC": world.price, "USDT": Decimal(1)}

    def the_stream_puts_one_beyond_liquidation() -> None:
        told["BTC"] = world.price * Decimal("0.862")

    one_at_a_time(world, the_stream_puts_one_beyond_liquidation)
    read = reads_of_single_loans(monkeypatch, world, take_ms=1)
    await a_guard(world, MemoryJournal(), streamed=lambda: told).cycle()
    assert read[:2] == ["3", "2"]
    assert served(world)[:2] == ["1", "2"]
    assert sorted(served(world)) == ["1", "2", "3", "4"]  # read between a lie and the truth: either first


async def test_loans_of_many_pages_that_were_read_a_while_ago_are_ranked_anew_for_a_turn_that_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = a_proven_world("0.80", "0.78", "0.77", rows_per_page=1)
    wallet = ModelAccount.wallet

    async def slowly(self: ModelAccount, coins: Collection[str]) -> Mapping[str, Decimal]:
        world.advance(700)
        for number in (1, 2):
            world.loans.pop(key_of(number), None)
        return await wallet(self, coins)

    monkeypatch.setattr(ModelAccount, "wallet", slowly)
    read = reads_of_single_loans(monkeypatch, world, take_ms=1)
    await a_guard(world, MemoryJournal()).cycle()
    assert read[:2] == ["1", "2"]
    assert served(world) == ["3"]


async def test_a_loan_of_many_that_is_read_in_haste_is_helped_by_that_read_and_the_others_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = a_proven_world("0.50", *["0.55"] * (A_PAGE + 20), rows_per_page=A_PAGE)
    guard = a_guard(world, MemoryJournal())
    await guard.cycle()
    world.loans[key_of(1)].debt *= Decimal("1.6")
    world.advance(5_000)
    rested, among = list[int](), AtRest.among

    def counting(self: AtRest, snapshot: Snapshot) -> Rest:
        found = among(self, snapshot)
        rested.append(len(found))
        return found

    read, whole = list[str](), ModelLoans.loans

    async def hangs(_self: ModelLoans, _: object = None) -> LoanBook:
        await asyncio.Event().wait()
        raise AssertionError

    async def one(self: ModelLoans, key: LoanKey) -> LoanBook:
        read.append(key.loan_id)
        book = await whole(self)
        return replace(book, loans=tuple(loan for loan in book.loans if loan.key == key), pages=1)

    monkeypatch.setattr(AtRest, "among", counting)
    monkeypatch.setattr(ModelLoans, "loans", hangs)
    monkeypatch.setattr(ModelLoans, "loan", one)
    guard.urge([key_of(1)])
    result = await guard.cycle()
    assert result.in_haste
    assert (read, served(world)) == (["1"], ["1"])
    assert min(rested) >= A_PAGE


@PAGES
async def test_the_next_list_is_read_while_this_cycle_still_adjusts_where_it_is_long(
    rows_per_page: int,
) -> None:
    world = a_proven_world(*["0.80"] * 12, rows_per_page=rows_per_page)
    one_at_a_time(world, lambda: None)
    guard = a_guard(world, MemoryJournal())
    first = await guard.cycle()
    before = len(world.sent)
    second = await guard.cycle()
    await guard.cycle()
    assert first.goes_on
    begun_ms = min(moment.exchange_ms for moment in second.asked.values())
    begun_after = sum(intent.created_at_ms <= begun_ms for intent in world.sent)
    assert min(begun_after, before) == (before - 1 if rows_per_page == 1 else before)
    assert sorted(served(world)) == sorted(str(number) for number in range(1, 13))


async def test_a_cycle_tells_when_the_page_of_each_loan_was_asked_for() -> None:
    world = a_proven_world("0.50", "0.50", "0.50", rows_per_page=1)
    guard = a_guard(world, MemoryJournal())
    await guard.cycle()
    world.page_takes_ms = 700
    asked = (await guard.cycle()).asked
    assert [asked[key_of(at)].monotonic_ms - asked[key_of(1)].monotonic_ms for at in (2, 3)] == [700, 1400]


async def test_where_one_is_found_gone_those_that_had_little_more_time_come_after_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Prices do not tell of it: the exchange liquidates sooner than they say."""
    world = a_proven_world("0.9485", "0.9480", "0.9478", "0.9476", "0.9474", "0.93", rows_per_page=1)

    def four_are_liquidated() -> None:
        for number in range(2, 6):
            world.loans.pop(key_of(number), None)

    one_at_a_time(world, four_are_liquidated)
    read = reads_of_single_loans(monkeypatch, world, take_ms=1)
    await a_guard(world, MemoryJournal()).cycle()
    assert read[:3] == ["2", "3", "6"]
    assert served(world) == ["1", "6"]


async def test_whom_a_dip_put_beyond_liquidation_comes_after_those_that_it_did_not() -> None:
    """Prices are back by the next turn: what was liquidated at their worst would be gone all the same.

    It is there, as is seen by a read beside that of the first of the others: it comes right after it.
    """
    world = a_proven_world("0.94", "0.93", "0.92", "0.80", "0.79", rows_per_page=1)
    told = {"BTC": world.price, "USDT": Decimal(1)}
    dips = iter(["0.97", "1", "1", "1"])

    def a_dip() -> None:
        told["BTC"] = world.price * Decimal(next(dips))

    one_at_a_time(world, a_dip)
    await a_guard(world, MemoryJournal(), streamed=lambda: told).cycle()
    assert served(world) == ["1", "3", "2", "4", "5"]


async def test_a_loan_whose_read_has_to_wait_holds_up_no_other_in_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = a_proven_world("0.81", "0.8000", "0.7999", rows_per_page=1)
    told = {"BTC": world.price, "USDT": Decimal(1)}
    one_at_a_time(world, lambda: None)
    loan, waited = ModelLoans.loan, list[str]()

    async def waiting_once(self: ModelLoans, key: LoanKey) -> LoanBook:
        if key == key_of(2) and not waited:
            waited.append(key.loan_id)
            await asyncio.Event().wait()
        return await loan(self, key)

    monkeypatch.setattr(ModelLoans, "loan", waiting_once)
    with structlog.testing.capture_logs() as said:
        await a_guard(world, MemoryJournal(), streamed=lambda: told).cycle()
    assert (served(world), waited) == (["1", "3", "2"], ["2"])
    assert all(item["event"] != "read_failed" for item in said)  # nor is it waited for until it fails


@pytest.mark.parametrize("gone", [True, False], ids=["gone", "there"])
async def test_the_one_whose_turn_it_is_waits_for_no_other_read_if_it_is_there(
    monkeypatch: pytest.MonkeyPatch, *, gone: bool
) -> None:
    world = a_proven_world("0.83", "0.82", "0.81", rows_per_page=1)
    monkeypatch.setattr(rereads, "TOGETHER_S", 0)
    told = {"BTC": world.price, "USDT": Decimal(1)}

    def the_first_may_go() -> None:
        if gone:
            world.loans.pop(key_of(2), None)

    one_at_a_time(world, the_first_may_go)
    loan, asked, read = ModelLoans.loan, list[str](), list[str]()

    async def one_later(self: ModelLoans, key: LoanKey) -> LoanBook:
        asked.append(key.loan_id)
        if key == key_of(2):
            world.advance(200)
        elif asked == ["2", "3"]:
            for _ in range(50):  # times that others have their say
                await asyncio.sleep(0)
        read.append(key.loan_id)
        return await loan(self, key)

    monkeypatch.setattr(ModelLoans, "loan", one_later)
    await a_guard(world, MemoryJournal(), streamed=lambda: told).cycle()
    assert served(world) == (["1", "3"] if gone else ["1", "2", "3"])
    # The other's read is given up, or it has this turn.
    assert (read, asked) == (["2", "3"], ["2", "3"] if gone else ["2", "3", "3"])


async def test_a_slow_loan_that_needs_no_help_after_all_passes_the_turn_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = a_proven_world("0.83", "0.82", "0.81", "0.80", rows_per_page=1)

    def two_get_better() -> None:
        for number in (2, 3):
            world.loans[key_of(number)].debt *= Decimal("0.6")

    one_at_a_time(world, two_get_better)
    reads_of_single_loans(monkeypatch, world, take_ms=1_500)
    await a_guard(world, MemoryJournal()).cycle()
    assert served(world) == ["1", "4"]


async def test_a_loan_that_begins_while_a_turn_is_waited_for_costs_no_other_its_turn() -> None:
    world = a_proven_world("0.80", "0.78", rows_per_page=3)

    def one_more() -> None:
        key, first = key_of(99), world.loans[key_of(1)]
        world.loans[key] = replace(first, key=key, debt=first.debt / 2)

    one_at_a_time(world, one_more)
    with structlog.testing.capture_logs() as told:
        await a_guard(world, MemoryJournal()).cycle()
    assert served(world) == ["1", "2"]
    assert not [item for item in told if item["event"] == "defect"]


async def test_directions_that_come_into_doubt_stop_the_lane_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    world = a_proven_world("0.80", "0.78")
    one_at_a_time(world, lambda: None)
    monkeypatch.setattr(Directions, "why_not", lambda *_: "they are in doubt" if world.sent else None)
    await a_guard(world, MemoryJournal()).cycle()
    assert served(world) == ["1"]


async def test_where_the_first_is_gone_another_that_waits_for_room_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = a_proven_world("0.83", "0.82", "0.81", rows_per_page=1)
    told = {"BTC": world.price, "USDT": Decimal(1)}
    one_at_a_time(world, lambda: world.loans.pop(key_of(2), None) and None)
    loan, asked = ModelLoans.loan, list[str]()

    async def one_later(self: ModelLoans, key: LoanKey) -> LoanBook:
        asked.append(key.loan_id)
        if key == key_of(2):
            world.advance(1)
        elif key == key_of(3):
            await asyncio.sleep(0.02)
        return await loan(self, key)

    monkeypatch.setattr(ModelLoans, "loan", one_later)
    monkeypatch.setattr(rereads, "A_FEW", 60_000)
    guard = a_guard(world, MemoryJournal(), streamed=lambda: told)
    monkeypatch.setattr(guard._parts.rereads, "_grace_s", 60)
    await guard.cycle()
    assert served(world) == ["1", "3"]
    assert asked == ["2", "3"]
