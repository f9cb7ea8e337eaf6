"""Which fixed loan of a pool is repaid in full now, and what keeps one from being. One case a line, by hand.

A pool of 1 BTC at 50000 USD, of which 0.9 count: at an LTV of 0.50 it owes 22500 USDT, 3000 of them in fixed
loans. Its trigger is 0.75, the emergency 0.80.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from core_builders import D, account, facts, intent, loan, policy
from core_pools import PRICES, at, pool_policy

from ltv_guard.core.amounts.due import is_to_be_repaid
from ltv_guard.core.decide.constraints import Limit
from ltv_guard.core.decide.decide import decide, decide_one
from ltv_guard.core.decide.decision import Cause, Decision, EpisodeChange
from ltv_guard.core.decide.facts import AccountFacts, LoanFacts
from ltv_guard.core.model.contracts import SETTLES_WITHIN_MS, AtEnd, Contract
from ltv_guard.core.model.intents import State
from ltv_guard.core.model.loans import Debt, Direction, Kind
from ltv_guard.core.model.policy import FixedRepayRule
from ltv_guard.core.reconcile.freshness import Doubt, Freshness

MINUTE, HOUR = 60_000, 3_600_000
NOW = 1_700_000_000_000
REPAYS = replace(pool_policy(["USDT"]), repay_fixed=FixedRepayRule(enabled=True))


def contract(loan_id: str = "7", owed: str = "1000", in_ms: int = HOUR, **changes: Any) -> Contract:  # noqa: ANN401 - its fields
    told: dict[str, Any] = {"coin": "USDT", "at_end": AtEnd.NOTHING, "interest": D(0)} | changes
    return Contract(loan_id=loan_id, ends_at_ms=NOW + in_ms, principal=D(owed), **told)


# What happens at the end, in how long that is, listed how long ago; whether it is repaid, an hour before.
WHEN = [
    ("an hour before its end", AtEnd.NOTHING, HOUR, 0, {}, True),
    ("not a moment sooner", AtEnd.NOTHING, HOUR + 1, 0, {}, False),
    ("at its end", AtEnd.NOTHING, 0, 0, {}, True),
    ("a day after its end", AtEnd.NOTHING, -24 * HOUR, 0, {}, True),
    ("not what the exchange repays", AtEnd.REPAID, MINUTE, 0, {}, False),
    ("nor while it may be about to", AtEnd.REPAID, -SETTLES_WITHIN_MS + 1, 0, {}, False),
    ("but where it has not", AtEnd.REPAID, -SETTLES_WITHIN_MS, 0, {}, True),
    ("which a list of before its end does not tell", AtEnd.REPAID, -HOUR, HOUR, {}, False),
    ("and where it says that it has not", AtEnd.REPAID, -1, 0, {"overdue": True}, True),
    ("not what turns flexible", AtEnd.FLEXIBLE, MINUTE, 0, {}, False),
    ("but where it has not turned", AtEnd.FLEXIBLE, -SETTLES_WITHIN_MS, 0, {}, True),
    ("nor in its hour, whatever it is called", AtEnd.FLEXIBLE, -HOUR + 1, 0, {"overdue": True}, False),
    ("nor, where it should be repaid, minutes late", AtEnd.REPAID, -10 * MINUTE, 0, {}, False),
    ("not where nobody says what happens", AtEnd.UNTOLD, MINUTE, 0, {}, False),
    ("but where nothing has", AtEnd.UNTOLD, -SETTLES_WITHIN_MS, 0, {}, True),
]


@pytest.mark.parametrize(
    ("at_end", "in_ms", "listed_ago_ms", "changes", "repaid"),
    [case[1:] for case in WHEN],
    ids=[case[0] for case in WHEN],
)
def test_it_is_repaid_where_it_goes_overdue(
    at_end: AtEnd, in_ms: int, listed_ago_ms: int, changes: dict[str, Any], *, repaid: bool
) -> None:
    about = contract(in_ms=in_ms, at_end=at_end, **changes)
    assert is_to_be_repaid(about, NOW - listed_ago_ms, NOW, HOUR) is repaid


def pool(ltv: str = "0.50", fixed: str = "3000", **changes: Any) -> LoanFacts:  # noqa: ANN401 - of facts
    shown = at(ltv, {"BTC": "1"}).shown()
    debt = replace(shown.debts[0], fixed=D(fixed))
    return facts(replace(shown, debts=(debt,)), REPAYS, **changes)


def paying(
    *ending: Contract,
    loans: tuple[LoanFacts, ...] = (),
    wallet: Mapping[str, str] | None = None,
    closed: Mapping[str, str] | None = None,
    **of_account: Any,  # noqa: ANN401 - of account()
) -> AccountFacts:
    coins = {"USDT": "5000"} if wallet is None else wallet
    found = account(*(loans or (pool(),)), wallet=coins, prices=PRICES, **of_account)
    return replace(found, ending=ending, unpayable_contracts=closed or {})


def on_the_pool(of: AccountFacts) -> Decision:
    return next(item for item in decide(of) if item.loan.is_pool)


def held(decision: Decision) -> dict[str, Limit]:
    return {item.contract.loan_id: item.why.kind for item in decision.held_contracts}


def test_it_is_repaid_whole_by_its_contract() -> None:
    found = on_the_pool(paying(contract(interest=D("2.5"))))
    assert (found.cause, found.direction, found.kind) == (
        Cause.REPAY_FIXED,
        Direction.REPAY,
        Kind.FIXED_REPAYMENT,
    )
    assert (found.coin, found.amount, found.contract_id) == ("USDT", D("1002.5"), "7")
    assert found.ceiling == 5000  # interest may have been added since its row was read
    assert not found.held_contracts


def test_a_single_loan_is_decided_on_as_all_are() -> None:
    of = paying(contract())
    assert decide_one(of, pool().loan.key) == on_the_pool(of)


# Contracts that end (id, owed), USDT in the wallet, more; which one is repaid, and what holds the others.
ONE, USDC = [contract()], [contract(coin="USDC")]
TWO, LARGE = [contract("1"), contract("2")], [contract("1", "2000"), contract("2")]
CAP = {"max_repay_24h": {"USDT": 1500}}
CASES: list[tuple[str, list[Contract], str, dict[str, Any], str | None, dict[str, Limit]]] = [
    ("nothing ends", [], "5000", {}, None, {}),
    ("to the last coin", ONE, "1000", {}, "7", {}),
    ("one coin short", ONE, "999.99999999", {}, None, {"7": Limit.FUNDING}),
    ("no debt in its coin", USDC, "5000", {}, None, {"7": Limit.DEBT_UNREAD}),
    ("the first that ends", TWO, "5000", {}, "1", {}),
    ("one of two", TWO, "1500", {}, "1", {"2": Limit.FUNDING}),  # 1500 - 1000 leave 500 of 1000
    ("another where the first is too large", LARGE, "1500", {}, "2", {"1": Limit.FUNDING}),
    ("the reserve is there for it", ONE, "1000", {"reserve": {"USDT": 900}}, "7", {}),
    ("what is due is this", ONE, "1000", {"due": {"USDT": 1000}}, "7", {}),
    ("within the day's cap", ONE, "5000", CAP | {"repaid_24h": {"USDT": 500}}, "7", {}),
    # 1500 - 501 leave 999
    ("which holds", ONE, "5000", CAP | {"repaid_24h": {"USDT": 501}}, None, {"7": Limit.SETTING}),
    ("refused a moment ago", ONE, "5000", {"closed": {"7": "148038"}}, None, {"7": Limit.REFUSED}),
    ("which is no other's matter", TWO, "5000", {"closed": {"1": "148038"}}, "2", {"1": Limit.REFUSED}),
    ("a wallet that was not read", ONE, "0", {"wallet_read": False}, None, {"7": Limit.WALLET_UNREAD}),
]


@pytest.mark.parametrize(
    ("ending", "wallet", "more", "repaid", "why"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_one_at_a_time_with_what_there_is(
    ending: list[Contract],
    wallet: str,
    more: dict[str, Any],
    repaid: str | None,
    why: dict[str, Limit],
) -> None:
    found = on_the_pool(paying(*ending, wallet={"USDT": wallet}, **more))
    assert (found.contract_id, held(found)) == (repaid, why)
    assert found.cause is (Cause.IN_BOUNDS if repaid is None else Cause.REPAY_FIXED)
    assert found.acts is (repaid is not None)


def test_only_a_wallet_that_was_not_read_is_worth_a_closer_look() -> None:
    assert on_the_pool(paying(contract(), wallet_read=False)).needs_a_closer_look
    assert not on_the_pool(paying(contract(), wallet={"USDT": "1"})).needs_a_closer_look


def test_a_wallet_of_before_pays_nothing() -> None:
    found = on_the_pool(replace(paying(contract()), wallet_is_old=True))
    assert held(found) == {"7": Limit.WALLET_UNREAD}


def test_a_list_of_repayments_that_was_not_read_keeps_all_of_them() -> None:
    about = pool(contracts_closed="the list could not be read")
    assert held(on_the_pool(paying(contract(), loans=(about,)))) == {"7": Limit.REFUSED}


def test_a_debt_that_could_not_be_read_keeps_those_of_its_coin() -> None:
    about = pool()
    unread = replace(about.loan, debts=(replace(about.loan.debts[0], unread=True),))
    found = on_the_pool(paying(contract(), loans=(replace(about, loan=unread),)))
    assert held(found) == {"7": Limit.DEBT_UNREAD}


# What the pool itself needs comes first.


def test_collateral_is_added_first() -> None:
    """At 0.76 it owes 34200; 34200 / 0.65 are to count, so 7615.38 / 0.9 = 8461.54 USDT are added."""
    found = on_the_pool(paying(contract(), loans=(pool("0.76"),), wallet={"USDT": "20000"}))
    assert (found.cause, found.direction, found.held_contracts) == (Cause.BREACH, Direction.ADD, ())


def test_where_nothing_helps_the_pool_what_is_due_is_repaid() -> None:
    """Kept for the contract, 1000 USDT can't be added; repaid, they help the pool as well."""
    about = paying(contract(), loans=(pool("0.76"),), wallet={"USDT": "1000"}, due={"USDT": 1000})
    found = on_the_pool(about)
    assert (found.cause, found.amount, found.episode) == (Cause.REPAY_FIXED, 1000, EpisodeChange.OPENS)
    assert found.breach


