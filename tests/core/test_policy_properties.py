"""What holds of every decision."""

import copy
from dataclasses import replace
from decimal import Decimal

from core_builders import ADD, REDUCE, D, account, facts, intent, loan, marked_amount, policy, quoted
from core_pools import FLAT, PRICES, at, pool_facts, pool_policy
from hypothesis import assume, given
from hypothesis import strategies as st

from ltv_guard.core.decide.decide import decide
from ltv_guard.core.decide.facts import AccountFacts, LoanFacts
from ltv_guard.core.decide.release import within_maximum
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.policy import thresholds
from ltv_guard.core.reconcile.freshness import FRESH, Doubt, Freshness

QUOTED = D("0.0001")
COINS = ("BTC", "ETH")


def ltv_after(held: Decimal, ltv: Decimal, change: Decimal) -> Decimal:
    """At unchanged prices LTV x collateral stays what it is."""
    return ltv * held / (held + change)


# Any account.

ltvs = st.decimals("0.01", "1.2", places=4)
coin_amounts = st.dictionaries(
    st.sampled_from([*COINS, "USDT"]), st.decimals("0", "50", places=9), max_size=3
)


@st.composite
def loan_facts(draw: st.DrawFn, number: int) -> LoanFacts:
    name, coin = f"loan-{number}", draw(st.sampled_from(COINS))
    accuracy = draw(st.sampled_from([0, 2, 4, 8, 8, 8, 18]))
    held = D(draw(st.integers(1, 10**6))).scaleb(-min(accuracy, 4))
    ltv, margin_call = draw(ltvs), draw(st.sampled_from(["0.5", "0.7", "0.87"]))
    opened: tuple[Intent, ...] = ()
    if draw(st.integers(0, 3)) == 0:
        direction = draw(st.sampled_from([ADD, REDUCE]))
        state = draw(st.sampled_from([State.PLANNED, State.SENT, State.ACCEPTED, State.UNKNOWN]))
        amount = held * draw(st.decimals("0.01", "0.5", places=3))
        opened = (intent(state, direction=direction, amount=amount, before=held, coin=coin, loan_id=name),)
    return facts(
        loan(ltv, held=held, coin=coin, accuracy=accuracy, loan_id=name, margin_call=margin_call),
        policy(
            max_add={} if draw(st.booleans()) else {coin: draw(st.sampled_from(["0.013", "1.7", "20"]))},
            protect=draw(st.integers(0, 9)) > 0,
            reduction_share=draw(st.sampled_from(["1", "0.5"])),
        ),
        open_intents=opened,
        window_over=draw(st.booleans()),
        settling=draw(st.booleans()),
        episode_open=draw(st.integers(0, 3)) == 0,
        rested_ms=draw(st.sampled_from([None, 1, 10**6])),
        low_for_ms=draw(st.sampled_from([0, 10**6])),
        freshness=FRESH if draw(st.integers(0, 9)) > 0 else Freshness(doubt=Doubt.LTV_LAGS),
        refused={} if draw(st.integers(0, 9)) > 0 else {coin: "the platform takes no more"},
    )


@st.composite
def pools(draw: st.DrawFn) -> LoanFacts:
    """A pool of BTC and ETH that may take USDT as well."""
    steps = {"BTC": draw(st.sampled_from([FLAT, (("0.9", "0", "90000"), ("0.5", "90000", None))]))}
    amounts = st.decimals("0.01", "20", places=4)
    held = {coin: str(draw(amounts)) for coin in COINS}
    return pool_facts(
        at(str(draw(st.decimals("0.2", "1.1", places=6))), held, steps=steps),
        pool_policy(
            draw(st.permutations(["USDT", "BTC", "ETH"])),
            max_add=draw(st.sampled_from([{}, {"BTC": "0.013", "USDT": "20"}])),
            emergency=draw(st.sampled_from(["0.76", "0.80"])),
        ),
        settling=draw(st.booleans()),
        episode_open=draw(st.booleans()),
    )


@st.composite
def accounts(draw: st.DrawFn) -> AccountFacts:
    loans = [draw(loan_facts(number)) for number in range(draw(st.integers(1, 4)))]
    if draw(st.booleans()):
        loans.append(draw(pools()))
    found = account(
        *loans,
        wallet=draw(coin_amounts),
        reserve=draw(coin_amounts),
        max_add_24h=draw(coin_amounts),
        added_24h=draw(coin_amounts),
        wallet_read=draw(st.integers(0, 9)) > 0,
    )
    return replace(found, prices=draw(st.sampled_from([PRICES, PRICES, PRICES, None])))


@given(accounts(), st.integers(0, 10**6))
def test_no_decision_breaks_a_cap_the_reserve_the_wallet_or_the_accuracy(
    about: AccountFacts, seed: int
) -> None:
    left = dict(about.wallet or {})
    for item in (item for one in about.loans for item in one.open_intents if item.direction is ADD):
        left[item.coin] = left.get(item.coin, D(0)) - item.amount
    added = dict(about.added_24h)
    for decision in decide(about):
        if not decision.acts:
            continue
        coin = decision.coin or ""
        held = decision.loan.collateral_in(coin)
        assert held is not None
        amount = marked_amount(decision, seed)
        assert decision.amount % held.step == 0
        assert decision.amount > 0
        assert amount % held.step == 0
        assert amount <= decision.ceiling
        assert coin not in next(one.refused for one in about.loans if one.loan is decision.loan)
        if decision.direction is REDUCE:
            assert amount <= decision.amount <= held.amount
            continue
        assert about.wallet is not None
        left[coin] = left.get(coin, D(0)) - amount
        added[coin] = added.get(coin, D(0)) + amount
        assert left[coin] >= 0
        assert amount <= decision.policy.limits.max_add.get(coin, D("Infinity"))
        if not decision.emergency:
            assert left[coin] >= about.wallet_rules.reserve.get(coin, D(0))
            assert added[coin] <= about.wallet_rules.max_add_24h.get(coin, D("Infinity"))


