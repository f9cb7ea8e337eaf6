"""What is decided, case by case: one a line, each with its reason.

Unless a case says otherwise the loan holds 1 BTC, has been watched for a day, and the wallet holds 100 BTC;
the policy is the default one, with releases on: add at 0.75 to 0.65, release below 0.40 to 0.55.
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from core_builders import (
    ADD,
    REDUCE,
    D,
    account,
    decide_one,
    facts,
    intent,
    loan,
    policy,
)

from ltv_guard.core.decide.decide import decide
from ltv_guard.core.decide.decision import Cause, Decision, EpisodeChange
from ltv_guard.core.decide.facts import LoanFacts
from ltv_guard.core.decide.release import within_maximum
from ltv_guard.core.model.intents import State
from ltv_guard.core.model.policy import Rulebook
from ltv_guard.core.reconcile.freshness import Doubt, Freshness
from ltv_guard.core.reconcile.plausibility import Bearing
from ltv_guard.guard import sentences

OF_LOAN = {"held", "coin", "accuracy", "margin_call", "liquidation", "loan_id"}
OF_POLICY = {
    "trigger",
    "target",
    "emergency",
    "release_below",
    "release_to",
    "reduces",
    "max_add",
    "least",
    "protect",
}
OF_ACCOUNT = {"wallet", "reserve", "max_add_24h", "added_24h", "wallet_read"}
STALE = Freshness(doubt=Doubt.OLD_COLLATERAL)
EPISODE = {"episode_open": True}
DAY = 86_400_000


def a_case(ltv: str, given: Mapping[str, Any]) -> tuple[LoanFacts, dict[str, Any]]:
    """The facts of a loan at `ltv`, and what is said of its account."""
    parts = [{name: given[name] for name in given if name in names} for names in (OF_LOAN, OF_POLICY)]
    others = {name: given[name] for name in given if name not in OF_LOAN | OF_POLICY | OF_ACCOUNT}
    of_account = {name: given[name] for name in given if name in OF_ACCOUNT}
    return facts(loan(ltv, **parts[0]), policy(**parts[1]), **others), of_account


def outcome(decision: Decision) -> str:
    if decision.direction is None:
        return f"nothing: {decision.cause}"
    return f"{decision.direction} {decision.amount.normalize():f}"


# Each says why, the LTV, what is different, and what is done.
CASES: list[tuple[str, str, dict[str, Any], str]] = [
    # Adding.
    ("between the triggers there is nothing to do", "0.60", {}, "nothing: in_bounds"),
    ("just below the trigger there is nothing to do", "0.7499", {}, "nothing: in_bounds"),
    ("at the trigger the loan is brought to its target", "0.75", {}, "add 0.154"),
    ("the further above, the more is added", "0.79", {}, "add 0.21553847"),
    ("close to liquidation as well", "0.94", {}, "add 0.4463077"),
    ("beyond liquidation it is still tried", "0.97", {}, "add 0.49246154"),
    ("twice the collateral takes twice as much", "0.75", {"held": 2}, "add 0.308"),
    ("a coarse coin is rounded up to whole coins", "0.75", {"held": 99, "accuracy": 0}, "add 16"),
    ("a loan that is not protected is left alone", "0.90", {"protect": False}, "nothing: not_protected"),
    ("own thresholds hold for the loan", "0.65", {"trigger": "0.64", "target": "0.6"}, "add 0.0835"),
    ("terms that call early pull the trigger in", "0.67", {"margin_call": "0.70"}, "add 0.08080646"),
    ("and below that trigger there is nothing to do", "0.66", {"margin_call": "0.70"}, "nothing: in_bounds"),
    ("a breach is worth a call however small", "0.75", {"least": "0.5"}, "add 0.154"),
    # Episodes: once begun, down to the target.
    ("in an episode it goes on below the trigger", "0.70", EPISODE, "add 0.07707693"),
    ("without one it does not begin there", "0.70", {}, "nothing: in_bounds"),
    ("an episode ends at the target", "0.6499", EPISODE, "nothing: at_target"),
    ("or so close that it is not worth a call", "0.6511", EPISODE, "nothing: at_target"),
    ("but not further away than that", "0.6513", EPISODE, "add 0.00215385"),
    ("a price that recovered ends it too", "0.50", EPISODE, "nothing: at_target"),
    ("and does not at once turn it into a release", "0.30", EPISODE, "nothing: at_target"),
    # Cooldown: between episodes, not within them.
    ("soon after the last episode it waits", "0.76", {"rested_ms": 59_999}, "nothing: cooldown"),
    ("after the cooldown it adds", "0.75", {"rested_ms": 60_000}, "add 0.154"),
    ("an emergency does not wait", "0.80", {"rested_ms": 1}, "add 0.23092308"),
    ("nor does an episode that goes on", "0.75", EPISODE | {"rested_ms": 1}, "add 0.154"),
    # Funds.
    ("what the wallet has is added", "0.75", {"wallet": {"BTC": "0.1"}}, "add 0.1"),
    ("in whole steps of the coin", "0.75", {"wallet": {"BTC": "0.1234567891"}}, "add 0.12345678"),
    ("with an empty wallet nothing can be done", "0.75", {"wallet": {}}, "nothing: short"),
    ("dust is not worth a call", "0.75", {"wallet": {"BTC": "0.0019"}}, "nothing: short"),
    ("another coin does not help", "0.75", {"wallet": {"ETH": 50}}, "nothing: short"),
    (
        "a wallet that was not read is not guessed at",
        "0.75",
        {"wallet_read": False},
        "nothing: wallet_unread",
    ),
    ("the reserve stays", "0.75", {"wallet": {"BTC": 1}, "reserve": {"BTC": "0.9"}}, "add 0.1"),
    ("all of it", "0.75", {"wallet": {"BTC": 1}, "reserve": {"BTC": 2}}, "nothing: short"),
    ("but not in an emergency", "0.80", {"wallet": {"BTC": 1}, "reserve": {"BTC": 2}}, "add 0.23092308"),
    ("max_add holds for each adjustment", "0.75", {"max_add": {"BTC": "0.05"}}, "add 0.05"),
    ("in an emergency too", "0.90", {"max_add": {"BTC": "0.05"}}, "add 0.05"),
    ("that of another coin does not", "0.75", {"max_add": {"ETH": "0.05"}}, "add 0.154"),
    ("a day's cap holds", "0.75", {"max_add_24h": {"BTC": 1}, "added_24h": {"BTC": "0.9"}}, "add 0.1"),
    ("to the last", "0.75", {"max_add_24h": {"BTC": 1}, "added_24h": {"BTC": 1}}, "nothing: short"),
    ("not in an emergency", "0.80", {"max_add_24h": {"BTC": 1}, "added_24h": {"BTC": 1}}, "add 0.23092308"),
    ("what the exchange refuses is not sent again", "0.9", {"refused": {"BTC": "full"}}, "nothing: short"),
    # Facts.
    ("stale facts add nothing", "0.75", {"freshness": STALE}, "nothing: not_fresh"),
    ("not even in an emergency", "0.90", {"freshness": STALE}, "nothing: not_fresh"),
    ("and release nothing", "0.30", {"freshness": STALE}, "nothing: not_fresh"),
    # Releasing.
    ("a loan that is low for long enough gives back", "0.33", {}, "reduce 0.39981818"),
    ("just below its trigger", "0.3999", {}, "reduce 0.27272727"),
    ("not at it", "0.40", {}, "nothing: in_bounds"),
    ("not unless switched on", "0.33", {"reduces": False}, "nothing: in_bounds"),
    ("not before it was low for long enough", "0.33", {"low_for_ms": 899_999}, "nothing: release_waits"),
    ("but then", "0.33", {"low_for_ms": 900_000}, "reduce 0.39981818"),
    ("not soon after the last release", "0.33", {"rested_ms": 59_999}, "nothing: release_waits"),
    ("nor after one that no history shows", "0.33", {"unseen_release_ms": 59_999}, "nothing: release_waits"),
    ("which holds for so long", "0.33", {"unseen_release_ms": 60_000}, "reduce 0.39981818"),
    ("and keeps nothing from being added", "0.75", {"unseen_release_ms": 1}, "add 0.154"),
    ("not what was added by hand today", "0.33", {"foreign_add_ms": DAY - 1}, "nothing: release_waits"),
    ("only what was added before", "0.33", {"foreign_add_ms": DAY}, "reduce 0.39981818"),
    ("not what the exchange refuses", "0.33", {"refused": {"BTC": "full"}}, "nothing: release_waits"),
    ("without the wallet, which it does not need", "0.33", {"wallet_read": False}, "reduce 0.39981818"),
    ("a coarse coin is rounded down", "0.33", {"held": 99, "accuracy": 0}, "reduce 39"),
    ("not less than a call is worth", "0.33", {"least": "0.4"}, "nothing: in_bounds"),
    ("a loan without debt is left to the user", "0", {}, "nothing: in_bounds"),
    ("a margin call at 0.50 keeps it further away", "0.33", {"margin_call": "0.5"}, "nothing: in_bounds"),
    ("and leads to 0.37 at most", "0.30", {"margin_call": "0.5"}, "reduce 0.18891891"),
]


@pytest.mark.parametrize(
    ("ltv", "given", "done"), [case[1:] for case in CASES], ids=[f"{case[1]} {case[0]}" for case in CASES]
)
def test_a_loan(ltv: str, given: dict[str, Any], done: str) -> None:
    about, of_account = a_case(ltv, given)
    assert outcome(decide_one(about, **of_account)) == done


# While an adjustment of 0.154 is open: why, LTV, its state and direction, what is different, what is done.
OVER = {"window_over": True}
OPEN_CASES: list[tuple[str, str, str, str, dict[str, Any], str]] = [
    ("it waits for the first", "0.79", "unknown", "add", OVER, "nothing: open_intent"),
    ("even in an emergency, within its window", "0.82", "unknown", "add", {}, "nothing: open_intent"),
    ("after it, one more saves the loan", "0.82", "unknown", "add", OVER, "add 0.26169231"),
    ("after an accepted one as well", "0.82", "accepted", "add", OVER, "add 0.26169231"),
    ("not while it is being sent", "0.82", "sent", "add", OVER, "nothing: open_intent"),
    ("not while it is only planned", "0.82", "planned", "add", OVER, "nothing: open_intent"),
    (
        "the emergency begins where terms say",
        "0.79",
        "unknown",
        "add",
        OVER | {"margin_call": "0.8"},
        "add 0.21553847",
    ),
    (
        "the wallet gives the first's amount only once",
        "0.82",
        "unknown",
        "add",
        OVER | {"wallet": {"BTC": "0.3"}},
        "add 0.146",
    ),
    (
        "nothing is left beside the first",
        "0.82",
        "unknown",
        "add",
        OVER | {"wallet": {"BTC": "0.154"}},
        "nothing: open_intent",
    ),
    (
        "the wallet has to be known",
        "0.82",
        "unknown",
        "add",
        OVER | {"wallet_read": False},
        "nothing: open_intent",
    ),
    ("max_add holds", "0.82", "unknown", "add", OVER | {"max_add": {"BTC": "0.1"}}, "add 0.1"),
    (
        "not what is refused",
        "0.82",
        "unknown",
        "add",
        OVER | {"refused": {"BTC": "x"}},
        "nothing: open_intent",
    ),
    (
        "even if both land, the loan stays above its release trigger",
        "0.82",
        "unknown",
        "add",
        OVER | {"target": "0.60", "release_below": "0.54"},
        "add 0.36433332",
    ),
    ("an open release never blocks an add", "0.75", "unknown", "reduce", {}, "add 0.30797631"),
    ("accepted or not", "0.75", "accepted", "reduce", {}, "add 0.30797631"),
    ("counted as if it had landed", "0.64", "unknown", "reduce", {}, "add 0.13874554"),
    ("below that there is no need", "0.63", "unknown", "reduce", {}, "nothing: open_intent"),
    ("a release is never followed by another", "0.30", "unknown", "reduce", OVER, "nothing: open_intent"),
    (
        "stale facts do not stop a rescue",
        "0.82",
        "unknown",
        "add",
        OVER | {"freshness": STALE},
        "add 0.26169231",
    ),
    (
        "a loan left alone stays so",
        "0.9",
        "unknown",
        "add",
        OVER | {"protect": False},
        "nothing: not_protected",
    ),
]


@pytest.mark.parametrize(
    ("ltv", "state", "direction", "given", "done"),
    [case[1:] for case in OPEN_CASES],
    ids=[f"{case[1]} {case[2]} {case[3]}: {case[0]}" for case in OPEN_CASES],
)
def test_a_loan_with_an_open_adjustment(
    ltv: str, state: str, direction: str, given: dict[str, Any], done: str
) -> None:
    first = intent(State(state), direction=ADD if direction == "add" else REDUCE, amount="0.154")
    about, of_account = a_case(ltv, given | {"open_intents": (first,)})
    decision = decide_one(about, **of_account)
    assert outcome(decision) == done
    assert (decision.rescue_of == "i1") is decision.acts


def test_a_release_that_already_shows_is_not_taken_off_again() -> None:
    first = intent(direction=REDUCE, amount="0.154")
    about = facts(loan("0.75", held="0.846"), open_intents=(first,))
    assert outcome(decide_one(about)) == "add 0.130284"


RELEASE = intent(direction=REDUCE, amount="0.154")
ADDED = intent(State.CONFIRMED, amount="0.1", intent_id="i2", rescue_of="i1")


def test_beside_a_release_an_add_may_follow_the_one_before_once_that_has_ended_and_is_shown() -> None:
    about = facts(loan("0.75", held="1.1"), open_intents=(RELEASE,), rescues=(ADDED,))
    assert outcome(decide_one(about)).startswith("add ")
    assert decide_one(about).rescue_of == "i2"
    lost = replace(about, rescues=(replace(ADDED, state=State.REJECTED),))
    assert decide_one(lost).rescue_of == "i2"


@pytest.mark.parametrize(
    "given",
    [
        {"freshness": STALE},
        {"rescues": (replace(ADDED, state=State.UNKNOWN),)},
        {"open_intents": (RELEASE, replace(ADDED, state=State.UNKNOWN))},
        {"open_intents": (intent(amount="0.154"),)},
    ],
    ids=["not shown", "not ended", "open", "not beside an add"],
)
def test_but_not_before_that_nor_beside_an_add(given: dict[str, Any]) -> None:
    known = {"open_intents": (RELEASE,), "rescues": (ADDED,), "window_over": True} | given
    assert outcome(decide_one(facts(loan("0.94", held="1.1"), **known))) == "nothing: rescued"


@pytest.mark.parametrize(("state", "done"), [("confirmed", "add 0.145684"), ("absent", "add 0.29966031")])
def test_a_release_that_shows_beside_what_was_added_since_is_not_taken_off_again(
    state: str, done: str
) -> None:
    added = replace(ADDED, state=State(state))
    about = facts(loan("0.75", held="0.946"), open_intents=(RELEASE,), rescues=(added,))
    assert outcome(decide_one(about)) == done


def test_there_is_no_third() -> None:
    first = intent(amount="0.154", intent_id="i1")
    rescue = intent(amount="0.1", intent_id="i2", rescue_of="i1")
    for open_intents in [(first, rescue), (rescue, first), (rescue,)]:
        about = facts(loan("0.94"), open_intents=open_intents, window_over=True)
        assert outcome(decide_one(about)) == "nothing: rescued"


def test_a_rescue_opens_an_episode_so_that_the_loan_is_brought_to_its_target() -> None:
    first = intent(direction=REDUCE, amount="0.154")
    rules = policy(max_add={"BTC": "0.1"})
    begun = facts(loan("0.75"), rules, open_intents=(first,))
    assert decide_one(begun).episode is EpisodeChange.OPENS
    going_on = facts(loan("0.75"), rules, open_intents=(first,), episode_open=True)
    assert decide_one(going_on).episode is None


# What a decision says.


def test_a_decision_says_what_held_it_back_and_how_far_the_funds_go() -> None:
    decision = decide_one(
        facts(loan("0.75"), policy(max_add={"BTC": "0.05"})), wallet={"BTC": "0.2"}, reserve={"BTC": "0.1"}
    )
    assert decision.cause is Cause.BREACH
    assert tuple(sentences.held_back(decision)) == (
        "wallet.reserve of 0.1 leaves 0.1 BTC",
        "max_add allows 0.05 BTC at a time",
    )
    assert (decision.reachable_ltv, decision.missing) == (D("0.6818"), D("0.054"))
    assert "LTV 0.75 against a trigger of 0.75: 0.154 BTC bring it to 0.65" in sentences.reason(decision)


def test_a_rescue_says_what_it_lacks_and_leaves_room_for_no_more_than_its_bounds() -> None:
    first = intent(amount="0.154")
    about = facts(loan("0.82"), open_intents=(first,), window_over=True)
    decision = decide_one(about, wallet={"BTC": "0.254"})
    assert (decision.amount, decision.ceiling, decision.missing) == (D("0.1"), D("0.1"), D("0.16169231"))
    assert tuple(sentences.held_back(decision)) == ("the Funding wallet leaves 0.100 BTC",)
    assert decide_one(about).missing == 0


def test_a_rescue_too_small_to_be_worth_a_call_is_not_made() -> None:
    about = facts(loan("0.82"), open_intents=(intent(amount="0.154"),), window_over=True)
    assert not decide_one(about, wallet={"BTC": "0.1559"}).acts
    assert decide_one(about, wallet={"BTC": "0.156"}).amount == D("0.002")


def test_an_unhindered_decision_lacks_nothing() -> None:
    decision = decide_one(facts(loan("0.75")))
    assert (decision.held_back, decision.missing) == ((), 0)
    assert decision.reachable_ltv == D("0.6499")


def test_a_loan_that_cannot_be_helped_says_so_and_stays_in_its_episode() -> None:
    decision = decide_one(facts(loan("0.75")), wallet={})
    assert decision.episode is EpisodeChange.OPENS
    assert (decision.breach, decision.missing, decision.reachable_ltv) == (True, D("0.154"), D("0.75"))
    assert "the Funding wallet leaves 0 BTC" in sentences.reason(decision)


@pytest.mark.parametrize(
    ("ltv", "breach", "emergency"), [("0.74", False, False), ("0.75", True, False), ("0.80", True, True)]
)
@pytest.mark.parametrize(
    "given", [{}, {"wallet": {}}, {"wallet_read": False}, {"open_intents": (intent(),)}, {"freshness": STALE}]
)
def test_a_breach_is_called_one_whatever_is_done_about_it(
    ltv: str,
    breach: bool,  # noqa: FBT001 - parametrized
    emergency: bool,  # noqa: FBT001
    given: dict[str, Any],
) -> None:
    about, of_account = a_case(ltv, given)
    decision = decide_one(about, **of_account)
    assert decision.breach is breach
    if "freshness" not in given:
        assert decision.emergency is emergency


@pytest.mark.parametrize(
    ("ltv", "given", "episode"),
    [
        ("0.75", {}, EpisodeChange.OPENS),
        ("0.75", {"wallet_read": False}, EpisodeChange.OPENS),
        ("0.75", {"wallet": {}}, EpisodeChange.OPENS),
        ("0.75", {"rested_ms": 1}, None),
        ("0.75", {"freshness": STALE}, None),
        ("0.75", EPISODE, None),
        ("0.70", EPISODE, None),
        ("0.65", EPISODE, EpisodeChange.CLOSES),
        ("0.65", {}, None),
        ("0.90", EPISODE | {"protect": False}, EpisodeChange.CLOSES),
        ("0.90", {"protect": False}, None),
    ],
)
def test_an_episode_opens_at_the_trigger_and_closes_at_the_target(
    ltv: str, given: dict[str, Any], episode: EpisodeChange | None
) -> None:
    about, of_account = a_case(ltv, given)
    assert decide_one(about, **of_account).episode is episode


# Several loans.


def several(*about: LoanFacts, **of_account: Any) -> dict[str, str]:  # noqa: ANN401 - arguments of account()
    """What is done, by loan, in the order it is done."""
    return {d.loan.key.loan_id: outcome(d) for d in decide(account(*about, **of_account))}


def test_the_loan_nearest_liquidation_is_served_first_and_scarce_coins_bring_both_level() -> None:
    calm = facts(loan("0.60", loan_id="calm"))
    urgent = facts(loan("0.78", loan_id="urgent"))
    early = facts(loan("0.79", loan_id="later", liquidation="0.99", margin_call="0.9"))
    found = decide(account(calm, early, urgent, wallet={"BTC": "0.3"}))
    assert [decision.loan.key.loan_id for decision in found] == ["urgent", "later", "calm"]
    after = [item.loan.danger / (1 + item.amount) for item in found[:2]]
    assert abs(after[0] - after[1]) < D("0.001")
    assert D("0.2999") < sum(item.ceiling for item in found[:2]) <= D("0.3")


def test_where_it_does_not_reach_to_level_them_all_of_it_goes_to_the_worse() -> None:
    found = several(
        facts(loan("0.79", loan_id="a")), facts(loan("0.76", loan_id="b")), wallet={"BTC": "0.03"}
    )
    assert found == {"a": "add 0.03", "b": "nothing: short"}


def test_a_loan_that_the_funds_cannot_save_takes_nothing() -> None:
    lost = facts(loan("1.2", loan_id="lost"))
    found = several(lost, facts(loan("0.78", loan_id="saved")), wallet={"BTC": "0.1"})
    assert found == {"lost": "nothing: lost", "saved": "add 0.1"}


def test_two_loans_with_their_marks_never_take_more_than_there_is() -> None:
    """The first add may grow by its mark; what is left to the second is counted without it."""
    first, second = decide(
        account(
            facts(loan("0.78", loan_id="a")),
            facts(loan("0.76", loan_id="b")),
            wallet={"BTC": "0.38"},
            reserve={"BTC": "0.01"},
        )
    )
    assert first.ceiling + second.ceiling <= D("0.37")
    assert first.ceiling > first.amount


def test_each_coin_serves_its_own_loans() -> None:
    in_btc = facts(loan("0.78", loan_id="btc"))
    in_eth = facts(loan("0.75", coin="ETH", held=10, loan_id="eth"))
    found = several(in_btc, in_eth, wallet={"BTC": "0.1", "ETH": 5})
    assert found == {"btc": "add 0.1", "eth": "add 1.54"}


def test_open_adds_of_other_loans_are_spent_already() -> None:
    waiting = facts(loan("0.76", loan_id="a"), open_intents=(intent(amount="0.2", loan_id="a"),))
    breaching = facts(loan("0.75", loan_id="b"))
    found = several(waiting, breaching, wallet={"BTC": "0.3"})
    assert found == {"a": "nothing: open_intent", "b": "add 0.1"}


LOW = facts(loan("0.33", loan_id="low"))
OTHERS = [
    ("in an episode", facts(loan("0.70", loan_id="x", coin="ETH"), episode_open=True), "release_waits"),
    ("in breach", facts(loan("0.76", loan_id="x", coin="ETH")), "release_waits"),
    (
        "with an open intent",
        facts(loan("0.5", loan_id="x", coin="ETH"), open_intents=(intent(),)),
        "release_waits",
    ),
    ("above its add target, in the same coin", facts(loan("0.66", loan_id="x")), "release_waits"),
    ("above its add target, in another coin", facts(loan("0.66", loan_id="x", coin="ETH")), None),
    ("at its add target", facts(loan("0.65", loan_id="x")), None),
    ("not protected", facts(loan("0.9", loan_id="x"), policy(protect=False)), None),
    (
        "not protected, in an old episode",
        facts(loan("0.5", loan_id="x"), policy(protect=False), episode_open=True),
        None,
    ),
]


@pytest.mark.parametrize(
    ("other", "waits"), [case[1:] for case in OTHERS], ids=[f"another loan is {case[0]}" for case in OTHERS]
)
def test_a_release_waits_for_the_rest_of_the_account(other: LoanFacts, waits: str | None) -> None:
    expected = f"nothing: {waits}" if waits else "reduce 0.39981818"
    assert several(LOW, other)["low"] == expected


# The exchange's maximum, read just before.


@pytest.mark.parametrize(
    ("maximum", "share", "done"),
    [
        ("1", "1", "reduce 0.39981818"),
        ("0.39981818", "1", "reduce 0.39981818"),
        ("0.3", "1", "reduce 0.3"),
        ("0.3", "0.5", "reduce 0.15"),
        ("0.123456789123", "1", "reduce 0.12345678"),
        ("0.002", "1", "reduce 0.002"),
        ("0.00199999", "1", "nothing: release_waits"),
        ("0", "1", "nothing: release_waits"),
        ("-1", "1", "nothing: release_waits"),
        ("NaN", "1", "nothing: release_waits"),
        ("Infinity", "1", "nothing: release_waits"),
        ("1E+30", "1", "reduce 0.39981818"),
    ],
)
def test_a_release_stays_within_its_share_of_the_maximum(maximum: str, share: str, done: str) -> None:
    wanted = decide_one(facts(loan("0.33"), policy(reduction_share=share)))
    decision = within_maximum(wanted, D(maximum))
    assert outcome(decision) == done
    if decision.acts:
        assert decision.ceiling == decision.amount
    assert bool(decision.held_back) is (done != "reduce 0.39981818")


def test_the_maximum_is_no_matter_for_an_add() -> None:
    wanted = decide_one(facts(loan("0.75")))
    assert within_maximum(wanted, Decimal(0)) == wanted


@pytest.mark.parametrize("held", ["1E+30", "123456789012345678901234567890.12345678", "0.00000001"])
@pytest.mark.parametrize("ltv", ["0.33", "0.75", "0.9"])
def test_absurd_amounts_of_one_loan_do_not_stop_the_others(held: str, ltv: str) -> None:
    absurd = facts(loan(ltv, held=held, loan_id="absurd", accuracy=18))
    open_add = facts(
        loan("0.9", held=held, loan_id="open", accuracy=18), open_intents=(intent(),), window_over=True
    )
    found = several(absurd, open_add, facts(loan("0.75", loan_id="other")), wallet={"BTC": "1E+35"})
    assert found["other"] == "add 0.154"


def test_an_emergency_of_a_loan_that_is_not_protected_is_none() -> None:
    assert facts(loan("0.85")).is_at_emergency
    assert facts(loan("0.85"), lifts=False).is_at_emergency  # shown, if not believed
    assert not facts(loan("0.85"), policy(protect=False)).is_at_emergency
    assert not facts(loan("0.79")).is_at_emergency


@pytest.mark.parametrize("bearing", Bearing)
@pytest.mark.parametrize("ltv", ["0.50", "0.80"])
def test_a_decision_says_how_the_loans_numbers_bear_each_other_out(ltv: str, bearing: Bearing) -> None:
    assert decide_one(facts(loan(ltv), bearing=bearing)).bearing is bearing


@pytest.mark.parametrize(
    ("ltv", "protect", "gap"),
    [("0.60", True, "0.25"), ("0.80", True, "-0.0625"), ("0.60", False, "Infinity"), ("0", True, "Infinity")],
)
def test_how_far_prices_may_fall_before_the_trigger_of_a_loan(ltv: str, gap: str, *, protect: bool) -> None:
    rulebook = Rulebook(default=policy(protect=protect))
    assert rulebook.gap(loan(ltv)) == D(gap)
