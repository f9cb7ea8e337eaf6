"""Amounts are exact at any size that a reader lets through: to the step, and to the last digit of a mark."""

from __future__ import annotations

import asyncio
import decimal
import threading
from decimal import Decimal
from fractions import Fraction
from math import ceil

import pytest
from core_builders import account, facts, loan
from hypothesis import given
from hypothesis import strategies as st

from ltv_guard import DIGITS
from ltv_guard.core.amounts.fingerprint import with_fingerprint
from ltv_guard.core.decide.decide import decide

D = Decimal
SIZES = st.tuples(st.integers(min_value=1, max_value=10**30 - 1), st.integers(min_value=0, max_value=18)).map(
    lambda parts: (D(parts[0]).scaleb(-parts[1]), parts[1])
)


@pytest.mark.case(53)
@given(held=SIZES, ltv=st.integers(min_value=7600, max_value=9400), seed=st.integers(0, 999_999))
def test_an_add_lands_at_its_target_to_the_step_whatever_the_size(
    held: tuple[Decimal, int], ltv: int, seed: int
) -> None:
    amount, accuracy = held
    shown = loan(D(ltv).scaleb(-4), held=amount, accuracy=accuracy)
    (decision,) = decide(account(facts(shown), wallet={"BTC": "1e31"}))
    needed = Fraction(amount) * (Fraction(ltv + 1, 10_000) / Fraction(65, 100) - 1)
    steps = ceil(needed * 10**accuracy)
    assert decision.amount == D(steps).scaleb(-accuracy)
    found = with_fingerprint(
        decision.amount,
        accuracy=accuracy,
        reference=max(amount, decision.amount),
        ceiling=decision.ceiling,
        taken=(),
        seed=seed,
        upward=True,
    )
    assert found is not None
    assert (found.scaleb(accuracy)) == int(found.scaleb(accuracy))
    assert found >= decision.amount
    assert Fraction(found - decision.amount) <= max(Fraction(amount) / 5000, Fraction(1, 10**accuracy)) * 2


@pytest.mark.case(53)
def test_every_mark_of_a_huge_amount_is_an_amount_of_its_own() -> None:
    amount = D("13000000000000000000000.12345678")
    found = {
        with_fingerprint(
            amount, accuracy=8, reference=amount, ceiling=amount * 2, taken=(), seed=seed, upward=True
        )
        for seed in range(500)
    }
    assert len(found) == 500


def test_the_digits_hold_in_tasks_and_in_other_threads() -> None:
    digits: list[int] = []

    async def look() -> None:
        digits.append(decimal.getcontext().prec)
        digits.append(await asyncio.to_thread(lambda: decimal.getcontext().prec))

    asyncio.run(look())
    thread = threading.Thread(target=lambda: digits.append(decimal.getcontext().prec))
    thread.start()
    thread.join()
    assert digits == [DIGITS] * 3
