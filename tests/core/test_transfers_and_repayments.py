"""Where nothing can be added: what is moved from the Unified account, and what is repaid. One case a line.

Unless a case says otherwise the loan holds 1 BTC and owes 30000 USDT, the Funding wallet is empty, the
Unified account holds 10 BTC, both ways are switched on; the policy is the default: add at 0.75 to 0.65.
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from core_builders import (
    REPAY,
    TRANSFER,
    D,
    account,
    decide_one,
    facts,
    intent,
    key,
    loan,
    policy,
)
from core_pools import PRICES, Truth, at, pool_policy
from hypothesis import given
from hypothesis import strategies as st

from ltv_guard.core.amounts.fingerprint import coarsest, most_above
from ltv_guard.core.decide.decide import decide
from ltv_guard.core.decide.decision import Cause, Decision
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Additions, Debt, Direction, LoanKey, Product
from ltv_guard.core.reconcile.freshness import Doubt, Freshness
from ltv_guard.guard import sentences

OF_LOAN = {"held", "debt", "accuracy", "coin"}
OF_POLICY = {"max_add", "least", "repays", "max_repay", "protect"}
OF_FACTS = {"freshness", "refused", "passing", "unpayable", "episode_open", "open_intents", "rested_ms"}
FUNDS: dict[str, Any] = {"wallet": {}, "unified": {"BTC": 10}, "transfers": True}
USUAL: dict[str, Any] = FUNDS | {"repays": True}
NO_BTC = {"unified": {}}
PAYS = policy(repays=True)
USDT = {"wallet": {"USDT": 50_000}}


def awaited(state: State, amount: str = "0.15400002") -> Intent:
    """A transfer of BTC to the Funding wallet."""
    about = intent(state, direction=TRANSFER, amount=amount, before="0")
    return replace(about, key=LoanKey(Product.FUNDING, "BTC"))


def decided(ltv: str, given: Mapping[str, Any]) -> Decision:
    said = USUAL | dict(given)
    about = loan(ltv, **{name: said[name] for name in said if name in OF_LOAN})
    rules = policy(**{name: said[name] for name in said if name in OF_POLICY})
    of_facts = {name: said[name] for name in said if name in OF_FACTS}
    others = {name: said[name] for name in said if name not in OF_LOAN | OF_POLICY | OF_FACTS}
    return decide_one(facts(about, rules, **of_facts), **others)


def outcome(decision: Decision) -> str:
    if decision.direction is None:
        return f"nothing: {decision.cause}"
    return f"{decision.direction} {decision.amount.normalize():f} {decision.coin}"


CASES: list[tuple[str, str, dict[str, Any], str]] = [
    # Transfers. A transfer has room for the mark of the add that follows: two thousand steps of the coin.
    ("what is missing is moved, to be added next", "0.75", {}, "transfer 0.15402 BTC"),
    ("nothing is moved below the trigger", "0.74", {}, "nothing: in_bounds"),
    ("nor unless it is switched on", "0.75", {"transfers": False, "repays": False}, "nothing: short"),
    ("what lies in Funding is added first", "0.75", {"wallet": {"BTC": "0.05"}}, "add 0.05 BTC"),
    ("dust that lies there is taken along", "0.75", {"wallet": {"BTC": "0.001"}}, "transfer 0.15302 BTC"),
    ("what Unified has is moved", "0.75", {"unified": {"BTC": "0.1"}}, "transfer 0.1 BTC"),
    ("in whole steps", "0.75", {"unified": {"BTC": "0.1234567891"}}, "transfer 0.12345678 BTC"),
    ("not too little to be worth a call", "0.75", {"unified": {"BTC": "0.0019"}}, "nothing: short"),
    ("the cap of one transfer holds", "0.75", {"max_transfer": {"BTC": "0.05"}}, "transfer 0.05 BTC"),
    ("in an emergency too", "0.90", {"max_transfer": {"BTC": "0.05"}}, "transfer 0.05 BTC"),
    (
        "so does the day's",
        "0.75",
        {"max_transfer_24h": {"BTC": 1}, "transferred_24h": {"BTC": "0.9"}},
        "transfer 0.1 BTC",
    ),
    (
        "to the last, in an emergency too",
        "0.90",
        {"max_transfer_24h": {"BTC": 1}, "transferred_24h": {"BTC": 1}},
        "nothing: short",
    ),
    ("the reserve is moved as well", "0.75", {"reserve": {"BTC": "0.1"}}, "transfer 0.25402 BTC"),
    ("not in an emergency", "0.80", {"reserve": {"BTC": "0.1"}}, "transfer 0.23094308 BTC"),
    (
        "no more than the day allows to add",
        "0.75",
        {"max_add_24h": {"BTC": 1}, "added_24h": {"BTC": "0.9"}},
        "transfer 0.1 BTC",
    ),
    (
        "nothing where the day allows none",
        "0.75",
        {"max_add_24h": {"BTC": 1}, "added_24h": {"BTC": 1}},
        "nothing: short",
    ),
    ("nor a coin that is never added", "0.75", {"max_add": {"BTC": 0}}, "nothing: short"),
    ("nor one that the exchange does not take", "0.75", {"refused": {"BTC": "full"}}, "nothing: short"),
    ("nor one that it does not move", "0.75", {"unmovable": {"BTC": "forbidden"}}, "nothing: short"),
    (
        "one that is on its way is waited for",
        "0.75",
        {"on_the_way": {"BTC": awaited(State.SENT)}},
        "nothing: transfer",
    ),
    (
        "also one whose end is not known",
        "0.75",
        {"on_the_way": {"BTC": awaited(State.UNKNOWN)}},
        "nothing: transfer",
    ),
    (
        "one that landed, until it shows",
        "0.75",
        {"on_the_way": {"BTC": awaited(State.CONFIRMED)}},
        "nothing: transfer",
    ),
    ("an unread Unified account is waited for", "0.75", {"unified": None} | USDT, "nothing: wallet_unread"),
    ("in an episode it goes on below the trigger", "0.70", {"episode_open": True}, "transfer 0.07709693 BTC"),
    (
        "stale facts move nothing",
        "0.75",
        {"freshness": Freshness(doubt=Doubt.LTV_LAGS)},
        "nothing: not_fresh",
    ),
    ("a loan that is not protected moves nothing", "0.90", {"protect": False}, "nothing: not_protected"),
    # Repayments: the last resort. 0.133449 of the debt lowers 0.7501 to 0.65.
    ("where nothing can be moved, debt is repaid", "0.75", NO_BTC | USDT, "repay 4003.467 USDT"),
    ("where transfers are off, too", "0.75", {"transfers": False} | USDT, "repay 4003.467 USDT"),
    ("nothing unless it is switched on", "0.75", NO_BTC | USDT | {"repays": False}, "nothing: short"),
    ("moving goes before repaying", "0.75", USDT, "transfer 0.15402 BTC"),
    ("adding before both", "0.75", {"wallet": {"USDT": 50_000, "BTC": 1}}, "add 0.154 BTC"),
    ("twice the debt takes twice as much", "0.75", NO_BTC | USDT | {"debt": 60_000}, "repay 8006.94 USDT"),
    ("what the wallet has is repaid", "0.75", NO_BTC | {"wallet": {"USDT": "1000.5"}}, "repay 1000.5 USDT"),
    ("nothing with an empty one", "0.75", NO_BTC, "nothing: short"),
    ("not too little to be worth a call", "0.75", NO_BTC | {"wallet": {"USDT": 50}}, "nothing: short"),
    ("the reserve stays", "0.75", NO_BTC | USDT | {"reserve": {"USDT": 49_000}}, "repay 1000 USDT"),
    ("but not in an emergency", "0.80", NO_BTC | USDT | {"reserve": {"USDT": 50_000}}, "repay 5628.047 USDT"),
    ("max_repay holds for each", "0.75", NO_BTC | USDT | {"max_repay": {"USDT": 500}}, "repay 500 USDT"),
    ("in an emergency too", "0.90", NO_BTC | USDT | {"max_repay": {"USDT": 500}}, "repay 500 USDT"),
    (
        "so does the day's cap",
        "0.90",
        NO_BTC | USDT | {"max_repay_24h": {"USDT": 900}, "repaid_24h": {"USDT": 600}},
        "repay 300 USDT",
    ),
    (
        "what the exchange refuses is not repaid again",
        "0.75",
        NO_BTC | USDT | {"unpayable": {"USDT": "no"}},
        "nothing: short",
    ),
    (
        "a transfer that is on its way is waited for",
        "0.75",
        USDT | {"on_the_way": {"BTC": awaited(State.UNKNOWN)}},
        "nothing: transfer",
    ),
    (
        "in an emergency too, while its window lasts",
        "0.90",
        USDT | {"on_the_way": {"BTC": awaited(State.UNKNOWN)}},
        "nothing: transfer",
    ),
    (
        "not in an emergency, where it may never end",
        "0.90",
        USDT | {"on_the_way": {"BTC": awaited(State.UNKNOWN)}, "overdue": {"BTC"}},
        "repay 8335.741 USDT",
    ),
    (
        "a refusal that may pass in a moment is waited out",
        "0.90",
        USDT | {"refused": {"BTC": "no balance"}, "passing": {"BTC"}},
        "nothing: repay",
    ),
    (
        "of a transfer, too",
        "0.90",
        USDT | {"unmovable": {"BTC": "no balance"}, "moment": {"BTC"}},
        "nothing: repay",
    ),
    (
        "but not one that stands",
        "0.75",
        USDT | {"refused": {"BTC": "the limit is reached"}},
        "repay 4003.467 USDT",
    ),
    ("nor is an account that can't be read", "0.90", {"unified": None} | USDT, "repay 8335.741 USDT"),
]


@pytest.mark.parametrize(
    ("ltv", "said", "done"), [case[1:] for case in CASES], ids=[f"{case[1]} {case[0]}" for case in CASES]
)
def test_a_loan_without_collateral_at_hand(ltv: str, said: dict[str, Any], done: str) -> None:
    assert outcome(decided(ltv, said)) == done


def test_two_loans_that_lack_the_same_coin_are_served_by_one_transfer() -> None:
    about = account(facts(loan("0.75")), facts(loan("0.78", loan_id="1002")), **FUNDS)
    urgent, other = decide(about)
    assert (urgent.loan.key, urgent.direction) == (key("1002"), TRANSFER)
    assert urgent.amount == D("0.15402") + D("0.20017385")
    assert (other.direction, other.cause) == (None, Cause.TRANSFER)


def test_what_they_move_together_stays_within_the_cap_of_a_transfer() -> None:
    caps: dict[str, Any] = FUNDS | {"max_transfer": {"BTC": "0.25"}, "wallet": {"USDT": 50_000}}
    urgent, other = decide(
        account(facts(loan("0.75"), PAYS), facts(loan("0.78", loan_id="1002"), PAYS), **caps)
    )
    assert (urgent.direction, urgent.amount) == (TRANSFER, D("0.25"))
    assert (other.direction, other.cause) == (None, Cause.TRANSFER), "it is repaid, though coins are coming"


def test_coins_that_are_kept_for_a_loan_that_waits_are_as_good_as_gone() -> None:
    """Found by the state machine: the other was repaid, though the Unified account held plenty."""
    lagging = Freshness(doubt=Doubt.LTV_LAGS)
    worse = facts(loan("0.85", loan_id="1002"), PAYS, freshness=lagging, settling=True, episode_open=True)
    better = facts(loan("0.70"), PAYS, episode_open=True)
    funds: dict[str, Any] = FUNDS | {"wallet": {"BTC": "0.15", "USDT": 50_000}}
    waits, other = decide(account(worse, better, **funds))
    assert (waits.loan.key, waits.direction) == (key("1002"), None)
    assert (other.direction, other.amount) == (TRANSFER, D("0.07709693"))


def test_a_repayment_serves_the_most_urgent_first_and_never_pays_with_the_same_coins_twice() -> None:
    funds: dict[str, Any] = FUNDS | {"unified": {}, "wallet": {"USDT": 6000}}
    urgent, other = decide(
        account(facts(loan("0.75"), PAYS), facts(loan("0.78", loan_id="1002"), PAYS), **funds)
    )
    assert (urgent.loan.key, urgent.direction, urgent.amount) == (key("1002"), REPAY, D("5003.205"))
    assert (other.direction, other.amount) == (REPAY, D(6000) - urgent.ceiling)


def test_an_open_repayment_is_spent_already() -> None:
    open_one = intent(State.SENT, direction=REPAY, coin="USDT", amount="5500", before="30000", loan_id="1002")
    paying = facts(loan("0.78", loan_id="1002"), PAYS, open_intents=(open_one,))
    funds: dict[str, Any] = FUNDS | {"unified": {}, "wallet": {"USDT": 6000}}
    waiting, other = decide(account(facts(loan("0.75"), PAYS), paying, **funds))
    assert waiting.cause is Cause.OPEN_INTENT
    assert (other.direction, other.amount) == (REPAY, D(500))


def test_a_repayment_says_what_held_it_back_how_far_it_leads_and_what_is_missing() -> None:
    decision = decided("0.75", NO_BTC | {"wallet": {"USDT": 1000}})
    assert tuple(sentences.held_back(decision)) == ("the Funding wallet leaves 1000 USDT",)
    assert decision.reachable_ltv == D("0.7250")  # a thirtieth less
    assert decision.missing == D("3003.467")


def test_where_nothing_helps_it_says_all_that_was_tried() -> None:
    decision = decided("0.75", NO_BTC)
    assert decision.cause is Cause.SHORT
    assert tuple(sentences.held_back(decision)) == (
        "the Funding wallet leaves 0 BTC",
        "the Unified account leaves 0 BTC",
        "repaying: the Funding wallet leaves 0 USDT",
    )


# An open repayment: like an add, it allows one rescue add, small enough for both to land.


def repaying(amount: str = "9000") -> Intent:
    return intent(
        State.UNKNOWN, direction=REPAY, coin="USDT", amount=amount, before="30000", ltv_before="0.90"
    )


@pytest.mark.parametrize(
    ("ltv", "window_over", "done"),
    [
        ("0.90", True, "add 0.38476924 BTC"),
        ("0.90", False, "nothing: open_intent"),
        ("0.79", True, "nothing: open_intent"),
    ],
)
def test_beside_an_open_repayment(ltv: str, window_over: bool, done: str) -> None:  # noqa: FBT001
    about = {"open_intents": (repaying(),), "wallet": {"BTC": 5, "USDT": 20_000}}
    said = facts(loan(ltv), PAYS, open_intents=about["open_intents"], window_over=window_over)
    assert outcome(decide_one(said, wallet=about["wallet"])) == done


def test_a_rescue_beside_a_repayment_leaves_the_ltv_above_the_release_trigger_if_both_land() -> None:
    said = facts(loan("0.90"), PAYS, open_intents=(repaying(amount="15000"),), window_over=True)
    decision = decide_one(said, wallet={"BTC": 5})
    assert decision.cause is Cause.RESCUE
    both = D("0.90") / 2 / (1 + decision.ceiling)
    assert D("0.40") <= both < D("0.401")


@pytest.mark.parametrize(
    ("ltv", "direction", "window_over", "done"),
    [
        ("0.90", "add", False, "transfer 0.38478924 BTC"),  # it is there once the window is over
        ("0.90", "add", True, "transfer 0.38478924 BTC"),
        ("0.79", "add", True, "nothing: open_intent"),
        ("0.79", "reduce", False, "transfer 0.31554445 BTC"),  # a release never holds up an add
    ],
)
def test_the_coins_for_a_rescue_are_moved_while_an_intent_is_open(
    ltv: str,
    direction: str,
    window_over: bool,  # noqa: FBT001
    done: str,
) -> None:
    open_one = intent(State.UNKNOWN, direction=Direction(direction))
    said = facts(loan(ltv), open_intents=(open_one,), window_over=window_over)
    assert outcome(decide_one(said, **FUNDS)) == done


# Pools.


def in_a_pool(truth: Truth, rules: Any = None, **of_account: Any) -> Decision:  # noqa: ANN401
    about = facts(truth.shown(), rules or pool_policy(repays=True))
    return decide_one(about, **{"prices": PRICES, "wallet": {}, "transfers": True, **of_account})


def test_a_pool_moves_the_most_wanted_coin_that_is_enough() -> None:
    truth = at("0.75", {"BTC": "1"})
    decision = in_a_pool(truth, unified={"USDT": 100, "USDC": 50_000, "BTC": 1})
    assert (decision.direction, decision.coin) == (TRANSFER, "USDC")
    after = truth.plus("USDC", decision.amount).ltv
    assert D("0.649") < after <= D("0.65")


def test_where_none_is_enough_the_coin_that_gains_most_is_moved() -> None:
    decision = in_a_pool(at("0.75", {"BTC": "1"}), unified={"USDT": 500, "BTC": "0.1"})
    assert outcome(decision) == "transfer 0.1 BTC"


def test_what_the_platform_shows_of_a_pool_as_a_whole_is_no_reason_to_repay() -> None:
    truth = at("0.75", {"BTC": "1"}, additions=Additions.REFUSED)
    decision = in_a_pool(truth, unified={"USDT": 50_000}, wallet={"USDT": 50_000})
    assert decision.direction is Direction.ADD
    decision = in_a_pool(truth, unified={"USDT": 50_000})
    assert (decision.direction, decision.coin) == (TRANSFER, "USDT")


@given(ltv=st.decimals("0.75", "0.91", places=4))
def test_an_unhindered_repayment_leaves_a_pool_just_below_its_target(ltv: Decimal) -> None:
    truth = at(str(ltv), {"BTC": "1", "ETH": "3"})
    rules = pool_policy(("BTC",), repays=True)
    decision = in_a_pool(truth, rules, transfers=False, wallet={"USDT": 1_000_000})
    assert decision.direction is REPAY
    assert D("0.6499") < (truth.debt_usd - decision.amount) / truth.total <= D("0.65")


@given(ltv=st.decimals("0.75", "0.94", places=4), debt=st.decimals("0.01", "1000000", places=4))
def test_an_unhindered_repayment_leaves_an_order_just_below_its_target(ltv: Decimal, debt: Decimal) -> None:
    decision = decided(str(ltv), NO_BTC | {"wallet": {"USDT": 10_000_000}, "debt": debt})
    assert decision.direction is REPAY
    for quoted in (ltv, ltv + D("0.0001")):  # what it may truly be
        assert D("0.6495") < quoted * (1 - decision.amount / debt) <= D("0.65") + D("0.0000001")


def test_of_several_debts_the_one_that_lowers_the_ltv_most_is_repaid() -> None:
    truth = at("0.75", {"BTC": "1"})
    shown = truth.shown()
    half = shown.debts[0].amount / 2
    debts = (Debt(coin="USDT", amount=half), Debt(coin="ETH", amount=half / PRICES["ETH"]))
    about = facts(replace(shown, debts=debts), pool_policy(("BTC",), repays=True))
    decision = decide_one(about, prices=PRICES, wallet={"USDT": 500, "ETH": 1})
    assert outcome(decision) == "repay 1 ETH"


def test_fixed_debts_of_a_pool_are_not_repaid() -> None:
    shown = at("0.75", {"BTC": "1"}).shown()
    debts = tuple(replace(debt, fixed=debt.amount - 100) for debt in shown.debts)
    about = facts(replace(shown, debts=debts), pool_policy(("BTC",), repays=True))
    decision = decide_one(about, prices=PRICES, wallet={"USDT": 50_000})
    assert outcome(decision) == "repay 100 USDT"
    assert "what is owed in flexible loans leaves 100" in sentences.held_back(decision)[0]


def test_a_debt_without_a_price_is_not_repaid() -> None:
    shown = at("0.75", {"BTC": "1"}).shown()
    about = facts(replace(shown, debts=(Debt(coin="NEW", amount=D(5)),)), pool_policy(repays=True))
    decision = decide_one(about, prices=PRICES, wallet={"NEW": 5})
    assert decision.direction is None
    assert "repaying: NEW has no price" in sentences.held_back(decision)


def test_a_rescue_beside_an_open_repayment_is_no_larger_for_a_price_that_is_missing() -> None:
    shown = at("0.90", {"BTC": "1"}).shown()
    open_one = intent(State.UNKNOWN, direction=REPAY, coin="USDT", amount="10000", before="20000")
    about = facts(
        replace(shown, debts=(Debt(coin="USDT", amount=D(20_000)),)),
        pool_policy(("BTC",), repays=True),
        open_intents=(replace(open_one, key=shown.key),),
        window_over=True,
    )
    told = decide_one(about, prices=PRICES, wallet={"BTC": 10})
    untold = decide_one(about, prices={"BTC": PRICES["BTC"]}, wallet={"BTC": 10})
    assert told.cause is untold.cause is Cause.RESCUE
    assert untold.ceiling <= told.ceiling


# Amounts.


@given(accuracy=st.integers(0, 18), debt=st.decimals("0.0001", "100000000", places=4))
def test_a_repayment_is_as_coarse_as_its_mark_allows(accuracy: int, debt: Decimal) -> None:
    decimals = coarsest(accuracy, debt)
    assert 0 <= decimals <= accuracy
    if decimals < accuracy:
        assert most_above(decimals, debt) <= debt * D("0.0004")
    if decimals > 0:
        assert most_above(decimals - 1, debt) < 1000 * D(1).scaleb(1 - decimals) or decimals == accuracy
