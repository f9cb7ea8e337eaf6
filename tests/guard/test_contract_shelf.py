"""When a pool's fixed loans are read again, and what of them is kept until then."""

from __future__ import annotations

from dataclasses import replace

import pytest
from core_builders import REPAY, D, intent
from core_pools import at

from ltv_guard.core.model.contracts import AtEnd, Contract, ContractList
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import Debt, Moment, Product
from ltv_guard.core.model.timing import TIMING
from ltv_guard.guard.state.contract_shelf import ContractShelf

NOW = 1_700_000_000_000
HOUR, DAY = 3_600_000, 86_400_000
LENT = Contract(loan_id="7", coin="USDT", ends_at_ms=NOW + DAY, principal=D(1000))


def moment(ms: int) -> Moment:
    return Moment(exchange_ms=NOW + ms, monotonic_ms=ms)


def book(*debts: Debt) -> LoanBook:
    pool = replace(at("0.5", {"BTC": "1"}).shown(), debts=debts)
    return LoanBook(product=Product.CRYPTO_LOAN, began=moment(0), loans=(pool,))


def owed(coin: str = "USDT", fixed: str = "1000", *, unread: bool = False) -> Debt:
    return Debt(coin=coin, amount=D(fixed) + 500, fixed=D(fixed), unread=unread)


def shelf(*contracts: Contract, whole: bool = True) -> ContractShelf:
    """Read at once, of a pool that owes 1000 USDT in fixed loans."""
    found = ContractShelf()
    found.saw(book(owed()))
    found.tries(["USDT"], moment(0))
    found.keep("USDT", ContractList(contracts=contracts, whole=whole), moment(0))
    return found


def test_the_coins_that_are_owed_in_fixed_loans_are_read_and_no_others() -> None:
    found = ContractShelf()
    found.saw(book(owed(), owed("BTC", "0"), owed("ETH", "2")))
    assert found.wanted(moment(0), TIMING) == ["USDT", "ETH"]
    assert found.contracts == ()
    assert found.due(moment(0), DAY) == {}


@pytest.mark.parametrize(
    ("contract", "fixed", "whole", "after_ms", "again"),
    [
        (LENT, "1000", True, HOUR - 1, False),
        (LENT, "1000", True, HOUR, True),
        (LENT, "999", True, 60_000, True),  # the debt has changed
        (LENT, "999", True, 59_999, False),  # but was asked for less than a minute ago
        (LENT, "1000", False, 60_000, True),  # a row was odd
        (replace(LENT, ends_at_ms=NOW + 10_000), "1000", True, 9_999, False),
        (replace(LENT, ends_at_ms=NOW + 10_000), "1000", True, 10_000, True),  # it has ended since
        (replace(LENT, ends_at_ms=NOW - 59_999), "1000", True, 60_000, True),  # it was not settled by then
        (replace(LENT, ends_at_ms=NOW - 60_001), "1000", True, 60_000, False),  # it was overdue by then
    ],
)
def test_they_are_read_again_hourly_and_where_something_has_changed(
    contract: Contract, fixed: str, after_ms: int, *, whole: bool, again: bool
) -> None:
    found = shelf(contract, whole=whole)
    found.saw(book(owed(fixed=fixed)))
    assert bool(found.wanted(moment(after_ms), TIMING)) is again


@pytest.mark.parametrize(
    ("listed", "after_ms", "again"),
    [
        ((), 59_999, False),
        ((), 60_000, True),  # it was signed a moment ago, and is not listed yet
        ((replace(LENT, principal=D(980)),), 60_000, True),
        ((replace(LENT, principal=D(991)),), 60_000, False),  # the rest is interest
        (
            (LENT, replace(LENT, loan_id="8", principal=D(500))),
            60_000,
            True,
        ),  # one is repaid, and listed still
    ],
)
def test_a_list_that_does_not_bear_out_what_is_owed_is_read_again(
    listed: tuple[Contract, ...], after_ms: int, *, again: bool
) -> None:
    assert bool(shelf(*listed).wanted(moment(after_ms), TIMING)) is again


def test_a_read_that_fails_is_tried_again_after_a_minute() -> None:
    found = ContractShelf()
    found.saw(book(owed()))
    found.tries(["USDT"], moment(0))
    assert found.wanted(moment(59_999), TIMING) == []
    assert found.wanted(moment(60_000), TIMING) == ["USDT"]


def test_after_an_end_they_are_read_at_once_and_again_when_it_should_be_settled() -> None:
    found = shelf(replace(LENT, ends_at_ms=NOW + 10_250))
    asked = []
    for ms in range(0, 200_000, 500):
        if found.wanted(moment(ms), TIMING):
            found.tries(["USDT"], moment(ms))
            found.keep("USDT", found.kept["USDT"].found, moment(ms))
            asked.append(ms)
    assert asked == [10_500, 70_500]


