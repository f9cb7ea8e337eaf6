"""Scarce funds: the coins go where they lower the worst danger."""

from decimal import Decimal
from itertools import combinations

import pytest
from core_builders import D
from hypothesis import given
from hypothesis import strategies as st

from ltv_guard.core.decide.allocation import SAVED, Claim, shares
from ltv_guard.core.model.loans import LoanKey, Product

LIQUIDATION = D("0.95")


def claim(
    name: str,
    ltv: str | Decimal,
    *,
    held: str | Decimal = "1",
    emergency: bool = False,
    least: str | Decimal = "0",
) -> Claim:
    """An order with `held` coins, a target of 0.65 and a liquidation LTV of 0.95."""
    danger = D(ltv) / LIQUIDATION

    def coins_to(level: Decimal) -> Decimal:
        return max(Decimal(0), D(held) * (danger / level - 1))

    return Claim(
        key=LoanKey(Product.LEGACY, name),
        danger=danger,
        goal=D("0.65") / LIQUIDATION,
        coins_to=coins_to,
        emergency=emergency,
        least=D(least),
    )


def after(item: Claim, coins: Decimal, held: str | Decimal = "1") -> Decimal:
    return item.danger * D(held) / (D(held) + coins)


def test_with_enough_for_all_each_gets_what_it_needs() -> None:
    one, two = claim("1", "0.80"), claim("2", "0.76")
    found = shares([one, two], common=D(10), balance=D(10))
    assert after(one, found[one.key]) == pytest.approx(one.goal)
    assert after(two, found[two.key]) == pytest.approx(two.goal)


def test_with_half_of_it_both_end_level() -> None:
    one, two = claim("1", "0.80"), claim("2", "0.76")
    found = shares([one, two], common=D("0.2"), balance=D("0.2"))
    assert sum(found.values()) == pytest.approx(D("0.2"))
    assert after(one, found[one.key]) == pytest.approx(after(two, found[two.key]))


def test_where_it_does_not_reach_to_level_them_all_of_it_goes_to_the_worse() -> None:
    one, two = claim("1", "0.90"), claim("2", "0.76")
    found = shares([one, two], common=D("0.05"), balance=D("0.05"))
    assert found == {one.key: pytest.approx(D("0.05")), two.key: 0}


def test_a_hopeless_loan_takes_nothing_from_one_that_can_be_saved() -> None:
    lost, saveable = claim("1", "1.5"), claim("2", "0.80")
    found = shares([lost, saveable], common=D("0.1"), balance=D("0.1"))
    assert (found[lost.key], found[saveable.key]) == (0, pytest.approx(D("0.1")))


def test_the_reserve_is_there_for_emergencies_alone() -> None:
    urgent, calm = claim("1", "0.85", emergency=True), claim("2", "0.78")
    found = shares([urgent, calm], common=D(0), balance=D("0.1"))
    assert found == {calm.key: 0, urgent.key: pytest.approx(D("0.1"))}


def test_what_emergencies_take_of_the_reserve_leaves_the_common_funds_to_the_others() -> None:
    urgent, calm = claim("1", "0.80", emergency=True), claim("2", "0.79")
    found = shares([urgent, calm], common=D("0.1"), balance=D("0.2"))
    worst = max(after(urgent, found[urgent.key]), after(calm, found[calm.key]))
    assert after(urgent, found[urgent.key]) == pytest.approx(after(calm, found[calm.key]))
    assert worst == pytest.approx((urgent.danger + calm.danger) / D("2.2"))


def test_where_none_can_be_saved_the_coins_are_not_kept_back() -> None:
    one, two = claim("1", "1.4"), claim("2", "1.2")
    found = shares([one, two], common=D("0.1"), balance=D("0.1"))
    assert found == {one.key: pytest.approx(D("0.1")), two.key: 0}


def test_what_only_the_reserve_can_save_is_saved_by_it() -> None:
    urgent, calm = claim("1", "1.0", emergency=True), claim("2", "0.78")
    found = shares([urgent, calm], common=D("0.01"), balance=D("0.2"))
    assert after(urgent, found[urgent.key]) < 1
    beyond = claim("1", "1.0")
    assert shares([beyond, calm], common=D("0.01"), balance=D("0.2"))[beyond.key] == 0


