"""What each loan of an account may have of a coin that is not enough for all, decided end to end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from math import inf
from random import Random

import pytest
from core_builders import ADD, REDUCE, D, account, facts, intent, loan, policy
from core_pools import PRICES, Truth, at, pool_account, pool_facts, pool_policy
from hypothesis import assume, given
from hypothesis import strategies as st

from ltv_guard.core.decide.budget import FundsBudget
from ltv_guard.core.decide.claims import divided, is_plenty
from ltv_guard.core.decide.decide import decide, decide_one
from ltv_guard.core.decide.facts import AccountFacts, LoanFacts
from ltv_guard.core.model.intents import State
from ltv_guard.core.model.loans import LoanKey
from ltv_guard.core.model.policy import Thresholds, thresholds

QUOTED, POOL_QUOTED, CENTS = D("0.0001"), D("0.000001"), 0.02
CAPPED = (("0.9", "0", "50000"), ("0.5", "50000", "60000"))
EXACT = 1e-6  # rounding to the coin's accuracy costs less


def given_to(about: AccountFacts) -> dict[str, Decimal]:
    """Coins that are added now, by loan."""
    return {d.loan.key.loan_id: d.amount if d.direction is ADD else D(0) for d in decide(about)}


@given(
    ltvs=st.lists(st.decimals("0.50", "0.94", places=3), min_size=1, max_size=6, unique=True),
    there=st.decimals("0", "2", places=3),
)
def test_the_worst_loan_is_given_the_same_whether_it_alone_is_decided_on_or_all(
    ltvs: list[Decimal], there: Decimal
) -> None:
    loans = [facts(loan(str(ltv), loan_id=str(number))) for number, ltv in enumerate(ltvs)]
    about = account(*loans, wallet={"BTC": str(there)})
    worst, *_ = decide(about)
    assert decide_one(about, worst.loan.key) == worst
    assert decide_one(about, LoanKey(worst.loan.key.product, "gone")) is None


@given(
    ltvs=st.lists(st.decimals("0.50", "0.94", places=4), min_size=1, max_size=6, unique=True),
    targets=st.lists(st.sampled_from(["0.60", "0.65", "0.70"]), min_size=6, max_size=6),
    accuracy=st.integers(0, 8),
    open_at=st.none() | st.integers(0, 5),
    there=st.decimals("0", "4", places=3),
)
def test_what_is_seen_to_be_plenty_at_a_glance_is_enough_for_each_loan(
    ltvs: list[Decimal], targets: list[str], accuracy: int, open_at: int | None, there: Decimal
) -> None:
    asking = []
    for number, (ltv, target) in enumerate(zip(ltvs, targets, strict=False)):
        found = loan(str(ltv), loan_id=str(number), accuracy=accuracy)
        own = (intent(state=State.SENT, amount="0.05"),) if number == open_at else ()
        asking.append(facts(found, policy(target=target), open_intents=own))
    budget = FundsBudget(account(*asking, wallet={"BTC": str(there)}))
    needed = sum(claims_of(item) for item in asking)
    assert not (is_plenty(asking, budget) and divided(asking, budget))
    assert is_plenty(asking, budget) or there < needed


def claims_of(found: LoanFacts) -> Decimal:
    """A little more than it can ask for."""
    held = found.loan.collateral[0]
    return (
        held.amount * max(D(0), (found.loan.ltv + QUOTED) / found.urgency.limits.target - 1) + 2 * held.step
    )


# Shares that can't be used.


def test_a_share_too_small_for_its_loan_goes_to_the_next() -> None:
    """A fifth of a coin is no help to a hundred: it would lie in the wallet, and save nobody."""
    big, small = facts(loan("0.80", held=100, loan_id="big")), facts(loan("0.79", loan_id="small"))
    found = given_to(account(big, small, wallet={"BTC": "0.15"}))
    assert found == {"big": 0, "small": D("0.15")}
    enough = given_to(account(big, small, wallet={"BTC": "0.25"}))
    assert enough == {"big": D("0.25"), "small": 0}


def test_of_two_shares_too_small_one_is_made_of_both() -> None:
    one, two = facts(loan("0.7802", loan_id="1")), facts(loan("0.7800", loan_id="2"))
    found = given_to(account(one, two, wallet={"BTC": "0.003"}))
    assert found == {"1": D("0.003"), "2": 0}


def test_a_coin_that_can_not_bring_the_pool_to_its_target_is_shared_all_the_same() -> None:
    """Only 60000 USD of BTC count, and 55000 are there: no amount of it is enough for the pool by itself."""
    capped = at("0.84", {"BTC": "1.1", "ETH": "10"}, steps={"BTC": CAPPED})
    pool, order = pool_facts(capped, pool_policy(("BTC",))), facts(loan("0.86", loan_id="order"))
    found = given_to(pool_account(pool, order, wallet={"BTC": "0.08"}))
    after = capped.plus("BTC", found["pool"]).ltv / D("0.92")
    assert after == pytest.approx(D("0.86") / (1 + found["order"]) / D("0.95"), abs=D("0.0002"))
    assert sum(found.values()) == pytest.approx(D("0.08"))


def test_a_pool_shares_the_coin_that_helps_it_not_the_one_it_likes_best() -> None:
    """The few dollars in the wallet help nobody; of the BTC that is left it takes its share and no more."""
    truth = at("0.84", {"BTC": "1"})
    pool, order = pool_facts(truth, pool_policy()), facts(loan("0.86", loan_id="order"))
    found = given_to(pool_account(pool, order, wallet={"USDT": "5", "BTC": "0.1"}))
    after = truth.plus("BTC", found["pool"]).ltv / D("0.92")
    assert after == pytest.approx(D("0.86") / (1 + found["order"]) / D("0.95"), abs=D("0.0002"))


def test_a_pool_whose_coin_was_refused_keeps_nothing_back() -> None:
    full = pool_facts(
        at("0.90", {"BTC": "1"}), pool_policy(("BTC",)), refused={"BTC": "the platform's limit"}
    )
    found = given_to(pool_account(full, facts(loan("0.78", loan_id="order")), wallet={"BTC": "0.1"}))
    assert found == {"pool": 0, "order": D("0.1")}


def test_what_a_loan_needs_is_of_use_to_it_however_little() -> None:
    """It needs less than `min_adjustment_ratio` of its hundred coins, and is in breach."""
    about_there = facts(loan("0.75", held=100, loan_id="big"), policy(target="0.7496"))
    found = given_to(account(about_there, facts(loan("0.7501", loan_id="small")), wallet={"BTC": "0.12"}))
    assert found["big"] > D("0.06")


# Who takes part.


def test_what_is_above_the_reserve_is_shared_as_well() -> None:
    one, two = facts(loan("0.79", loan_id="1")), facts(loan("0.78", loan_id="2"))
    found = given_to(account(one, two, wallet={"BTC": "10"}, reserve={"BTC": "9.9"}))
    assert sum(found.values()) == pytest.approx(D("0.1"))
    assert D("0.79") / (1 + found["1"]) == pytest.approx(D("0.78") / (1 + found["2"]), abs=D("1e-5"))


def test_a_loan_that_cools_down_keeps_no_coins_back() -> None:
    cooling = facts(loan("0.79", loan_id="cooling"), rested_ms=1)
    found = given_to(account(cooling, facts(loan("0.78", loan_id="other")), wallet={"BTC": "0.1"}))
    assert found == {"cooling": 0, "other": D("0.1")}


def test_numbers_that_can_not_be_reckoned_with_keep_no_coins_back() -> None:
    nonsense = facts(loan("0.79", loan_id="nonsense"), policy(target="0"))
    found = given_to(account(nonsense, facts(loan("0.78", loan_id="other")), wallet={"BTC": "0.1"}))
    assert found == {"nonsense": 0, "other": D("0.1")}


def test_a_release_that_may_not_have_landed_does_not_limit_the_add_that_makes_up_for_it() -> None:
    """As if released it is worse than it is shown, and its share of what is shown would be too small."""
    opened = intent(State.UNKNOWN, direction=REDUCE, amount="0.1", before="1", loan_id="released")
    released = facts(loan("0.76", loan_id="released"), open_intents=(opened,), settling=True)
    found = given_to(account(released, facts(loan("0.80", loan_id="other")), wallet={"BTC": "0.2"}))
    assert found["released"] == 0, "the other comes first"
    found = given_to(account(released, facts(loan("0.75", loan_id="other")), wallet={"BTC": "0.2"}))
    assert found["released"] == D("0.2")


# Coins that are kept for a loan whose adjustment is under way.


@pytest.mark.parametrize("state", [State.SENT, State.ACCEPTED, State.UNKNOWN])
def test_what_a_worse_loan_will_ask_for_next_is_not_given_away_while_it_waits(state: State) -> None:
    """With `max_add` a rescue takes several adjustments: between two of them nobody takes its coins."""
    opened = intent(state, amount="0.02", ltv_before="0.85", loan_id="worse")
    worse = facts(loan("0.85", loan_id="worse"), open_intents=(opened,), settling=True, episode_open=True)
    better = facts(loan("0.79", loan_id="better"))
    assert given_to(account(worse, better, wallet={"BTC": "0.06"})) == {"worse": 0, "better": 0}
    richer = given_to(account(worse, better, wallet={"BTC": "0.10"}))
    level = D("0.8501") / (1 + D("0.02") + D("0.08") - richer["better"])
    assert level == pytest.approx(D("0.7901") / (1 + richer["better"]), abs=D("1e-5"))


def test_what_has_landed_already_is_not_counted_twice() -> None:
    opened = intent(State.ACCEPTED, amount="0.2", before="1", ltv_before="0.95", loan_id="other")
    other = facts(loan("0.7917", held="1.2", loan_id="other"), open_intents=(opened,), settling=True)
    found = given_to(account(other, facts(loan("0.7917", held="1.2", loan_id="one")), wallet={"BTC": "0.4"}))
    assert found["one"] == pytest.approx(D("0.1"), abs=D("1e-5"))


def test_a_loan_that_waits_for_too_long_keeps_no_coins_back() -> None:
    opened = intent(State.UNKNOWN, amount="0.02", ltv_before="0.79", loan_id="stuck")
    stuck = facts(loan("0.79", loan_id="stuck"), open_intents=(opened,), episode_open=True, window_over=True)
    found = given_to(account(stuck, facts(loan("0.78", loan_id="other")), wallet={"BTC": "0.06"}))
    assert found == {"stuck": 0, "other": D("0.04")}


# Any account whose loans all ask for the same coin: orders and a pool.


@dataclass(frozen=True, slots=True, kw_only=True)
class Vessel:
    """One loan, reckoned in the plainest way, in floats, and apart from the code under test.

    `counts(coins)` is what its collateral counts for with so many coins more; `owes` is what it may owe at
    most: what is quoted is rounded.
    """

    facts: LoanFacts
    owes: float
    counts: Callable[[float], float]
    useful: float = inf  # coins beyond which no more count

    @property
    def key(self) -> LoanKey:
        return self.facts.loan.key

    @property
    def thresholds(self) -> Thresholds:
        return thresholds(self.facts.policy, self.facts.loan)

    @property
    def goal(self) -> float:
        return float(self.thresholds.target / self.facts.loan.liquidation_ltv)

    @property
    def is_urgent(self) -> bool:
        return self.facts.loan.ltv >= self.thresholds.emergency

    def danger(self, coins: float) -> float:
        return self.owes / self.counts(coins) / float(self.facts.loan.liquidation_ltv)

    def needs(self, level: float) -> float:
        """Coins that bring it down to `level`, never beyond its goal, by halving."""
        wanted = max(level, self.goal)
        if self.danger(0) <= wanted:
            return 0
        low, high = 0.0, min(self.useful, 64.0)
        for _ in range(44):
            middle = (low + high) / 2
            low, high = (low, middle) if self.danger(middle) <= wanted else (middle, high)
        return high


def order_vessel(about: LoanFacts) -> Vessel:
    held = float(about.loan.collateral[0].amount)
    return Vessel(
        facts=about, owes=held * float(about.loan.ltv + QUOTED), counts=lambda coins: held + float(coins)
    )


def pool_vessel(truth: Truth, about: LoanFacts) -> Vessel:
    held, price = float(truth.held["BTC"]), float(PRICES["BTC"])
    tiers = [(float(tier.ratio), float(tier.lower), float(tier.upper)) for tier in truth.tiers_of("BTC")]
    total = float(truth.shown().totals.collateral_usd)  # type: ignore[union-attr]

    def worth(coins: float) -> float:
        return sum(ratio * max(0.0, min(coins * price, upper) - lower) for ratio, lower, upper in tiers)

    return Vessel(
        facts=about,
        owes=total * float(about.loan.ltv + POOL_QUOTED),
        counts=lambda coins: total + worth(held + float(coins)) - worth(held) - (CENTS if coins else 0),
        useful=max(0.0, tiers[-1][2] / price - held),
    )


policies = st.builds(
    policy,
    target=st.sampled_from(["0.65", "0.70"]),
    emergency=st.sampled_from(["0.78", "0.80", "0.86"]),
    least=st.just("0"),
)


@st.composite
def order_vessels(draw: st.DrawFn, number: int) -> Vessel:
    liquidation, margin_call = draw(st.sampled_from([("0.95", "0.87"), ("0.97", "0.9")]))
    about = loan(
        draw(st.decimals("0.76", "0.94", places=4)),
        held=draw(st.decimals("0.1", "20", places=3)),
        loan_id=f"order-{number}",
        liquidation=liquidation,
        margin_call=margin_call,
    )
    return order_vessel(facts(about, draw(policies)))


@st.composite
def pool_vessels(draw: st.DrawFn) -> Vessel:
    steps = draw(
        st.sampled_from([{}, {"BTC": (("0.9", "0", "50000"), ("0.6", "50000", None))}, {"BTC": CAPPED}])
    )
    ltv = draw(st.decimals("0.76", "0.91", places=6))
    truth = at(str(ltv), {"BTC": "1.1", "ETH": "20"}, steps=steps)
    rules = replace(draw(policies), collateral_preference=("BTC",))
    return pool_vessel(truth, pool_facts(truth, rules))


@st.composite
def vessels(draw: st.DrawFn) -> list[Vessel]:
    found = [draw(order_vessels(number)) for number in range(draw(st.integers(1, 4)))]
    return [*found, draw(pool_vessels())] if draw(st.booleans()) else found


def of_all(loans: Sequence[Vessel], funds: Decimal, reserve: Decimal | int = 0) -> AccountFacts:
    return pool_account(
        *(item.facts for item in loans), wallet={"BTC": str(funds)}, reserve={"BTC": str(reserve)}
    )


def dangers(loans: Sequence[Vessel], about: AccountFacts) -> dict[LoanKey, float]:
    found = given_to(about)
    return {item.key: item.danger(float(found[item.key.loan_id])) for item in loans}


def optimum(loans: Sequence[Vessel], funds: Decimal) -> float:
    """The least that the worst danger can be, by halving the level."""
    low, high = 0.0, max(item.danger(0) for item in loans)
    for _ in range(40):
        level = (low + high) / 2
        fits = sum(item.needs(level) for item in loans) <= float(funds)
        low, high = (low, level) if fits else (level, high)
    return max(item.danger(item.needs(high)) for item in loans)


@given(vessels(), st.decimals("0", "3", places=6))
def test_the_worst_danger_that_decisions_leave_is_the_least_possible(
    loans: list[Vessel], funds: Decimal
) -> None:
    after = dangers(loans, of_all(loans, funds))
    assert max(after.values()) == pytest.approx(optimum(loans, funds), abs=EXACT)


@given(vessels(), st.decimals("0", "3", places=6))
def test_nobody_is_raised_at_the_cost_of_one_that_is_nearer_to_liquidation(
    loans: list[Vessel], funds: Decimal
) -> None:
    """Whoever gets coins ends no better than any that ends above its own goal, and could use more of them."""
    found, after = given_to(of_all(loans, funds)), dangers(loans, of_all(loans, funds))
    for one in loans:
        for other in loans:
            could_use_more = float(found[other.key.loan_id]) < other.useful - EXACT
            if found[one.key.loan_id] > 0 and after[other.key] > other.goal + EXACT and could_use_more:
                assert after[one.key] >= after[other.key] - EXACT


@given(vessels(), st.decimals("0", "3", places=6), st.decimals("0.000001", "2", places=6))
def test_with_more_funds_no_loan_is_worse_off(loans: list[Vessel], funds: Decimal, more: Decimal) -> None:
    less, richer = dangers(loans, of_all(loans, funds)), dangers(loans, of_all(loans, funds + more))
    assert all(richer[key] <= less[key] + EXACT for key in less)


@given(vessels(), st.decimals("0", "3", places=6))
def test_no_coin_lies_idle_that_a_loan_could_use(loans: list[Vessel], funds: Decimal) -> None:
    wanted = sum(item.needs(0) for item in loans)
    assert float(sum(given_to(of_all(loans, funds)).values())) >= min(float(funds), wanted) - 1e-5


@given(vessels(), st.decimals("0", "2", places=6), st.decimals("0", "2", places=6))
def test_a_reserve_serves_emergencies_alone_and_brings_the_worst_of_them_as_low_as_it_can(
    loans: list[Vessel], above: Decimal, reserve: Decimal
) -> None:
    """As low as the whole wallet would bring all of them, or as low as it brings the emergencies alone."""
    about = of_all(loans, above + reserve, reserve)
    left = above + reserve
    for decision in decide(about):
        left -= decision.amount
        assert left >= (0 if decision.emergency or not decision.acts else reserve)
    after = dangers(loans, about)
    urgent = [item for item in loans if item.is_urgent]
    assume(urgent)
    worst = max(after[item.key] for item in urgent)
    alone, together = optimum(urgent, above + reserve), optimum(loans, above + reserve)
    assert alone - EXACT <= worst <= max(alone, together) + EXACT


@given(vessels(), st.decimals("0", "3", places=6), st.randoms(use_true_random=False))
def test_the_order_in_which_loans_ask_does_not_matter(
    loans: list[Vessel], funds: Decimal, chance: Random
) -> None:
    shuffled = list(loans)
    chance.shuffle(shuffled)
    assert given_to(of_all(shuffled, funds)) == given_to(of_all(loans, funds))


@given(vessels(), st.decimals("0", "3", places=6))
def test_a_loan_that_leaves_costs_the_others_nothing(loans: list[Vessel], funds: Decimal) -> None:
    """What the least urgent one takes of scarce funds goes to the others once it is gone."""
    assume(len(loans) > 1)
    with_all = dangers(loans, of_all(loans, funds))
    fewer = sorted(loans, key=lambda item: item.facts.loan.danger)[1:]
    without = dangers(fewer, of_all(fewer, funds))
    assert all(without[key] <= with_all[key] + EXACT for key in without)
