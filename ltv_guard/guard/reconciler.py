"""How open intents ended: held against histories, loans and coins, for the core to judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ltv_guard.core.model.history import History, RowStatus
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import Channel, Direction, Loan, Moment, Product
from ltv_guard.core.ports import Clock
from ltv_guard.core.reconcile.awaited import Awaited, Waiting
from ltv_guard.core.reconcile.coin_changes import coins_show, confirmed_by_coins, measured_after
from ltv_guard.core.reconcile.evidence import Evidence
from ltv_guard.core.reconcile.settlement import SettlementTimeouts, Verdict, settle, window_is_over
from ltv_guard.guard.lag_watch import Measurer
from ltv_guard.guard.needs import is_beyond_history
from ltv_guard.guard.settlement_reporter import SettlementReporter
from ltv_guard.guard.snapshot import Snapshot
from ltv_guard.guard.state.memory import Memory
from ltv_guard.guard.state.refusal_backoff import subject_of


class Reconciler:
    """Finds out, from what was read of the exchange, how intents ended. Writes that down."""

    def __init__(
        self,
        clock: Clock,
        memory: Memory,
        measurer: Measurer,
        report: SettlementReporter,
        *,
        on_absent: Callable[[Intent, Moment], None],
    ) -> None:
        """`on_absent` hears of each intent that turned out to be without effect."""
        self._clock = clock
        self._memory = memory
        self._measurer = measurer
        self._report = report
        self._on_absent = on_absent

    @property
    def _timeouts(self) -> SettlementTimeouts:
        return self._measurer.timeouts

    async def settle(self, intents: Sequence[Intent], snapshot: Snapshot) -> tuple[Intent, ...]:
        """Judges every open intent whose product's loans and history were read. Returns what stays open."""
        books, histories = snapshot.books, snapshot.histories
        self._measurer.measure(books, histories)
        self._compare_with_journal(histories)
        self._hear_of_awaited_rows(histories)
        still_open = []
        for intent in intents:
            if is_beyond_history(intent, self._clock.now()):
                self._report.beyond_history(intent)
                still_open.append(intent)
                continue
            if intent.channel not in histories:
                still_open.append(intent)
                continue
            verdict = await self._judge(intent, books.get(intent.key.product), histories[intent.channel])
            self._measurer.measure_row(verdict.intent, histories[intent.channel])
            if verdict.intent.is_open:
                self._report.waits(verdict.intent, verdict.waiting, verdict.watch.since.monotonic_ms)
                still_open.append(verdict.intent)
        await self._look_for_the_absent(books, histories)
        return tuple(still_open)

    async def _look_for_the_absent(
        self, books: Mapping[Product, LoanBook], histories: Mapping[Channel, History]
    ) -> None:
        for channel, history in histories.items():
            for intent in self._memory.intents.absent(channel, self._clock.now()):
                await self._judge(intent, books.get(channel.product), history)

    async def settle_by_coins(self, snapshot: Snapshot) -> tuple[Intent, ...]:
        """Accepted adds whose coins are in the loan, and not in the wallet, hold up no further add.

        Nor do releases whose coins have left it. The history may fail for minutes: what is to be released or
        repaid waits for it. A transfer whose coins are in
        the one wallet, and not in the other, holds up no further transfer. Returns what stays open.
        """
        still_open = []
        for intent in snapshot.open_intents:
            if intent.state is not State.ACCEPTED or not self._are_its_coins_there(intent, snapshot):
                still_open.append(intent)
                continue
            after = confirmed_by_coins(intent, self._clock.now())
            await self._memory.intents.record(intent, after)
            self._report.ended(intent, after)
            self._memory.refusals.taken(intent)
        if len(still_open) < len(snapshot.open_intents):  # an older wallet does not lack their coins yet
            snapshot.renew_spare(self._memory.last_known.wallet(self._memory.intents.every))
        return tuple(still_open)

    def _are_its_coins_there(self, intent: Intent, snapshot: Snapshot) -> bool:
        wallets, source = self._memory.wallet, snapshot.source_of(intent.direction)
        if intent.direction is Direction.TRANSFER:
            came = wallets.has_come(intent, snapshot.source_of(Direction.ADD))
            return came and wallets.has_left(intent, source)
        book = snapshot.books.get(intent.key.product)
        loan = None if book is None else book.loan(intent.key)
        if book is None or loan is None or not self._shows_in_the_loan(intent, loan):
            return False
        self._memory.freshness.saw_coins(intent, loan, book.began)
        lasts_ms = self._memory.freshness.shown_for_ms(intent, loan, book.began)
        # What was released is in no wallet that could tell it from what was spent since.
        has_left = intent.direction is Direction.ADD and wallets.has_left(intent, source)
        return has_left or lasts_ms > self._timeouts.echo_ms

    def _shows_in_the_loan(self, intent: Intent, loan: Loan) -> bool:
        rows, siblings = self._memory.rows.of(intent.key), self._memory.intents.sibling_changes(intent)
        first = self._memory.intents.rescued_by(intent)
        plans = [intent] if first is None else [intent, measured_after(intent, first)]
        return any(coins_show(plan, rows, loan, siblings) for plan in plans)

    def _compare_with_journal(self, histories: Mapping[Channel, History]) -> None:
        """A row that the journal says was seen is there: or this is not the exchange it was kept for."""
        for channel, history in histories.items():
            self._memory.shelf.note_rows(channel, history)
        every = self._memory.intents.every
        now_ms, longest_ms = self._clock.now().monotonic_ms, self._timeouts.misfit_ms
        missing = self._memory.shelf.without_rows(every, now_ms, longest_ms)
        self._report.compared(missing, {item.key for item in every})

    def _hear_of_awaited_rows(self, histories: Mapping[Channel, History]) -> None:
        """What became of the rows of adjustments that their coins had confirmed."""
        failed = {
            row.adjust_id
            for history in histories.values()
            for row in history.rows
            if row.status is RowStatus.FAILED
        }
        awaiting = self._memory.rows.awaited()
        for item in awaiting:
            self._report.awaits_row(item)
        for item in self._memory.intents.every:
            if item.awaits_row and item not in awaiting:
                self._report.row_came(item, failed=item.adjust_id in failed)

    async def _judge(self, intent: Intent, book: LoanBook | None, history: History) -> Verdict:
        now = self._clock.now()
        if book is not None and not book.tells_of(intent.key):
            book = None
        evidence = Evidence(
            history=history,
            loan=book.loan(intent.key) if book is not None else None,
            claimed=self._memory.rows.claimed(intent.key.product),
            siblings=self._memory.intents.sibling_changes(intent),
        )
        verdict = settle(intent, self._memory.intents.watch(intent, now), evidence, self._timeouts, now)
        is_given_up = verdict.intent.state in {State.ABSENT, State.AMBIGUOUS}
        if is_given_up and self._lacks_loan(intent, book, verdict):
            # A row proves itself. That there is none is believed only where the loan was read as well.
            return Verdict(intent=intent, watch=verdict.watch, waiting=Waiting(Awaited.LOANS))
        self._memory.intents.keep_watch(intent, verdict.watch)
        if verdict.intent.state is not intent.state:
            await self._memory.intents.record(intent, verdict.intent)
            self._report.ended(intent, verdict.intent)
            self._learn(verdict.intent, now)
        return verdict

    def _lacks_loan(self, intent: Intent, book: LoanBook | None, verdict: Verdict) -> bool:
        """Whether its loan was not read, or asked for while it could still land, as a late list is."""
        if intent.direction is Direction.TRANSFER:
            return False
        if book is None or intent.state is not State.UNKNOWN:
            return book is None
        return not window_is_over(intent, verdict.watch, book.asked_at(intent.key), self._timeouts)

    def _learn(self, ended: Intent, now: Moment) -> None:
        match ended.state:
            case State.CONFIRMED:
                self._memory.refusals.taken(ended)
                self._memory.contracts.repaid(ended)
                self._memory.sales.has_landed(ended)
            case State.ABSENT:
                self._on_absent(ended, now)
            case State.REJECTED:
                why = ended.ret_msg or ""
                self._memory.refusals.refuse(ended.key, subject_of(ended), why, now)
