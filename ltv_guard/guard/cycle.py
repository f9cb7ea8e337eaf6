"""The cycle of one account: read, settle, decide, look closer, tell, act, conclude. Reads like a runbook."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace

import structlog

from ltv_guard.core.decide.decision import Decision
from ltv_guard.core.model.loans import LoanKey, Owner
from ltv_guard.core.model.policy import Rulebook
from ltv_guard.core.ports import Journal, Standing
from ltv_guard.guard.charges import tell_charges
from ltv_guard.guard.decider import Decided
from ltv_guard.guard.journal_trust import JournalTrust
from ltv_guard.guard.needs import horizon_ms
from ltv_guard.guard.parts import Parts
from ltv_guard.guard.reads.closer_look import Wanted
from ltv_guard.guard.settings_match import Matcher
from ltv_guard.guard.snapshot import CycleResult, GuardOptions, Snapshot
from ltv_guard.guard.state.intent_book import IntentBook
from ltv_guard.guard.state.memory import Memory
from ltv_guard.guard.surroundings import AccountPorts, Surroundings
from ltv_guard.log.alert_repeater import AlertRepeater

CROSSED_WITHIN_S = 0.1  # to decide on a thousand loans takes as long: what is left is sooner done in haste


class Guard:
    """Keeps the loans of one account.

    `after` is a guard of the same user and journal, which this one follows: it knows what that one knew.
    `matcher` compares what the settings name with what exists, once.
    """

    def __init__(
        self,
        options: GuardOptions,
        exchange: AccountPorts,
        surroundings: Surroundings,
        *,
        journal: Journal,
        rulebook: Rulebook,
        matcher: Matcher | None = None,
        after: Guard | None = None,
    ) -> None:
        self.options = options
        self._exchange = exchange
        self._around = surroundings
        self._clock = surroundings.clock
        self._rulebook = rulebook
        self._horizon_ms = horizon_ms(rulebook)
        self._memory = Memory(journal, options.timing.backoff)
        self._trust = JournalTrust(options, self._memory, self._clock)
        if after is not None:
            self._take_over(after)
        self._parts = Parts(
            options=options,
            exchange=exchange,
            around=surroundings,
            rulebook=rulebook,
            memory=self._memory,
            trust=self._trust,
            matcher=matcher,
        )
        self._key_access = self._parts.key_access
        self._defects = self._parts.words.defects
        self._report = self._parts.words.report
        self._parts.reads.loans.urgent.on_hurry = self._parts.read_ahead.begin_anew
        self._pressing, self._unhurried = self._parts.pressing, self._parts.unhurried
        if after is not None:
            self.alerts.shows_too(after.alerts)
        self._pressed = False  # the last cycle asked for more than the loans: so may the next
        self._lock = asyncio.Lock()

    def _take_over(self, before: Guard) -> None:
        if before._memory.journal is not self._memory.journal:
            msg = "a guard follows another only with its journal: what is remembered is written to that"
            raise ValueError(msg)
        self._memory = before._memory
        self._trust = JournalTrust(self.options, self._memory, self._clock)
        self._trust.take_over(before._trust)

    async def cycle(self) -> CycleResult:
        """One cycle. Raises JournalUnavailable: nothing is sent without a journal."""
        async with self._lock:
            began = self._clock.now()
            self._pressing.cycle_begins()
            with structlog.contextvars.bound_contextvars(
                account=self.options.account, cycle_id=self._around.new_id()[:8]
            ):
                snapshot = Snapshot()
                try:
                    result = await self._cycle(snapshot)
                finally:
                    with self._defects.contained("reporting oddities"):
                        self._report.oddities(self._exchange.oddities())
                with self._defects.contained("reporting the cycle"):
                    self._report.finished(result, snapshot.withheld, self._clock.now().ms_since(began))
                if not self._around.stopping():
                    result = await self._unhurried.look_at_contracts(snapshot, result)
                if not (result.left_open or self._around.stopping()):  # it must not hold up what is under way
                    await self._unhurried.look_around(result)
                goes_on = result.in_haste or result.goes_on or self._around.stopping()
                if not goes_on and await self._parts.reads.loans.late_ones_come():
                    result = replace(result, goes_on=True)
            return result

    def urge(self, keys: Collection[LoanKey]) -> None:
        """Prices put these loans at their triggers: they are read first, by the next cycle or this one."""
        self._pressing.tell()
        self._parts.reads.loans.urge(keys, under_way=self._lock.locked())
        asyncio.get_running_loop().call_soon(self._parts.read_ahead.begin)  # the loans themselves go first

    @property
    def intents(self) -> IntentBook:
        """What it remembers of its adjustments: to be looked at, not to be written to."""
        return self._memory.intents

    @property
    def alerts(self) -> AlertRepeater:
        """What it has said that still lasts."""
        return self._parts.words.alerts

    async def drain(self) -> None:
        """Waits for what has left to be answered and journalled."""
        await self._parts.sender.drain()
        await self._unhurried.close()
        self._parts.read_ahead.drop()
        await self._parts.reads.close()

    async def know_ourselves(self) -> Owner | None:
        """Whose key this is: intents belong to the exchange's user. None while the exchange does not say."""
        if self._memory.owner is not None:
            return self._memory.owner
        # Asked at the start as well, where no cycle has named the account yet.
        with structlog.contextvars.bound_contextvars(account=self.options.account):
            owner = await self._key_access.know()
        if owner is not None:
            since = self._clock.now().exchange_ms - self._horizon_ms
            await self._memory.intents.recall(owner, since)
            self._memory.owner = owner
        return owner

    # The story.

    async def _cycle(self, snapshot: Snapshot) -> CycleResult:
        parts = self._parts
        owner = await self.know_ourselves()
        if owner is None:
            return parts.conclusion.of_nothing()
        if self._pressed:
            parts.read_ahead.begin()
        parts.now.saw_prices()
        standing = self._memory.begin_standing(owner)
        await parts.rows_beside.during(parts.reads.loans.sweep(snapshot))
        with self._defects.contained("fixed debts"):
            parts.contracts.reads.saw(snapshot.books)
        parts.read_ahead.saw(snapshot.books)
        await self._settle(snapshot, await (standing or self._memory.journal.standing(owner)))
        decisions = await self._decide(snapshot)
        with self._defects.contained("telling what was charged"):
            tell_charges(self._memory, snapshot, self._rulebook, parts.freshness.echo_ms)
        with self._defects.contained("holding the directions against the history"):
            parts.directions.look(snapshot)
        snapshot.withheld = await parts.permission.why_not(snapshot, decisions)
        if self.options.live:
            with self._defects.contained("noting episodes"):
                parts.episodes.note(snapshot, decisions)
        parts.announcements.tell(snapshot, decisions)
        await asyncio.sleep(0)  # as between the steps of a decision
        withheld = snapshot.withheld is not None
        async with parts.episodes.written_after(owner):
            actions = 0 if withheld else await parts.lanes.act(owner, snapshot, decisions)
        self._memory.forget_before(self._clock.now().exchange_ms - self._horizon_ms)
        return parts.conclusion.of(snapshot, decisions, actions)

    async def _settle(self, snapshot: Snapshot, standing: Standing) -> None:
        """Every open intent, before anything new is decided about its loan."""
        parts = self._parts
        snapshot.pauses = standing.pauses
        self._memory.intents.remember(standing.open_intents)
        intents = await parts.left_open.take_over(standing.open_intents)
        wanted = parts.needs.to_settle(intents, self._clock.now(), trusted=self._trust.holds)
        await parts.reads.histories.read(snapshot, wanted)
        snapshot.open_intents = intents  # after an error of ours in settling they stay open
        with self._defects.contained("settling"):
            snapshot.open_intents = await parts.reconciler.settle(intents, snapshot)
        snapshot.episodes = parts.episodes.read(standing)

    async def _decide(self, snapshot: Snapshot) -> tuple[Decision, ...]:
        """By the loans alone; where something may have to be done, by all that bears on it, read at once."""
        parts = self._parts
        emergencies = parts.decider.emergencies_if_pressing(snapshot, self._rulebook)
        if emergencies is None:
            account, decisions = await self._decided(snapshot)
            presses = any(decision.needs_a_closer_look for decision in decisions)
            if not presses and await parts.contracts.are_new():
                account, decisions = await parts.decider.decide(snapshot)
                presses = any(decision.needs_a_closer_look for decision in decisions)
            self._pressed = presses
            if not presses:
                if not parts.reads.loans.some_are_to_come:
                    parts.read_ahead.not_needed(snapshot)
                return decisions
            emergencies = [facts.loan for facts in account.loans if facts.is_at_emergency]
        self._pressed = True
        wanted = parts.needs.to_decide(snapshot, self._clock.now(), emergencies=emergencies)
        if emergencies or not self._memory.contracts.fixed:
            await self._look_closer(snapshot, wanted)
        else:  # what is due is kept only where it is known
            parts.contracts.reads.begin()
            await self._look_closer(snapshot, wanted)
            await parts.contracts.reads.wait(self.options.grace_s)
        await parts.rereads.of_what_is_old(snapshot)
        with self._defects.contained("settling by what the coins show"):
            snapshot.open_intents = await parts.reconciler.settle_by_coins(snapshot)
        await parts.reads.loans.crossed(snapshot, within_s=CROSSED_WITHIN_S)
        account, decisions = await self._decided(snapshot)
        if await parts.rereads.of_what_is_odd(snapshot, account, decisions):
            _, decisions = await self._decided(snapshot)
        with self._defects.contained("remembering prices"):
            parts.decider.remember_prices(snapshot)
        return decisions

    async def _decided(self, snapshot: Snapshot) -> Decided:
        """On all that was read; once a loan has come that prices put at its trigger, first of all on that."""
        loans, decider = self._parts.reads.loans, self._parts.decider
        found = await decider.decide_unless(snapshot, lambda: loans.has_come(snapshot))
        if await loans.crossed(snapshot) or found is None:
            found = await decider.decide(snapshot)
        return found

    async def _look_closer(self, snapshot: Snapshot, wanted: Wanted) -> None:
        if not await self._parts.read_ahead.take(snapshot, wanted):
            await self._parts.reads.closer_look.read(snapshot, wanted)
