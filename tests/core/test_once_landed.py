"""A loan as it will be shown once what was accepted for it has landed."""

from __future__ import annotations

from decimal import Decimal

import pytest
from core_builders import ADD, REDUCE, intent, loan

from ltv_guard.core.amounts.once_landed import once_landed
from ltv_guard.core.model.loans import Direction

D = Decimal


def test_an_add_and_a_release_change_what_is_held_and_the_ltv_as_much() -> None:
    before = loan("0.78", held="1")
    added = once_landed(before, [intent(direction=ADD, amount="0.2", before="1")], None)
    assert (added.collateral[0].amount, added.ltv) == (D("1.2"), D("0.65"))
    released = once_landed(loan("0.40", held="1"), [intent(direction=REDUCE, amount="0.2", before="1")], None)
    assert (released.collateral[0].amount, released.ltv) == (D("0.8"), D("0.5"))


@pytest.mark.parametrize(("direction", "shown"), [(ADD, "1.2"), (REDUCE, "0.8")])
def test_what_is_shown_already_counts_once(direction: Direction, shown: str) -> None:
    after = loan("0.65", held=shown)
    assert once_landed(after, [intent(direction=direction, amount="0.2", before="1")], None) == after


def test_of_a_coin_that_the_loan_does_not_take_nothing_is_known() -> None:
    before = loan("0.78", coin="ETH")
    assert once_landed(before, [intent(direction=ADD, amount="0.2", before="1")], None) == before
