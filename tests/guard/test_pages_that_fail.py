"""A list whose later pages fail: the loans of those before are guarded, some of the others by their ids."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
import structlog
from core_builders import intent, loan
from exchange_model import World, a_guard, a_world, key_of

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.intents import State
from ltv_guard.core.model.loan_book import ListCutShort, LoanBook, LoanEnd, SetAside
from ltv_guard.core.model.loans import Direction, Loan, LoanKey, Moment, Product
from ltv_guard.core.ports import LoanExchange
from ltv_guard.guard.cycle import Guard
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.loan_reporter import LoanReporter
from ltv_guard.guard.reads.recalled_loans import RecalledLoans
from ltv_guard.guard.reads.unseen_loans import A_FEW, BELIEVED_AFTER, NEAREST, UnseenLoans
from ltv_guard.guard.reporter import Reporter
from ltv_guard.guard.short_lists import LASTS
from ltv_guard.guard.snapshot import CycleResult, Snapshot
from ltv_guard.guard.state.intent_book import IntentBook
from ltv_guard.guard.state.loan_registry import LoanRegistry
from ltv_guard.guard.state.memory import Memory
from ltv_guard.log.alert_repeater import AlertRepeater

POLL_MS = 15_000
DEFECTS = Defects(AlertRepeater(lambda: 0))


@pytest.fixture(name="told")
def a_log() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as logs:
        yield logs


def events(told: list[Any], *names: str) -> list[str]:
    return [item["event"] for item in told if item["event"] in names]


def a_list(*ltvs: str) -> tuple[World, Guard]:
    """Two loans on a page."""
    world = a_world(*ltvs)
    world.rows_per_page = 2
    return world, a_guard(world, MemoryJournal())


async def cycles(world: World, guard: Guard, number: int) -> CycleResult:
    for _ in range(number):
        result = await guard.cycle()
        world.advance(POLL_MS)
    return result


def falls(world: World, *numbers: int) -> None:
    for number in numbers:
        world.loans[key_of(number)].debt *= Decimal("1.5")
    world.advance(1)


async def test_loans_of_pages_that_were_read_are_helped_and_so_are_others_by_their_ids(
    told: list[Any],
) -> None:
    world, guard = a_list(*["0.51"] * 6)
    await cycles(world, guard, 1)
    world.pages_up = 1
    falls(world, 1, 6)
    result = await cycles(world, guard, 8)
    assert result.blind
    assert {intent.key for intent in world.sent} == {key_of(1), key_of(6)}
    assert max(world.ltv(key_of(number)) for number in (1, 6)) < Decimal("0.66")
    world.pages_up = None
    assert not (await cycles(world, guard, 1)).blind
    names = ("read_failed", "read_works_again", "guard_blind", "guard_recovered", "loan_gone", "defect")
    assert events(told, *names) == ["read_failed", "read_works_again"]


async def test_a_loan_that_is_not_seen_for_its_time_is_told_and_only_that(told: list[Any]) -> None:
    world, guard = a_list(*["0.51"] * 4)
    await cycles(world, guard, 1)
    world.pages_up, world.single_down = 1, True
    await cycles(world, guard, 2)
    assert events(told, "guard_blind") == []
    falls(world, 2)
    await cycles(world, guard, 4)
    assert [(item["cycles"], item["loan_ids"]) for item in told if item["event"] == "guard_blind"][:1] == [
        (3, ["3", "4"])
    ]
    assert world.ltv(key_of(2)) < Decimal("0.66")
    world.single_down = False
    await cycles(world, guard, 1)
    assert events(told, "guard_recovered", "loan_gone") == ["guard_recovered"]


async def test_cycles_in_which_no_page_was_read_count_as_well(told: list[Any]) -> None:
    world, guard = a_list(*["0.51"] * 4)
    await cycles(world, guard, 1)
    world.orders_down = True
    await cycles(world, guard, 2)
    assert events(told, "guard_blind") == []
    world.orders_down, world.pages_up, world.single_down = False, 1, True
    await cycles(world, guard, 1)
    assert events(told, "guard_blind") == ["guard_blind"]


async def test_it_is_blind_until_all_were_seen_in_one_cycle(told: list[Any]) -> None:
    world, guard = a_list(*["0.51"] * (2 + A_FEW + 2))
    await cycles(world, guard, 1)
    world.pages_up, world.single_down = 1, True
    await cycles(world, guard, 3)
    world.single_down = False
    await cycles(world, guard, 8)
    assert events(told, "guard_blind", "guard_recovered") == ["guard_blind"]


def test_a_loan_that_was_set_aside_on_a_page_that_fails_is_not_readable_again(told: list[Any]) -> None:
    report = LoanReporter(AlertRepeater(lambda: 0))
    report.book(replace(part(), set_aside=(SetAside(key=key_of(1), why="odd"),)))
    report.book(part(loan("0.60", loan_id="2"), cut_short="down"))
    assert events(told, "loan_readable_again") == []
    report.book(part(loan("0.60", loan_id="1")))
    assert events(told, "loan_set_aside", "loan_readable_again") == ["loan_set_aside", "loan_readable_again"]


@pytest.mark.parametrize("pages_up", [0, 1])
async def test_loans_that_a_list_lacks_without_a_word_are_not_gone(told: list[Any], pages_up: int) -> None:
    world, guard = a_list(*["0.51"] * 4)
    await cycles(world, guard, 1)
    world.pages_up, world.short = pages_up, True
    falls(world, 1, 4)
    await cycles(world, guard, 8)
    assert max(world.ltv(key_of(number)) for number in (1, 4)) < Decimal("0.66")
    world.pages_up = None
    world.loans[key_of(2)].gone = True
    await cycles(world, guard, 6)
    names = ("read_failed", "read_works_again", "guard_blind", "loan_gone", "defect")
    assert events(told, *names) == ["read_failed", "loan_gone", "read_works_again"]
    assert [item["loan_id"] for item in told if item["event"] == "loan_gone"] == ["2"]


async def test_a_loan_that_lists_lack_by_turns_is_told_once_and_its_end_once_it_lasts(
    told: list[Any],
) -> None:
    world, guard = a_list(*["0.51"] * 4)
    await cycles(world, guard, 1)
    for whole in (1, LASTS - 1):
        world.pages_up, world.short = 1, True
        await cycles(world, guard, 1)
        world.pages_up, world.short = None, False
        await cycles(world, guard, whole)
    names = ("read_failed", "read_works_again", "guard_blind", "defect")
    assert events(told, *names) == ["read_failed"]
    await cycles(world, guard, 1)
    assert [item["failed"] for item in told if item["event"] == "read_works_again"] == [2]
    world.pages_up = 1  # which says so: its end is told at once, as that of any read
    await cycles(world, guard, 1)
    world.pages_up = None
    await cycles(world, guard, 1)
    assert events(told, *names) == ["read_failed", "read_works_again"] * 2


def test_once_it_was_blind_for_such_a_loan_its_sight_is_back_at_once(told: list[Any]) -> None:
    report = Reporter(1, AlertRepeater(lambda: 0), Memory(MemoryJournal()).freshness)
    for _ in range(2):
        cut = ListCutShort("short", book=part(), without_a_word=True)
        report.in_part("orders", cut, {key_of(1): 1}, lacks_known=True)
        report.recovered("orders")
    assert (
        events(told, "read_failed", "guard_blind", "guard_recovered", "read_works_again")
        == [*("read_failed", "guard_blind", "guard_recovered")] * 2
    )


async def test_a_page_that_comes_back_empty_for_a_turn_costs_nobody_the_turn() -> None:
    world = a_world(*["0.51"] * 3)
    guard = a_guard(world, MemoryJournal())
    await cycles(world, guard, 1)

    def turn_comes() -> bool:
        world.pages_up, world.short = 0, True
        return True

    world.turn_comes = turn_comes
    falls(world, 1)
    await guard.cycle()
    assert [intent.key for intent in world.sent] == [key_of(1)]


async def test_where_no_list_was_ever_whole_it_is_blind(told: list[Any]) -> None:
    world, guard = a_list(*["0.51"] * 4)
    world.pages_up = 1
    await cycles(world, guard, 2)
    assert events(told, "guard_blind") == []
    await cycles(world, guard, 1)
    assert events(told, "guard_blind", "guard_recovered") == ["guard_blind"]


async def a_restart(journal: MemoryJournal, *ltvs: str, adjusted: Collection[int], pages_up: int) -> World:
    """Two loans on a page; these were adjusted by a process that is gone."""
    world = a_world(*ltvs)
    for number in adjusted:
        falls(world, number)
    await cycles(world, a_guard(world, journal), 4 + 2 * len(adjusted))
    world.sent.clear()
    world.rows_per_page, world.pages_up = 2, pages_up
    return world


async def test_after_a_restart_loans_of_pages_that_fail_are_guarded_where_the_journal_tells_of_them(
    told: list[Any],
) -> None:
    journal = MemoryJournal()
    world = await a_restart(journal, *["0.51"] * 6, adjusted=(4, 6), pages_up=1)
    falls(world, 1, 4, 6)
    assert min(world.ltv(key_of(number)) for number in (1, 4, 6)) > Decimal("0.75")
    told.clear()
    result = await cycles(world, a_guard(world, journal), 8)
    assert {intent.key for intent in world.sent} == {key_of(1), key_of(4), key_of(6)}
    assert max(world.ltv(key_of(number)) for number in (1, 4, 6)) < Decimal("0.66")
    assert result.blind  # 3 and 5 are in no journal
    blind = [item for item in told if item["event"] == "guard_blind"]
    assert blind[0]["loan_ids"] == []
    assert "that the journal tells of" in blind[0]["why"]


async def test_one_of_those_that_is_gone_is_asked_for_once_and_one_that_fails_is_named(
    told: list[Any],
) -> None:
    journal = MemoryJournal()
    world = await a_restart(journal, *["0.51"] * 6, adjusted=(4, 6), pages_up=1)
    told.clear()
    world.loans[key_of(4)].gone = world.single_down = True
    world.advance(1)
    guard = a_guard(world, journal)
    await cycles(world, guard, 3)
    assert [item["loan_ids"] for item in told if item["event"] == "guard_blind"] == [["4", "6"]]
    world.single_down = False
    await cycles(world, guard, 1)
    assert guard._parts.reads.loans.urgent.unseen.missed(Product.LEGACY) == {}
    world.pages_up = None
    await cycles(world, guard, 4)
    assert events(told, "guard_recovered", "loan_gone", "defect") == ["guard_recovered"]


@pytest.mark.parametrize("gone", [True, False])
async def test_a_first_list_that_comes_back_short_is_held_against_the_journal(
    told: list[Any], *, gone: bool
) -> None:
    journal = MemoryJournal()
    world = await a_restart(journal, *["0.51"] * 4, adjusted=(4,), pages_up=1)
    world.short, world.loans[key_of(4)].gone = True, gone
    world.advance(1)
    told.clear()
    result = await cycles(world, a_guard(world, journal), 1)
    assert events(told, "read_failed") == ([] if gone else ["read_failed"])
    assert result.loans == (2 if gone else 3)


async def test_nothing_is_released_while_loans_are_not_read() -> None:
    world, guard = a_list("0.30", *["0.51"] * 3)
    world.pages_up = 1
    await cycles(world, guard, 8)
    assert world.sent == []
    world.pages_up = None
    await cycles(world, guard, 2)
    assert [intent.direction for intent in world.sent] == [Direction.REDUCE]


async def with_an_unknown_add() -> tuple[World, Guard, MemoryJournal]:
    """The last loan of the list is in breach, and its add is lost on the way."""
    world, guard = a_list(*["0.51"] * 4)
    journal: MemoryJournal = guard._memory.journal  # type: ignore[assignment]
    await cycles(world, guard, 1)
    falls(world, 4)
    world.answers = ["lost_request"]
    await guard.cycle()
    return world, guard, journal


async def test_that_a_page_lacks_a_loan_settles_nothing_of_it() -> None:
    world, guard, journal = await with_an_unknown_add()
    world.pages_up, world.single_down = 1, True
    await cycles(world, guard, 20)
    assert [intent.state for intent in journal.snapshot().intents.values()] == [State.UNKNOWN]
    world.pages_up, world.single_down = None, False
    await cycles(world, guard, 4)
    assert world.ltv(key_of(4)) < Decimal("0.66")


async def test_that_a_whole_list_lacks_it_leaves_it_to_its_history() -> None:
    world, guard, journal = await with_an_unknown_add()
    world.loans[key_of(4)].gone = True
    world.advance(1)
    await cycles(world, guard, 20)
    assert [intent.state for intent in journal.snapshot().intents.values()] == [State.ABSENT]


async def test_what_such_a_list_tells_is_kept_and_that_it_is_not_all() -> None:
    world, guard = a_list(*["0.51"] * 4)
    await cycles(world, guard, 1)
    world.pages_up = 1
    falls(world, 1, 4)
    guard.urge([key_of(4)])
    snapshot, loans = Snapshot(), guard._parts.reads.loans
    await loans.sweep(snapshot)
    assert snapshot.in_part
    assert not snapshot.in_haste
    known = [guard._memory.loans.loan(key_of(number)) for number in (1, 2, 4)]
    assert [str(item.ltv) for item in known if item] == ["0.7650", "0.5100", "0.7650"]
    assert loans.urgent.told_of(Product.LEGACY) == set()  # it has been read


class ById:
    """Loans that are read by their ids alone: noted, and some are not there."""

    product = Product.LEGACY

    def __init__(self, *gone: str) -> None:
        self.read: list[str] = []
        self.gone = gone

    async def loan(self, key: LoanKey) -> LoanBook:
        self.read.append(key.loan_id)
        found = () if key.loan_id in self.gone else (loan("0.60", loan_id=key.loan_id),)
        return part(*found)


def part(*loans: Any, cut_short: str = "") -> LoanBook:  # noqa: ANN401
    began = Moment(exchange_ms=1, monotonic_ms=1)
    return LoanBook(product=Product.LEGACY, loans=loans, began=began, cut_short=cut_short)


async def read_by_id(unseen: UnseenLoans, shown: ById, *first: int) -> list[str]:
    exchange: LoanExchange = shown  # type: ignore[assignment]
    shown.read.clear()
    await unseen.add_to(part(loan("0.60", loan_id="1"), cut_short="down"), exchange, [*map(key_of, first)])
    return list(shown.read)


async def test_the_nearest_are_read_each_time_and_of_the_others_each_in_turn() -> None:
    registry, shown = LoanRegistry(), ById()
    registry.saw(part(*(loan(f"0.{70 - number}", loan_id=str(number)) for number in range(1, 13))))
    gaps = {key_of(number): Decimal(number) for number in range(1, 13)}
    unseen = UnseenLoans(registry, lambda item: gaps[item.key], DEFECTS)
    reads = [await read_by_id(unseen, shown) for _ in range(4)]
    assert [read[:NEAREST] for read in reads] == [["2", "3", "4"]] * 4
    assert sorted(number for read in reads for number in read[NEAREST:]) == sorted(
        map(str, range(5, 5 + 4 * (A_FEW - NEAREST)))
    )
    assert (await read_by_id(unseen, shown, 12))[:NEAREST] == ["12", "2", "3"]


def test_loans_that_the_journal_alone_tells_of_are_known_until_a_list_is_whole() -> None:
    recalled = {Product.LEGACY: {key_of(1): Decimal(1)}}
    unseen = UnseenLoans(
        LoanRegistry(), lambda _: Decimal(0), DEFECTS, lambda product: recalled.get(product, {})
    )
    assert unseen.knows_of(Product.LEGACY)
    assert not unseen.knows_of(Product.CRYPTO_LOAN)
    unseen.all_are_read(Product.LEGACY)
    assert not unseen.knows_of(Product.LEGACY)


async def test_one_that_is_not_listed_by_its_id_takes_no_place_of_the_nearest_and_counts_as_unseen() -> None:
    registry, shown = LoanRegistry(), ById("2")
    registry.saw(part(*(loan(f"0.{70 - number}", loan_id=str(number)) for number in range(1, 13))))
    unseen = UnseenLoans(registry, lambda item: Decimal(item.key.loan_id), DEFECTS)
    await read_by_id(unseen, shown)
    assert (await read_by_id(unseen, shown))[:NEAREST] == ["3", "4", "5"]
    assert unseen.missed(Product.LEGACY)[key_of(2)] == 2
    unseen.all_are_read(Product.LEGACY)
    assert unseen.missed(Product.LEGACY) == {}


@pytest.mark.parametrize("again", ["listed by its id", "a whole list"])
async def test_it_has_its_place_again_once_it_may_be_there(again: str) -> None:
    registry, shown = LoanRegistry(), ById("2")
    registry.saw(part(*(loan(f"0.{70 - number}", loan_id=str(number)) for number in range(1, 13))))
    unseen = UnseenLoans(registry, lambda item: Decimal(item.key.loan_id), DEFECTS)
    await read_by_id(unseen, shown)
    if again == "a whole list":
        unseen.all_are_read(Product.LEGACY)
    else:
        shown.gone = ()
        assert "2" in (await read_by_id(unseen, shown))[NEAREST:]
    assert (await read_by_id(unseen, shown))[:NEAREST] == ["2", "3", "4"]


@pytest.mark.parametrize(("nameless", "asked"), [(False, ["4"]), (True, [])])
async def test_of_loans_that_a_whole_list_lacks_the_one_with_most_room_is_asked_for(
    asked: list[str], *, nameless: bool
) -> None:
    """One without a name may be any of them."""
    registry, shown = LoanRegistry(), ById("4")
    registry.saw(part(*(loan(f"0.{70 - number}", loan_id=str(number)) for number in range(1, 5))))
    unseen = UnseenLoans(registry, lambda item: Decimal(item.key.loan_id), DEFECTS)
    odd = SetAside(key=key_of(9), why="odd", nameless=nameless)
    exchange: LoanExchange = shown  # type: ignore[assignment]
    await unseen.hold_against(replace(part(loan("0.60", loan_id="1")), set_aside=(odd,)), exchange)
    assert shown.read == asked


class NoPool(ById):
    """The position shows no pool."""

    product = Product.CRYPTO_LOAN

    def __init__(self, end: LoanEnd | None) -> None:
        super().__init__("pool")
        self.end = end

    async def end_of(self, _: Loan) -> LoanEnd | None:
        return self.end


@pytest.mark.parametrize("end", [None, LoanEnd(liquidated=False, words="repaid")])
async def test_a_pool_that_is_not_shown_is_there_for_a_while_unless_its_end_is_told(
    end: LoanEnd | None,
) -> None:
    registry, exchange = LoanRegistry(), NoPool(end)
    pool = loan("0.70", loan_id="pool")
    pool = replace(pool, key=replace(pool.key, product=Product.CRYPTO_LOAN))
    empty = replace(part(), product=Product.CRYPTO_LOAN)
    registry.saw(replace(empty, loans=(pool,)))
    unseen = UnseenLoans(registry, lambda _: Decimal(0), DEFECTS)
    told = []
    for _ in range(BELIEVED_AFTER + 2):
        try:
            await unseen.hold_against(empty, exchange)  # type: ignore[arg-type]
        except ListCutShort as cut:
            told.append(cut.book.pages)
    assert told == ([2] * BELIEVED_AFTER if end is None else [])  # its turns go by ids


async def test_of_those_that_the_journal_tells_of_the_nearest_are_first_and_who_is_gone_is_dropped() -> None:
    shown, gaps = ById("3"), {key_of(number): Decimal(number) for number in range(1, 10)}
    registry = LoanRegistry()
    unseen = UnseenLoans(registry, lambda item: Decimal(item.key.loan_id), DEFECTS, lambda _: gaps)
    unseen.none_is_read(Product.LEGACY)
    assert unseen.missed(Product.LEGACY) == dict.fromkeys(gaps, 1)
    assert await read_by_id(unseen, shown) == ["2", "3", "4", "5", "6"]  # 1 stands on the first page
    for number in (2, 4, 5, 6):
        registry.saw_part(part(loan("0.60", loan_id=str(number))))
    assert await read_by_id(unseen, shown) == ["2", "4", "5", "7", "8"]
    assert set(unseen.missed(Product.LEGACY)) == {key_of(number) for number in (6, 9)}
    unseen.all_are_read(Product.LEGACY)
    assert await read_by_id(unseen, shown) == ["2", "4", "5", "6"]


@pytest.mark.parametrize(
    ("before", "after", "gap"),
    [("0.75", None, "0"), ("0.75", "0.60", "0.25"), ("0", None, "Infinity")],
)
def test_how_near_one_of_those_is_goes_by_its_last_adjustment(
    before: str, after: str | None, gap: str
) -> None:
    book, registry = IntentBook(MemoryJournal()), LoanRegistry()
    last = intent(updated_at_ms=2, ltv_before=before, ltv_after=after and Decimal(after))
    earlier = intent(intent_id="earlier", updated_at_ms=1, ltv_before="0.9")
    of_a_pool = intent(intent_id="of a pool")
    of_a_pool = replace(of_a_pool, key=replace(of_a_pool.key, product=Product.CRYPTO_LOAN))
    book.remember([earlier, last, of_a_pool])
    recalled = RecalledLoans(book, registry, Decimal("0.75"))
    assert recalled.gaps(last.key.product) == {last.key: Decimal(gap)}
    registry.saw_part(part(loan("0.60", loan_id=last.key.loan_id)))
    assert recalled.gaps(last.key.product) == {}


async def test_for_how_long_loans_of_both_products_are_not_seen_is_counted_apart() -> None:
    registry = LoanRegistry()
    pool = loan("0.70", loan_id="pool")
    pool = replace(pool, key=replace(pool.key, product=Product.CRYPTO_LOAN))
    registry.saw_part(part(pool, loan("0.70", loan_id="2")))
    unseen = UnseenLoans(registry, lambda _: Decimal(1), DEFECTS)
    no_pool = replace(part(), product=Product.CRYPTO_LOAN)
    for _ in range(3):
        await unseen.add_to(part(), ById("2"), [])  # type: ignore[arg-type]
        await unseen.add_to(no_pool, NoPool(None), [])  # type: ignore[arg-type]
    assert unseen.missed(Product.LEGACY) == {key_of(2): 3}
    assert unseen.missed(Product.CRYPTO_LOAN) == {pool.key: 3}


async def test_a_pool_that_the_journal_alone_tells_of_is_believed_to_have_ended() -> None:
    pool = LoanKey(Product.CRYPTO_LOAN, "pool")
    unseen = UnseenLoans(LoanRegistry(), lambda _: Decimal(0), DEFECTS, lambda _: {pool: Decimal(0)})
    exchange = NoPool(None)
    await unseen.hold_against(replace(part(), product=Product.CRYPTO_LOAN), exchange)  # type: ignore[arg-type]
    assert exchange.read == ["pool"]


async def test_an_error_of_ours_at_one_of_them_costs_the_others_nothing() -> None:
    class Broken(ById):
        async def loan(self, key: LoanKey) -> LoanBook:
            if key == key_of(3):
                raise ZeroDivisionError
            return await super().loan(key)

    registry = LoanRegistry()
    registry.saw(part(*(loan(f"0.{70 - number}", loan_id=str(number)) for number in range(1, 5))))
    unseen = UnseenLoans(registry, lambda item: Decimal(item.key.loan_id), DEFECTS)
    exchange: LoanExchange = Broken()  # type: ignore[assignment]
    with structlog.testing.capture_logs() as told:
        book = await unseen.add_to(part(loan("0.60", loan_id="1"), cut_short="down"), exchange, [])
    assert [item["event"] for item in told] == ["defect"]
    assert {item.key for item in book.loans} == {key_of(number) for number in (1, 2, 4)}
    assert unseen.missed(Product.LEGACY) == {key_of(3): 1}
