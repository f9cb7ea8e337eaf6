"""What each kind of help would do for a loan in trouble. One case a line, by hand.

The pool: 1 BTC (50000 USD) and 4 ETH (10000), nine tenths of which count: 54000. At an LTV of 0.78 it owes
42120 USDT; its target is 0.65.
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from core_builders import D, account, facts, key, loan, policy
from core_pools import POOL, at, pool_account, pool_facts, pool_policy

from ltv_guard.core.decide.outlook import Prospect, Way, prospects
from ltv_guard.core.model.contracts import Contract, ContractList
from ltv_guard.guard.outlook_sentences import by_hand, in_words

HELD = {"BTC": "1", "ETH": "4"}
ADD, MOVE, REPAY, SELL = Way.ADD, Way.TRANSFER, Way.REPAY, Way.REPAY_WITH_COLLATERAL


def found(
    wallet: Mapping[str, str], ltv: str = "0.78", truth: Mapping[str, Any] | None = None
) -> dict[Way, Prospect]:
    pool = pool_facts(at(ltv, HELD, **(truth or {})), pool_policy())
    return {item.way: item for item in prospects(pool_account(pool, wallet=wallet), POOL)}


def near(number: Decimal | None, to: str, within: str = "0.2") -> bool:
    return number is not None and abs(number - D(to)) <= D(within)


# Wallet; the way; its coin, what brings the loan to 0.65, what there is for it, and where that leads.
CASES: list[tuple[Mapping[str, str], Way, str, str, str, str]] = [
    # (42120 / 0.65 - 54000) / 0.9 = 12000
    ({"USDT": "1000"}, ADD, "USDT", "12000", "1000", "0.7672"),  # 42120 / 54900
    ({"USDT": "13000"}, ADD, "USDT", "12000", "12000", "0.65"),
    ({}, ADD, "USDT", "12000", "0", "0.78"),
    ({"BTC": "0.1"}, ADD, "BTC", "0.24", "0.1", "0.72"),  # 10800 / 45000; 42120 / 58500
    # 42120 - 0.65 * 54000 = 7020
    ({"USDT": "1000"}, REPAY, "USDT", "7020", "1000", "0.7615"),  # 41120 / 54000
    ({"USDT": "8000"}, REPAY, "USDT", "7020", "7020", "0.65"),
    # 7020 / (1 - 0.65 * 0.9 * 1.01) = 7020 / 0.40915 = 17157.5
    ({"USDT": "1000"}, SELL, "USDT", "17157.5", "17157.5", "0.65"),
]


@pytest.mark.parametrize(("wallet", "way", "coin", "needed", "amount", "ltv_after"), CASES)
def test_what_a_kind_of_help_would_do(
    wallet: Mapping[str, str], way: Way, coin: str, needed: str, amount: str, ltv_after: str
) -> None:
    got = found(wallet)[way]
    assert got.coin == coin
    assert near(got.needed, needed, "0.001" if coin == "BTC" else "0.5")
    assert near(got.amount, amount, "0.001" if coin == "BTC" else "0.5")
    assert near(got.ltv_after, ltv_after, "0.0001")


def test_what_the_wallet_holds_of_a_debt_that_was_not_read_is_not_known() -> None:
    got = found({"BTC": "1"})[REPAY]
    assert (got.amount, got.ltv_after) == (None, None)
    assert near(got.needed, "7020")


def test_repaying_with_collateral_costs_its_fee() -> None:
    assert near(found({})[SELL].cost_usd, "171.58", "0.01")  # one per cent


def test_the_coin_of_the_lowest_ratio_pays_for_it_costs_least() -> None:
    """ETH counts half: 4 of it are worth 10000, so 9900.99 can be paid; (42120 - x) / (50000 - 5000) ..."""
    steps = {"ETH": (("0.5", "0", None),)}
    assert found({}, truth={"steps": steps})[SELL].collateral == "ETH"


def test_no_more_than_300000_usd_are_repaid_with_collateral_at_once() -> None:
    pool = pool_facts(at("0.9", {"BTC": "100"}))
    (got,) = (i for i in prospects(pool_account(pool, wallet={}), POOL) if i.way is SELL)
    assert got.amount == 294_000  # a little less: the exchange has prices of its own
    assert got.needed > 2_000_000


def test_coins_of_the_unified_account_count_with_what_is_here() -> None:
    pool = pool_facts(at("0.78", HELD))
    about = pool_account(pool, wallet={"USDT": "1000"}, unified={"USDT": "5000"}, transfers=True)
    (got,) = (item for item in prospects(about, POOL) if item.way is MOVE)
    assert near(got.needed, "11000", "0.5")
    assert got.amount == 5000
    assert near(got.ltv_after, "0.7091", "0.0001")  # 42120 / (54000 + 0.9 * 6000)


def test_a_loan_at_its_target_and_one_that_is_not_there_have_no_outlook() -> None:
    pool = pool_facts(at("0.6", HELD))
    assert prospects(pool_account(pool, wallet={"USDT": "1"}), POOL) == ()
    assert prospects(pool_account(pool, wallet={}), key("7")) == ()


def test_an_order_is_never_repaid_with_its_collateral() -> None:
    about = account(facts(loan("0.78"), policy()), wallet={"BTC": "1"})
    assert [item.way for item in prospects(about, key())] == [ADD, REPAY]


def test_in_words() -> None:
    ways = found({"USDT": "1000"})
    assert in_words(ways[REPAY]) == (
        "repaying 1000 USDT brings it to 0.7615; 7020.06499995 would bring it to 0.65 (policy.repay is off)"
    )
    assert by_hand(tuple(ways.values())) == [
        "bring 11000.11452992 USDT to the Funding wallet, to be added",
        "repay 7020.06499995 USDT in the exchange's app",
        "repay 17157.6 USDT there with BTC of its collateral, for up to 171.58 USD",
    ]
    assert in_words(found({})[ADD]).startswith("there is no USDT to add; 12000.")


def test_coins_that_the_wallet_has_and_something_else_keeps_there_are_not_said_to_be_lacking() -> None:
    """A refusal of the coin, a reserve or a day's cap: more coins in the wallet would change nothing."""
    order = replace(facts(loan("0.78"), policy()), refused={"BTC": "no"})
    (add, *_) = prospects(account(order, wallet={"BTC": "5"}), key())
    assert in_words(add) == (
        "5 BTC are in the Funding wallet, but can't be added now; 0.20015385 would bring it to 0.65"
    )
    assert by_hand([add]) == ["add 0.20015385 BTC in the exchange's app"]
    (add, *_) = prospects(account(order, wallet={"BTC": "0.1"}), key())
    assert by_hand([add]) == ["bring 0.10015385 BTC to the Funding wallet, to be added"]


