"""From what was read and is remembered to the facts that the policy decides on. Notes and sends nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType

from ltv_guard.core.decide.facts import AccountFacts, LoanFacts
from ltv_guard.core.model.contracts import ContractList
from ltv_guard.core.model.defects import Defect, attempt
from ltv_guard.core.model.history import HistoryRow
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Channel, Direction, Kind, Loan, LoanKey, Moment
from ltv_guard.core.model.policy import Rulebook
from ltv_guard.core.model.steps import Steps, done
from ltv_guard.core.ports import Episode
from ltv_guard.core.reconcile.evidence import is_shown_without
from ltv_guard.core.reconcile.freshness import Doubt, Freshness
from ltv_guard.core.reconcile.plausibility import (
    Bearing,
    bearing,
    lifts_limits,
    may_release,
)
from ltv_guard.core.reconcile.settlement import window_is_over
from ltv_guard.guard.appraised import Appraised
from ltv_guard.guard.contract_facts import ContractFacts
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.freshness_judge import LONGEST_PROCESSING_MS, FreshnessJudge
from ltv_guard.guard.snapshot import GuardOptions, Snapshot
from ltv_guard.guard.state.memory import Memory
from ltv_guard.guard.state.rows import foreign_add_ms

NO_LISTS: Mapping[str, ContractList] = {}
NOTHING: Mapping[str, str] = {}
# Of a release that the exchange took twice, and refused the second time, the first may have landed.
UNSEEN = frozenset({State.ABSENT, State.AMBIGUOUS, State.REJECTED})


class FactBuilder:
    """Gathers the facts of one account."""

    def __init__(
        self,
        options: GuardOptions,
        rulebook: Rulebook,
        memory: Memory,
        freshness: FreshnessJudge,
        defects: Defects,
    ) -> None:
        self._options = options
        self._rulebook = rulebook
        self._memory = memory
        self._freshness = freshness
        self._defects = defects
        same_body_ms = options.timing.backoff.same_body_ms
        self._contracts = ContractFacts(rulebook, memory, defects, same_body_ms=same_body_ms)

    def account(
        self, snapshot: Snapshot, now: Moment, known: Mapping[LoanKey, LoanFacts] | None = None
    ) -> AccountFacts:
        """All that the decisions of an account are made from, at this moment.

        `known`: facts of loans that are as they were when those were gathered. In haste those come first.
        """
        return done(self.gathering(snapshot, now, known))

    def gathering(
        self, snapshot: Snapshot, now: Moment, known: Mapping[LoanKey, LoanFacts] | None = None
    ) -> Steps[AccountFacts]:
        """The same, a step for each loan that is not known. What is of the account is of the last moment."""
        loans = yield from self._each(snapshot, now, known or {})
        read_at = snapshot.wallet_began or now
        on_the_way = self._memory.wallet.on_the_way(
            snapshot.wallet, read_at, longest_ms=self._freshness.echo_ms
        )
        quotes = snapshot.quotes
        return AccountFacts(
            loans=loans,
            wallet=snapshot.wallet,
            wallet_is_old=snapshot.wallet_is_old,
            wallet_unread=snapshot.unread_coins(snapshot.wallet),
            unified_unread=snapshot.unread_coins(snapshot.unified),
            unified=snapshot.unified,
            prices=snapshot.believed_prices,
            doubted_prices=frozenset() if quotes is None else quotes.doubted,
            in_part=snapshot.in_part,
            lacks_known=snapshot.lacks_known,
            **self._contracts.of_pool(snapshot, now),
            wallet_rules=self._rulebook.wallet,
            transfer_rules=self._rulebook.transfers,
            open_unseen=self._open_unseen(snapshot, read_at, now),
            on_the_way=on_the_way,
            overdue=[
                coin for coin, item in on_the_way.items() if item.is_open and self._is_overdue(item, now, now)
            ],
            unmovable=self._memory.refusals.unmovable(now),
            passing=self._memory.refusals.passing(None, Direction.TRANSFER, now),
            added_24h=self._memory.intents.spent_24h(Direction.ADD, now, snapshot.begun),
            repaid_24h=self._memory.intents.spent_24h(Direction.REPAY, now, snapshot.begun),
            repaid_with_collateral_24h=self._memory.intents.spent_24h(
                Direction.REPAY, now, snapshot.begun, with_collateral=True
            ),
            transferred_24h=self._memory.intents.spent_24h(Direction.TRANSFER, now, snapshot.begun),
        )

    def _open_unseen(self, snapshot: Snapshot, read_at: Moment, now: Moment) -> tuple[Intent, ...]:
        """Once overdue, it is gone from the wallet that was `read_at` that moment, or takes nothing more."""
        books = snapshot.books
        unseen = [
            item
            for item in snapshot.open_now
            if item.key.product not in books or not books[item.key.product].tells_of(item.key)
        ]
        return tuple(item for item in unseen if not self._is_overdue(item, read_at, now))

    def _each(
        self, snapshot: Snapshot, now: Moment, known: Mapping[LoanKey, LoanFacts]
    ) -> Steps[tuple[LoanFacts, ...]]:
        rest = snapshot.at_rest
        in_haste = known is rest.facts
        loans = list(known.values()) if in_haste else []
        for loan in snapshot.awake(rest) if in_haste else snapshot.loans:
            facts = None if in_haste else known.get(loan.key)
            if facts is None:
                facts = self._loan(loan, snapshot, now)
                yield
            loans.append(facts)
        return tuple(loans)

    def _loan(self, loan: Loan, snapshot: Snapshot, now: Moment) -> LoanFacts:
        """The facts of one loan. Those that can be done without are, where an error of ours is in them."""
        found: Appraised | LoanFacts | Defect = snapshot.appraised[loan.key]
        if isinstance(found, Appraised):
            appraised = found
            found = attempt("the facts of a loan", lambda: self._facts(loan, appraised, snapshot, now))
        if isinstance(found, LoanFacts):
            return found
        self._defects.tell(found)
        own = snapshot.open_of(loan.key)
        return LoanFacts(
            loan=loan,
            policy=self._rulebook.policy_for(loan),
            freshness=Freshness(doubt=Doubt.DEFECT if self._memory.freshness.landed(loan.key, now) else None),
            open_intents=own,
            bearing=Bearing.UNKNOWN,
            lifts=False,
            may_release=False,
        )

    def _facts(self, shown: Loan, appraised: Appraised, snapshot: Snapshot, now: Moment) -> LoanFacts:
        prices, by_others = snapshot.believed_prices, self._memory.rows.by_others(shown.key)
        loan, fresh, as_shown = appraised.loan, appraised.freshness, not appraised.is_reckoned
        before, episode = snapshot.before.get(loan.key), snapshot.episodes.get(loan.key)
        own = snapshot.open_of(loan.key)
        window_over = all(self._may_be_helped_beside(item, shown, snapshot, now) for item in own)
        done = bool(self._memory.intents.of_loan(loan.key))  # most loans have never been adjusted
        doubted_for_long = done and self._is_doubted_for_long(loan.key, now)
        return LoanFacts(
            loan=loan,
            policy=self._rulebook.policy_for(loan),
            limits=appraised.limits,
            freshness=fresh,
            bearing=bearing(shown, prices),
            lifts=as_shown and lifts_limits(loan, before, prices, appraised.limits.emergency),
            may_release=as_shown and may_release(loan, before, prices),
            hides_breach=appraised.hides_breach,
            open_intents=own,
            window_over=window_over,
            settling=not window_over if own else not (fresh.fresh or doubted_for_long),
            awaits_row=done and self._memory.rows.awaits(loan.key),
            rescues=own[0].rescues_among(self._memory.intents.of_loan(loan.key)) if own else (),
            episode_open=episode is not None and episode.closed_at_ms is None,
            rested_ms=self._rested_ms(loan.key, episode, now),
            unseen_release_ms=self._unseen_release_ms(loan.key, now),
            low_for_ms=self._memory.low_ltv.low_for_ms(loan.key),
            foreign_add_ms=foreign_add_ms(by_others, now),
            changed_by_others=self._may_lack(snapshot.asked_at(shown.key), by_others),
            may_precede_repayment=done and self._freshness.may_precede_repayment(shown, snapshot, now),
            refused=self._memory.refusals.refused(loan.key, Direction.ADD, now),
            shunned=self._memory.refusals.shunned(loan.key, Direction.ADD, now),
            at_least=self._memory.bounds.at_least(loan),
            passing=self._memory.refusals.passing(loan.key, Direction.ADD, now),
            kept=self._memory.refusals.refused(loan.key, Direction.REDUCE, now),
            unpayable=self._unpayable(loan, snapshot, now),
            unsellable=self._unsellable(loan, snapshot, now),
            contracts=self._memory.contracts.lists if loan.is_pool else NO_LISTS,
            contracts_closed=self._contracts.why_closed(loan, snapshot),
            unsellable_for=self._memory.refusals.unsellable_for(loan.key, now),
        )

    def _is_doubted_for_long(self, key: LoanKey, now: Moment) -> bool:
        return self._memory.freshness.doubted_for_ms(key, now) > self._freshness.echo_ms

    def _may_lack(self, asked: Moment, rows: Iterable[HistoryRow]) -> bool:
        """Whether what was asked for then may not show one of them yet."""
        return any(row.at_ms > asked.exchange_ms - self._freshness.echo_ms for row in rows)

    def _unpayable(self, loan: Loan, snapshot: Snapshot, now: Moment) -> Mapping[str, str]:
        """What was repaid before has to be known, or it could be taken for ours."""
        if Channel(loan.key.product, Kind.REPAYMENT) not in snapshot.histories:
            return _unread(tuple(debt.coin for debt in loan.debts))
        return self._memory.refusals.refused(loan.key, Direction.REPAY, now)

    def _unsellable(self, loan: Loan, snapshot: Snapshot, now: Moment) -> Mapping[str, str]:
        """By coin of the collateral; as for `_unpayable`."""
        if not loan.is_pool:
            return NOTHING
        if Channel(loan.key.product, Kind.REPAYMENT) not in snapshot.histories:
            return _unread(tuple(held.coin for held in loan.collateral))
        return self._memory.refusals.unsellable(loan.key, now)

    def _is_overdue(self, intent: Intent, at: Moment, now: Moment) -> bool:
        """Whether its window was over `at` that moment, and the exchange is not processing it."""
        watch = self._memory.intents.watched(intent, now)
        over = window_is_over(intent, watch, at, self._options.timeouts)
        return over and not self._is_processed(intent, now)

    def _may_be_helped_beside(self, intent: Intent, loan: Loan, snapshot: Snapshot, now: Moment) -> bool:
        """Whether it is overdue, and the loan is not shown as before it, though it had shown it."""
        watch, rows = self._memory.intents.watched(intent, now), self._memory.rows.of(intent.key)
        is_overdue = self._is_overdue(intent, snapshot.asked_at(loan.key), now)
        return is_overdue and not is_shown_without(intent, watch, loan, rows)

    def _is_processed(self, intent: Intent, now: Moment) -> bool:
        """Whether the exchange says that it is still at it: it will land, or fail, without another's help."""
        watch = self._memory.intents.watched(intent, now)
        said = self._memory.rows.is_processed(intent, watch.row_id)
        return said and now.monotonic_ms - watch.since.monotonic_ms < LONGEST_PROCESSING_MS

    def _rested_ms(self, key: LoanKey, episode: Episode | None, now: Moment) -> int | None:
        closed_ms = None if episode is None else episode.closed_at_ms
        ends = [ms for ms in (self._memory.intents.last_release_ms(key), closed_ms) if ms is not None]
        return now.exchange_ms - max(ends) if ends else None

    def _unseen_release_ms(self, key: LoanKey, now: Moment) -> int | None:
        ended_ms = self._memory.intents.last_release_ms(key, UNSEEN)
        return None if ended_ms is None else now.exchange_ms - ended_ms


@lru_cache(maxsize=64)
def _unread(coins: tuple[str, ...]) -> Mapping[str, str]:
    """One for all loans of these coins."""
    return MappingProxyType(dict.fromkeys(coins, "the list of repayments could not be read"))
