"""The soak's judge is itself judged: it passes what is right, and tells each wrong from it."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

from soak_oracle import Books, Judgement, Targets, judge

from ltv_guard.core.intents import Intent, State
from ltv_guard.core.loans import Direction, LoanKey, Owner, Product
from ltv_guard.sandbox.records import Adjustment

LOAN, START_MS = "1001", 1_000_000
TARGETS = Targets(
    add=Decimal("0.66"), release=Decimal("0.61"), rescue_floor=Decimal("0.60"), latest_s=Decimal(3)
)
# 0.70 of debt on 1 coin of USD 1: this add ends at the target.
NEED = Decimal("0.0607")


def an_add(
    number: int = 1, *, amount: Decimal = NEED, at_s: int = 10, state: State = State.CONFIRMED
) -> tuple[Intent, Adjustment]:
    at_ms = START_MS + at_s * 1000
    intent = Intent(
        intent_id=f"intent {number}",
        owner=Owner("testnet", "1"),
        account="main",
        key=LoanKey(Product.LEGACY, LOAN),
        direction=Direction.ADD,
        coin="BTC",
        amount=amount,
        state=state,
        reason="",
        collateral_before=Decimal(1),
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
        user="1",
        product="crypto_loan_legacy",
        loan_id=LOAN,
        coin="BTC",
        direction="add",
        amount=amount,
        by="api",
        signed_at=str(at_ms),
        time_ms=at_ms,
        made_s=Decimal(at_s),
        visible_from_s=Decimal(at_s),
        ltv_before=Decimal("0.70"),
        ltv_after=Decimal("0.66"),
        applied_ms=at_ms,
        applied_s=Decimal(at_s),
    )
    return intent, row


def judged(*pairs: tuple[Intent, Adjustment | None], extra: tuple[Adjustment, ...] = ()) -> Judgement:
    sent = [
        {"payload": json.dumps({"orderId": LOAN}), "timestamp": str(intent.signed_at_ms)}
        for intent, _ in pairs
    ]
    books = Books(
        effects=[row for _, row in pairs if row is not None] + list(extra),
        sent=sent,
        first={LOAN: (Decimal(1), Decimal("0.70"))},
        extremes=lambda *_: (Decimal(1), Decimal(1)),
    )
    return judge([intent for intent, _ in pairs], books, TARGETS)


def test_one_effect_of_a_confirmed_intent_is_right() -> None:
    assert not judged(an_add()).wrong


def test_two_effects_of_one_intent_are_doubled() -> None:
    intent, row = an_add()
    assert judged((intent, row), extra=(replace(row, adjust_id=2),)).doubled


def test_a_need_that_two_intents_met_is_beyond() -> None:
    assert judged(an_add(1), an_add(2, at_s=16)).beyond


def test_an_effect_that_the_journal_calls_absent_is_lost() -> None:
    assert judged(an_add(state=State.ABSENT)).lost


def test_a_confirmed_intent_without_an_effect_is_lost() -> None:
    intent, _ = an_add()
    assert judged((intent, None)).lost


def test_an_effect_that_nothing_was_written_down_for_is_lost() -> None:
    _, stranger = an_add(2, at_s=16, amount=Decimal("0.000001"))
    assert judged(an_add(), extra=(stranger,)).lost


def test_an_intent_that_is_still_open_is_lost() -> None:
    intent, _ = an_add(state=State.UNKNOWN)
    assert judged((intent, None)).lost
