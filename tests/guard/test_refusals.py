"""How long a coin that was refused is left alone: long enough for the next one's turn, and not for ever."""

from __future__ import annotations

from decimal import Decimal

import pytest
from core_builders import intent

from ltv_guard.core.model.intents import State
from ltv_guard.core.model.loans import Channel, Direction, Kind, LoanKey, Moment, Product
from ltv_guard.guard.state.amount_bounds import AmountBounds
from ltv_guard.guard.state.refusal_backoff import LONGEST_BACKOFF_MS, RefusalBackoff, RefusalSubject

POOL = LoanKey(Product.CRYPTO_LOAN, "pool")
ADD, REDUCE, REPAY = Direction.ADD, Direction.REDUCE, Direction.REPAY
SETTLE_INTERVAL_MS = 2_000  # the configuration's default: from one cycle to the next


def at(ms: int) -> Moment:
    return Moment(exchange_ms=ms, monotonic_ms=ms)


def until_ms(backoff: RefusalBackoff, now_ms: int, *, lasting: bool = True) -> int:
    """How long a refusal at that moment lasts."""
    return (
        backoff.refuse(POOL, RefusalSubject(ADD, "USDT"), "no more", at(now_ms), lasting=lasting).until_ms
        - now_ms
    )


def test_a_coin_that_the_platform_refuses_misses_the_next_cycle() -> None:
    backoff = RefusalBackoff()
    until_ms(backoff, 0)
    assert backoff.refused(POOL, ADD, at(2 * SETTLE_INTERVAL_MS)) == {"USDT": "no more"}
    assert backoff.refused(POOL, ADD, at(60_000)) == {}


def test_what_is_refused_again_and_again_waits_longer_and_longer_up_to_a_minute() -> None:
    backoff, now, waits = RefusalBackoff(), 0, []
    for _ in range(8):
        waits.append(until_ms(backoff, now))
        now += waits[-1] + SETTLE_INTERVAL_MS
    assert waits == [10_000, 20_000, 40_000, 60_000, 60_000, 60_000, 60_000, 60_000]


def test_a_refusal_of_the_moment_is_tried_again_soon() -> None:
    assert until_ms(RefusalBackoff(), 0, lasting=False) == 2_000


def test_what_was_refused_long_ago_does_not_make_today_wait() -> None:
    backoff = RefusalBackoff()
    for _ in range(6):
        last = until_ms(backoff, 0)
    assert until_ms(backoff, last + LONGEST_BACKOFF_MS) == 10_000


def test_a_refusal_is_one_coins_one_loans_and_one_directions() -> None:
    backoff = RefusalBackoff()
    backoff.refuse(POOL, RefusalSubject(REDUCE, "USDT"), "not now", at(0))
    assert backoff.refused(POOL, REDUCE, at(1)) == {"USDT": "not now"}
    assert backoff.refused(POOL, ADD, at(1)) == {}
    assert backoff.refused(LoanKey(Product.LEGACY, "1"), REDUCE, at(1)) == {}


def test_collateral_that_was_refused_as_payment_is_not_the_debts_coin() -> None:
    backoff = RefusalBackoff()
    backoff.refuse(POOL, RefusalSubject(REPAY, "USDT", pays=True), "not taken", at(0))
    assert backoff.unsellable(POOL, at(1)) == {"USDT": "not taken"}
    assert backoff.refused(POOL, REPAY, at(1)) == {}


def test_what_a_repayment_with_collateral_may_be_at_most_bounds_none_in_coins() -> None:
    bounds, repayments = AmountBounds(), Channel(Product.CRYPTO_LOAN, Kind.REPAYMENT)
    bounds.of(repayments, "USDT", with_collateral=True).most = Decimal(5_000)
    assert bounds.of(repayments, "USDT").most is None
    assert bounds.of(repayments, "USDT", with_collateral=True).most == Decimal(5_000)


@pytest.mark.parametrize(
    ("sent", "documented", "next_decimals"),
    [
        ("11659.421", None, 2),
        ("11659.420", None, 2),  # that is how it was sent
        ("11659.42", None, None),
        ("0.18477018", None, 4),
        ("0.18477000", 5, 5),
        ("12.0000", 3, 3),
        ("12", None, None),
    ],
)
def test_what_was_too_fine_is_tried_with_fewer_decimals_than_were_sent(
    sent: str, documented: int | None, next_decimals: int | None
) -> None:
    bounds, refused = AmountBounds(), intent(State.REJECTED, direction=REPAY, coin="USDT", amount=sent)
    assert bounds.coarser(refused, documented) == next_decimals
    assert bounds.of_intent(refused).decimals == next_decimals
