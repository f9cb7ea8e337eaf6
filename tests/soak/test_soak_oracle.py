"""The soak's judge is itself judged: it passes what is right, and tells each wrong from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest
from soak_oracle import Books, Judgement, Sent, Targets, judge

from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Direction, LoanKey, Owner, Product
from ltv_guard.sandbox.accounts import Loan
from ltv_guard.sandbox.orders import Order
from ltv_guard.sandbox.pool import Pool
from ltv_guard.sandbox.records import Adjustment
from ltv_guard.sandbox.scenario import CoinTerms, PoolTerms

USER, START_MS = "1", 1_000_000
TARGETS = Targets(
    add=Decimal("0.66"), release=Decimal("0.61"), rescue_floor=Decimal("0.60"), latest_s=Decimal(3)
)
# 0.70 of debt on 1 coin of USD 1: this add ends at the target.
NEED = Decimal("0.0607")


def an_order() -> Loan:
    return Order(
        user=USER,
        loan_id="1001",
        loan_coin="USDT",
        collateral_coin="BTC",
        debt=Decimal("0.70"),
        collateral=Decimal(1),
        interest=Decimal(0),
        penalty=Decimal(0),
        hourly_rate=Decimal(0),
        term="",
        expires_ms=None,
        terms=CoinTerms(),
    )


def a_pool() -> Loan:
    """Two coins, all of which counts."""
    terms = CoinTerms.model_validate({"tiers": [{"ratio": "1"}]})
    return Pool(
        user=USER,
        flexible={"USDT": Decimal("0.70")},
        fixed={},
        collateral={"BTC": Decimal("0.4"), "ETH": Decimal("0.6")},
        supply={},
        hourly_rate=Decimal(0),
        pool_terms=PoolTerms(),
        terms={"BTC": terms, "ETH": terms},
    )


def an_add(
    loan: Loan, number: int = 1, *, amount: Decimal = NEED, at_s: int = 10, state: State = State.CONFIRMED
) -> tuple[Intent, Adjustment]:
    at_ms = START_MS + at_s * 1000
    intent = Intent(
        intent_id=f"intent {number}",
        owner=Owner("testnet", USER),
        account="main",
        key=LoanKey(Product(loan.product), loan.loan_id),
        direction=Direction.ADD,
        coin="BTC",
        amount=amount,
        state=state,
        reason="",
        coins_before=Decimal(1),
        ltv_before=Decimal("0.70"),
        observed_at_ms=at_ms - 500,
        seen_ids=frozenset(),
        created_at_ms=at_ms,
        updated_at_ms=at_ms,
        signed_at_ms=at_ms,
        recv_window_ms=1000,
        adjust_id=str(number) if state is State.CONFIRMED else None,
    )
    row = Adjustment(
        adjust_id=number,
        user=USER,
        product=loan.product,
        loan_id=loan.loan_id,
        coin="BTC",
        direction="add",
        amount=amount,
        by="api",
        signed_at=str(at_ms),
        time_ms=at_ms,
        made_s=Decimal(at_s),
        visible_from_s=Decimal(at_s),
        ltv_before=Decimal("0.70"),
        ltv_after=Decimal("0.70") / (1 + amount),
        applied_ms=at_ms,
        applied_s=Decimal(at_s),
    )
    return intent, row


def judged(
    loan: Loan,
    *pairs: tuple[Intent, Adjustment | None],
    extra: tuple[Adjustment, ...] = (),
    swing: str = "0",
) -> Judgement:
    """`swing` is how much higher prices were than at their lowest, while each adjustment was decided on."""
    name = (USER, loan.loan_id)
    prices = {"USDT": Decimal(1), "BTC": Decimal(1), "ETH": Decimal(1)}
    books = Books(
        effects=[row for _, row in pairs if row is not None] + list(extra),
        sent=[Sent(name=name, timestamp=str(intent.signed_at_ms)) for intent, _ in pairs],
        first={name: loan},
        extremes=lambda loan, *_: (loan.ltv(prices) / (1 + Decimal(swing)), loan.ltv(prices)),
    )
    return judge([intent for intent, _ in pairs], books, TARGETS)


both = pytest.mark.parametrize("make", [an_order, a_pool])
Make = Callable[[], Loan]


@both
def test_one_effect_of_a_confirmed_intent_is_right(make: Make) -> None:
    loan = make()
    assert not judged(loan, an_add(loan)).wrong


@both
def test_two_effects_of_one_intent_are_doubled(make: Make) -> None:
    loan = make()
    intent, row = an_add(loan)
    assert judged(loan, (intent, row), extra=(replace(row, adjust_id=2),)).doubled


@both
def test_a_need_that_two_intents_met_is_beyond(make: Make) -> None:
    loan = make()
    assert judged(loan, an_add(loan, 1), an_add(loan, 2, at_s=16)).beyond


@both
@pytest.mark.parametrize(
    ("least", "again", "swing", "beyond"),
    [
        ("0.012", "0.0005", "0", 0),  # rounding
        ("0.012", "0.012", "0", 1),  # small, made twice
        ("0.012", "0.012", "0.05", 1),  # twice is never accepted, whatever the market does
        ("0.005", "0.005", "0.05", 1),
        ("0.012", "0.005", "0.05", 0),  # under half of the last can't be told from a market that moved
        ("0.012", "0.005", "0.001", 1),  # but the market did not move
        ("0.05", "0.015", "0.01", 1),  # nor as far
    ],
)
def test_little_is_accepted_beside_a_market_that_moves(
    make: Make, least: str, again: str, swing: str, beyond: int
) -> None:
    loan = make()
    first = an_add(loan, 1, amount=NEED - Decimal(least))
    second = an_add(loan, 2, amount=Decimal(least), at_s=16)
    assert not judged(loan, first, second, swing=swing).wrong
    third = an_add(loan, 3, amount=Decimal(again), at_s=22)
    assert len(judged(loan, first, second, third, swing=swing).beyond) == beyond


@both
def test_an_effect_that_the_journal_calls_absent_is_lost(make: Make) -> None:
    loan = make()
    assert judged(loan, an_add(loan, state=State.ABSENT)).lost


@both
def test_a_confirmed_intent_without_an_effect_is_lost(make: Make) -> None:
    loan = make()
    intent, _ = an_add(loan)
    assert judged(loan, (intent, None)).lost


@both
def test_an_effect_that_nothing_was_written_down_for_is_lost(make: Make) -> None:
    loan = make()
    _, stranger = an_add(loan, 2, at_s=16, amount=Decimal("0.000001"))
    assert judged(loan, an_add(loan), extra=(stranger,)).lost


@both
def test_an_intent_that_is_still_open_is_lost(make: Make) -> None:
    loan = make()
    intent, _ = an_add(loan, state=State.UNKNOWN)
    assert judged(loan, (intent, None)).lost


def test_the_pool_of_one_user_is_not_that_of_another() -> None:
    loan = a_pool()
    intent, row = an_add(loan)
    stranger = replace(intent, owner=Owner("testnet", "2"))
    assert judged(loan, (stranger, row)).lost
