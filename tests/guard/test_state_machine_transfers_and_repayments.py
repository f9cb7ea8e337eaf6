"""All that is ever sent, under attack: adds, releases, transfers and repayments of one account at once.

As in `test_state_machine.py`, and: never a transfer or a repayment beyond its caps, none that is larger than
what was needed, and no debt repaid while there was collateral to be had and nothing that kept it away.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from decimal import Decimal

import pytest
from exchange_model import a_guard, a_world, with_limits
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule
from send_path import COARSE, KEYS, REPLICAS, WRITES, Life, Stretch, Weather, events, odd_events
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
ODD_WEATHER = st.builds(replace, WEATHER, replica=REPLICAS)
CAPS = {
    "max_transfer": Decimal("0.15"),
    "max_transfer_24h": Decimal("0.4"),
    "max_repay": Decimal(4_000),
    "max_repay_24h": Decimal(10_000),
}
PLENTY, DUST = Decimal(2), Decimal("0.0001")
LONGEST_REST_MS = 61_000
OLD_FACTS_MS = 10_000  # 2 x history_lag_s
SURE_MS = 12_000  # what has been so for this long is seen by whoever looks


AMOUNTS = st.sampled_from(["-0.3", "-0.01", "0.05", "100"])
STRETCHES, ODD_STRETCHES = (
    st.tuples(weather, st.sampled_from([500, 1_000, 2_000]), st.integers(1, 15))
    for weather in (WEATHER, ODD_WEATHER)
)


class AllThatIsSent(Life):
    """Next to nothing lies in Funding; Unified has the collateral, or Funding what is owed, or both."""

    capped: bool
    accuracy = 8

    def begin_so(self, first: str, second: str, unified: str, interest: str) -> None:
        owed = 1_000_000 if unified != "50" or interest != "0" else 0
        world = a_world(
            first,
            pool=second,
            wallet=str(self.scale * Decimal("0.02")),
            unified=str(self.scale * Decimal(unified)),
            owed=str(self.scale * owed),
            held=str(self.scale),
            accuracy=self.accuracy,
        )
        world.hourly_interest = Decimal(interest)
        self.begin_with(world)

    def a_guard(self) -> Guard:
        policy = with_limits(PAYS, max_add={"BTC": Decimal(1)}) if self.a_coin_at_a_time else PAYS
        caps = self.caps
        if not self.capped:
            return a_guard(
                self.world,
                self.journal,
                policy=policy,
                transfers=TransferRules(enabled=True),
                continuous=not self.went_back,
                ids=self.new_id,
            )
        return a_guard(
            self.world,
            self.journal,
            continuous=not self.went_back,
            ids=self.new_id,
            policy=replace(policy, repay=RepayRule(enabled=True, max_repay={"USDT": caps["max_repay"]})),
            wallet=WalletRules(max_repay_24h={"USDT": caps["max_repay_24h"]}),
            transfers=TransferRules(
                enabled=True,
                max_transfer={"BTC": caps["max_transfer"]},
                max_transfer_24h={"BTC": caps["max_transfer_24h"]},
            ),
        )

    @property
    def caps(self) -> dict[str, Decimal]:
        return {name: amount * self.scale for name, amount in CAPS.items()}

    def move_coins(self, amount: str, stretch: Stretch) -> None:
        self.world.move_by_hand("BTC", Decimal(amount) * self.scale)
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
        assert intent.amount <= self.caps[name], f"{intent.amount} is beyond {name}"
        if self.went_back:
            return  # the journal does not know what was spent
        world = self.world
        held_up = {item.intent.intent_id for item in world.pending}
        spent = sum(
            item.amount
            for item in world.sent
            if item.direction is intent.direction and item.intent_id in held_up | set(world.applied)
        )
        assert spent + intent.amount <= self.caps[f"{name}_24h"], (
            f"{spent} + {intent.amount} is beyond {name}_24h"
        )

    def check_that_it_is_needed(self, intent: Intent) -> None:
        """The wallet it was decided on includes the last one, but for dust; it moves no more than is lacking.

        Where all was spent again it may be older: what it was spent on is known. What is shown for longer
        than old facts can be is believed.
        """
        since = self.world.last_own_effect_ms(intent.key)
        views = self.world.wallets
        last = max((index for index, view in enumerate(views) if view.at_ms <= since), default=0)
        shown = [view.funding[intent.coin] for view in views[last:]]
        assert intent.coins_before >= min(shown) - DUST or self.shown_throughout(intent), (
            f"{intent.amount} moved for a wallet of {intent.coins_before}, which was never there since the "
            f"last transfer landed: {shown[-3:]}"
        )
        lacking = sum(max(self.needed(key), default=Decimal(0)) for key in KEYS)
        spare = len(KEYS) * 3 * Decimal(1).scaleb(-self.accuracy) if self.a_coin_at_a_time else Decimal(0)
        assert intent.amount <= lacking * Decimal("1.01") + Decimal("0.001") + spare, (
            f"{intent.amount} moved where {lacking} was needed"
        )

    def shown_throughout(self, intent: Intent) -> bool:
        """Whether the wallet was shown so, and no other way, for longer than old facts are waited for."""
        world = self.world
        other = [at for at, shown in world.shown_funding if shown[intent.coin] != intent.coins_before]
        since = max(other, default=0)
        first = min((at for at, _ in world.shown_funding if at > since), default=world.true_ms)
        return world.true_ms - first >= OLD_FACTS_MS

    def needed(self, key: LoanKey) -> list[Decimal]:
        """Coins that bring the loan to its target, at any moment that may have been shown lately.

        Where a release is not settled, by what the guard knows: also once it has landed.
        """
        since = self.world.true_ms - self.world.replica_ms - SURE_MS
        recent = [view for view in self.world.views[key] if view.at_ms >= since]
        older = [view for view in self.world.views[key] if view.at_ms < since][-1:]
        found = (view.collateral * (view.ltv / Decimal("0.65") - 1) for view in [*older, *recent])
        released = sum(
            item.amount
            for item in self.journal.snapshot().intents.values()
            if item.key == key and item.direction is Direction.REDUCE and item.is_open
        )
        return [max(Decimal(0), coins + released) for coins in found]

    def check_that_nothing_else_helped(self, intent: Intent) -> None:
        """No debt is repaid before it is an emergency, where collateral was there all the time."""
        world = self.world
        sure_ms = world.true_ms - world.replica_ms - SURE_MS
        lately = [view for view in world.wallets if view.at_ms >= sure_ms]
        in_unified = min(view.unified["BTC"] for view in lately)
        if self.capped or in_unified < PLENTY * self.scale or intent.ltv_before >= Decimal("0.80"):
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
        """Nothing is repaid while the list of repayments can't be read: collateral is what is left then."""
        world = self.world
        may_repay = not (world.history_down or world.repayments_down)
        has_funds = world.unified["BTC"] > PLENTY * self.scale
        has_funds = has_funds or (may_repay and world.wallet["USDT"] > 500_000 * self.scale)
        return KEYS if has_funds and not self.capped else ()