def test_of_what_fixed_loans_owe_one_is_named_whether_or_not_it_is_switched_on() -> None:
    """All that the pool owes is fixed: nothing can be repaid a little at a time from the wallet."""
    listed = ContractList(
        contracts=(
            Contract(loan_id="7", coin="USDT", ends_at_ms=1, principal=D(12120)),
            Contract(loan_id="8", coin="USDT", ends_at_ms=2, principal=D(30000)),
        )
    )
    shown = at("0.78", HELD).shown()
    owed = replace(shown, debts=(replace(shown.debts[0], fixed=shown.debts[0].amount),))
    pool = replace(pool_facts(at("0.78", HELD), pool_policy()), loan=owed, limits=None)
    about = replace(pool, contracts={"USDT": listed}, contracts_closed="its list is not read", limits=None)
    ways = {item.way: item for item in prospects(pool_account(about, wallet={"USDT": "900"}), POOL)}
    assert set(ways) == {ADD, SELL}
    assert (ways[SELL].contract_id, ways[SELL].allowed) == ("8", False)
    assert near(ways[SELL].needed, "17157.5", "0.5")
    assert in_words(ways[SELL]).startswith(
        "repaying 17157.6 USDT of the fixed loan 8 with BTC of its collateral"
    )
    assert by_hand(tuple(ways.values()))[-1] == (
        "repay 17157.6 USDT of the fixed loan 8 there with BTC of its collateral, for up to 171.58 USD"
    )


def test_where_no_amount_would_do_nothing_is_said_of_more() -> None:
    """What is owed flexibly is too little for it: however much is repaid of that."""
    some = Prospect(
        way=REPAY, coin="USDT", target=D("0.65"), needed=D("Infinity"), amount=D(1000), ltv_after=D("0.7")
    )
    assert in_words(some) == "repaying 1000 USDT brings it to 0.7"
    unread = replace(some, amount=None, ltv_after=None)
    assert in_words(unread) == "what is owed in USDT is too little to bring it to 0.65 by repaying it"
    assert by_hand([some, unread]) == []
    assert not some.cost_of_needed_usd.is_finite()
