"""The settling of open intents: reads each product's history once a tick and lets the core judge."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal

import structlog

from ltv_guard.core.model.errors import ExchangeUnavailable, NeedsHuman
from ltv_guard.core.model.history import History, RowStatus
from ltv_guard.core.model.intents import OPEN, Intent, State
from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import Channel, Direction, Loan, Moment, Product
from ltv_guard.core.ports import Clock, WritePath
from ltv_guard.core.reconcile.coin_changes import coins_are_in
from ltv_guard.core.reconcile.settlement import (
    FOREIGN_LAG_FACTOR,
    Evidence,
    SettlementTimeouts,
    Verdict,
    confirmed_by_coins,
    settle,
)
from ltv_guard.guard.lag_watch import Measurer
from ltv_guard.guard.sender import Sender, withdrawn
from ltv_guard.guard.state.intent_book import DAY_MS
from ltv_guard.guard.state.memory import Memory
from ltv_guard.log.alert_repeater import AlertRepeater

ABSENT_LOOK_MS = 60_000  # how often the history is read again for the row of an absent intent
PATIENCE_WITH_EXCHANGE_MS = 60_000  # an intent open for longer than this is worth an alert
RESOLVED_LOOK_MS = 10_000  # how often it is looked whether a person has resolved what had closed in doubt
HISTORY_KEPT_MS = 180 * DAY_MS  # the exchange shows six months (v5/crypto-loan/ltv-adjust-history)

log = structlog.stdlib.get_logger()

EVENTS = {
    State.CONFIRMED: ("info", "adjustment_confirmed"),
    State.REJECTED: ("error", "adjustment_rejected"),
    State.ABSENT: ("warning", "adjustment_absent"),
    State.AMBIGUOUS: ("critical", "adjustment_ambiguous"),
}

# What `journal resolve` may change behind our back.
RESOLVABLE = OPEN | {State.ABSENT, State.AMBIGUOUS}


class Reconciler:
    """Finds out, from the exchange, how intents ended."""

    def __init__(
        self,
        clock: Clock,
        memory: Memory,
        alerts: AlertRepeater,
        sender: Sender,
        timeouts: SettlementTimeouts,
        *,
        on_absent: Callable[[Intent, Moment], None],
    ) -> None:
        """`on_absent` hears of each intent that turned out to be without effect."""
        self._clock = clock
        self._memory = memory
        self._alerts = alerts
        self._sender = sender
        self._measurer = Measurer(clock, memory, alerts, timeouts)
        self._on_absent = on_absent
        self._looked_ms: int | None = None

    @property
    def _timeouts(self) -> SettlementTimeouts:
        return self._measurer.timeouts

    async def take_over(self, intents: Sequence[Intent]) -> tuple[Intent, ...]:
        """What an earlier process, or a journal that failed in the middle, left: nothing is assumed of it.

        Planned never left, so it is withdrawn; sent may have, so it is unknown.
        """
        await self._hear_resolutions({intent.intent_id for intent in intents})
        left = []
        for intent in intents:
            if self._sender.in_flight(intent):
                continue
            if intent.state is State.PLANNED:
                after = withdrawn(intent, self._clock.now().exchange_ms, "found planned")
                await self._move(intent, after, "adjustment_withdrawn")
            elif intent.state is State.SENT:
                after = intent.to(State.UNKNOWN, self._clock.now().exchange_ms, ret_msg="found sent")
                left.append(await self._move(intent, after, "adjustment_unknown"))
            else:
                left.append(intent)
        return tuple(left)

    async def _hear_resolutions(self, open_ids: Collection[str]) -> None:
        """What a person said of intents by `journal resolve`, in another process, is remembered here too."""
        doubted = [
            item
            for item in self._memory.intents.every
            if item.intent_id not in open_ids
            and not self._sender.in_flight(item)
            and item.state in RESOLVABLE
        ]
        now_ms = self._clock.now().monotonic_ms
        rested = self._looked_ms is None or now_ms - self._looked_ms >= RESOLVED_LOOK_MS
        if not any(item.is_open or rested for item in doubted):
            return
        self._looked_ms = now_ms
        # By when they were created: the clock of whoever resolved them may be wrong.
        since = min(item.created_at_ms for item in doubted)
        held = await self._memory.intents.written(doubted[0].owner, since)
        for before in doubted:
            after = held.get(before.intent_id, before)
            if after.state is not before.state:
                self._memory.intents.remember([after])
                self._alerts.ended(("slow", after.intent_id))
                log.warning(
                    "adjustment_resolved",
                    intent_id=after.intent_id,
                    intent_state=after.state,
                    was=before.state,
                    **_loan_of(after),
                )

    async def _move(self, intent: Intent, after: Intent, event: str) -> Intent:
        await self._memory.intents.record(intent, after)
        log.warning(event, intent_id=intent.intent_id, why=after.ret_msg, **_loan_of(intent))
        return after

    async def read_history(self, path: WritePath, channel: Channel, since_ms: int) -> History | None:
        """One complete read back to `since_ms`, remembered; None (said once) where it is not to be had."""
        topic = ("history", channel)
        what = {"product": channel.product, "kind": channel.kind}
        since_ms = max(since_ms, self._clock.now().exchange_ms - HISTORY_KEPT_MS)
        try:
            history = await path.history(since_ms)
        except (ExchangeUnavailable, NeedsHuman) as error:
            self._alerts.once(topic, "warning", "history_unavailable", **what, why=str(error))
            return None
        if self._alerts.ended(topic):
            log.info("history_available", **what)
        kept = self._memory.shelf.put(channel, history, since_ms)
        self._tell_if_old(channel, kept, lost=len(kept.rows) - len(history.rows))
        return kept

    def _tell_if_old(self, channel: Channel, history: History, lost: int) -> None:
        topic = ("history lost rows", channel)
        what = {"product": channel.product, "kind": channel.kind}
        if history.is_old:
            why = "the history lacks rows that it had shown before: it proves nothing until they are back"
            self._alerts.once(topic, "warning", "history_shown_as_before", **what, rows=lost, why=why)
        elif self._alerts.ended(topic):
            log.info("history_shown_as_it_is", **what)

    def needs_history(self, channel: Channel, intents: Sequence[Intent], now: Moment) -> bool:
        """Whether something open, or recently ended, can only be judged by the history."""
        if any(intent.channel == channel and not self._is_too_old(intent) for intent in intents):
            return True
        if self._memory.freshness.has_landed_in(channel, now):
            return True
        if any(item.channel == channel for item in self._memory.rows.awaited()):
            return True
        last = self._memory.shelf.histories.get(channel)
        look_again = last is None or now.ms_since(last.began) > ABSENT_LOOK_MS
        return look_again and bool(self._memory.intents.absent(channel, now))

    async def settle(
        self,
        intents: Sequence[Intent],
        books: Mapping[Product, LoanBook],
        histories: Mapping[Channel, History],
    ) -> tuple[Intent, ...]:
        """Judges every open intent whose product's loans and history were read. Returns what stays open."""
        self._measurer.measure(books, histories)
        self._compare_with_journal(histories)
        self._hear_of_awaited_rows(histories)
        still_open = []
        for intent in intents:
            if self._is_too_old(intent):
                self._hand_over(intent)
                still_open.append(intent)
                continue
            if intent.channel not in histories:
                still_open.append(intent)
                continue
            verdict = await self._judge(intent, books.get(intent.key.product), histories[intent.channel])
            self._measurer.measure_row(verdict.intent, histories[intent.channel])
            if verdict.intent.is_open:
                self._complain_if_slow(verdict)
                still_open.append(verdict.intent)
        for channel, history in histories.items():
            for intent in self._memory.intents.absent(channel, self._clock.now()):
                await self._judge(intent, books.get(channel.product), history)
        return tuple(still_open)

    async def settle_by_coins(
        self,
        intents: Sequence[Intent],
        books: Mapping[Product, LoanBook],
        wallet: Mapping[str, Decimal] | None,
    ) -> tuple[Intent, ...]:
        """Accepted adds whose coins are in the loan, and not in the wallet, hold up no further add.

        The history may fail for minutes. Releases and repayments wait for it. Returns what stays open.
        """
        still_open = []
        for intent in intents:
            book = books.get(intent.key.product)
            loan = None if book is None else book.loan(intent.key)
            if book is None or loan is None or not self._are_its_coins_in(intent, loan, book.began, wallet):
                still_open.append(intent)
                continue
            after = confirmed_by_coins(intent, self._clock.now())
            await self._memory.intents.record(intent, after)
            self._announce(intent, after)
            self._memory.refusals.taken(intent)
        return tuple(still_open)

    def _are_its_coins_in(
        self, intent: Intent, loan: Loan, began: Moment, wallet: Mapping[str, Decimal] | None
    ) -> bool:
        if intent.state is not State.ACCEPTED:
            return False
        rows, siblings = self._memory.rows.of(intent.key), self._memory.intents.sibling_changes(intent)
        if not coins_are_in(intent, rows, loan, siblings):
            return False
        self._memory.freshness.saw_coins(intent, loan, began)
        lasts_ms = self._memory.freshness.shown_for_ms(intent, loan, began)
        return self._memory.wallet.has_left(intent, wallet) or lasts_ms > 2 * self._timeouts.history_lag_ms

    def _compare_with_journal(self, histories: Mapping[Channel, History]) -> None:
        """A row that the journal says was seen is there: or this is not the exchange it was kept for."""
        now = self._clock.now()
        for channel, history in histories.items():
            self._memory.shelf.note_rows(channel, history)
        lag_ms = self._timeouts.history_lag_ms
        missing = self._memory.shelf.without_rows(
            self._memory.intents.every, now.monotonic_ms, FOREIGN_LAG_FACTOR * lag_ms
        )
        for item in missing:
            self._alerts.grave(
                ("misfit", item.key),
                item.intent_id,
                "journal_does_not_fit",
                intent_id=item.intent_id,
                adjust_id=item.adjust_id,
                why="the journal says that it was confirmed, and the history does not show it: is this "
                "another exchange, or a journal that was copied? Its loan is helped in an emergency only",
                **_loan_of(item),
            )
        misfits = {item.key for item in missing}
        for key in {item.key for item in self._memory.intents.every} - misfits:
            if self._alerts.ended(("misfit", key)):
                log.warning("journal_fits_again", product=key.product, loan_id=key.loan_id)

    def _hear_of_awaited_rows(self, histories: Mapping[Channel, History]) -> None:
        """What became of the rows of adds that their coins had confirmed."""
        failed = {
            row.adjust_id
            for history in histories.values()
            for row in history.rows
            if row.status is RowStatus.FAILED
        }
        awaiting = self._memory.rows.awaited()
        for item in awaiting:
            waited_ms = self._clock.now().exchange_ms - item.updated_at_ms
            if waited_ms >= PATIENCE_WITH_EXCHANGE_MS:
                self._complain(
                    item, "its row in the history: releases and repayments wait for it, adds do not"
                )
        for item in self._memory.intents.every:
            if item.awaits_row and item not in awaiting:
                self._alerts.ended(("slow", item.intent_id))
                if item.adjust_id in failed:
                    why = "its coins were in the loan, and the history says that it failed"
                    self._alerts.grave(
                        ("failed", item.intent_id),
                        why,
                        "adjustment_contradicted",
                        intent_id=item.intent_id,
                        why=why,
                        **_loan_of(item),
                    )

    async def _judge(self, intent: Intent, book: LoanBook | None, history: History) -> Verdict:
        now = self._clock.now()
        evidence = Evidence(
            history=history,
            loan=book.loan(intent.key) if book is not None else None,
            claimed=self._memory.rows.claimed(intent.key.product),
            siblings=self._memory.intents.sibling_changes(intent),
        )
        verdict = settle(intent, self._memory.intents.watch(intent, now), evidence, self._timeouts, now)
        blind = book is None and intent.direction is not Direction.TRANSFER
        if blind and verdict.intent.state in {State.ABSENT, State.AMBIGUOUS}:
            # A row that is there proves itself; that none is there takes a look at the loan too.
            return Verdict(intent=intent, watch=verdict.watch, waiting="the loans could not be read")
        self._memory.intents.keep_watch(intent, verdict.watch)
        if verdict.intent.state is not intent.state:
            await self._memory.intents.record(intent, verdict.intent)
            self._announce(intent, verdict.intent)
            if verdict.intent.state is State.CONFIRMED:
                self._memory.refusals.taken(intent)
            if verdict.intent.state is State.ABSENT:
                self._on_absent(verdict.intent, now)
            if verdict.intent.state is State.REJECTED:
                why = verdict.intent.ret_msg or ""
                self._memory.refusals.refuse(intent.key, intent.direction, intent.coin, why, now)
        return verdict

    def _announce(self, before: Intent, after: Intent) -> None:
        level, event = EVENTS[after.state]
        late = before.state is State.ABSENT
        getattr(log, "critical" if late else level)(
            event,
            intent_id=after.intent_id,
            adjust_id=after.adjust_id,
            ltv_after=after.ltv_after,
            late=late,
            row_awaited=after.awaits_row,
            ret_code=after.ret_code,
            ret_msg=after.ret_msg,
            **_loan_of(after),
        )
        self._alerts.ended(("slow", after.intent_id))

    def _is_too_old(self, intent: Intent) -> bool:
        return self._clock.now().exchange_ms - intent.created_at_ms > HISTORY_KEPT_MS

    def _hand_over(self, intent: Intent) -> None:
        """To a person: its row, if there ever was one, is no longer shown."""
        waiting_for = "a person: it is older than the six months of history that the exchange shows"
        self._complain(intent, waiting_for)

    def _complain_if_slow(self, verdict: Verdict) -> None:
        intent = verdict.intent
        waited = self._clock.now().monotonic_ms - verdict.watch.since.monotonic_ms
        if waited < PATIENCE_WITH_EXCHANGE_MS:
            return
        self._complain(intent, verdict.waiting)

    def _complain(self, intent: Intent, waiting_for: str | None) -> None:
        self._alerts.grave(
            ("slow", intent.intent_id),
            waiting_for,
            "adjustment_unsettled",
            intent_id=intent.intent_id,
            intent_state=intent.state,
            waiting_for=waiting_for,
            mend=f"look it up on the exchange, then `ltv-guard journal resolve {intent.intent_id} --as ...`",
            **_loan_of(intent),
        )


def _loan_of(intent: Intent) -> dict[str, object]:
    return {"product": intent.key.product, "loan_id": intent.key.loan_id}