def test_a_debt_that_could_not_be_read_stays_what_it_was() -> None:
    found = shelf(LENT)
    found.saw(book(owed(fixed="0", unread=True)))
    assert (found.fixed, found.contracts) == ({"USDT": D(1000)}, (LENT,))


def test_what_is_owed_no_longer_is_known_no_longer() -> None:
    found = shelf(LENT)
    found.saw(book(owed(fixed="0")))
    assert (found.fixed, found.kept, found.contracts) == ({}, {}, ())


def test_all_of_them_come_soonest_end_first_and_are_due_by_their_ends() -> None:
    found = shelf(replace(LENT, principal=D(400)), replace(LENT, loan_id="8", principal=D(600)))
    found.saw(book(owed(), owed("ETH", "2")))
    soon = replace(LENT, loan_id="9", coin="ETH", principal=D(2), ends_at_ms=NOW + 1)
    found.keep("ETH", ContractList(contracts=(soon,)), moment(0))
    assert [item.loan_id for item in found.contracts] == ["9", "7", "8"]
    assert found.due(moment(0), DAY) == {"USDT": D(1000), "ETH": D(2)}
    assert found.due(moment(0), HOUR) == {"ETH": D(2)}
    assert found.due(moment(0), 0) == {}


def test_one_that_turns_flexible_takes_nothing_from_the_wallet() -> None:
    assert shelf(replace(LENT, at_end=AtEnd.FLEXIBLE)).due(moment(0), DAY) == {}


def as_owed(total: str, fixed: str, at_ms: int, *, unread: bool = False) -> LoanBook:
    debt = Debt(coin="USDT", amount=D(total), fixed=D(fixed), unread=unread)
    return replace(book(debt), began=moment(at_ms))


def turned(*books: LoanBook) -> list[tuple[str, int]]:
    """Coins that are flexible debt now, and when that was seen (ms)."""
    found = ContractShelf()
    for item in books:
        found.saw(item)
    (pool,) = books[0].loans
    return [(f"{row.change:f}", row.at_ms - NOW) for row in found.turned_flexible(pool.key)]


def test_a_contract_that_turns_flexible_is_seen_by_what_is_owed() -> None:
    before, after = as_owed("1500", "1000", 0), as_owed("1500.01", "0", 500)
    assert turned(before, after) == [("1000", 500)]
    assert turned(before, as_owed("500", "0", 500)) == []  # it was repaid
    assert turned(before, as_owed("1500", "0", 500, unread=True)) == []
    assert turned(after, as_owed("1500", "1000", 900)) == []
    assert turned(before, after, as_owed("1500", "1000", 900), as_owed("1500", "0", 950)) == [("1000", 500)]
    assert turned(before, after, as_owed("1500", "0", 2_000_000)) == []  # nothing of ours is as old


def test_of_two_coins_that_do_so_each_is_seen() -> None:
    before, after = (
        [Debt(coin=coin, amount=D(1500), fixed=D(fixed)) for coin in ("USDT", "USDC")] for fixed in (1000, 0)
    )
    assert turned(book(*before), replace(book(*after), began=moment(500))) == [("1000", 500)] * 2


def repayment(amount: str, *, collateral: str | None = "BTC", signed_at_ms: int = NOW + 1) -> Intent:
    about = intent(State.CONFIRMED, direction=REPAY, coin="USDT", amount=amount, signed_at_ms=signed_at_ms)
    return replace(about, contract_id="7", collateral_coin=collateral)


@pytest.mark.parametrize(
    ("repaid", "left"),
    [
        (repayment("300"), ["700", "50"]),
        (repayment("5"), ["995", "50"]),
        (repayment("1000"), ["50"]),
        (repayment("1200"), ["50"]),  # it takes no more than is owed
        (repayment("900", collateral=None), ["50"]),  # in full, whatever the amount was by then
        (repayment("300", signed_at_ms=NOW - 1), ["1000", "50"]),  # the list may be of after it
    ],
)
def test_what_one_owes_after_a_repayment_is_known_before_its_list_is_read_again(
    repaid: Intent, left: list[str]
) -> None:
    found = shelf(
        replace(LENT, principal=D(990), interest=D(10)), replace(LENT, loan_id="8", principal=D(50))
    )
    found.repaid(repaid)
    assert [item.owed for item in found.contracts] == [D(owes) for owes in left]
    assert found.wanted(moment(60_000), TIMING) == ["USDT"]