def test_it_comes_before_a_release() -> None:
    rules = replace(REPAYS, collateral_preference=("USDT", "BTC"))
    about = replace(pool("0.30"), policy=rules)
    assert on_the_pool(paying(loans=(about,))).direction is Direction.REDUCE
    assert on_the_pool(paying(contract(), loans=(about,))).cause is Cause.REPAY_FIXED


@pytest.mark.parametrize(
    "changes",
    [
        {"open_intents": (intent(State.UNKNOWN),)},
        {"freshness": Freshness(doubt=Doubt.OLD_DEBT)},
    ],
    ids=["an intent that is open", "facts of before"],
)
def test_nothing_is_repaid_beside_what_is_not_settled(changes: dict[str, Any]) -> None:
    found = on_the_pool(paying(contract(), loans=(pool(**changes),)))
    assert (found.acts, found.held_contracts) == (False, ())


def test_a_pool_that_cannot_be_saved_takes_nothing() -> None:
    """At 0.95, with 1000 USDT at hand, it is beyond liquidation whatever is added."""
    found = on_the_pool(paying(contract(), loans=(pool("0.95"),), wallet={"USDT": "1000"}))
    assert (found.cause, held(found)) == (Cause.LOST, {"7": Limit.POOL_LOST})


# Emergencies go first.


