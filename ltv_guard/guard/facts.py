"""From what was seen and is remembered to the facts that the policy decides on. Reads and sends nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal

from ltv_guard.core.decide.decision import AccountFacts, LoanFacts
from ltv_guard.core.decide.quotes import Quotes, implied_prices, quoted
from ltv_guard.core.model.defects import Defect, attempt
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Channel, Direction, Kind, Loan, LoanKey, Moment, RowStatus
from ltv_guard.core.model.policy import Rulebook, thresholds
from ltv_guard.core.ports import Episode
from ltv_guard.core.reconcile.balance_match import planned_since
from ltv_guard.core.reconcile.freshness import FRESH, Freshness, doubted_coins, judge, shows_before
from ltv_guard.core.reconcile.plausibility import (
    Bearing,
    as_it_reckons,
    bearing,
    hides_a_breach,
    lifts_limits,
    may_release,
)
from ltv_guard.core.reconcile.settlement import shown_coins, window_is_over
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.last_known import LastKnown
from ltv_guard.guard.snapshot import GuardOptions, Snapshot
from ltv_guard.guard.state.intent_book import DAY_MS
from ltv_guard.guard.state.memory import Memory

SLACK_MS = DAY_MS // 12
MEASURED_BY = 4  # of the adjustments that landed lately: a coarse coin may have had a hundred
LONGEST_PROCESSING_MS = 30_000  # an adjustment that takes the exchange longer is as good as lost


class FactBuilder:
    """Gathers the facts of one account."""

    def __init__(
        self,
        options: GuardOptions,
        rulebook: Rulebook,
        memory: Memory,
        last_known: LastKnown,
        defects: Defects,
    ) -> None:
        self._options = options
        self._rulebook = rulebook
        self._memory = memory
        self._last_known = last_known
        self._defects = defects

    @property
    def intents(self) -> Collection[Intent]:
        """All that is remembered."""
        return self._memory.intents.every

    @property
    def horizon_ms(self) -> int:
        """How far back the history matters: a day, or as long as an add by hand keeps a release waiting."""
        policies = [self._rulebook.default, *(policy for _, policy in self._rulebook.overrides)]
        return max(DAY_MS, *(policy.reduce.after_foreign_add_ms for policy in policies)) + SLACK_MS

    def account(self, snapshot: Snapshot, now: Moment) -> AccountFacts:
        read_at = snapshot.wallet_began or now
        on_the_way = self._memory.wallet.on_the_way(snapshot.wallet, read_at, longest_ms=self.echo_ms)
        quotes = self.quotes(snapshot, now)
        prices = None if quotes is None else quotes.prices
        return AccountFacts(
            loans=tuple(self._loan(loan, snapshot, prices, now) for loan in snapshot.loans),
            wallet=snapshot.wallet,
            wallet_is_old=snapshot.wallet_is_old,
            wallet_unread=snapshot.unread_coins(snapshot.wallet),
            unified_unread=snapshot.unread_coins(snapshot.unified),
            unified=snapshot.unified,
            prices=prices,
            doubted_prices=frozenset() if quotes is None else quotes.doubted,
            wallet_rules=self._rulebook.wallet,
            transfer_rules=self._rulebook.transfers,
            on_the_way=on_the_way,
            overdue=[
                coin for coin, item in on_the_way.items() if item.is_open and self._is_overdue(item, now, now)
            ],
            unmovable=self._memory.refusals.unmovable(now),
            passing=self._memory.refusals.passing(None, Direction.TRANSFER, now),
            added_24h=self._memory.intents.spent_24h(Direction.ADD, now),
            repaid_24h=self._memory.intents.spent_24h(Direction.REPAY, now),
            transferred_24h=self._memory.intents.spent_24h(Direction.TRANSFER, now),
        )

    def quotes(self, snapshot: Snapshot, now: Moment) -> Quotes | None:
        """What the coins of the loans are worth; None before prices were asked for, or where none tells."""
        if snapshot.wallet_began is None:
            return None
        found = attempt("prices", lambda: self._quotes(snapshot, now))
        if isinstance(found, Defect):
            self._defects.tell(found)
            return None if snapshot.prices is None else Quotes(prices=snapshot.prices)
        return found

    def _quotes(self, snapshot: Snapshot, now: Moment) -> Quotes | None:
        implied: dict[str, Decimal] = {}
        for loan in snapshot.loans:
            implied |= implied_prices(loan)
        if snapshot.prices is None:
            return Quotes(prices=implied) if implied else None
        coins = {item.coin for loan in snapshot.loans for item in loan.collateral}
        coins |= {item.coin for loan in snapshot.loans for item in loan.debts}
        read = {coin: price for coin, price in snapshot.prices.items() if coin in coins}
        again = snapshot.prices_again
        again = None if again is None else {coin: price for coin, price in again.items() if coin in coins}
        return quoted(read, again, self._last_known.prices, implied, now.monotonic_ms)

    def _loan(
        self, loan: Loan, snapshot: Snapshot, prices: Mapping[str, Decimal] | None, now: Moment
    ) -> LoanFacts:
        """The facts of one loan. Those that can be done without are, where an error of ours is in them."""
        found = attempt("the facts of a loan", lambda: self._facts(loan, snapshot, prices, now))
        if not isinstance(found, Defect):
            return found
        self._defects.tell(found)
        own = tuple(intent for intent in snapshot.open_now if intent.key == loan.key)
        return LoanFacts(
            loan=loan,
            policy=self._rulebook.policy_for(loan),
            freshness=Freshness(fresh=not self._memory.freshness.landed(loan.key, now), why=str(found)),
            open_intents=own,
            bearing=Bearing.UNKNOWN,
            lifts=False,
            may_release=False,
        )

    def _facts(
        self, loan: Loan, snapshot: Snapshot, prices: Mapping[str, Decimal] | None, now: Moment
    ) -> LoanFacts:
        policy = self._rulebook.policy_for(loan)
        shown, trigger = loan, thresholds(policy, loan).trigger
        hidden = hides_a_breach(loan, prices, trigger)
        before = snapshot.before.get(loan.key)
        if hidden and before is not None and hides_a_breach(before, prices, trigger):
            loan = as_it_reckons(loan, prices)
            hidden = False
        began = snapshot.asked_at(loan.key)
        episode = snapshot.episodes.get(loan.key)
        own = tuple(intent for intent in snapshot.open_now if intent.key == loan.key)
        window_over = all(self._is_overdue(intent, began, now) for intent in own)
        fresh = self.freshness(loan, snapshot, now)
        doubted_for_long = self._memory.freshness.doubted_for_ms(loan.key, now) > self.echo_ms
        return LoanFacts(
            loan=loan,
            policy=policy,
            freshness=fresh,
            bearing=bearing(shown, prices),
            lifts=loan is shown and lifts_limits(loan, before, prices, thresholds(policy, loan).emergency),
            may_release=loan is shown and may_release(loan, before, prices),
            hides_breach=hidden,
            open_intents=own,
            window_over=window_over,
            settling=not window_over if own else not (fresh.fresh or doubted_for_long),
            awaits_row=any(item.key == loan.key for item in self._memory.rows.awaited()),
            rescued=any(self._memory.intents.has_rescue(intent) for intent in own),
            episode_open=episode is not None and episode.closed_at_ms is None,
            rested_ms=self._rested_ms(loan.key, episode, now),
            low_for_ms=self._memory.low_ltv.low_for(
                loan.key,
                low=loan.ltv < thresholds(policy, loan).release_trigger,
                seen_at=began,
                longest_gap_ms=2 * self._options.poll_interval_ms + self._options.max_snapshot_age_ms,
            ),
            foreign_add_ms=self._memory.rows.foreign_add_ms(loan.key, now),
            refused=self._memory.refusals.refused(loan.key, Direction.ADD, now),
            shunned=self._memory.refusals.shunned(loan.key, Direction.ADD, now),
            at_least=self._memory.bounds.at_least(loan),
            passing=self._memory.refusals.passing(loan.key, Direction.ADD, now),
            kept=self._memory.refusals.refused(loan.key, Direction.REDUCE, now),
            unpayable=self._unpayable(loan, snapshot, now),
        )

    def _unpayable(self, loan: Loan, snapshot: Snapshot, now: Moment) -> dict[str, str]:
        """What was repaid before has to be known, or it could be taken for ours."""
        if Channel(loan.key.product, Kind.REPAYMENT) not in snapshot.histories:
            return {debt.coin: "the list of repayments could not be read" for debt in loan.debts}
        return self._memory.refusals.refused(loan.key, Direction.REPAY, now)

    def _is_overdue(self, intent: Intent, at: Moment, now: Moment) -> bool:
        """Whether its window was over `at` that moment, and the exchange is not processing it."""
        watch = self._memory.intents.watch(intent, now)
        over = window_is_over(intent, watch, at, self._options.timeouts)
        return over and not self._is_processed(intent, now)

    def _is_processed(self, intent: Intent, now: Moment) -> bool:
        """Whether the exchange says that it is still at it: it will land, or fail, without another's help."""
        said = any(
            row.adjust_id in {intent.adjust_id, intent.intent_id} and row.status is RowStatus.PROCESSING
            for row in self._memory.rows.of(intent.key)
        )
        waited_ms = now.monotonic_ms - self._memory.intents.watch(intent, now).since.monotonic_ms
        return said and waited_ms < LONGEST_PROCESSING_MS

    def freshness(self, loan: Loan, snapshot: Snapshot, now: Moment) -> Freshness:
        """Whether what is shown of the loan includes all that landed lately: an add, and its rescue."""
        self._look_back(loan, now)
        landed = self._memory.freshness.landed(loan.key, now)
        if not landed:
            self._memory.freshness.believed(loan)
            return FRESH
        began = snapshot.asked_at(loan.key)
        found = self._judge(loan, began, landed, snapshot)
        # Fresh for long enough without a break: what was shown since is no echo of before.
        for item in landed:
            self._memory.freshness.saw(item, fresh=found.fresh, at=began, long_enough_ms=self.echo_ms)
        if found.fresh:
            self._memory.freshness.believed(loan)
        elif self._does_not_fit(loan, landed, began, now):
            self._memory.freshness.let_go(landed)
            return FRESH
        return FRESH if self._may_not_wait(loan, landed, found, now) else found

    def _does_not_fit(self, loan: Loan, landed: Sequence[Intent], began: Moment, now: Moment) -> bool:
        """Whether the journal is of another exchange, or another time, and the loan can't wait for an answer.

        It says that an adjustment was confirmed, and no history shows its row, nor the loan its coins.
        """
        emergency = loan.ltv >= thresholds(self._rulebook.policy_for(loan), loan).emergency
        steady = all(self._is_steady(loan, item, began) for item in landed)
        return (
            emergency
            and steady
            and bool(self._memory.shelf.without_rows(landed, now.monotonic_ms, 2 * self.echo_ms))
        )

    def is_shown_as_before(self, loan: Loan, snapshot: Snapshot, now: Moment) -> bool:
        """Whether it is shown as it was before an adjustment that had been shown already."""
        return self.freshness(loan, snapshot, now).is_old and self._memory.freshness.is_shown_as_before(
            loan.key
        )

    def _look_back(self, loan: Loan, now: Moment) -> None:
        """Exactly what was there before an adjustment is old, though what was shown since was fresh.

        Exchanges answer from several places, and one of them may be a minute behind the others.
        """
        echoing = {item.intent_id for item in self._memory.freshness.landed(loan.key, now)}
        lately = self._memory.freshness.landed_lately(loan.key, now)
        over = [item for item in lately if item.intent_id not in echoing]
        # What was there before any of them was there before the first, or before the last ones.
        measured_by = over if len(over) <= MEASURED_BY else [over[0], *over[1 - MEASURED_BY :]]
        rows = self._memory.rows.of(loan.key) if over else ()
        back = [item for item in measured_by if shows_before(loan, item, rows, planned_since(item, lately))]
        if back:
            self._memory.freshness.doubt_again(loan.key, back)

    def _judge(self, loan: Loan, began: Moment, landed: Sequence[Intent], snapshot: Snapshot) -> Freshness:
        rows = self._memory.rows.of(loan.key)
        every, landed = landed, _that_measure(landed)
        steady = [self._is_steady(loan, item, began) for item in landed]
        last = landed[-1]
        for item, is_steady in zip(landed, steady, strict=True):
            doubt = doubted_coins(loan, item, rows, steady=is_steady, later=planned_since(item, every))
            if doubt is not None and doubt.is_old and self._was_sold(loan, item, began):
                self._memory.freshness.let_go(every)
                return FRESH
            if doubt is not None and item is not last:
                return doubt
        beside = self._memory.intents.beside(last)
        return judge(loan, began, last, rows, snapshot.prices, steady=steady[-1], beside=beside)

    def _was_sold(self, loan: Loan, item: Intent, began: Moment) -> bool:
        """Whether coins are as few as before the adjustment for a liquidation took as many: it pays debt too.

        Of a coarse coin that is no rare chance. It has to be shown for longer than old facts can be.
        """
        doubted_ms = self._memory.freshness.each_doubted_for_ms([item], began)
        return (
            item.direction is not Direction.REPAY
            and doubted_ms > self.echo_ms
            and self._memory.freshness.owes_less(loan)
        )

    def _is_steady(self, loan: Loan, item: Intent, began: Moment) -> bool:
        coins, drift = shown_coins(item, loan)
        within = drift if item.direction is Direction.REPAY else Decimal(0)
        what = (loan.key, item.direction.kind, item.coin)
        return self._memory.freshness.shown_for_ms(what, coins, began, within=within) > self.echo_ms

    def _may_not_wait(self, loan: Loan, landed: Sequence[Intent], found: Freshness, now: Moment) -> bool:
        """Whether to believe an LTV that prices do not bear out, after a long doubt, to protect the loan.

        In an emergency, for spot prices and the exchange's own part most when it matters most; and where
        being wrong would add next to nothing. Adding too much can be undone, and in an emergency
        nothing is released.
        """
        emergency = loan.ltv >= thresholds(self._rulebook.policy_for(loan), loan).emergency
        return (
            found.collateral_is_new
            and (emergency or found.harmless)
            and self._memory.freshness.each_doubted_for_ms(landed, now) > self.echo_ms
        )

    @property
    def echo_ms(self) -> int:
        """How long facts from before an adjustment may go on being shown."""
        return 2 * self._memory.lateness.timeouts(self._options.timeouts).history_lag_ms

    def _rested_ms(self, key: LoanKey, episode: Episode | None, now: Moment) -> int | None:
        closed_ms = None if episode is None else episode.closed_at_ms
        ends = [ms for ms in (self._memory.intents.last_release_ms(key), closed_ms) if ms is not None]
        return now.exchange_ms - max(ends) if ends else None


def _that_measure(landed: Sequence[Intent]) -> Sequence[Intent]:
    """Those that tell old facts: what was there before any was there before the first, or the last ones."""
    return landed if len(landed) <= MEASURED_BY else [landed[0], *landed[1 - MEASURED_BY :]]
