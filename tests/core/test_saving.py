"""A loan that can't be saved takes nothing; an error of ours takes help from nobody."""

from __future__ import annotations

from typing import Any

import pytest
from core_builders import ADD, REPAY, TRANSFER, D, account, decide_one, facts, loan, policy

from ltv_guard.core.decide import decide as deciding
from ltv_guard.core.decide.decide import decide
from ltv_guard.core.decide.decision import Cause, Decision
from ltv_guard.guard import sentences


def feeding() -> Any:  # noqa: ANN401 - a policy
    found = policy()
    return type(found)(add=found.add, limits=type(found.limits)(feed_lost=True))


def test_what_would_leave_it_liquidated_is_not_given_and_what_was_needed_is_said() -> None:
    found = decide_one(facts(loan("0.97")), wallet={"BTC": "0.01"})
    assert (found.cause, found.acts, found.breach) == (Cause.LOST, False, True)
    assert "would bring it below its liquidation LTV" in sentences.reason(found)
    assert found.missing > D("0.4")
    assert found.reachable_ltv == D("0.9604")


def test_it_is_given_all_the_same_where_the_operator_says_so() -> None:
    assert decide_one(facts(loan("0.97"), feeding()), wallet={"BTC": "0.01"}).direction is ADD


@pytest.mark.parametrize(
    "changes",
    [
        {"wallet": {"BTC": "0.03"}},  # enough to bring it below
        {"wallet": {"BTC": "0.01"}, "transfers": True, "unified": {"BTC": "1"}},
        {"wallet": {"BTC": "0.01"}, "transfers": True},  # the Unified account was not read
    ],
)
def test_it_is_helped_where_it_can_be_saved_or_may_be(changes: dict[str, Any]) -> None:
    assert decide_one(facts(loan("0.97")), **changes).cause is not Cause.LOST


def test_it_is_helped_where_a_repayment_saves_it() -> None:
    found = decide_one(facts(loan("0.97"), policy(repays=True)), wallet={"BTC": "0", "USDT": 5000})
    assert found.direction is REPAY


def test_an_ltv_that_is_not_borne_out_declares_no_loan_lost() -> None:
    found = decide_one(facts(loan("0.97"), lifts=False), wallet={"BTC": "0.01"})
    assert found.direction is ADD


def fails(*_: object, **__: object) -> Decision:
    raise ZeroDivisionError("a defect")


def test_a_defect_in_adding_goes_on_to_moving_and_to_repaying(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deciding, "decide_add", fails)
    about = facts(loan("0.78"), policy(repays=True))
    moved = decide_one(about, wallet={"BTC": 0}, transfers=True, unified={"BTC": 1})
    repaid = decide_one(about, wallet={"USDT": 9000})
    assert (moved.direction, repaid.direction) == (TRANSFER, REPAY)
    assert [defect.what for defect in repaid.defects] == ["adding"]
    assert isinstance(repaid.defects[0].error, ZeroDivisionError)


@pytest.mark.parametrize("broken", ["_explained", "missing_coins", "most_lacked"])
def test_a_defect_in_the_words_costs_the_words(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    monkeypatch.setattr(f"ltv_guard.core.decide.add.{broken}", fails)
    found = decide_one(facts(loan("0.78")), wallet={"BTC": "0.1"})
    assert (found.direction, found.amount) == (ADD, D("0.1"))
    assert len(found.defects) == 1


def test_a_defect_in_sharing_out_leaves_each_its_own_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deciding, "share_out", fails)
    found = decide(account(facts(loan("0.78")), facts(loan("0.79", loan_id="other")), wallet={"BTC": "1"}))
    assert [item.direction for item in found] == [ADD, ADD]
    assert len(found[0].defects) == 1


def test_a_defect_in_one_loan_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    real = deciding._protect

    def protect(about: Any, *rest: Any) -> Decision:  # noqa: ANN401
        return fails() if about.loan.key.loan_id == "bad" else real(about, *rest)

    monkeypatch.setattr(deciding, "_protect", protect)
    bad, good = decide(account(facts(loan("0.79", loan_id="bad")), facts(loan("0.78"))))
    assert (bad.cause, bad.breach, good.direction) == (Cause.NONSENSE, True, ADD)
