"""Who waits for a turn to write, in which order, where prices fall by 1 % a second."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from decimal import Decimal

import pytest
from core_builders import D, decide_one, facts, key, loan

from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import Debt, Kind, Loan, Moment, Owner, Product
from ltv_guard.core.watch.time_left import Falling
from ltv_guard.guard.lane import Lane
from ltv_guard.guard.line_up import LineUp
from ltv_guard.guard.snapshot import Snapshot

LIQUIDATION, SPEED = D("0.95"), D("0.01")
BEFORE, NOW = {"BTC": D(100), "USDT": D(1)}, {"BTC": D(99), "USDT": D(1)}
READ = Moment(monotonic_ms=1_000, exchange_ms=1_000)


def with_left(**seconds: str) -> dict[str, Loan]:
    """A loan for each name, which is liquidated after so many seconds if prices go on like that."""
    ltvs = {name: LIQUIDATION * (1 - D(left) * SPEED) for name, left in seconds.items()}
    return {
        name: loan(ltv, loan_id=name, liquidation=LIQUIDATION, debt=ltv * NOW["BTC"])
        for name, ltv in ltvs.items()
    }


def scene(
    loans: Mapping[str, Loan], *, read: Collection[str] = (), gone: Mapping[str, Loan] | None = None
) -> tuple[Falling, Snapshot, Lane]:
    """All were listed a moment ago. `read`: those that were read by themselves for this turn."""
    falling = Falling()
    falling.saw(BEFORE, 0)
    falling.saw(NOW, READ.monotonic_ms)
    book = LoanBook(product=Product.LEGACY, loans=tuple(loans.values()), began=READ, pages=3)
    lane = Lane(
        owner=Owner("testnet", "1"), product=Product.LEGACY, kind=Kind.ADJUSTMENT, prices=NOW, turn=READ
    )
    lane.decisions = {item.key: decide_one(facts(item)) for item in loans.values()}
    lane.chosen = {key(name) for name in read}
    lane.gone = {item.key: item for item in (gone or {}).values()}
    return falling, Snapshot(books={Product.LEGACY: book}), lane


def names(line_up: LineUp) -> list[str]:
    return [item.loan_id for item in line_up.order()]


def order(
    loans: Mapping[str, Loan], *, read: Collection[str] = (), gone: Mapping[str, Loan] | None = None
) -> list[str]:
    return names(LineUp(*scene(loans, read=read, gone=gone), NOW))


def first(loans: Mapping[str, Loan], *, tried: int = 0) -> list[str]:
    """Who is read for a turn, so many having had theirs in this cycle."""
    falling, snapshot, lane = scene(loans)
    line_up = LineUp(falling, snapshot, lane, NOW)
    lane.line_up(line_up.order())
    for _ in range(tried):
        lane.next()
    return [item.loan_id for item in line_up.first()]


@pytest.mark.parametrize(
    ("left", "read", "expected"),
    [
        ({"a": "3", "b": "1", "c": "2"}, (), ["b", "c", "a"]),
        # To be read, and then helped: that takes longer than it has.
        ({"a": "0.17", "b": "3", "c": "4"}, (), ["b", "c", "a"]),
        ({"a": "0.25", "b": "3", "c": "4"}, (), ["a", "b", "c"]),
        # It has been read: only help has to arrive.
        ({"a": "0.17", "b": "3", "c": "4"}, "a", ["a", "b", "c"]),
        ({"a": "0.12", "b": "3", "c": "4"}, "a", ["b", "c", "a"]),
        # Another read may take the turn.
        ({"a": "2.5", "b": "3", "c": "4"}, "b", ["b", "a", "c"]),
        ({"a": "1.5", "b": "3", "c": "4"}, "b", ["a", "b", "c"]),
        ({"a": "0.17", "b": "3", "c": "4"}, "b", ["b", "c", "a"]),
        # It would be read after others were: that takes longer still.
        ({"a": "0.25", "b": "3", "c": "4"}, "b", ["b", "c", "a"]),
        ({"a": "0.35", "b": "3", "c": "4"}, "b", ["a", "b", "c"]),
    ],
)
def test_whose_time_ends_first_goes_first_if_help_can_still_come(
    left: dict[str, str], read: Collection[str], expected: list[str]
) -> None:
    assert order(with_left(**left), read=read) == expected


@pytest.mark.parametrize(
    ("gone_after", "read", "expected"),
    [
        ("0.6", "", ["c", "a", "b"]),  # twice that time may be too short as well
        ("0.45", "", ["b", "c", "a"]),
        ("0.6", "a", ["a", "c", "b"]),  # a was seen to be there
        ("0.6", "ab", ["a", "b", "c"]),
        ("0.1", "", ["a", "b", "c"]),
        ("4", "", ["a", "b", "c"]),  # for another reason
    ],
)
def test_one_that_is_gone_tells_of_those_that_were_not_read(
    gone_after: str, read: str, expected: list[str]
) -> None:
    loans = with_left(a="0.8", b="1", c="5")
    assert order(loans, read=read, gone=with_left(d=gone_after)) == expected


def test_who_is_shown_at_its_liquidation_and_still_there_goes_first() -> None:
    """Nobody knows how long that lasts."""
    loans = with_left(a="1", b="2") | {"c": loan(Decimal("0.951"), loan_id="c", liquidation=LIQUIDATION)}
    assert order(loans) == ["c", "a", "b"]


def shown_at(item: Loan, factor: str) -> Loan:
    """As a list shows it that was made at another price than was thought."""
    return replace(item, ltv=item.ltv * D(factor))


def test_what_was_read_at_a_price_that_is_not_quite_known_is_ranked_by_its_amounts() -> None:
    loans = with_left(a="2", b="2.1", c="2.2", d="2.3", e="5")
    loans |= {"a": shown_at(loans["a"], "0.996"), "d": shown_at(loans["d"], "1.004")}
    assert order(loans) == ["a", "b", "c", "d", "e"]


def test_those_read_for_this_turn_tell_the_price_of_now() -> None:
    """The others were listed at a price that is known to some tenth of a second."""
    loans = with_left(a="0.12", b="3", c="4", d="5")
    listed = {name: shown_at(item, "0.999") for name, item in loans.items()}
    assert order(listed | {"a": loans["a"]}, read="a") == ["b", "c", "d", "a"]
    assert order(listed, read="a") == ["a", "b", "c", "d"]


def test_at_which_price_a_list_was_read_those_tell_that_are_read_for_a_turn() -> None:
    """So one that has half a second is not passed over at the next turn, before any is read for that."""
    lower, later = {"BTC": D("98.5"), "USDT": D(1)}, Moment(monotonic_ms=1_050, exchange_ms=1_050)
    sooner = Moment(monotonic_ms=500, exchange_ms=500)
    falling, snapshot, lane = scene(with_left(a="3", b="0.4", c="4", d="6"))
    book = replace(snapshot.books[Product.LEGACY], asked={key("d"): sooner})
    snapshot.books[Product.LEGACY] = book
    falling.saw(lower, later.monotonic_ms)  # it was as low when they were listed: that was told too late
    before = LineUp(falling, snapshot, lane, lower)
    assert names(before) == ["a", "c", "d", "b"]
    before.learn()  # nothing: no loan was read for that turn
    assert [falling.at(("BTC", "USDT"), at.monotonic_ms) for at in (sooner, READ)] == [D(100), D(99)]

    snapshot.books[Product.LEGACY] = replace(book, asked={key("a"): later, key("d"): sooner})
    lane.read, lane.chosen = {key("a"): lower}, {key("a")}
    LineUp(falling, snapshot, lane, lower).learn()
    lane.chosen = set()
    assert names(LineUp(falling, snapshot, lane, lower)) == ["b", "a", "c", "d"]


def test_one_that_was_read_for_this_turn_and_fits_no_other_tells_nothing_of_them() -> None:
    loans = with_left(a="2", b="2.1", c="2.2", d="6")
    loans |= {"a": shown_at(loans["a"], "0.996"), "d": shown_at(loans["d"], "1.02")}
    assert order(loans, read="d") == ["a", "b", "c", "d"]


def test_amounts_that_an_ltv_does_not_bear_out_are_not_gone_by() -> None:
    loans = with_left(a="2", b="3", c="4", d="5")
    assert order(loans | {"b": shown_at(loans["b"], "0.97")}) == ["a", "c", "d", "b"]
    assert order(loans | {"d": shown_at(loans["d"], "1.032")}) == ["d", "a", "b", "c"]


def test_one_that_prices_put_just_beyond_liquidation_is_read_right_after_the_one_whose_turn_it_is() -> None:
    """It may be there yet, and nobody would look before the next list. There may be room for two."""
    assert first(with_left(a="0.1", b="0.15", c="1", d="4", e="5")) == ["c", "b", "d"]
    assert first(with_left(c="3", d="4", e="5")) == ["c", "d"]
    assert first(with_left(c="1", d="1.2", e="5")) == ["c", "e"]  # who is there for certain
    assert first(with_left(a="0.1", b="0.15", c="3"), tried=1) == ["a", "b"]
    assert first(with_left(a="0.1", b="0.15", c="3", d="4", e="5"), tried=4) == ["b"]


def test_so_is_the_first_of_other_coins() -> None:
    """Their speeds may have changed places."""
    loans = with_left(c="3", d="4", e="5", z="6")
    loans["z"] = replace(loans["z"], debts=(Debt(coin="USDC", amount=D(80)),))
    assert first(loans) == ["c", "z", "d"]


def test_one_that_owes_nothing_by_its_ltv_and_its_amounts_waits_with_the_others() -> None:
    assert "z" not in order(with_left(a="1", b="2") | {"z": loan("0", loan_id="z", debt="0")})


def test_an_ltv_of_zero_tells_no_price() -> None:
    falling, snapshot, lane = scene({"a": loan("0", loan_id="a"), "b": loan("0", loan_id="b")}, read="a")
    LineUp(falling, snapshot, lane, NOW).learn()
    assert falling.at(("BTC", "USDT"), READ.monotonic_ms) == NOW["BTC"]
