"""Sentences are made of values: there is one for each, and an error in them costs no help."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from core_builders import ADD, decide_one, facts, loan, policy

from ltv_guard.core.decide.constraints import Constraint, Limit, of_setting
from ltv_guard.core.decide.reason import Because
from ltv_guard.core.model.withheld import Why, Withheld
from ltv_guard.core.reconcile.awaited import Awaited
from ltv_guard.core.reconcile.freshness import Doubt
from ltv_guard.guard import sentences

if TYPE_CHECKING:
    from collections.abc import Callable


def test_every_kind_has_its_sentence() -> None:
    assert set(sentences.LIMITS) == set(Limit)
    assert set(sentences.REASONS) == set(Because)
    assert set(sentences.DOUBTS) == set(Doubt)
    assert set(sentences.AWAITED) == set(Awaited)
    assert all(sentences.withheld(Withheld(kind=kind, detail="so")) for kind in Why)


def test_an_amount_is_told_without_an_exponent() -> None:
    item = of_setting("wallet.reserve", "BTC", Decimal("0E-8"), setting=Decimal("1E+3"))
    assert sentences.constraint(item) == "wallet.reserve of 1000 leaves 0.00000000 BTC"


def test_whether_a_limit_is_news_does_not_depend_on_how_much_it_leaves() -> None:
    less, more = (Constraint(kind=Limit.FUNDING, coin="BTC", amount=Decimal(left)) for left in (1, 2))
    assert less.what == more.what
    assert less.what != Constraint(kind=Limit.FUNDING, coin="ETH", amount=Decimal(1)).what


def test_what_the_reason_names_is_not_named_again_beside_it() -> None:
    short = decide_one(facts(loan("0.80"), policy(repays=True)), wallet={})
    assert "the Funding wallet leaves 0 BTC" in sentences.reason(short)
    assert sentences.held_back(short) == [
        "the Funding wallet leaves 0 BTC",
        "repaying: the Funding wallet leaves 0 USDT",
    ]
    assert sentences.beside_reason(short) == ["repaying: the Funding wallet leaves 0 USDT"]


def test_an_error_of_ours_in_the_words_leaves_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason of an intent is written down before it is sent."""
    decision = decide_one(facts(loan("0.80")))
    fails: Callable[[object], str] = lambda _: 1 / 0  # type: ignore[assignment, return-value] # noqa: E731
    monkeypatch.setattr(sentences, "_need", fails)
    assert decision.direction is ADD
    assert sentences.reason_or_cause(decision) == "breach"
