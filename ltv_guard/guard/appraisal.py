"""What a read amounts to, held against what is remembered: the one place where reading advances trackers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from functools import partial

from ltv_guard.core.amounts.composition import composition_of
from ltv_guard.core.decide.quotes import Quotes, quoted
from ltv_guard.core.model.defects import Defect, attempt
from ltv_guard.core.model.loans import Loan, LoanKey, Moment
from ltv_guard.core.model.policy import Rulebook, Thresholds, thresholds
from ltv_guard.core.model.steps import Steps, done
from ltv_guard.core.reconcile.freshness import FRESH, Freshness
from ltv_guard.core.reconcile.plausibility import as_it_reckons, hides_a_breach
from ltv_guard.core.watch.trigger_index import QUOTE
from ltv_guard.guard.appraised import Appraised, Rest, coins_of
from ltv_guard.guard.at_rest import NONE
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.freshness_judge import FreshnessJudge
from ltv_guard.guard.snapshot import Snapshot
from ltv_guard.guard.state.memory import Memory


class Appraisal:
    """Called after each read. `longest_gap_ms`: between two looks at a loan, so long still counts as seen."""

    def __init__(
        self,
        rulebook: Rulebook,
        memory: Memory,
        freshness: FreshnessJudge,
        defects: Defects,
        *,
        longest_gap_ms: int,
    ) -> None:
        self._rulebook = rulebook
        self._memory = memory
        self._freshness = freshness
        self._defects = defects
        self._longest_gap_ms = longest_gap_ms
        self._limits: dict[
            tuple[int, Decimal], Thresholds
        ] = {}  # by policy (the rulebook's own), margin call

    def appraise(
        self,
        snapshot: Snapshot,
        now: Moment,
        only: Collection[LoanKey] | None = None,
        at_rest: Rest = NONE,
    ) -> None:
        """Notes what the snapshot's reads show, and what they amount to in `quotes` and `appraised`.

        `only`: the loans that were read again since the last time; None: all were. Of those at rest there
        is nothing to note.
        """
        done(self.appraising(snapshot, now, only, at_rest))

    def appraising(
        self,
        snapshot: Snapshot,
        now: Moment,
        only: Collection[LoanKey] | None = None,
        at_rest: Rest = NONE,
    ) -> Steps[None]:
        """The same, a step for each loan. One that is left is as a read that showed the others only."""
        for intent in snapshot.open_now:
            self._memory.intents.watch(intent, now)
        if (wallet := snapshot.wallet_as_read) is not None:
            read_at = snapshot.wallet_began or now
            self._memory.wallet.saw(wallet, read_at, longest_ms=self._freshness.echo_ms)
        snapshot.quotes = self._quotes_or_prices(snapshot, now)
        prices = snapshot.believed_prices
        if only is None:
            snapshot.appraised = dict(at_rest.appraised)
        for loan in snapshot.awake(at_rest):
            if only is not None and loan.key not in only:
                continue
            look = partial(self._loan, loan, snapshot, prices, now)
            snapshot.appraised[loan.key] = attempt("the facts of a loan", look)
            yield

    def appraise_adjusted(self, snapshot: Snapshot, now: Moment) -> list[Loan]:
        """The same for adjusted loans. Those that are shown as before an adjustment that was shown."""
        adjusted, at_rest = self._memory.intents.loans, snapshot.at_rest  # none of the former is at rest
        self.appraise(snapshot, now, only=adjusted, at_rest=at_rest)
        awake = snapshot.awake(at_rest)
        found = [snapshot.appraised[loan.key] for loan in awake if loan.key in adjusted]
        old = [item.loan for item in found if isinstance(item, Appraised) and item.freshness.is_old]
        return [loan for loan in old if self._memory.freshness.is_shown_as_before(loan.key)]

    # Prices.

    def _quotes_or_prices(self, snapshot: Snapshot, now: Moment) -> Quotes | None:
        """What the coins of the loans are worth; None before prices were asked for, or where none tells."""
        if snapshot.wallet_began is None:
            return None
        found = attempt("prices", lambda: self._quotes(snapshot, now))
        if isinstance(found, Defect):
            self._defects.tell(found)
            return None if snapshot.prices is None else Quotes(prices=snapshot.prices)
        return found

    def _quotes(self, snapshot: Snapshot, now: Moment) -> Quotes | None:
        at_rest, awake = snapshot.at_rest, snapshot.awake(snapshot.at_rest)
        implied: dict[str, Decimal] = {}
        for loan in (*at_rest.telling.values(), *awake):
            implied |= composition_of(loan).implied_prices()
        if snapshot.prices is None:
            return Quotes(prices={QUOTE: Decimal(1), **implied}) if implied else None
        coins = at_rest.coins.union(*map(coins_of, awake))
        read = {coin: price for coin, price in snapshot.prices.items() if coin in coins}
        again = snapshot.prices_again
        again = None if again is None else {coin: price for coin, price in again.items() if coin in coins}
        return quoted(read, again, self._memory.last_known.prices, implied, now.monotonic_ms)

    # A loan: what is believed of it, and whether that includes what was done to it.

    def _loan(
        self, loan: Loan, snapshot: Snapshot, prices: Mapping[str, Decimal] | None, now: Moment
    ) -> Appraised:
        limits = self._limits_of(loan)
        hidden = hides_a_breach(loan, prices, limits.trigger)
        before = snapshot.before.get(loan.key)
        hidden_ms = self._memory.hidden.saw(loan.key, hidden=hidden, seen_at=snapshot.asked_at(loan.key))
        # A debt that is shown late contradicts an LTV that is right, for as long as it is late.
        stands = loan.ltv == 0 or hidden_ms > self._freshness.echo_ms
        again = before is not None and hides_a_breach(before, prices, limits.trigger)
        reckoned = hidden and stands and again
        if reckoned:
            loan = as_it_reckons(loan, prices)
        freshness = self._judge(loan, snapshot, now, emergency=loan.ltv >= limits.emergency)
        self._memory.low_ltv.saw(
            loan.key,
            low=loan.ltv < limits.release_trigger,
            seen_at=snapshot.asked_at(loan.key),
            longest_gap_ms=self._longest_gap_ms,
        )
        return Appraised(
            loan=loan,
            limits=limits,
            freshness=freshness,
            is_reckoned=reckoned,
            hides_breach=hidden and not reckoned,
        )

    def _limits_of(self, loan: Loan) -> Thresholds:
        """The thresholds that hold for it: the same object for most of a thousand loans."""
        policy = self._rulebook.policy_for(loan)
        key = (id(policy), loan.margin_call_ltv)
        if (found := self._limits.get(key)) is None:
            found = self._limits[key] = thresholds(policy, loan)
        return found

    def _judge(self, loan: Loan, snapshot: Snapshot, now: Moment, *, emergency: bool) -> Freshness:
        seen, judge = self._memory.freshness, self._freshness
        back = judge.shown_before(loan, now)
        if back:
            seen.doubt_again(loan.key, back)
        began = snapshot.asked_at(loan.key)
        landed = seen.landed(loan.key, now)
        if not landed:
            seen.believed(loan, began)
            return FRESH
        for item in landed:
            seen.saw_coins(item, loan, began)
        comparison = judge.compare(loan, landed, snapshot, emergency=emergency)
        found = comparison.shown
        seen.let_go(comparison.let_go)
        # Fresh for long enough without a break: what is shown since then is not taken for old again.
        for item in landed:
            seen.saw(item, fresh=found.fresh, at=began, long_enough_ms=judge.echo_ms)
        if found.fresh:
            seen.believed(loan, began)
        elif emergency and judge.does_not_fit(loan, landed, began):
            seen.let_go(landed)
            return FRESH
        return FRESH if judge.may_not_wait(landed, found, now, emergency=emergency) else found