def order(ltv: str, coin: str = "USDT", **rules: Any) -> LoanFacts:  # noqa: ANN401 - of policy()
    return facts(loan(ltv, coin=coin, held="40000"), policy(**rules))


@pytest.mark.parametrize(
    ("other", "repaid"),
    [
        (order("0.60"), True),
        (order("0.79"), True),  # a breach takes its coins first, and leaves the rest
        (order("0.81"), False),
        (order("0.81", "BTC"), True),  # another coin helps it
        (order("0.81", "BTC", repays=True), False),  # it may be repaid with USDT
        (replace(order("0.81"), refused={"USDT": "the platform takes no more"}), True),
    ],
)
def test_a_coin_that_may_help_a_loan_in_an_emergency_is_not_spent(other: LoanFacts, *, repaid: bool) -> None:
    found = on_the_pool(paying(contract(), loans=(pool(), other), wallet={"USDT": "50000", "BTC": "9"}))
    assert found.acts is repaid
    assert held(found) == ({} if repaid else {"7": Limit.EMERGENCY_FIRST})


def test_nor_where_the_emergency_is_the_pools_own() -> None:
    """To add 1.5 USDT at 0.81 is not worth a call; more of them may come at any time."""
    found = on_the_pool(paying(contract("7", "1"), loans=(pool("0.81"),), wallet={"USDT": "1.5"}))
    assert (found.cause, held(found)) == (Cause.SHORT, {"7": Limit.EMERGENCY_FIRST})