def amounts_and_funds() -> dict[str, st.SearchStrategy[str] | st.SearchStrategy[bool]]:
    return {
        "first": st.sampled_from(["0.30", "0.76", "0.84"]),
        "second": st.sampled_from(["0.35", "0.74", "0.81"]),
        "unified": st.sampled_from(["0", "0.1", "50"]),
        "interest": st.sampled_from(["0", "0.0001"]),
        "capped": st.booleans(),
    }


class TransfersAndRepayments(AllThatIsSent, events(WEATHER)):  # type: ignore[misc]
    """In the weather of `test_state_machine.py`."""

    @initialize(**amounts_and_funds())
    def begin(self, first: str, second: str, unified: str, interest: str, capped: bool) -> None:  # noqa: FBT001
        self.capped = capped
        self.begin_so(first, second, unified, interest)

    @rule(amount=AMOUNTS, stretch=STRETCHES)
    def the_user_moves_coins(self, amount: str, stretch: Stretch) -> None:
        """Into the Funding wallet, or out of it."""
        self.move_coins(amount, stretch)


class OddTransfersAndRepayments(AllThatIsSent, odd_events(ODD_WEATHER)):  # type: ignore[misc]
    """And: old replicas, coarse coins under small caps, a history that fails, a database that goes back."""

    @initialize(accuracy=st.sampled_from([8, 8, 8, 2, 0]), **amounts_and_funds())
    def begin(
        self,
        accuracy: int,
        first: str,
        second: str,
        unified: str,
        interest: str,
        capped: bool,  # noqa: FBT001
    ) -> None:
        self.accuracy, self.capped = accuracy, capped
        if accuracy != 8:
            self.scale, self.a_coin_at_a_time = COARSE, True
        self.begin_so(first, second, unified, interest)

    @rule(amount=AMOUNTS, stretch=ODD_STRETCHES)
    def the_user_moves_coins(self, amount: str, stretch: Stretch) -> None:
        """Into the Funding wallet, or out of it."""
        self.move_coins(amount, stretch)


TestTransfersAndRepayments = TransfersAndRepayments.TestCase
TestTransfersAndRepayments.settings = settings(max_examples=12, stateful_step_count=12)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
class TestManyLives(TransfersAndRepayments.TestCase):  # type: ignore[misc] # made by hypothesis
    """The same for longer."""

    settings = settings(max_examples=150, stateful_step_count=12)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
class TestNight(OddTransfersAndRepayments.TestCase):  # type: ignore[misc] # made by hypothesis
    """The same at random, for as long as a night allows."""

    settings = settings(max_examples=1_000, stateful_step_count=12, derandomize=False)
