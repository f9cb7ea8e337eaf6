"""All that is ever sent, under attack: adds, releases, transfers and repayments of one account at once.

As in `test_state_machine.py`, and: never a transfer or a repayment beyond its caps, none that is larger than
what was needed, and no debt repaid while there was collateral to be had and nothing that kept it away.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from decimal import Decimal

import pytest
from exchange_model import a_guard, a_world
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule
from send_path import KEYS, WRITES, Stretch, Weather, events
from transfers_and_repayments import PAYS

from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Direction, Kind, LoanKey
from ltv_guard.core.model.policy import RepayRule, TransferRules, WalletRules
from ltv_guard.guard.cycle import Guard

USUAL = ("ok", "ok", "lost_answer", "lost_request", "refused", "refused_for_now", "not_sent")
LATE = ("late:500", "late:3000", "late:4900", "late:5900")
SLOW = ("pending:1500", "pending:8000", "pending:40000", "failing:700")
ANSWERS_TO = {
    Kind.ADJUSTMENT: st.sampled_from([*USUAL, *LATE, "refused_coin"]),
    Kind.REPAYMENT: st.sampled_from([*USUAL, *LATE, *SLOW]),
    Kind.TRANSFER: st.sampled_from([*USUAL, *LATE, *SLOW, "refused_key"]),
}
LAGS = st.sampled_from([0, 0, 0, 2_000, 5_000])
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
    down=st.sampled_from(
        [
            *[()] * 5,
            *((name,) for name in ("history_down", "prices_down", "orders_down", "wallet_down")),
            *((name,) for name in ("repayments_down", "transfers_down", "unified_down")),
        ]
    ),
    crash=st.sampled_from([*[""] * 5, "before_send", "after_send", *WRITES]),
)
CAPS = {
    "max_transfer": Decimal("0.15"),
    "max_transfer_24h": Decimal("0.4"),
    "max_repay": Decimal(4_000),
    "max_repay_24h": Decimal(10_000),
}
PLENTY, DUST = Decimal(2), Decimal("0.0001")
LONGEST_REST_MS = 61_000
SURE_MS = 12_000  # what has been so for this long is seen by whoever looks


class TransfersAndRepayments(events(WEATHER)):  # type: ignore[misc]
    """Next to nothing lies in Funding; Unified has the collateral, or Funding what is owed, or both."""

    @initialize(
        first=st.sampled_from(["0.30", "0.76", "0.84"]),
        second=st.sampled_from(["0.35", "0.74", "0.81"]),
        unified=st.sampled_from(["0", "0.1", "50"]),
        interest=st.sampled_from(["0", "0.0001"]),
        capped=st.booleans(),
    )
    def begin(self, first: str, second: str, unified: str, interest: str, capped: bool) -> None:  # noqa: FBT001
        self.capped = capped
        owed = "1000000" if unified != "50" or interest != "0" else "0"
        world = a_world(first, pool=second, wallet="0.02", unified=unified, owed=owed)
        world.hourly_interest = Decimal(interest)
        self.begin_with(world)

    def a_guard(self) -> Guard:
        if not self.capped:
            return a_guard(
                self.world,
                self.journal,
                policy=PAYS,
                transfers=TransferRules(enabled=True),
                continuous=not self.went_back,
                ids=self.new_id,
            )
        return a_guard(
            self.world,
            self.journal,
            continuous=not self.went_back,
            ids=self.new_id,
            policy=replace(PAYS, repay=RepayRule(enabled=True, max_repay={"USDT": CAPS["max_repay"]})),
            wallet=WalletRules(max_repay_24h={"USDT": CAPS["max_repay_24h"]}),
            transfers=TransferRules(
                enabled=True,
                max_transfer={"BTC": CAPS["max_transfer"]},
                max_transfer_24h={"BTC": CAPS["max_transfer_24h"]},
            ),
        )

    @rule(
        amount=st.sampled_from(["-0.3", "-0.01", "0.05", "100"]),
        stretch=st.tuples(WEATHER, st.sampled_from([500, 1_000, 2_000]), st.integers(1, 15)),
    )
    def the_user_moves_coins(self, amount: str, stretch: Stretch) -> None:
        """Into the Funding wallet, or out of it."""
        self.world.move_by_hand("BTC", Decimal(amount))
        self.live_through(stretch)

    # What must hold

    def check_what_is_sent(self, intent: Intent) -> None:
        super().check_what_is_sent(intent)
        if intent.direction is Direction.TRANSFER:
            self.check_caps(intent, "max_transfer")
            self.check_that_it_is_needed(intent)
        elif intent.direction is Direction.REPAY:
            self.check_caps(intent, "max_repay")
            self.check_that_nothing_else_helped(intent)

    def check_caps(self, intent: Intent, name: str) -> None:
        if not self.capped:
            return
        assert intent.amount <= CAPS[name], f"{intent.amount} is beyond {name}"
        if self.went_back:
            return  # the journal does not know what was spent
        world = self.world
        held_up = {item.intent.intent_id for item in world.pending}
        spent = sum(
            item.amount
            for item in world.sent
            if item.direction is intent.direction and item.intent_id in held_up | set(world.applied)
        )
        assert spent + intent.amount <= CAPS[f"{name}_24h"], f"{spent} + {intent.amount} is beyond {name}_24h"

    def check_that_it_is_needed(self, intent: Intent) -> None:
        """The wallet it was decided on includes the last one, but for dust; it moves no more than is lacking.

        Where all was spent again it may be older: what it was spent on is known.
        """
        since = self.world.last_own_effect_ms(intent.key)
        views = self.world.wallets
        last = max((index for index, view in enumerate(views) if view.at_ms <= since), default=0)
        shown = [view.funding[intent.coin] for view in views[last:]]
        assert intent.coins_before >= min(shown) - DUST, (
            f"{intent.amount} moved for a wallet of {intent.coins_before}, which was never there since the "
            f"last transfer landed: {shown[-3:]}"
        )
        lacking = sum(max(self.needed(key), default=Decimal(0)) for key in KEYS)
        assert intent.amount <= lacking * Decimal("1.01") + Decimal("0.001"), (
            f"{intent.amount} moved where {lacking} was needed"
        )

    def needed(self, key: LoanKey) -> list[Decimal]:
        """Coins that bring the loan to its target, at any moment that may have been shown lately."""
        since = self.world.true_ms - SURE_MS
        recent = [view for view in self.world.views[key] if view.at_ms >= since]
        older = [view for view in self.world.views[key] if view.at_ms < since][-1:]
        found = (view.collateral * (view.ltv / Decimal("0.65") - 1) for view in [*older, *recent])
        return [max(Decimal(0), coins) for coins in found]

    def check_that_nothing_else_helped(self, intent: Intent) -> None:
        """No debt is repaid before it is an emergency, where collateral was there all the time."""
        world = self.world
        lately = [view for view in world.wallets if view.at_ms >= world.true_ms - SURE_MS]
        in_unified = min(view.unified["BTC"] for view in lately)
        if self.capped or in_unified < PLENTY or intent.ltv_before >= Decimal("0.80"):
            return
        kept_away = [
            (item, answer)
            for item, answer in world.refused
            if item.key in {intent.key, LoanKey(intent.key.product.FUNDING, "BTC")}
            and item.direction in {Direction.ADD, Direction.TRANSFER}
            and world.true_ms - item.created_at_ms < 2 * LONGEST_REST_MS
        ]
        lasting = any(answer != "refused_for_now" for _, answer in kept_away)
        times = [item.created_at_ms for item, _ in kept_away]
        repeated = bool(times) and world.true_ms - min(times) >= 6_000
        assert lasting or repeated, f"repaid beside {in_unified} BTC to be moved, after {kept_away}"

    def funded(self) -> Collection[LoanKey]:
        world = self.world
        has_funds = world.unified["BTC"] > PLENTY or world.wallet["USDT"] > 500_000
        return KEYS if has_funds and not self.capped else ()


TestTransfersAndRepayments = TransfersAndRepayments.TestCase
TestTransfersAndRepayments.settings = settings(max_examples=12, stateful_step_count=12)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
class TestManyLives(TransfersAndRepayments.TestCase):  # type: ignore[misc] # made by hypothesis
    """The same for longer."""

    settings = settings(max_examples=150, stateful_step_count=12)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
class TestNight(TransfersAndRepayments.TestCase):  # type: ignore[misc] # made by hypothesis
    """The same at random, for as long as a night allows."""

    settings = settings(max_examples=1_000, stateful_step_count=12, derandomize=False)
