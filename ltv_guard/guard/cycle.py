"""The cycle of one account: observe, settle, decide, write down, send. Reads top to bottom like a runbook."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace

import structlog

from ltv_guard.core.decide.decide import decide
from ltv_guard.core.decide.decision import Cause, Decision, EpisodeChange
from ltv_guard.core.decide.facts import AccountFacts
from ltv_guard.core.decide.release import within_maximum
from ltv_guard.core.decide.reread import asks_for_another_read, asks_for_other_prices
from ltv_guard.core.model.defects import Defect
from ltv_guard.core.model.errors import (
    AlreadyOpen,
    ExchangeUnavailable,
    JournalUnavailable,
    NeedsHuman,
    WriteOutcomeUnknown,
    WriteRejected,
)
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Direction, Kind, LoanKey, Moment, Owner, Product
from ltv_guard.core.model.policy import Rulebook
from ltv_guard.core.model.withheld import Why, Withheld
from ltv_guard.core.ports import (
    AccountExchange,
    Clock,
    Episode,
    Identity,
    Journal,
    LoanExchange,
    Oddity,
    WritePath,
)
from ltv_guard.guard import wording
from ltv_guard.guard.appraisal import Appraisal
from ltv_guard.guard.contradictions import Contradictions
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.directions import Directions
from ltv_guard.guard.facts import FactBuilder
from ltv_guard.guard.freshness_judge import FreshnessJudge
from ltv_guard.guard.history_reads import horizon_ms
from ltv_guard.guard.key_access import KeyAccess
from ltv_guard.guard.last_known import LastKnown
from ltv_guard.guard.loan_watch import LoanWatch
from ltv_guard.guard.plan import plan
from ltv_guard.guard.reads import Reads
from ltv_guard.guard.reconciler import Reconciler
from ltv_guard.guard.refusals import Refusals
from ltv_guard.guard.reporter import Reporter
from ltv_guard.guard.sender import Sender
from ltv_guard.guard.settings_match import Matcher
from ltv_guard.guard.slowness import Slowness
from ltv_guard.guard.snapshot import CycleResult, GuardOptions, Snapshot, TooOld
from ltv_guard.guard.state.memory import Memory
from ltv_guard.log.alert_repeater import AlertRepeater

LATEST_START = 0.6  # of max_snapshot_age: so long a cycle goes on to begin adjustments
READ_AGAIN = 0.5  # of max_snapshot_age: a loan seen longer ago is read by its id before it is acted on

log = structlog.stdlib.get_logger()


class Guard:
    """Keeps the loans of one account. `new_id` and `seed` are its only randomness.

    `products` list loans and adjust their collateral; `others` are the ways to repay and to transfer coins.
    `after` is a guard of the same user and journal, which this one follows: it knows what that one knew.
    """

    def __init__(  # noqa: PLR0913 - the composition root hands it everything it may touch
        self,
        options: GuardOptions,
        *,
        account: AccountExchange,
        products: Sequence[LoanExchange],
        others: Sequence[WritePath] = (),
        journal: Journal,
        clock: Clock,
        rulebook: Rulebook,
        new_id: Callable[[], str],
        seed: Callable[[], int],
        claim: Callable[[Identity], Awaitable[None]] | None = None,
        stopping: Callable[[], bool] = lambda: False,
        matcher: Matcher | None = None,
        oddities: Callable[[], Iterable[Oddity]] = tuple,
        after: Guard | None = None,
    ) -> None:
        self.options = options
        self._products = {exchange.product: exchange for exchange in products}
        self._paths = {path.channel: path for path in (*products, *others)}
        self._journal = journal
        self._clock = clock
        self._new_id = new_id
        self._seed = seed
        self._stopping = stopping
        self._matcher = matcher
        self._oddities = oddities
        self._owner: Owner | None = None
        self._started_ms = clock.now().monotonic_ms
        self._trusted = options.continuous
        self._restorations = len(journal.restorations)
        self._memory = Memory(journal)
        self._last_known = LastKnown()
        if after is not None:
            self._take_over(after)
        self._lock = asyncio.Lock()
        self._alerts = AlertRepeater(lambda: clock.now().monotonic_ms)
        self._defects = Defects(self._alerts)
        self._contradictions = Contradictions(self._alerts)
        self._horizon_ms = horizon_ms(rulebook)
        self._freshness = FreshnessJudge(rulebook, self._memory, options.timeouts)
        self._appraisal = Appraisal(
            rulebook,
            self._memory,
            self._freshness,
            self._last_known,
            self._defects,
            longest_gap_ms=2 * options.poll_interval_ms + options.max_snapshot_age_ms,
        )
        self._facts = FactBuilder(options, rulebook, self._memory, self._freshness, self._defects)
        self._report = Reporter(options.blind_after_cycles, self._alerts, self._memory.freshness)
        self._slowness = Slowness(self._alerts, longest_ms=options.max_snapshot_age_ms)
        self._key_access = KeyAccess(options, account, clock, self._report, claim)
        self._sender = Sender(
            self._memory.intents, clock, max_age_ms=options.max_snapshot_age_ms, stopping=stopping
        )
        self._directions = Directions(self._memory.intents, self._alerts)
        self._refusals = Refusals(
            self._memory.refusals,
            self._memory.bounds,
            self._memory.loans,
            self._key_access,
            self._directions,
        )
        self._reconciler = Reconciler(
            clock,
            self._memory,
            self._alerts,
            self._sender,
            options.timeouts,
            on_absent=self._refusals.found_absent,
        )
        self._reads = Reads(
            options,
            account=account,
            products=self._products,
            paths=self._paths,
            clock=clock,
            rulebook=rulebook,
            intents=self._memory.intents,
            appraisal=self._appraisal,
            reconciler=self._reconciler,
            report=self._report,
            loans=self._memory.loans,
            conditions=LoanWatch(rulebook, self._memory.loans, self._alerts),
            alerts=self._alerts,
            last_known=self._last_known,
            defects=self._defects,
        )

    async def cycle(self) -> CycleResult:
        """One cycle. Raises JournalUnavailable: nothing is sent without a journal."""
        async with self._lock:
            began = self._clock.now()
            with structlog.contextvars.bound_contextvars(
                account=self.options.account, cycle_id=self._new_id()[:8]
            ):
                try:
                    outcome, withheld = await self._cycle()
                finally:
                    with self._defects.contained("reporting oddities"):
                        self._report.oddities(self._oddities())
                with self._defects.contained("reporting the cycle"):
                    self._report.finished(outcome, withheld, self._clock.now().ms_since(began))
                if not (outcome.left_open or self._stopping()):  # it must not hold up what is under way
                    with self._defects.contained("looking at the key"):
                        await self._key_access.look_again()
                    with self._defects.contained("comparing the settings"):
                        await self._compare_settings(outcome)
            return outcome

    async def _compare_settings(self, outcome: CycleResult) -> None:
        """Once, when nothing presses: whether what the settings name exists at the exchange."""
        pressing = outcome.blind or any(decision.breach for decision in outcome.decisions)
        if self._matcher is not None and not pressing:
            loans = [decision.loan for decision in outcome.decisions]
            await self._matcher.look_once(loans, [item.key for item in outcome.set_aside])

    def _take_over(self, before: Guard) -> None:
        if before._journal is not self._journal:
            msg = "a guard follows another only with its journal: what is remembered is written to that"
            raise ValueError(msg)
        self._owner = before._owner
        self._started_ms = before._started_ms
        self._trusted = before._trusted
        self._restorations = before._restorations
        self._memory = before._memory
        self._last_known = before._last_known

    async def drain(self) -> None:
        """Waits for what has left to be answered and journalled."""
        await self._sender.drain()
        await self._reads.close()

    async def _cycle(self) -> tuple[CycleResult, Withheld | None]:
        owner = await self.know_ourselves()
        if owner is None:
            result = CycleResult(blind=True, why_blind=self._report.why_blind, trusts_journal=self._trusted)
            return result, None
        snapshot = Snapshot()
        await self._reads.observe(snapshot)
        await self._settle(owner, snapshot)
        decisions = await self._decide(snapshot)
        with self._defects.contained("holding the directions against the history"):
            self._directions.look(snapshot)
        snapshot.withheld = await self._withheld(snapshot)
        if self.options.live:
            with self._defects.contained("keeping episodes"):
                await self._keep_episodes(owner, snapshot, decisions)
        self._tell(snapshot, decisions)
        actions = await self._act(owner, snapshot, decisions) if snapshot.withheld is None else 0
        return self._conclude(snapshot, decisions, actions), snapshot.withheld

    def _tell(self, snapshot: Snapshot, decisions: tuple[Decision, ...]) -> None:
        """Words only: no error in them may cost a loan its help."""
        for decision in decisions:
            for defect in decision.defects:
                self._defects.tell(defect)
            with self._defects.contained("reporting a decision"):
                stopped = self._directions.why_not(decision.loan.key.product)
                self._report.decisions.tell([decision], snapshot.withheld or stopped)
            with self._defects.contained("reporting a contradiction"):
                self._contradictions.contradiction(decision, snapshot.prices_again or snapshot.prices)
        with self._defects.contained("reporting doubts"):
            self._report.decisions.doubts(decisions, self._clock.now(), 2 * self._freshness.echo_ms)

    def _conclude(self, snapshot: Snapshot, decisions: tuple[Decision, ...], actions: int) -> CycleResult:
        """What came of it, and how soon to look again."""
        self._memory.forget_before(self._clock.now().exchange_ms - self._horizon_ms)
        waiting = {Cause.NOT_FRESH, Cause.OPEN_INTENT}
        if snapshot.withheld is None:  # for coins that landed, for another try before debt is repaid
            waiting |= {Cause.TRANSFER, Cause.REPAY}
        waits = self.options.live and any(
            decision.breach and (decision.cause in waiting or (decision.acts and not self._trusted))
            for decision in decisions
        )
        # What is withheld is not sent sooner for looking more often; what waits for time alone may be.
        held_up = snapshot.withheld is not None and not snapshot.withheld.ends_by_itself
        busy = bool(snapshot.open_intents or actions) or (
            not held_up and any(d.needs_a_closer_look for d in decisions)
        )
        return CycleResult(
            loans=len(snapshot.loans),
            actions=actions,
            left_open=len(snapshot.open_intents) + actions,
            blind=len(snapshot.books) < len(self._products),
            slow=self._slowness.tell(snapshot),
            busy=busy,
            waits=waits,
            trusts_journal=self._trusted,
            why_blind=self._report.why_blind,
            withheld=snapshot.withheld,
            wallet=None if snapshot.wallet_is_old else snapshot.wallet,
            set_aside=tuple(item for book in snapshot.books.values() for item in book.set_aside),
            decisions=decisions,
        )

    async def know_ourselves(self) -> Owner | None:
        """Whose key this is: intents belong to the exchange's user. None while the exchange does not say."""
        if self._owner is not None:
            return self._owner
        # Asked at the start as well, where no cycle has named the account yet.
        with structlog.contextvars.bound_contextvars(account=self.options.account):
            owner = await self._key_access.know()
        if owner is not None:
            since = self._clock.now().exchange_ms - self._horizon_ms
            await self._memory.intents.recall(owner, since)
            self._owner = owner
        return self._owner

    # Settle: every open intent, before anything new is decided about its loan.

    async def _settle(self, owner: Owner, snapshot: Snapshot) -> None:
        intents = await self._reconciler.take_over(await self._memory.intents.recall_open(owner))
        await self._reads.read_what_settles(snapshot, intents, trusted=self._trusted)
        snapshot.open_intents = intents  # after an error of ours in settling they stay open
        with self._defects.contained("settling"):
            snapshot.open_intents = await self._reconciler.settle(intents, snapshot.books, snapshot.histories)
        snapshot.episodes = {item.key: item for item in await self._journal.episodes(owner)}

    # Decide: the facts of every loan, then one pure function.

    async def _decide(self, snapshot: Snapshot) -> tuple[Decision, ...]:
        account, decisions = self._decisions(snapshot)
        if any(decision.needs_a_closer_look for decision in decisions):
            emergency = any(facts.is_at_emergency for facts in account.loans)
            await self._reads.look_closer(snapshot, emergency=emergency)
            with self._defects.contained("settling by what the coins show"):
                wallet = None if snapshot.wallet_is_old else snapshot.wallet
                snapshot.open_intents = await self._reconciler.settle_by_coins(
                    snapshot.open_intents, snapshot.books, wallet
                )
            account, decisions = self._decisions(snapshot)
            if await self._read_again(snapshot, account, decisions):
                account, decisions = self._decisions(snapshot)
            with self._defects.contained("remembering prices"):
                self._learn_prices(snapshot)
        return decisions

    def _decisions(self, snapshot: Snapshot) -> tuple[AccountFacts, tuple[Decision, ...]]:
        now = self._clock.now()
        self._appraisal.appraise(snapshot, now)
        account = self._facts.account(snapshot, now)
        return account, decide(account)

    async def _read_again(
        self, snapshot: Snapshot, account: AccountFacts, decisions: Sequence[Decision]
    ) -> bool:
        """What one read alone says is read again before it is acted on, if it is out of the ordinary."""
        facts_of = {facts.loan.key: facts for facts in account.loans}
        odd = [item for item in decisions if asks_for_another_read(facts_of[item.loan.key], item)]
        parted = frozenset() if snapshot.quotes is None else snapshot.quotes.parted
        prices = any(asks_for_other_prices(item.loan, item, parted) for item in decisions)
        if not odd and not prices:
            return False
        keys = [item.loan.key for item in odd]
        await self._reads.look_twice(snapshot, keys, prices=prices or bool(odd))
        with self._defects.contained("reporting what was read again"):
            self._contradictions.read_again(snapshot.before, snapshot.loans)
        return True

    def _learn_prices(self, snapshot: Snapshot) -> None:
        now = self._clock.now()
        if snapshot.quotes is not None and snapshot.prices is not None:
            self._contradictions.prices(snapshot.quotes, self._last_known.prices)
            self._last_known.saw_prices(snapshot.quotes, now)

    async def _keep_episodes(self, owner: Owner, snapshot: Snapshot, decisions: Sequence[Decision]) -> None:
        now_ms = self._clock.now().exchange_ms
        for decision in decisions:
            key = decision.loan.key
            if decision.episode is EpisodeChange.OPENS:
                await self._journal.write_episode(owner, Episode(key=key, opened_at_ms=now_ms))
            elif decision.episode is EpisodeChange.CLOSES:
                opened = snapshot.episodes[key].opened_at_ms
                await self._journal.write_episode(
                    owner, Episode(key=key, opened_at_ms=opened, closed_at_ms=now_ms)
                )

    # Act: most urgent first, each on facts that are still fresh when it leaves.

    async def _withheld(self, snapshot: Snapshot) -> Withheld | None:
        """Why nothing may be sent for this account now, if so."""
        pauses = await self._journal.pauses()
        self._heed_restorations()
        pause = next((item for item in pauses if item.account in {None, self.options.account}), None)
        with self._defects.contained("reporting a pause"):
            self._report.paused(pause)
        human = await self._key_access.why_not()
        if not self.options.live:
            return Withheld(kind=Why.DRY_RUN)
        if pause is not None:
            return Withheld(kind=Why.PAUSED, detail=pause.reason)
        if human is not None:
            return Withheld(kind=Why.NEEDS_HUMAN, detail=human)
        if not self._trusted and not self._window_has_passed(snapshot):
            return Withheld(kind=Why.WAITING)
        return None

    def _heed_restorations(self) -> None:
        """A journal that lost what was written is as one that is new: what it lacks may have been sent."""
        found = self._journal.restorations
        if len(found) > self._restorations:
            self._restorations = len(found)
            self._trusted, self._started_ms = False, self._clock.now().monotonic_ms
            log.critical("journal_restored", why=found[-1])

    def _window_has_passed(self, snapshot: Snapshot) -> bool:
        """Whether all that another journal may have sent is visible by now, and has been read."""
        timeouts = self.options.timeouts
        over_ms = self._started_ms + self.options.recv_window_ms + timeouts.processing_margin_ms
        self._trusted = all(
            channel in snapshot.histories and snapshot.histories[channel].began.monotonic_ms > over_ms
            for channel in self._reads.own_channels(self._products)
        )
        if self._trusted:  # what a restored journal has lost is over by now, and never will be settled
            self._memory.intents.forget_open_but(snapshot.open_intents)
        return self._trusted

    async def _act(self, owner: Owner, snapshot: Snapshot, decisions: Sequence[Decision]) -> int:
        """Each kind of write at its own pace: an order waits for no pool's turn, nor for a transfer's."""
        lanes: dict[tuple[Product, Kind], list[Decision]] = {}
        for decision in decisions:
            stopped = self._directions.why_not(decision.loan.key.product) is not None
            if decision.direction is not None and not stopped:
                kind = decision.direction.kind
                lanes.setdefault((decision.loan.key.product, kind), []).append(decision)
        acting = (self._act_in_turn(owner, snapshot, lane) for lane in lanes.values())
        done = await asyncio.gather(*acting, return_exceptions=True)
        failures = [item for item in done if isinstance(item, BaseException)]
        if failures:  # raised only now: the other product's adjustment was not to be cut off
            raise failures[0]
        return sum(item for item in done if isinstance(item, int))

    async def _act_in_turn(self, owner: Owner, snapshot: Snapshot, decisions: Sequence[Decision]) -> int:
        actions, began = 0, self._clock.now()
        # For no longer than the reading took, where that is slow: others may need help by then.
        span_ms = max(LATEST_START * self.options.max_snapshot_age_ms, self._reads.age_ms(snapshot))
        for decision in decisions:
            if self._stopping() or self._key_access.is_lost:
                break
            if actions and self._clock.now().ms_since(began) > span_ms:
                break
            product = decision.loan.key.product
            adjusts = decision.kind is Kind.ADJUSTMENT
            if actions and adjusts and not self._directions.allow_another(product, self._clock.now()):
                break  # the first tells whether the exchange means what we mean; the next cycle goes on
            current: Decision | None = decision  # sent only where its facts are not too old
            with self._defects.contained("deciding on facts of now"):
                current = await self._on_facts_of_now(snapshot, decision)
            if current is not None:
                done = await self._adjust(owner, snapshot, current)
                actions += done
                if done and adjusts:
                    with self._defects.contained("noting what was sent"):
                        self._directions.sent(product, self._clock.now())
        return actions

    async def _on_facts_of_now(self, snapshot: Snapshot, decision: Decision) -> Decision | None:
        """The decision, made anew where its loan was read a while ago; None where it no longer holds."""
        key, releases = decision.loan.key, decision.direction is Direction.REDUCE
        is_old = self._reads.age_of_ms(snapshot, key) > READ_AGAIN * self.options.max_snapshot_age_ms
        if is_old and not releases and await self._reads.read_again(snapshot, key):
            _, anew = self._decisions(snapshot)
            found = next((item for item in anew if item.loan.key == key), None)
            if found is None or found.kind is not decision.kind:
                return None
            with self._defects.contained("reporting a decision"):
                self._report.decisions.tell([found], snapshot.withheld)
            decision = found
        return None if self._note_if_too_old(snapshot, decision) else decision

    def _facts_began(self, snapshot: Snapshot, decision: Decision) -> Moment:
        # A release is made on nothing old at all: a loan that was not looked at may need the coins.
        return (
            snapshot.began if decision.direction is Direction.REDUCE else snapshot.asked_at(decision.loan.key)
        )

    async def _adjust(self, owner: Owner, snapshot: Snapshot, decision: Decision) -> int:
        """One adjustment, from decision to answer. A loan that fails here does not stop the others."""
        key = decision.loan.key
        with structlog.contextvars.bound_contextvars(product=key.product, loan_id=key.loan_id):
            try:
                intent = await self._plan(owner, snapshot, decision)
                if intent is None:
                    return 0
                shown = None if snapshot.wallet_is_old else snapshot.wallet
                self._memory.wallet.note_before(intent, shown)
                snapshot.begun[intent.intent_id] = intent
                facts_began = self._facts_began(snapshot, decision)
                after, refusal = await self._sender.send(intent, self._paths[intent.channel], facts_began)
                snapshot.begun[intent.intent_id] = after
            except (ExchangeUnavailable, NeedsHuman, AlreadyOpen) as error:
                log.warning("adjustment_put_off", why=str(error))
                return 0
            except JournalUnavailable:
                raise
            except Exception as error:  # noqa: BLE001 - the next coin, or kind of help, has its turn
                self._defects.tell(Defect(what=f"sending: {decision.direction}", error=error))
                self._rest(decision, f"an error of ours ({type(error).__name__})", lasting=True)
                return 0
            if isinstance(refusal, WriteRejected | WriteOutcomeUnknown):
                self._refusals.heed(after, refusal, self._clock.now())
            if after.is_open:
                self._memory.intents.watch(after, self._clock.now())
            elif after.state is State.WITHDRAWN:
                self._note_if_too_old(snapshot, decision)
                return 0
            return 1

    def _note_if_too_old(self, snapshot: Snapshot, decision: Decision) -> bool:
        age_ms = self._clock.now().ms_since(self._facts_began(snapshot, decision))
        if age_ms > self.options.max_snapshot_age_ms:
            snapshot.too_old.append(TooOld(decision, age_ms))
            return True
        return False

    def _rest(self, decision: Decision, why: str, *, lasting: bool) -> None:
        """Leaves the coin of what could not be done alone for a while: a transfer's is the wallet's."""
        if decision.direction is None or decision.coin is None:
            return
        transfer = decision.direction is Direction.TRANSFER
        key = LoanKey(Product.FUNDING, decision.coin) if transfer else decision.loan.key
        now = self._clock.now()
        self._memory.refusals.refuse(key, decision.direction, decision.coin, why, now, lasting=lasting)

    async def _plan(self, owner: Owner, snapshot: Snapshot, decision: Decision) -> Intent | None:
        if decision.direction is Direction.REDUCE:
            decision = await self._within_maximum(snapshot, decision)
        intent = plan(
            decision,
            owner=owner,
            account=self.options.account,
            intent_id=self._new_id(),
            observed=snapshot.asked_at(decision.loan.key),
            now=self._clock.now(),
            memory=self._memory,
            timeouts=self.options.timeouts,
            seed=self._seed(),
            wallet=snapshot.wallet,
        )
        if decision.direction is not None:
            with self._defects.contained("reporting an amount"):
                self._report.decisions.amount(decision, free=intent is not None)
            if intent is None and decision.loan.totals is not None:  # a pool's next coin has its turn
                why = "every amount of it is in use by an adjustment that is not settled"
                self._rest(decision, why, lasting=False)
        return intent

    async def _within_maximum(self, snapshot: Snapshot, decision: Decision) -> Decision:
        """The release, no larger than the exchange allows at this moment."""
        loan, coin = decision.loan, decision.coin or ""
        exchange = self._products[loan.key.product]
        history = snapshot.histories.get(exchange.channel)
        if history is None or self._clock.now().ms_since(history.began) > self.options.max_snapshot_age_ms:
            return replace(decision, direction=None)
        decision = within_maximum(decision, await exchange.max_reduction(loan, coin))
        with self._defects.contained("reporting a decision"):
            self._report.decisions.tell([decision], None)
        if not decision.acts:
            why, now = wording.reason_or_cause(decision), self._clock.now()
            self._memory.refusals.refuse(loan.key, Direction.REDUCE, coin, why, now, lasting=True)
        return decision