@given(accounts())
def test_a_decision_is_a_function_of_its_inputs_and_leaves_them_as_they_are(about: AccountFacts) -> None:
    before = copy.deepcopy(about)
    assert decide(about) == decide(about)
    assert about == before


@given(accounts(), st.randoms(use_true_random=False))
def test_the_order_in_which_loans_are_listed_does_not_matter(
    about: AccountFacts, chance: st.random_module
) -> None:  # type: ignore[valid-type]
    assume(len({one.loan.danger for one in about.loans}) == len(about.loans))
    listed = list(about.loans)
    chance.shuffle(listed)  # type: ignore[attr-defined]
    shuffled = replace(about, loans=tuple(listed))
    assert decide(shuffled) == decide(about)


@given(accounts())
def test_every_loan_gets_one_decision_the_nearest_to_liquidation_first(about: AccountFacts) -> None:
    found = decide(about)
    assert {d.loan.key for d in found} == {one.loan.key for one in about.loans}
    assert len(found) == len(about.loans)
    assert [d.loan.danger for d in found] == sorted((d.loan.danger for d in found), reverse=True)


@given(accounts())
def test_a_loan_that_asks_for_nothing_takes_nothing_from_the_others(about: AccountFacts) -> None:
    """Without it they get the same; whether one may release is another matter."""
    asks = {d.loan.key for d in decide(about) if d.acts or d.breach or d.episode is not None}
    kept = tuple(one for one in about.loans if one.loan.key in asks or one.open_intents or one.settling)
    fewer = replace(about, loans=kept)
    amounts = {d.loan.key: d.amount for d in decide(fewer) if d.direction is ADD}
    assert amounts == {d.loan.key: d.amount for d in decide(about) if d.direction is ADD}


@given(accounts(), st.one_of(st.decimals("-1", "60", places=9), st.sampled_from([D("NaN"), D("Infinity")])))
def test_no_release_exceeds_its_share_of_the_maximum(about: AccountFacts, maximum: Decimal) -> None:
    for decision in decide(about):
        bounded = within_maximum(decision, maximum)
        if bounded.direction is REDUCE:
            held = bounded.loan.collateral_in(bounded.coin or "")
            assert held is not None
            assert bounded.amount <= maximum * bounded.policy.limits.max_reduction_ratio
            assert bounded.amount <= decision.amount
            assert bounded.amount % held.step == 0
            assert marked_amount(bounded, 7) <= bounded.amount


@given(accounts())
def test_an_open_adjustment_is_followed_by_at_most_one_rescue_within_its_bounds(about: AccountFacts) -> None:
    by_key = {one.loan.key: one for one in about.loans}
    for decision in decide(about):
        one = by_key[decision.loan.key]
        if not one.open_intents or not decision.acts:
            assert decision.rescue_of is None
            continue
        (first,) = one.open_intents
        limits = thresholds(one.policy, one.loan)
        held = one.loan.collateral[0].amount
        assert decision.direction is ADD
        assert decision.rescue_of == first.intent_id
        assert first.state in {State.ACCEPTED, State.UNKNOWN}
        if first.direction is ADD:
            assert one.window_over
            assert one.loan.ltv >= limits.emergency
        both = held + decision.ceiling + (first.amount if first.direction is ADD else 0)
        true_ltv = one.loan.ltv - QUOTED / 2
        assert true_ltv * held / both > limits.release_trigger


# An unhindered adjustment.

fine_holdings = st.integers(5 * 10**6, 10**12).map(lambda steps: D(steps).scaleb(-8))
coarse_holdings = st.integers(10, 5 * 10**6).map(D)


@given(
    st.one_of(st.tuples(fine_holdings, st.just(8)), st.tuples(coarse_holdings, st.just(0))),
    st.decimals("0.76", "1.1", places=9),
    st.integers(0, 998),
)
def test_an_unhindered_add_ends_at_most_at_its_target_and_close_below(
    holding: tuple[Decimal, int], true: Decimal, seed: int
) -> None:
    held, accuracy = holding
    (decision,) = decide(
        account(facts(loan(quoted(true), held=held, accuracy=accuracy)), wallet={"BTC": 10**12})
    )
    after = ltv_after(held, true, marked_amount(decision, seed))
    one_step = D("0.65") - ltv_after(held, D("0.65"), D(1).scaleb(-accuracy))
    assert after <= D("0.65")
    assert after > D("0.65") - max(D("0.001"), one_step + D("0.0003"))


@given(
    st.one_of(st.tuples(fine_holdings, st.just(8)), st.tuples(coarse_holdings, st.just(0))),
    st.decimals("0.25", "0.3998", places=9),
    st.integers(0, 998),
)
def test_an_unhindered_release_ends_at_most_at_its_target_and_close_below(
    holding: tuple[Decimal, int], true: Decimal, seed: int
) -> None:
    held, accuracy = holding
    (decision,) = decide(account(facts(loan(quoted(true), held=held, accuracy=accuracy))))
    assume(decision.acts)
    released = marked_amount(decision, seed)
    after = ltv_after(held, true, -released)
    one_step = ltv_after(held - released, after, -D(1).scaleb(-accuracy)) - after
    assert after <= D("0.55")
    assert after > D("0.55") - max(D("0.001"), one_step + D("0.0005"))