def test_where_not_all_can_be_saved_as_many_are_as_can_be() -> None:
    """Either could be saved alone; to bring both level, above their liquidation, saves neither."""
    one, two = claim("1", "1.05", emergency=True), claim("2", "1.06", emergency=True)
    found = shares([one, two], common=D("0.15"), balance=D("0.15"))
    assert found == {one.key: pytest.approx(D("0.15")), two.key: 0}
    both = shares([one, two], common=D("0.25"), balance=D("0.25"))
    assert after(one, both[one.key]) == pytest.approx(after(two, both[two.key]))
    assert after(two, both[two.key]) < SAVED


def test_what_the_common_funds_can_not_save_together_the_reserve_does_not() -> None:
    one, two = claim("1", "1.00"), claim("2", "1.00")
    found = shares([one, two], common=D("0.06"), balance=D(1))
    assert found == {one.key: pytest.approx(D("0.06")), two.key: 0}


def test_with_the_coins_to_save_it_a_lost_loan_joins_the_others() -> None:
    """The worst danger goes first, even at the cost of one that has had more while the worst was lost."""
    lost, safe = claim("1", "1.00", emergency=True), claim("2", "0.80", emergency=True)
    price = lost.at(SAVED)
    poorer = shares([lost, safe], common=price - D("0.001"), balance=price - D("0.001"))
    richer = shares([lost, safe], common=price + D("0.001"), balance=price + D("0.001"))
    assert (poorer[lost.key], richer[safe.key]) == (0, 0)
    assert after(lost, richer[lost.key]) < SAVED
    assert safe.danger < SAVED


def test_a_share_of_no_use_goes_to_the_others() -> None:
    big, small = claim("1", "0.90", held="100", least="0.2"), claim("2", "0.80")
    found = shares([big, small], common=D("0.15"), balance=D("0.15"))
    assert found == {big.key: 0, small.key: pytest.approx(D("0.15"))}
    useful = shares([big, small], common=D("0.201"), balance=D("0.201"))
    assert useful == {big.key: pytest.approx(D("0.201")), small.key: 0}


loans = st.lists(
    st.tuples(st.decimals("0.70", "0.94", places=4), st.decimals("0.1", "20", places=3), st.booleans()),
    min_size=1,
    max_size=6,
)


@given(loans, st.decimals("0", "5", places=4), st.decimals("0", "3", places=4))
def test_the_worst_danger_is_the_least_that_the_funds_allow(
    given_loans: list[tuple[Decimal, Decimal, bool]], common: Decimal, reserve: Decimal
) -> None:
    claims = [
        claim(str(n), ltv, held=held, emergency=urgent) for n, (ltv, held, urgent) in enumerate(given_loans)
    ]
    if any(item.at(SAVED) > 0 for item in claims):
        return
    balance = common + reserve
    found = shares(claims, common=common, balance=balance)
    calm = sum((found[item.key] for item in claims if not item.emergency), Decimal(0))
    assert calm <= common + D("1e-12")
    assert sum(found.values()) <= balance + D("1e-12")
    held = [given_loan[1] for given_loan in given_loans]
    worst = max(after(item, found[item.key], amount) for item, amount in zip(claims, held, strict=True))
    assert worst == pytest.approx(_optimum(claims, held, common, balance), abs=D("1e-6"))


def _optimum(claims: list[Claim], held: list[Decimal], common: Decimal, balance: Decimal) -> Decimal:
    """Found independently: walk the level down in floats of a rational grid until the funds do not reach."""
    low, high = 0.0, float(max(item.danger for item in claims))
    for _ in range(60):
        level = (low + high) / 2
        need = [
            max(0.0, float(amount) * (float(item.danger) / max(level, float(item.goal)) - 1))
            for item, amount in zip(claims, held, strict=True)
        ]
        calm = sum(n for n, item in zip(need, claims, strict=True) if not item.emergency)
        if calm <= float(common) and sum(need) <= float(balance):
            high = level
        else:
            low = level
    goals = max(float(item.goal) for item in claims)
    return Decimal(max(high, min(goals, float(max(item.danger for item in claims)))))


