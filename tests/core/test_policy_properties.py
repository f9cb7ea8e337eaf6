"""What holds of every decision, and of the guard's whole path through a market."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal

from core_builders import ADD, REDUCE, D, account, facts, intent, loan, policy
from hypothesis import assume, given
from hypothesis import strategies as st

from ltv_guard.core.decisions import AccountFacts, Decision, EpisodeChange, LoanFacts
from ltv_guard.core.freshness import Freshness
from ltv_guard.core.intents import Intent, State
from ltv_guard.core.loans import Direction
from ltv_guard.core.marks import marked
from ltv_guard.core.policy import decide
from ltv_guard.core.releasing import within_maximum
from ltv_guard.core.rules import thresholds
from ltv_guard.core.sizing import ltv_after

QUOTED = D("0.0001")
COINS = ("BTC", "ETH")


def with_mark(decision: Decision, seed: int) -> Decimal:
    """The amount as the guard sends it; 0 where no mark is free."""
    held = decision.loan.collateral[0]
    amount = marked(
        decision.amount,
        accuracy=held.accuracy,
        reference=held.amount,
        ceiling=decision.ceiling,
        taken=(),
        seed=seed,
        upward=decision.direction is ADD,
    )
    return amount or D(0)


# Any account.

ltvs = st.decimals("0.01", "1.2", places=4)
coin_amounts = st.dictionaries(st.sampled_from(COINS), st.decimals("0", "50", places=9), max_size=2)


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
        episode_open=draw(st.integers(0, 3)) == 0,
        rested_ms=draw(st.sampled_from([None, 1, 10**6])),
        low_for_ms=draw(st.sampled_from([0, 10**6])),
        freshness=Freshness(fresh=draw(st.integers(0, 9)) > 0, why="old"),
        refused={} if draw(st.integers(0, 9)) > 0 else {coin: "the platform takes no more"},
    )


@st.composite
def accounts(draw: st.DrawFn) -> AccountFacts:
    loans = [draw(loan_facts(number)) for number in range(draw(st.integers(1, 4)))]
    return account(
        *loans,
        wallet=draw(coin_amounts),
        reserve=draw(coin_amounts),
        max_add_24h=draw(coin_amounts),
        added_24h=draw(coin_amounts),
        wallet_read=draw(st.integers(0, 9)) > 0,
    )


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
        held, coin = decision.loan.collateral[0], decision.coin or ""
        amount = with_mark(decision, seed)
        assert decision.amount % held.step == 0
        assert decision.amount > 0
        assert amount % held.step == 0
        assert amount <= decision.ceiling
        assert coin not in next(one.refused for one in about.loans if one.loan is decision.loan)
        if decision.direction is REDUCE:
            assert amount <= decision.amount < held.amount
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
    shuffled = AccountFacts(
        loans=tuple(listed),
        wallet=about.wallet,
        wallet_rules=about.wallet_rules,
        added_24h=about.added_24h,
    )
    assert decide(shuffled) == decide(about)


@given(accounts())
def test_every_loan_gets_one_decision_the_nearest_to_liquidation_first(about: AccountFacts) -> None:
    found = decide(about)
    assert {d.loan.key for d in found} == {one.loan.key for one in about.loans}
    assert len(found) == len(about.loans)
    assert [d.loan.danger for d in found] == sorted((d.loan.danger for d in found), reverse=True)


@given(accounts())
def test_what_is_left_to_a_loan_never_depends_on_one_that_is_safer(about: AccountFacts) -> None:
    """Without the least urgent loan, the others get the same; whether one may release is another matter."""
    found = decide(about)
    assume(len({d.loan.danger for d in found}) == len(found) > 1)
    safest = found[-1].loan
    kept = tuple(one for one in about.loans if one.loan is not safest)
    assume(not any(one.open_intents for one in about.loans if one.loan is safest))
    fewer = AccountFacts(
        loans=kept, wallet=about.wallet, wallet_rules=about.wallet_rules, added_24h=about.added_24h
    )
    amounts = {d.loan.key: d.amount for d in decide(fewer) if d.direction is ADD}
    assert amounts == {d.loan.key: d.amount for d in found[:-1] if d.direction is ADD}


@given(accounts(), st.one_of(st.decimals("-1", "60", places=9), st.sampled_from([D("NaN"), D("Infinity")])))
def test_no_release_exceeds_its_share_of_the_maximum(about: AccountFacts, maximum: Decimal) -> None:
    for decision in decide(about):
        bounded = within_maximum(decision, maximum)
        if bounded.direction is REDUCE:
            held = bounded.loan.collateral[0]
            assert bounded.amount <= maximum * bounded.policy.limits.max_reduction_ratio
            assert bounded.amount <= decision.amount
            assert bounded.amount % held.step == 0
            assert with_mark(bounded, 7) <= bounded.amount


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


def quoted(ltv: Decimal) -> Decimal:
    return ltv.quantize(QUOTED, ROUND_HALF_EVEN)


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
    after = ltv_after(held, true, with_mark(decision, seed))
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
    released = with_mark(decision, seed)
    after = ltv_after(held, true, -released)
    one_step = ltv_after(held - released, after, -D(1).scaleb(-accuracy)) - after
    assert after <= D("0.55")
    assert after > D("0.55") - max(D("0.001"), one_step + D("0.0005"))


# The guard's path through a market.

CYCLE_MS = 15_000


@dataclass
class Market:
    """A tiny exchange of one loan: exact, without faults, moved by the price alone. Not the sandbox."""

    rules: Mapping[str, object]
    wallet: Decimal
    held: Decimal = Decimal(1)
    debt: Decimal = Decimal("0.6")
    price: Decimal = Decimal(1)
    now_ms: int = 0
    episode_open: bool = False
    rested_at_ms: int | None = None
    low_since_ms: int | None = None
    done: list[tuple[Direction, Decimal, Decimal]] = field(default_factory=list)

    @property
    def ltv(self) -> Decimal:
        return self.debt / (self.held * self.price)

    def cycle(self, seed: int) -> Decision:
        self.now_ms += CYCLE_MS
        shown = quoted(self.ltv)
        rules = policy(**self.rules)  # type: ignore[arg-type]
        if shown >= rules.reduce.trigger_ltv:
            self.low_since_ms = None
        elif self.low_since_ms is None:
            self.low_since_ms = self.now_ms
        about = facts(
            loan(shown, held=self.held),
            rules,
            episode_open=self.episode_open,
            rested_ms=None if self.rested_at_ms is None else self.now_ms - self.rested_at_ms,
            low_for_ms=0 if self.low_since_ms is None else self.now_ms - self.low_since_ms,
        )
        (decision,) = decide(account(about, wallet={"BTC": self.wallet}))
        decision = within_maximum(decision, max(D(0), self.held - self.debt / (D("0.8") * self.price)))
        self._apply(decision, seed)
        return decision

    def _apply(self, decision: Decision, seed: int) -> None:
        if decision.episode is EpisodeChange.OPENS:
            self.episode_open = True
        if decision.episode is EpisodeChange.CLOSES:
            self.episode_open, self.rested_at_ms = False, self.now_ms
        if decision.direction is None:
            return
        change = with_mark(decision, seed) * decision.direction.sign
        self.held, self.wallet = self.held + change, self.wallet - change
        if decision.direction is REDUCE:
            self.rested_at_ms = self.now_ms
        self.done.append((decision.direction, self.price, self.ltv))


price_paths = st.lists(
    st.tuples(st.decimals("0.75", "1.35", places=4), st.sampled_from([1, 2, 70])), min_size=5, max_size=40
)
rulesets = st.sampled_from(
    [
        {},
        {"max_add": {"BTC": "0.03"}},
        {"max_add": {"BTC": "0.03"}, "reduction_share": "0.3"},
        {"release_below": "0.59", "release_to": "0.60"},
        {"trigger": "0.66", "release_below": "0.59", "release_to": "0.60"},
        {"least": "0.3"},
    ]
)


@given(price_paths, rulesets, st.sampled_from([D("0.1"), D(1000)]), st.integers(0, 998))
def test_it_never_adds_and_releases_in_turn_unless_the_price_led_from_one_trigger_to_the_other(
    path: list[tuple[Decimal, int]], rules: Mapping[str, object], wallet: Decimal, seed: int
) -> None:
    market = Market(rules=rules, wallet=wallet)
    limits = policy(**rules)  # type: ignore[arg-type]
    for moved, cycles in path:
        market.price = min(max(market.price * moved, D("0.2")), D(20))
        assume(market.ltv < D("1.5"))
        for n in range(cycles):
            market.cycle(seed + n)
    for (first, at, left_at), (second, then, _) in zip(market.done, market.done[1:], strict=False):
        # Where the LTV would be by the price alone, had the second not been made.
        led_to = left_at * at / then
        if first is ADD and second is REDUCE:
            assert left_at > limits.reduce.trigger_ltv
            assert led_to < limits.reduce.trigger_ltv + QUOTED
        if first is REDUCE and second is ADD:
            assert left_at < limits.add.trigger_ltv
            assert led_to > limits.add.trigger_ltv - QUOTED


@given(st.decimals("0.3", "1.6", places=4), rulesets, st.integers(0, 998))
def test_at_a_price_that_stands_still_it_comes_to_rest(
    price: Decimal, rules: Mapping[str, object], seed: int
) -> None:
    market = Market(rules=rules, wallet=D(1000), price=price)
    for n in range(180):
        market.cycle(seed + n)
    done = len(market.done)
    assert {direction for direction, _, _ in market.done} in (set(), {ADD}, {REDUCE})
    assert not market.episode_open
    for n in range(70):
        decision = market.cycle(seed + n)
        assert not decision.breach
        assert decision.direction is not ADD
    assert len(market.done) <= done + (1 if "reduction_share" in rules else 0)
