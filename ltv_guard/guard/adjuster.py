"""One adjustment, from decision to answer."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from ltv_guard.core.decide.decision import Decision
from ltv_guard.core.model.defects import Defect
from ltv_guard.core.model.errors import (
    AlreadyOpen,
    ExchangeUnavailable,
    JournalUnavailable,
    NeedsHuman,
    Remedy,
    WriteOutcomeUnknown,
    WriteRejected,
)
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Channel, Owner, Product
from ltv_guard.core.ports import Clock, WritePath
from ltv_guard.guard.loan_fields import named
from ltv_guard.guard.planner import Planner
from ltv_guard.guard.refusals import Refusals
from ltv_guard.guard.sender import Sender
from ltv_guard.guard.snapshot import Snapshot
from ltv_guard.guard.state.intent_book import IntentBook
from ltv_guard.guard.words import Words

ALONE_MS = 60_000  # so long after a refusal each waits for the answer to the one before
OF_ONE_LOAN = frozenset({Remedy.GONE, Remedy.LIQUIDATION})  # what many are told in a crash


class Adjuster:
    """Plans, has it sent, and heeds the answer."""

    def __init__(
        self,
        planner: Planner,
        sender: Sender,
        paths: Mapping[Channel, WritePath],
        intents: IntentBook,
        refusals: Refusals,
        clock: Clock,
        words: Words,
    ) -> None:
        self._planner = planner
        self._sender = sender
        self._paths = paths
        self._intents = intents
        self._refusals = refusals
        self._clock = clock
        self._defects = words.defects
        self._report = words.report.decisions
        self._refused_ms: dict[Product, int] = {}  # monotonic

    async def adjust(self, owner: Owner, snapshot: Snapshot, decision: Decision) -> Intent | None:
        """The intent as the answer left it; None where nothing was written down, or it failed.

        A loan that fails here does not stop the others. Raises JournalUnavailable.
        """
        with structlog.contextvars.bound_contextvars(**named(decision.loan.key)):
            try:
                return await self._adjust(owner, snapshot, decision)
            except (ExchangeUnavailable, NeedsHuman, AlreadyOpen) as error:
                self._report.put_off(decision.loan.key, str(error))
            except JournalUnavailable:
                raise
            except Exception as error:  # noqa: BLE001 - the next coin, or kind of help, has its turn
                self._defects.tell(Defect(what=f"sending: {decision.direction}", error=error))
                why = f"an error of ours ({type(error).__name__})"
                self._refusals.leave_alone(decision, why, self._clock.now())
            return None

    async def _adjust(self, owner: Owner, snapshot: Snapshot, decision: Decision) -> Intent | None:
        intent = await self._planner.plan(owner, snapshot, decision)
        if intent is None:
            return None
        snapshot.begun[intent.intent_id] = intent
        facts_began = snapshot.facts_began(decision)
        try:
            after, refusal = await self._sender.send(intent, self._paths[intent.channel], facts_began)
        except Exception:
            self._planner.forget_unless_written(intent)
            raise
        snapshot.begun[intent.intent_id] = after
        self._heed(after, refusal)
        return after

    def has_left(self, decision: Decision) -> bool:
        """Whether what was decided on is known to have left, and not answered yet."""
        return any(item.state is State.SENT for item in self._intents.of_loan(decision.loan.key))

    def may_be_several(self, product: Product) -> bool:
        """Whether one may leave beside others that are unanswered.

        Not where the exchange has refused one lately: it may be that it counts them closer than they leave.
        That a loan is gone tells nothing of others.
        """
        refused_ms, now_ms = self._refused_ms.get(product), self._clock.now().monotonic_ms
        return refused_ms is None or now_ms - refused_ms > ALONE_MS

    def _heed(self, after: Intent, refusal: Exception | None) -> None:
        if _bears_on_others(after, refusal):
            self._refused_ms[after.key.product] = self._clock.now().monotonic_ms
        if after.state is State.WITHDRAWN:
            self._report.did_not_leave(after.key, after.ret_msg or "")
        else:
            self._report.left(after.key)
        if isinstance(refusal, WriteRejected | WriteOutcomeUnknown):
            self._refusals.heed(after, refusal, self._clock.now())
        if after.is_open:
            self._intents.watch(after, self._clock.now())


def _bears_on_others(after: Intent, refusal: Exception | None) -> bool:
    """Whether its answer may be about how closely they leave, or what they are made of."""
    if isinstance(refusal, WriteRejected):
        return refusal.remedy not in OF_ONE_LOAN
    came_too_soon = isinstance(refusal, WriteOutcomeUnknown) and refusal.came_too_soon
    return came_too_soon or after.ret_code is not None
