"""The settling of open intents: reads each product's history once a tick and lets the core judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog

from ltv_guard.core.errors import ExchangeUnavailable, NeedsHuman
from ltv_guard.core.intents import Intent, State
from ltv_guard.core.loans import History, LoanBook, Moment, Product
from ltv_guard.core.settlement import Evidence, Patience, Verdict, settle
from ltv_guard.memory import Memory
from ltv_guard.notices import Notices
from ltv_guard.ports import Clock, Journal, LoanExchange
from ltv_guard.sending import Sender, withdrawn

ABSENT_LOOK_MS = 60_000  # how often the history is read again for the row of an absent intent
PATIENCE_WITH_EXCHANGE_MS = 60_000  # an intent open for longer than this is worth an alert

log = structlog.stdlib.get_logger()

EVENTS = {
    State.CONFIRMED: ("info", "adjustment_confirmed"),
    State.REJECTED: ("error", "adjustment_rejected"),
    State.ABSENT: ("warning", "adjustment_absent"),
    State.AMBIGUOUS: ("critical", "adjustment_ambiguous"),
}


class Settler:
    """Finds out, from the exchange, how intents ended."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        memory: Memory,
        notices: Notices,
        sender: Sender,
        patience: Patience,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._memory = memory
        self._notices = notices
        self._sender = sender
        self._patience = patience

    async def take_over(self, intents: Sequence[Intent]) -> tuple[Intent, ...]:
        """What an earlier process, or a journal that failed in the middle, left: nothing is assumed of it.

        Planned never left, so it is withdrawn; sent may have, so it is unknown.
        """
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

    async def _move(self, intent: Intent, after: Intent, event: str) -> Intent:
        await self._journal.record(intent, after)
        self._memory.remember([after])
        log.warning(event, intent_id=intent.intent_id, why=after.ret_msg, **_loan_of(intent))
        return after

    async def read_history(self, exchange: LoanExchange, since_ms: int) -> History | None:
        """One complete read back to `since_ms`, remembered; None (said once) where it is not to be had."""
        topic = ("history", exchange.product)
        try:
            history = await exchange.history(since_ms)
        except (ExchangeUnavailable, NeedsHuman) as error:
            self._notices.once(
                topic, "warning", "history_unavailable", product=exchange.product, why=str(error)
            )
            return None
        if self._notices.ended(topic):
            log.info("history_available", product=exchange.product)
        self._memory.histories[exchange.product] = history
        return history

    def needs_history(self, product: Product, intents: Sequence[Intent], now: Moment) -> bool:
        """Whether something open, or recently ended, can only be judged by the history."""
        if any(intent.key.product is product for intent in intents):
            return True
        recent = [item for item in self._memory.intents.values() if item.key.product is product]
        if any(self._memory.last_landed(item.key, now) for item in recent if not item.is_open):
            return True
        last = self._memory.histories.get(product)
        look_again = last is None or now.ms_since(last.began) > ABSENT_LOOK_MS
        return look_again and bool(self._memory.absent(product, now))

    async def settle(
        self,
        intents: Sequence[Intent],
        books: Mapping[Product, LoanBook],
        histories: Mapping[Product, History],
    ) -> tuple[Intent, ...]:
        """Judges every open intent whose product's loans and history were read. Returns what stays open."""
        still_open = []
        for intent in intents:
            product = intent.key.product
            if product not in histories:
                still_open.append(intent)
                continue
            verdict = await self._judge(intent, books.get(product), histories[product])
            if verdict.intent.is_open:
                self._complain_if_slow(verdict)
                still_open.append(verdict.intent)
        for product, history in histories.items():
            for intent in self._memory.absent(product, self._clock.now()):
                await self._judge(intent, books.get(product), history)
        return tuple(still_open)

    async def _judge(self, intent: Intent, book: LoanBook | None, history: History) -> Verdict:
        now = self._clock.now()
        evidence = Evidence(
            history=history,
            loan=book.loan(intent.key) if book is not None else None,
            claimed=self._memory.claimed(intent.key.product),
            siblings=self._memory.sibling_changes(intent),
        )
        verdict = settle(intent, self._memory.watch(intent, now), evidence, self._patience, now)
        if book is None and verdict.intent.state in {State.ABSENT, State.AMBIGUOUS}:
            # A row that is there proves itself; that none is there takes a look at the collateral too.
            return Verdict(intent=intent, watch=verdict.watch, waiting="the loans could not be read")
        self._memory.watches[intent.intent_id] = verdict.watch
        if verdict.intent.state is not intent.state:
            await self._journal.record(intent, verdict.intent)
            self._memory.remember([verdict.intent])
            self._announce(intent, verdict.intent)
            if verdict.intent.state is State.REJECTED:
                why = verdict.intent.ret_msg or ""
                self._memory.refuse(intent.key, intent.direction, intent.coin, why, now)
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
            ret_code=after.ret_code,
            ret_msg=after.ret_msg,
            **_loan_of(after),
        )
        self._notices.ended(("slow", after.intent_id))

    def _complain_if_slow(self, verdict: Verdict) -> None:
        intent = verdict.intent
        waited = self._clock.now().monotonic_ms - verdict.watch.since.monotonic_ms
        if waited < PATIENCE_WITH_EXCHANGE_MS:
            return
        self._notices.grave(
            ("slow", intent.intent_id),
            verdict.waiting,
            "adjustment_unsettled",
            intent_id=intent.intent_id,
            intent_state=intent.state,
            waiting_for=verdict.waiting,
            mend="look it up on the exchange, then `ltv-guard journal resolve`",
            **_loan_of(intent),
        )


def _loan_of(intent: Intent) -> dict[str, object]:
    return {"product": intent.key.product, "loan_id": intent.key.loan_id}
