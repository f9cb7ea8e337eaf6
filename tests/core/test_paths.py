"""What holds of the guard's whole path through a market: no adding and releasing in turn, and an end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from core_builders import ADD, REDUCE, D, account, facts, loan, marked_amount, policy, quoted
from core_pools import FLAT, PRICES, Truth, pool_account, pool_facts, pool_policy
from hypothesis import assume, given
from hypothesis import strategies as st

from ltv_guard.core.decide.decide import decide
from ltv_guard.core.decide.decision import Decision, EpisodeChange
from ltv_guard.core.decide.facts import AccountFacts
from ltv_guard.core.decide.release import within_maximum
from ltv_guard.core.model.loans import Direction

QUOTED, POOL_QUOTED = D("0.0001"), D("0.000001")
CYCLE_MS = 15_000
HAIRCUT, USD = D(FLAT[0][0]), D(50_000)


@dataclass
class Market:
    """A tiny exchange of one order: exact, without faults, moved by the price alone. Not the sandbox."""

    rules: Mapping[str, object]
    wallet: Decimal
    price: Decimal = Decimal(1)
    held: Decimal = Decimal(1)
    debt: Decimal = Decimal("0.6")
    now_ms: int = 0
    episode_open: bool = False
    rested_at_ms: int | None = None
    low_since_ms: int | None = None
    done: list[tuple[Direction, Decimal, Decimal]] = field(default_factory=list)

    quoted_to: Decimal = QUOTED

    def __post_init__(self) -> None:
        self.release_below = policy(**self.rules).reduce.trigger_ltv  # type: ignore[arg-type]

    @property
    def ltv(self) -> Decimal:
        return self.debt / (self.held * self.price)

    def shown(self) -> AccountFacts:
        about = facts(loan(quoted(self.ltv), held=self.held), policy(**self.rules), **self.times())  # type: ignore[arg-type]
        return account(about, wallet={"BTC": self.wallet})

    def times(self) -> dict[str, object]:
        return {
            "episode_open": self.episode_open,
            "rested_ms": None if self.rested_at_ms is None else self.now_ms - self.rested_at_ms,
            "low_for_ms": 0 if self.low_since_ms is None else self.now_ms - self.low_since_ms,
        }

    def cycle(self, seed: int) -> Decision:
        self.now_ms += CYCLE_MS
        if self.ltv.quantize(self.quoted_to) >= self.release_below:
            self.low_since_ms = None
        elif self.low_since_ms is None:
            self.low_since_ms = self.now_ms
        (decision,) = decide(self.shown())
        decision = within_maximum(decision, max(D(0), self.held * (1 - self.ltv / D("0.8"))))
        self._apply(decision, seed)
        return decision

    def _apply(self, decision: Decision, seed: int) -> None:
        if decision.episode is EpisodeChange.OPENS:
            self.episode_open = True
        if decision.episode is EpisodeChange.CLOSES:
            self.episode_open, self.rested_at_ms = False, self.now_ms
        if decision.direction is None:
            return
        change = marked_amount(decision, seed) * decision.direction.sign
        self.held, self.wallet = self.held + change, self.wallet - change
        if decision.direction is REDUCE:
            self.rested_at_ms = self.now_ms
        self.done.append((decision.direction, self.price, self.ltv))


@dataclass
class PoolMarket(Market):
    """The same of a pool of one coin."""

    quoted_to: Decimal = POOL_QUOTED

    def shown(self) -> AccountFacts:
        truth = Truth(
            held={"BTC": self.held},
            debt_usd=self.debt * USD * HAIRCUT,
            prices={**PRICES, "BTC": self.price * USD},
        )
        about = pool_facts(truth, pool_policy(("BTC",), **self.rules), **self.times())
        return pool_account(about, wallet={"BTC": str(self.wallet)}, prices=truth.prices)


MARKETS = pytest.mark.parametrize(
    "market_of",
    [pytest.param(Market, id="order"), pytest.param(PoolMarket, id="pool", marks=pytest.mark.slow)],
)
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


@MARKETS
@given(
    path=price_paths, rules=rulesets, wallet=st.sampled_from([D("0.1"), D(1000)]), seed=st.integers(0, 998)
)
def test_it_never_adds_and_releases_in_turn_unless_the_price_led_from_one_trigger_to_the_other(
    market_of: Callable[..., Market],
    path: list[tuple[Decimal, int]],
    rules: Mapping[str, object],
    wallet: Decimal,
    seed: int,
) -> None:
    market = market_of(rules=rules, wallet=wallet)
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


@MARKETS
@given(price=st.decimals("0.3", "1.6", places=4), rules=rulesets, seed=st.integers(0, 998))
def test_at_a_price_that_stands_still_it_comes_to_rest(
    market_of: Callable[..., Market], price: Decimal, rules: Mapping[str, object], seed: int
) -> None:
    market = market_of(rules=rules, wallet=D(1000), price=price)
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