@given(loans, st.decimals("0", "5", places=4), st.decimals("0.0001", "3", places=4))
def test_with_more_funds_no_loan_is_worse_off(
    given_loans: list[tuple[Decimal, Decimal, bool]], funds: Decimal, more: Decimal
) -> None:
    claims = [claim(str(n), ltv, held=held) for n, (ltv, held, _) in enumerate(given_loans)]
    less = shares(claims, common=funds, balance=funds)
    richer = shares(claims, common=funds + more, balance=funds + more)
    assert all(richer[item.key] >= less[item.key] - D("1e-12") for item in claims)


@given(
    loans, st.decimals("0", "2", places=4), st.decimals("0", "2", places=4), st.decimals("0", "2", places=4)
)
def test_with_a_larger_wallet_above_the_same_reserve_no_loan_is_worse_off(
    given_loans: list[tuple[Decimal, Decimal, bool]], common: Decimal, reserve: Decimal, more: Decimal
) -> None:
    claims = [
        claim(str(n), ltv, held=held, emergency=urgent) for n, (ltv, held, urgent) in enumerate(given_loans)
    ]
    less = shares(claims, common=common, balance=common + reserve)
    richer = shares(claims, common=common + more, balance=common + reserve + more)
    assert all(richer[item.key] >= less[item.key] - D("1e-12") for item in claims)


# Loans that may be past saving. All of them are emergencies, as such loans are.

dying = st.lists(
    st.tuples(st.decimals("0.76", "1.2", places=4), st.decimals("0.1", "20", places=3)),
    min_size=1,
    max_size=5,
)
amounts = st.one_of(st.decimals("0", "0.5", places=4), st.decimals("0", "5", places=4))


def urgent_claims(of: list[tuple[Decimal, Decimal]]) -> list[Claim]:
    return [claim(str(n), ltv, held=held, emergency=True) for n, (ltv, held) in enumerate(of)]


def dangers(claims: list[Claim], of: list[tuple[Decimal, Decimal]], funds: Decimal) -> list[Decimal]:
    found = shares(claims, common=funds, balance=funds)
    assert sum(found.values()) <= funds + D("1e-12")
    return [after(item, found[item.key], held) for item, (_, held) in zip(claims, of, strict=True)]


@given(dying, amounts)
def test_as_many_are_saved_as_can_be_and_the_worst_of_them_is_as_good_as_it_can_be(
    of: list[tuple[Decimal, Decimal]], funds: Decimal
) -> None:
    claims = urgent_claims(of)
    after_all = dangers(claims, of, funds)
    prices = {item.key: item.at(SAVED) for item in claims}
    saveable = max(
        size
        for size in range(len(claims) + 1)
        for some in combinations(claims, size)
        if sum(prices[item.key] for item in some) <= funds
    )
    saved = [n for n, danger in enumerate(after_all) if danger <= SAVED + D("1e-12")]
    assert len(saved) == saveable
    if saved:
        best = _optimum([claims[n] for n in saved], [of[n][1] for n in saved], funds, funds)
        assert max(after_all[n] for n in saved) == pytest.approx(best, abs=D("1e-6"))
        given = shares(claims, common=funds, balance=funds)
        assert not any(given[claims[n].key] for n in range(len(claims)) if n not in saved)


@given(dying, amounts, amounts)
def test_with_more_funds_a_loan_that_was_saved_stays_so_and_pays_for_nothing_but_another_that_is_saved(
    of: list[tuple[Decimal, Decimal]], funds: Decimal, more: Decimal
) -> None:
    claims = urgent_claims(of)
    less, richer = dangers(claims, of, funds), dangers(claims, of, funds + more)
    limit = SAVED + D("1e-12")
    kept = [n for n, danger in enumerate(less) if danger <= limit]
    assert all(richer[n] <= limit for n in kept)
    joined = [n for n in range(len(claims)) if n not in kept and richer[n] <= limit]
    if not joined and kept:
        assert all(richer[n] <= less[n] + D("1e-12") for n in kept)
    for n in kept:
        if richer[n] > less[n] + D("1e-12"):  # it ends no worse than the one that needed its coins
            assert richer[n] <= max(richer[other] for other in joined) + D("1e-12")
