"""One read of a product's loans, and parts of the next."""

from __future__ import annotations

from decimal import Decimal

import pytest
from core_builders import key, loan, moment, policy

from ltv_guard.core.model.loan_book import LoanBook, SetAside
from ltv_guard.core.model.loans import Product
from ltv_guard.core.model.policy import Rulebook


def book(*loans: tuple[str, str], at: int, aside: tuple[str, ...] = ()) -> LoanBook:
    return LoanBook(
        product=Product.LEGACY,
        loans=tuple(loan(ltv, loan_id=name) for name, ltv in loans),
        set_aside=tuple(SetAside(key=key(name), why="nonsense") for name in aside),
        began=moment(at),
        pages=2,
    )


def test_a_part_of_a_later_read_replaces_what_it_shows_and_nothing_else() -> None:
    whole = book(("1", "0.60"), ("2", "0.61"), at=1_000, aside=("3", "4"))
    found = whole.with_part(book(("2", "0.75"), ("4", "0.50"), ("5", "0.40"), at=9_000))

    shown = {item.key.loan_id: item.ltv for item in found.loans}
    assert shown == {"1": Decimal("0.60"), "2": Decimal("0.75"), "4": Decimal("0.50"), "5": Decimal("0.40")}
    assert [item.key.loan_id for item in found.set_aside] == ["3"]
    assert [found.asked_at(key(name)) for name in "125"] == [moment(1_000), moment(9_000), moment(9_000)]
    assert (found.began, found.pages) == (whole.began, 2)  # nothing in it is older than that


@pytest.mark.parametrize(
    ("ltv", "protect", "needs"), [("0.7499", True, False), ("0.75", True, True), ("0.80", False, False)]
)
def test_a_protected_loan_at_its_trigger_is_in_need(ltv: str, *, protect: bool, needs: bool) -> None:
    assert Rulebook(default=policy(protect=protect)).is_in_need(loan(ltv)) is needs
