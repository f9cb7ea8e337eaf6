"""A pool with fixed loans under attack: what is due is kept, and collateral pays where nothing else helps.

As in `test_state_machine.py`, and what `contract_life.py` says. Contracts end while answers are lost, reads
are late and processes die; the user signs and repays them, and repays as we do, by hand.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from contract_life import ContractLife, Start
from exchange_world import HELD, OWED, POOL
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule
from send_path import REPLICAS, WRITES, Stretch, Weather, events, odd_events

from ltv_guard.core.model.contracts import AtEnd
from ltv_guard.core.model.loans import Kind

SECOND_MS, HOUR_MS = 1_000, 3_600_000
USUAL = ("ok", "ok", "lost_answer", "lost_request", "refused", "refused_for_now", "not_sent")
LATE = ("late:500", "late:3000", "late:4900", "late:5900")
SLOW = ("pending:1500", "pending:8000", "pending:40000", "failing:700")
ANSWERS_TO = {
    Kind.ADJUSTMENT: st.sampled_from([*USUAL, *LATE, "refused_coin"]),
    Kind.REPAYMENT: st.sampled_from([*USUAL, *LATE, *SLOW]),
    Kind.FIXED_REPAYMENT: st.sampled_from([*USUAL, *LATE, *SLOW]),
    Kind.TRANSFER: st.sampled_from([*USUAL, *LATE, *SLOW]),
}
LAGS = st.sampled_from([0, 0, 0, 2_000, 5_000])
DOWN = (
    *("history_down", "prices_down", "orders_down", "wallet_down"),
    *("repayments_down", "fixed_repayments_down", "contracts_down"),
)
WEATHER = st.builds(
    Weather,
    answers_to=st.fixed_dictionaries(
        {kind: st.lists(answers, min_size=1, max_size=3).map(tuple) for kind, answers in ANSWERS_TO.items()}
    ),
    stale_ms=LAGS,
    old_ltv_ms=LAGS,
    old_debt_ms=LAGS,
    stale_wallet_ms=LAGS,
    row_lag_ms=st.sampled_from([0, 0, 1_000, 4_500]),
    down=st.sampled_from([*[()] * 5, *((name,) for name in DOWN)]),
    crash=st.sampled_from([*[""] * 5, "before_send", "after_send", *WRITES]),
    more=st.fixed_dictionaries(
        {
            "old_contracts_ms": st.sampled_from([0, 0, 5_000, 90_000]),
            "contracts_odd": st.sampled_from([False, False, False, True]),
            "rows_lack_each": st.sampled_from([0, 0, 2, 3]),
        }
    ),
)
ODD_WEATHER = st.builds(replace, WEATHER, replica=REPLICAS)
AT_END = st.sampled_from([AtEnd.REPAID, AtEnd.REPAID, AtEnd.UNTOLD, AtEnd.FLEXIBLE, AtEnd.NOTHING])
ENDS_IN_MS = st.sampled_from(
    [20 * SECOND_MS, 90 * SECOND_MS, 600 * SECOND_MS, 2 * HOUR_MS, 23 * HOUR_MS, 30 * HOUR_MS]
)
SHARES = st.sampled_from(
    [
        {OWED: Decimal("0.1")},
        {OWED: Decimal("0.1"), HELD: Decimal("0.1")},
        {OWED: Decimal("0.3"), HELD: Decimal("0.05")},
        {OWED: Decimal("0.6")},
    ]
)
STARTS = st.builds(
    Start,
    first=st.sampled_from(["0.30", "0.60", "0.76"]),
    pool=st.sampled_from(["0.35", "0.77", "0.77", "0.81"]),
    shares=SHARES,
    ends_in_ms=ENDS_IN_MS,
    at_end=AT_END,
    btc=st.sampled_from(["0", "0", "0", "0.02", "0.2", "0.2", "50"]),
    usdt=st.sampled_from(["0", "0", "0", "300", "5000", "9000", "1000000"]),
    unified=st.sampled_from(["0", "0", "50"]),
    fee=st.sampled_from(["0", "0.004", "0.01", "0.02"]),
    interest=st.sampled_from(["0", "0.0001"]),
    limit=st.sampled_from(["300000", "300000", "9000"]),
    scale=st.sampled_from([1, 1, 20]),
    repays=st.booleans(),
    repays_fixed=st.booleans(),
    transfers=st.booleans(),
    capped=st.sampled_from([False, False, True]),
    pays_in_part=st.booleans(),
    pays_after_ms=st.sampled_from([0, 2_000, 30_000]),
)
AMOUNTS_BY_HAND = st.sampled_from(["0.02", "0.1", "as ours", "as ours"])


def lives(weather: st.SearchStrategy[Weather], base: type[ContractLife]) -> type[ContractLife]:
    """What may happen to contracts, beside all else, in such weather."""
    stretches = st.tuples(weather, st.sampled_from([500, 1_000, 2_000]), st.integers(1, 15))

    class Lives(base):  # type: ignore[misc, valid-type]
        @initialize(start=STARTS)
        def begin(self, start: Start) -> None:
            self.begin_so(start)

        @rule(stretch=stretches)
        def a_contract_ends(self, stretch: Stretch) -> None:
            self.until_the_next_end()
            self.disturb(stretch)

        @rule(hours=st.sampled_from([1, 6, 25]), stretch=stretches)
        def hours_pass(self, hours: int, stretch: Stretch) -> None:
            """While nobody looks."""
            self.world.advance(hours * HOUR_MS)
            self.note_sales()
            self.disturb(stretch)

        @rule(coin=st.sampled_from([OWED, HELD]), ends_in_ms=ENDS_IN_MS, at_end=AT_END, stretch=stretches)
        def the_user_signs_a_contract(
            self, coin: str, ends_in_ms: int, at_end: AtEnd, stretch: Stretch
        ) -> None:
            if len(self.world.contracts) < 4 and not (coin == HELD and at_end is AtEnd.FLEXIBLE):
                coins = self.scale * (Decimal(2_000) if coin == OWED else Decimal("0.04"))
                self.world.sign_contract(coin, coins, ends_in_ms, at_end)
            self.disturb(stretch)

        @rule(number=st.integers(0, 3), stretch=stretches)
        def the_user_repays_a_contract(self, number: int, stretch: Stretch) -> None:
            if number < len(self.world.contracts):
                self.world.repay_contract(self.world.contracts[number])
            self.disturb(stretch)

        @rule(what=AMOUNTS_BY_HAND, with_collateral=st.booleans(), stretch=stretches)
        def the_user_repays(self, what: str, with_collateral: bool, stretch: Stretch) -> None:  # noqa: FBT001
            self.repay_by_hand(what, with_collateral=with_collateral)
            self.disturb(stretch)

        @rule(
            coin=st.sampled_from([OWED, HELD]),
            amount=st.sampled_from(["-0.3", "-0.02", "0.05", "100"]),
            stretch=stretches,
        )
        def the_user_moves_coins(self, coin: str, amount: str, stretch: Stretch) -> None:
            """Into the Funding wallet, or out of it."""
            worth = Decimal(50_000) if coin == OWED else 1
            self.world.move_by_hand(coin, Decimal(amount) * self.scale * worth)
            self.live_through(stretch)

    return Lives


class Usual(ContractLife, events(WEATHER)):  # type: ignore[misc]
    """In the weather of `test_state_machine.py`."""


class Odd(ContractLife, odd_events(ODD_WEATHER)):  # type: ignore[misc]
    """And: old replicas, a history that fails, a database that goes back."""


class Contracts(lives(WEATHER, Usual)):  # type: ignore[misc]
    """In the weather of `test_state_machine.py`."""


class OddContracts(lives(ODD_WEATHER, Odd)):  # type: ignore[misc]
    """And: old replicas, a history that fails, a database that goes back."""


TestContracts = Contracts.TestCase
TestContracts.settings = settings(max_examples=10, stateful_step_count=8)


@pytest.mark.slow
@pytest.mark.timeout(300)
class TestMoreLives(OddContracts.TestCase):  # type: ignore[misc] # made by hypothesis
    """The same, in odd weather."""

    settings = settings(max_examples=60, stateful_step_count=8)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
class TestNight(OddContracts.TestCase):  # type: ignore[misc] # made by hypothesis
    """The same at random, for as long as a night allows."""

    settings = settings(max_examples=3_000, stateful_step_count=8, derandomize=False)


# What they are held against.

NO_COINS = Start(
    first="0.30",
    pool="0.77",
    shares={},
    ends_in_ms=3_600_000,
    at_end=AtEnd.NOTHING,
    btc="0",
    usdt="0",
    unified="0",
    fee="0",
    interest="0",
    limit="300000",
    scale=1,
    repays=False,
    repays_fixed=False,
    transfers=False,
    capped=False,
    pays_in_part=False,
    pays_after_ms=0,
)


@pytest.mark.parametrize(("ltv", "helped"), [("0.82", True), ("0.99", True), ("1.02", False)])
def test_a_pool_that_is_worth_less_than_it_owes_is_past_help_by_its_collateral(
    ltv: str, *, helped: bool
) -> None:
    """Found by the state machine: the exchange sells nothing of it for its debts, and yet it was expected."""
    life = Contracts()
    life.begin_so(NO_COINS)
    life.move_price(life.world.price * life.world.ltv(POOL) / Decimal(ltv))
    assert life.world.ltv(POOL).quantize(Decimal("0.01")) == Decimal(ltv)
    assert (POOL in life.funded()) is helped
