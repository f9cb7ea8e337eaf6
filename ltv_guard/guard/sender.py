"""Sign once, write down, then send: the only way an adjustment leaves."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import assert_never

import structlog

from ltv_guard.core.model.errors import (
    ExchangeUnavailable,
    NeedsHuman,
    Remedy,
    WriteError,
    WriteNotSent,
    WriteOutcomeUnknown,
    WriteRejected,
)
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Direction, Moment
from ltv_guard.core.ports import Clock, SignedAdjustment, WritePath
from ltv_guard.guard.state.intent_book import IntentBook

AT_ONCE_S = 0.02  # what takes longer to be signed waits
MOST_KEPT = 100  # of what never left, though the journal may say that it was sent

log = structlog.stdlib.get_logger()


class Sender:
    """Takes an intent from planned to what the exchange's answer makes of it.

    `max_age_ms` is how old an intent's facts may be when it leaves; `stopping` says that nothing new may.
    """

    def __init__(
        self, intents: IntentBook, clock: Clock, *, max_age_ms: int, stopping: Callable[[], bool]
    ) -> None:
        self._intents = intents
        self._clock = clock
        self._max_age_ms = max_age_ms
        self._stopping = stopping
        self._in_flight: dict[str, asyncio.Task[tuple[Intent, WriteError | None]]] = {}
        self._never_left: deque[str] = deque(maxlen=MOST_KEPT)

    def in_flight(self, intent: Intent) -> bool:
        """Whether it has left, and its answer is not written down yet."""
        return intent.intent_id in self._in_flight

    def never_left(self, intent: Intent) -> bool:
        """Whether it is known not to have left, whatever the journal says: that failed in the middle."""
        return intent.intent_id in self._never_left

    async def drain(self) -> None:
        """Waits until what has left is answered and journalled."""
        await asyncio.gather(*self._in_flight.values(), return_exceptions=True)

    async def send(
        self, intent: Intent, exchange: WritePath, facts_began: Moment
    ) -> tuple[Intent, WriteError | None]:
        """Signs, writes down, sends once. Returns the intent as it stands after, and the refusal if any.

        Raises JournalUnavailable or AlreadyOpen before anything left.
        """
        log.info("adjustment_planned", **_facts_of(intent))
        try:
            signed = await self._signed(intent, exchange)
        except (ExchangeUnavailable, NeedsHuman) as error:
            return await self._withdraw(intent, f"not sent: {error}"), None
        if self._stopping():
            return await self._withdraw(intent, "shutting down"), None
        if self._clock.now().ms_since(facts_began) > self._max_age_ms:
            return await self._withdraw(intent, "its facts grew too old while it waited for its turn"), None
        # A task of its own, shielded: a shutdown must not cancel a request that may have been applied.
        task = asyncio.create_task(self._deliver(intent, exchange, signed))
        self._in_flight[intent.intent_id] = task
        task.add_done_callback(lambda _: self._in_flight.pop(intent.intent_id, None))
        return await asyncio.shield(task)

    async def _signed(self, intent: Intent, exchange: WritePath) -> SignedAdjustment:
        """Its turn is there by now, as a rule. While it waits all the same, it stands written as planned."""
        signing = asyncio.create_task(exchange.sign(intent))
        try:
            await asyncio.wait({signing}, timeout=AT_ONCE_S)
            if not signing.done():
                await self._intents.plan(intent)
            return await signing
        finally:
            signing.cancel()

    async def _deliver(
        self, intent: Intent, exchange: WritePath, signed: SignedAdjustment
    ) -> tuple[Intent, WriteError | None]:
        sent = intent.to(
            State.SENT,
            self._clock.now().exchange_ms,
            signed_at_ms=signed.signed_at_ms,
            recv_window_ms=signed.recv_window_ms,
        )
        # The one commit: whether a pause holds is asked within it, and nothing leaves before it is durable.
        if not await self._written(sent):
            return await self._withdraw(intent, "paused"), None
        late_ms = self._clock.now().exchange_ms - signed.signed_at_ms
        if late_ms >= signed.recv_window_ms:  # it would be refused, for sure
            slow = f"it took {late_ms / 1000:.1f} s to write it down: its receive window is over"
            return await self._withdraw(sent, slow), None
        log.info("adjustment_sent", **_facts_of(sent))
        if sent.rescue_of is not None:
            log.warning("rescue_sent", rescue_of=sent.rescue_of, **_facts_of(sent))
        try:
            adjust_id = await exchange.send(signed)
        except (WriteNotSent, WriteRejected, WriteOutcomeUnknown) as error:
            return await self._conclude(sent, error), error
        accepted = sent.to(State.ACCEPTED, self._clock.now().exchange_ms, adjust_id=adjust_id)
        await self._intents.record(sent, accepted)
        log.info("adjustment_accepted", intent_id=sent.intent_id, adjust_id=adjust_id)
        return accepted, None

    async def _written(self, sent: Intent) -> bool:
        try:
            return await self._intents.write_sent(sent)
        except Exception:
            self._never_left.append(sent.intent_id)  # the commit may have been made all the same
            raise

    async def _conclude(
        self, sent: Intent, error: WriteNotSent | WriteRejected | WriteOutcomeUnknown
    ) -> Intent:
        """What an answer that is no acceptance makes of the intent."""
        now_ms = self._clock.now().exchange_ms
        words = {"ret_code": error.code, "ret_msg": str(error)}
        match error:
            case WriteNotSent():
                return await self._withdraw(sent, f"not sent: {error}")
            case WriteRejected():
                after = sent.to(State.REJECTED, now_ms, **words)
                await self._intents.record(sent, after)
                grave = {Remedy.HUMAN, Remedy.LIQUIDATION}
                # A key that may not transfer may adjust all the same; what the loan then lacks is told apart.
                moves = sent.direction is Direction.TRANSFER
                level = log.critical if error.remedy in grave and not moves else log.error
                level("adjustment_rejected", intent_id=sent.intent_id, remedy=error.remedy, **words)
            case WriteOutcomeUnknown():
                after = sent.to(State.UNKNOWN, now_ms, **words)
                await self._intents.record(sent, after)
                log.warning("adjustment_unknown", intent_id=sent.intent_id, **words)
            case _:
                assert_never(error)
        return after

    async def _withdraw(self, intent: Intent, why: str) -> Intent:
        after = withdrawn(intent, self._clock.now().exchange_ms, why)
        try:
            await self._intents.record(intent, after)
        except Exception:
            self._never_left.append(intent.intent_id)
            raise
        log.warning("adjustment_withdrawn", intent_id=intent.intent_id, why=why)
        return after


def withdrawn(intent: Intent, at_ms: int, why: str) -> Intent:
    """The intent that provably did not leave. It is no rescue, then: the one is still to be had."""
    return intent.to(State.WITHDRAWN, at_ms, ret_msg=why, rescue_of=None)


def _facts_of(intent: Intent) -> dict[str, object]:
    return {
        "product": intent.key.product,
        "loan_id": intent.key.loan_id,
        "intent_id": intent.intent_id,
        "direction": intent.direction,
        "coin": intent.coin,
        "amount": intent.amount,
        "ltv": intent.ltv_before,
        **({} if intent.collateral_coin is None else {"collateral_coin": intent.collateral_coin}),
        **({} if intent.contract_id is None else {"contract": intent.contract_id}),
    }
