"""The cycle of one account: observe, settle, decide, write down, send. Reads top to bottom like a runbook."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TypeVar

import structlog

from ltv_guard.conditions import Conditions
from ltv_guard.core.decisions import Cause, Decision, EpisodeChange
from ltv_guard.core.errors import AlreadyOpen, ExchangeUnavailable, NeedsHuman, Remedy, WriteRejected
from ltv_guard.core.intents import Intent, State
from ltv_guard.core.loans import Direction, Owner, Product
from ltv_guard.core.policy import decide, within_maximum
from ltv_guard.core.rules import Rulebook
from ltv_guard.gathering import Gatherer
from ltv_guard.memory import DAY_MS, Memory
from ltv_guard.notices import Notices
from ltv_guard.planning import plan
from ltv_guard.ports import AccountExchange, Clock, Episode, Identity, Journal, LoanExchange
from ltv_guard.reporting import Reporter
from ltv_guard.sending import Sender
from ltv_guard.settling import Settler
from ltv_guard.sight import GuardOptions, Outcome, Sight
from ltv_guard.standing import Standing

LATEST_START = 0.6  # of max_snapshot_age: beyond it a cycle begins no further adjustment

T = TypeVar("T")

log = structlog.stdlib.get_logger()


class Guard:
    """Keeps the loans of one account. `new_id` and `seed` are its only randomness."""

    def __init__(  # noqa: PLR0913 - the composition root hands it everything it may touch
        self,
        options: GuardOptions,
        *,
        account: AccountExchange,
        products: Sequence[LoanExchange],
        journal: Journal,
        clock: Clock,
        rulebook: Rulebook,
        new_id: Callable[[], str],
        seed: Callable[[], int],
        claim: Callable[[Identity], Awaitable[None]] | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self.options = options
        self.busy = False
        self._account = account
        self._products = {exchange.product: exchange for exchange in products}
        self._journal = journal
        self._clock = clock
        self._new_id = new_id
        self._seed = seed
        self._stopping = stopping
        self._owner: Owner | None = None
        self._started_ms = clock.now().monotonic_ms
        self._trusted = options.continuous
        self._waits = False
        self._lock = asyncio.Lock()
        self._memory = Memory()
        self._gatherer = Gatherer(options, rulebook, self._memory)
        self._notices = Notices(lambda: clock.now().monotonic_ms)
        self._report = Reporter(options.account, options.blind_after_cycles, self._notices, self._memory)
        self._conditions = Conditions(rulebook, self._memory, self._notices)
        self._standing = Standing(options, account, clock, self._report, claim)
        self._sender = Sender(journal, clock, max_age_ms=options.max_snapshot_age_ms, stopping=stopping)
        self._settler = Settler(journal, clock, self._memory, self._notices, self._sender, options.patience)

    async def cycle(self) -> Outcome:
        """One cycle. Raises JournalUnavailable: nothing is sent without a journal."""
        async with self._lock:
            began = self._clock.now()
            with structlog.contextvars.bound_contextvars(
                account=self.options.account, cycle_id=self._new_id()[:8]
            ):
                outcome, withheld = await self._cycle()
                self._report.finished(outcome, withheld, self._clock.now().ms_since(began))
                if not (outcome.left_open or self._stopping()):  # it must not hold up what is under way
                    await self._standing.look_again()
            return outcome

    @property
    def trusts_journal(self) -> bool:
        """Whether nothing can have been sent that the journal does not know of."""
        return self._trusted

    @property
    def waits(self) -> bool:
        """Whether there is something to do that only time holds up: a new journal, facts not fresh yet."""
        return self._waits

    async def drain(self) -> None:
        """Waits for what has left to be answered and journalled."""
        await self._sender.drain()

    async def _cycle(self) -> tuple[Outcome, str | None]:
        owner = await self.know_ourselves()
        if owner is None:
            return Outcome(blind=True, why_blind=self._report.why_blind), None
        sight = Sight()
        await self._observe(sight)
        await self._settle(owner, sight)
        decisions = await self._decide(sight)
        sight.withheld = await self._withheld(sight)
        if self.options.live:
            await self._keep_episodes(owner, sight, decisions)
        self._report.decisions(decisions, sight.withheld)
        self._report.doubts(decisions, self._clock.now(), 2 * self._gatherer.echo_ms)
        actions = await self._act(owner, sight, decisions) if sight.withheld is None else 0
        return self._conclude(sight, decisions, actions), sight.withheld

    def _conclude(self, sight: Sight, decisions: tuple[Decision, ...], actions: int) -> Outcome:
        """What came of it, and how soon to look again."""
        self._memory.forget_before(self._clock.now().exchange_ms - self._gatherer.horizon_ms)
        waiting = {Cause.NOT_FRESH, Cause.OPEN_INTENT}
        self._waits = self.options.live and any(
            decision.breach and (decision.cause in waiting or (decision.acts and not self._trusted))
            for decision in decisions
        )
        self.busy = bool(sight.open_intents or actions) or any(d.needs_a_closer_look for d in decisions)
        return Outcome(
            loans=len(sight.loans),
            actions=actions,
            left_open=len(sight.open_intents) + actions,
            blind=len(sight.books) < len(self._products),
            why_blind=self._report.why_blind,
            set_aside=tuple(item for book in sight.books.values() for item in book.set_aside),
            decisions=decisions,
        )

    async def know_ourselves(self) -> Owner | None:
        """Whose key this is: intents belong to the exchange's user. None while the exchange does not say."""
        if self._owner is None and (owner := await self._standing.know()) is not None:
            since = self._clock.now().exchange_ms - self._gatherer.horizon_ms
            self._memory.remember(await self._journal.recent_intents(owner, since))
            self._owner = owner
        return self._owner

    # Observe: each product by itself, so that one which fails does not blind the other.

    async def _observe(self, sight: Sight) -> None:
        async def read(exchange: LoanExchange) -> None:
            try:
                book = await exchange.loans()
            except (ExchangeUnavailable, NeedsHuman) as error:
                self._report.blind(exchange.product, str(error))
            else:
                self._report.recovered(exchange.product)
                self._report.book(book)
                self._conditions.look(book, self._clock.now())
                sight.books[exchange.product] = book

        await asyncio.gather(*(read(exchange) for exchange in self._products.values()))

    # Settle: every open intent, before anything new is decided about its loan.

    async def _settle(self, owner: Owner, sight: Sight) -> None:
        intents = await self._journal.open_intents(owner)
        self._memory.remember(intents)
        intents = await self._settler.take_over(intents)
        now = self._clock.now()
        needed = [
            product
            for product in self._products
            if self._settler.needs_history(product, intents, now) or not self._trusted
        ]
        await self._read_histories(sight, needed, intents)
        sight.open_intents = await self._settler.settle(intents, sight.books, sight.histories)
        sight.episodes = {item.key: item for item in await self._journal.episodes(owner)}
        await self._observe_again_if_late(sight)

    async def _observe_again_if_late(self, sight: Sight) -> None:
        """A history that hangs must not cost the loans their protection."""
        if sight.books and self._age_ms(sight) > self.options.max_snapshot_age_ms / 2:
            await self._observe(sight)

    async def _read_histories(
        self, sight: Sight, products: Collection[Product], intents: Sequence[Intent] = ()
    ) -> None:
        await asyncio.gather(*(self._read_history(sight, product, intents) for product in products))

    async def _read_history(self, sight: Sight, product: Product, intents: Sequence[Intent]) -> None:
        sight.asked_history.add(product)
        oldest = min((item.created_at_ms for item in intents), default=self._clock.now().exchange_ms)
        since = min(oldest - DAY_MS, self._clock.now().exchange_ms - self._gatherer.horizon_ms)
        history = await self._settler.read_history(self._products[product], since)
        if history is not None:
            sight.histories[product] = history

    # Decide: the facts of every loan, then one pure function.

    async def _decide(self, sight: Sight) -> tuple[Decision, ...]:
        decisions = decide(self._gatherer.account(sight, self._clock.now()))
        if any(decision.needs_a_closer_look for decision in decisions):
            await self._look_closer(sight)
            decisions = decide(self._gatherer.account(sight, self._clock.now()))
        return decisions

    async def _look_closer(self, sight: Sight) -> None:
        """Something may have to be done: read what a quiet cycle does without."""
        now = self._clock.now()
        coins = sorted({item.coin for loan in sight.loans for item in loan.collateral})
        sight.wallet = await self._read("wallet", self._account.wallet(coins))
        doubted = any(not self._gatherer.freshness(loan, sight, now).fresh for loan in sight.loans)
        if doubted or any(loan.totals is not None for loan in sight.loans):
            sight.prices = await self._read("prices", self._account.prices())
        await self._read_histories(sight, sight.books.keys() - sight.asked_history)
        await self._observe_again_if_late(sight)

    async def _read(self, what: str, reading: Awaitable[T]) -> T | None:
        """What was read; None, and said once, where it could not be."""
        try:
            found = await reading
        except (ExchangeUnavailable, NeedsHuman) as error:
            self._notices.once(what, "warning", "read_failed", what=what, why=str(error))
            return None
        if self._notices.ended(what):
            log.info("read_works_again", what=what)
        return found

    async def _keep_episodes(self, owner: Owner, sight: Sight, decisions: Sequence[Decision]) -> None:
        now_ms = self._clock.now().exchange_ms
        for decision in decisions:
            key = decision.loan.key
            if decision.episode is EpisodeChange.OPENS:
                await self._journal.write_episode(owner, Episode(key=key, opened_at_ms=now_ms))
            elif decision.episode is EpisodeChange.CLOSES:
                opened = sight.episodes[key].opened_at_ms
                await self._journal.write_episode(
                    owner, Episode(key=key, opened_at_ms=opened, closed_at_ms=now_ms)
                )

    # Act: most urgent first, each on facts that are still fresh when it leaves.

    async def _withheld(self, sight: Sight) -> str | None:
        """Why nothing may be sent for this account now, if so."""
        pauses = await self._journal.pauses()
        pause = next((item for item in pauses if item.account in {None, self.options.account}), None)
        self._report.paused(pause)
        human = await self._standing.why_not()
        if not self.options.live:
            return "dry_run"
        if pause is not None:
            return f"paused: {pause.reason}"
        if human is not None:
            return f"needs a human: {human}"
        if not self._trusted and not self._window_has_passed(sight):
            return "the journal is new or restored: waiting for what an earlier one may have sent"
        return None

    def _window_has_passed(self, sight: Sight) -> bool:
        """Whether all that another journal may have sent is visible by now, and has been read."""
        patience = self.options.patience
        over_ms = self._started_ms + self.options.recv_window_ms + patience.processing_margin_ms
        self._trusted = all(
            product in sight.histories and sight.histories[product].began.monotonic_ms > over_ms
            for product in self._products
        )
        return self._trusted

    async def _act(self, owner: Owner, sight: Sight, decisions: Sequence[Decision]) -> int:
        """Each product at its own pace: an order does not wait for the pool's turn to write."""

        async def act_on(product: Product) -> int:
            own = [decision for decision in decisions if decision.loan.key.product is product]
            return await self._act_in_turn(owner, sight, own)

        done = await asyncio.gather(*map(act_on, sight.books), return_exceptions=True)
        failures = [item for item in done if isinstance(item, BaseException)]
        if failures:  # raised only now: the other product's adjustment was not to be cut off
            raise failures[0]
        return sum(item for item in done if isinstance(item, int))

    async def _act_in_turn(self, owner: Owner, sight: Sight, decisions: Sequence[Decision]) -> int:
        actions = 0
        for decision in decisions:
            if self._stopping() or self._standing.is_lost:
                break
            if self._age_ms(sight) > self.options.max_snapshot_age_ms * (LATEST_START if actions else 1):
                break  # the next would wait for its turn, and leave on facts that are too old
            if decision.acts:
                actions += await self._adjust(owner, sight, decision)
        return actions

    def _age_ms(self, sight: Sight) -> int:
        return self._clock.now().ms_since(sight.began)

    async def _adjust(self, owner: Owner, sight: Sight, decision: Decision) -> int:
        """One adjustment, from decision to answer. A loan that fails here does not stop the others."""
        exchange = self._products[decision.loan.key.product]
        with structlog.contextvars.bound_contextvars(
            product=decision.loan.key.product, loan_id=decision.loan.key.loan_id
        ):
            try:
                intent = await self._plan(owner, sight, decision, exchange)
                if intent is None:
                    return 0
                after, refusal = await self._sender.send(intent, exchange, sight.began)
            except (ExchangeUnavailable, NeedsHuman, AlreadyOpen) as error:
                log.warning("adjustment_put_off", why=str(error))
                return 0
            self._memory.remember([after])
            if isinstance(refusal, WriteRejected):
                self._refused(after, str(refusal), refusal.remedy)
            if after.is_open:
                self._memory.watch(after, self._clock.now())
            elif after.state is State.WITHDRAWN:
                return 0
            return 1

    async def _plan(
        self, owner: Owner, sight: Sight, decision: Decision, exchange: LoanExchange
    ) -> Intent | None:
        key = decision.loan.key
        releases = decision.direction is Direction.REDUCE
        if releases:
            if key.product not in sight.histories:
                return None
            maximum = await exchange.max_reduction(decision.loan, decision.coin or "")
            decision = within_maximum(decision, maximum)
            self._report.decisions([decision], None)
            if not decision.acts:
                self._memory.refuse(
                    key,
                    Direction.REDUCE,
                    decision.coin or "",
                    decision.reason,
                    self._clock.now(),
                    lasting=True,
                )
        return plan(
            decision,
            owner=owner,
            account=self.options.account,
            intent_id=self._new_id(),
            observed=sight.books[key.product].began,
            now=self._clock.now(),
            memory=self._memory,
            seed=self._seed(),
        )

    def _refused(self, intent: Intent, why: str, remedy: Remedy) -> None:
        if remedy is Remedy.HUMAN:
            self._standing.lose(why)
        else:
            lasting = remedy in {Remedy.COIN, Remedy.NEVER}
            self._memory.refuse(
                intent.key, intent.direction, intent.coin, why, self._clock.now(), lasting=lasting
            )
