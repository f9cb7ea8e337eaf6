"""What the state machines are held against catches what it is there for."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from decimal import Decimal

import pytest
from exchange_model import a_world
from exchange_world import POOL
from hypothesis import strategies as st
from send_path import Weather, events

from ltv_guard.core.model.intents import Intent

REPAID = Decimal("0.27")


class OneLife(events(st.just(Weather()))):  # type: ignore[misc]
    """An order and a pool, and no weather."""


def a_life_with_an_add(
    repaid: Decimal, *, risen: Decimal = Decimal(1), begins: str = "0.91"
) -> tuple[OneLife, Intent]:
    """Just before an add, which is planned on the debt and the LTV of before, a hand repays so much.

    Or prices rise so far.
    """
    life = OneLife()
    life.begin_with(a_world("0.30", pool="0.60", wallet="50"))
    world = life.world
    world.old_ltv_ms, world.old_debt_ms = 2_000, 5_000
    life.move_price(world.price * world.ltv(POOL) / Decimal(begins))
    world.advance(6_000)
    world.repay_part(POOL, repaid)
    life.move_price(world.price * risen)
    world.advance(1_000)
    life.cycle()
    world.advance(500)
    (added,) = world.sent
    now = world.loans[POOL].collateral
    return life, replace(added, intent_id="next", coins_before=now)


def test_an_ltv_of_before_our_add_that_lies_where_that_led_is_excused_after_a_repayment_by_hand() -> None:
    life, another = a_life_with_an_add(REPAID)
    life.check_its_facts(replace(another, ltv_before=Decimal("0.91") * (1 - REPAID)))


@pytest.mark.parametrize(
    ("repaid", "ltv"),
    [
        ("0.27", "0.6900"),  # was never there
        ("0.27", "0.9100"),  # was there, and is not where the add led
        ("0.1", "0.8190"),  # nor is this
        ("0", "0.9100"),
    ],
)
def test_no_other_ltv_is(repaid: str, ltv: str) -> None:
    life, another = a_life_with_an_add(Decimal(repaid))
    with pytest.raises(AssertionError, match="LTV of"):
        life.check_its_facts(replace(another, ltv_before=Decimal(ltv)))


def test_nor_are_coins_of_before_it() -> None:
    life, another = a_life_with_an_add(REPAID)
    old = replace(another, coins_before=another.coins_before - another.amount)
    with pytest.raises(AssertionError, match="never there since"):
        life.check_its_facts(replace(old, ltv_before=Decimal("0.91") * (1 - REPAID)))


def test_such_an_ltv_is_excused_where_prices_rose_by_no_more_than_a_quarter() -> None:
    life, another = a_life_with_an_add(Decimal(0), begins="0.80", risen=Decimal("1.2"))
    shown = Decimal("0.80") / Decimal("1.2")
    life.check_its_facts(replace(another, ltv_before=shown))
    life.move_price(life.world.price * Decimal("1.05"))
    life.world.advance(100)
    with pytest.raises(AssertionError, match="LTV of"):
        life.check_its_facts(replace(another, ltv_before=shown))


@pytest.mark.parametrize(
    ("part", "is_at", "later_ms", "is_excused"),
    [
        ("0.15", "0.76", 100, True),
        ("0.30", "0.76", 100, False),  # beyond the target
        ("0.15", "0.76", 10_000, False),  # no LTV is shown so late
        ("0.05", "0.74", 100, False),  # not in need
    ],
)
def test_an_ltv_of_before_our_effect_is_excused_where_as_much_is_needed_all_the_same(
    part: str, is_at: str, later_ms: int, *, is_excused: bool
) -> None:
    life, another = a_life_with_an_add(Decimal(0), begins="0.98")
    world = life.world
    life.move_price(world.price * world.ltv(POOL) / Decimal(is_at))
    world.advance(later_ms)
    small = replace(another, ltv_before=Decimal("0.98"), amount=another.coins_before * Decimal(part))
    with nullcontext() if is_excused else pytest.raises(AssertionError, match="LTV of"):
        life.check_its_facts(small)