def test_an_emergency_beside_one_that_is_not_settled_has_its_one_rescue() -> None:
    """What it repays may land on top of it, so the rescue stops short: 0.81 owes 36450, and 1000 may go.

    (36450 - 1000) / 0.65 - 45000 are 9538 to count, 10598 USDT at 0.9, were it certain to land.
    """
    about = intent(State.UNKNOWN, direction=Direction.REPAY, coin="USDT", amount=1000, before=3000)
    ours = replace(about, key=pool().loan.key, contract_id="7")
    waiting = pool("0.81", open_intents=(ours,))
    assert not on_the_pool(paying(contract(), loans=(waiting,), wallet={"USDT": "50000"})).acts
    rescued = pool("0.81", open_intents=(ours,), window_over=True)
    found = on_the_pool(paying(contract(), loans=(rescued,), wallet={"USDT": "50000"}))
    assert (found.cause, found.direction, found.coin) == (Cause.RESCUE, Direction.ADD, "USDT")
    assert found.amount > 10598


def test_a_breach_takes_its_coins_before_the_contract() -> None:
    """An order of 40000 USDT at 0.79 needs 40000 * (0.79 / 0.65 - 1) = 8615; 9000 leave less than 1000."""
    found = on_the_pool(paying(contract(), loans=(pool(), order("0.79")), wallet={"USDT": "9000"}))
    assert held(found) == {"7": Limit.FUNDING}


def test_nothing_is_repaid_where_not_all_loans_were_read() -> None:
    """One of the others may be in an emergency."""
    found = on_the_pool(replace(paying(contract()), in_part=True))
    assert (found.cause, found.held_contracts) == (Cause.IN_BOUNDS, ())


def test_only_a_pool_has_such_loans() -> None:
    of = replace(account(facts(loan("0.60")), wallet={"USDT": 5000}), ending=(contract(),))
    (found,) = decide(of)
    assert (found.cause, found.acts) == (Cause.IN_BOUNDS, False)


def test_an_error_of_ours_costs_the_repayment_alone() -> None:
    broken = replace(contract(), principal=None)  # type: ignore[arg-type]
    found = decide(paying(broken, loans=(pool(), order("0.79")), wallet={"USDT": "50000"}))
    assert [item.cause for item in found] == [Cause.BREACH, Cause.IN_BOUNDS]
    assert any("repaying fixed loans" in str(item) for decision in found for item in decision.defects)


def test_what_is_listed_is_a_debt() -> None:
    """A contract in a coin of which nothing is shown to be owed is in doubt."""
    about = pool()
    other = replace(about.loan, debts=(Debt(coin="ETH", amount=D(9), fixed=D(9)),))
    found = on_the_pool(paying(contract(), loans=(replace(about, loan=other),)))
    assert held(found) == {"7": Limit.DEBT_UNREAD}
