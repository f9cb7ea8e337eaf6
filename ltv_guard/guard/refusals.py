"""What follows from a refused write, or one that was answered with a code of no table. Sends nothing."""

from __future__ import annotations

import structlog

from ltv_guard.core.decide.decision import Decision
from ltv_guard.core.model.errors import Remedy, WriteOutcomeUnknown, WriteRejected
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Direction, LoanKey, Moment, Product
from ltv_guard.guard.directions import Directions
from ltv_guard.guard.key_access import KeyAccess
from ltv_guard.guard.state.amount_bounds import AmountBounds
from ltv_guard.guard.state.loan_registry import LoanRegistry
from ltv_guard.guard.state.refusal_backoff import (
    LONGEST_BACKOFF_MS,
    RefusalBackoff,
    RefusalSubject,
    refusal_subject,
    subject_of,
)

HOUR_MS = 3_600_000
# Nothing will change by the next cycle: the next coin has its turn.
LASTING = frozenset(
    {Remedy.COIN, Remedy.NOT_TAKEN, Remedy.NEVER, Remedy.HUMAN, Remedy.LARGER, Remedy.PRECISION}
)
RESTS_MS = {Remedy.NOT_TAKEN: HOUR_MS, Remedy.PRECISION: LONGEST_BACKOFF_MS}

log = structlog.stdlib.get_logger()


class Refusals:
    """Remembers what was refused, and what that taught, so that the next try differs."""

    def __init__(
        self,
        backoff: RefusalBackoff,
        bounds: AmountBounds,
        loans: LoanRegistry,
        key_access: KeyAccess,
        directions: Directions,
    ) -> None:
        self._backoff = backoff
        self._bounds = bounds
        self._loans = loans
        self._key_access = key_access
        self._directions = directions

    def heed(self, intent: Intent, error: WriteRejected | WriteOutcomeUnknown, now: Moment) -> None:
        """`intent` as it stands after `error`."""
        # A key that may not transfer may adjust all the same.
        if error.remedy is Remedy.HUMAN and intent.direction is not Direction.TRANSFER:
            self._key_access.lose(str(error), mend=error.mend, code=error.code)
        elif isinstance(error, WriteOutcomeUnknown):
            if error.remedy is Remedy.COIN:
                self._backoff.suspect(intent)
        elif error.remedy is Remedy.MAXIMUM and intent.direction is Direction.ADD:
            self._directions.refused_as_release(intent, str(error))
            self._rest(intent, error, now)
        elif not self._taught(intent, error.remedy):
            self._rest(intent, error, now)

    def leave_alone(self, decision: Decision, why: str, now: Moment) -> None:
        """The coin of what could not be done, for a while that grows."""
        if decision.direction is not None and decision.coin is not None:
            subject = _subject_of(decision, decision.direction, decision.coin)
            self._backoff.refuse(_key_of(decision, decision.coin), subject, why, now, lasting=True)

    def put_off(self, decision: Decision, why: str, now: Moment) -> None:
        """The coin of what can't be done at the moment, until the next cycle or so."""
        if decision.direction is not None and decision.coin is not None:
            subject = _subject_of(decision, decision.direction, decision.coin)
            self._backoff.put_off(_key_of(decision, decision.coin), subject, why, now)

    def _rest(self, intent: Intent, error: WriteRejected, now: Moment) -> None:
        self._backoff.refuse(
            intent.key,
            subject_of(intent),
            str(error),
            now,
            lasting=error.remedy in LASTING,
            rest_ms=RESTS_MS.get(error.remedy, 0),
        )

    def found_absent(self, intent: Intent, now: Moment) -> None:
        """It had no effect. Where a code of no table was the answer, that was a refusal of its coin."""
        if not self._backoff.was_suspect(intent):
            return
        why = f"the exchange answered with a code that is not known, and did nothing: {intent.ret_msg}"
        self._backoff.refuse(intent.key, subject_of(intent), why, now, lasting=True)
        log.warning("coin_refused", coin=intent.coin, ret_code=intent.ret_code, why=why, **_loan_of(intent))

    def _taught(self, intent: Intent, remedy: Remedy) -> bool:
        """Whether the next try may be made at once, with an amount of another kind."""
        bounds = self._bounds.of_intent(intent)
        match remedy:
            case Remedy.PRECISION:
                fewer = self._bounds.coarser(intent, self._documented(intent))
                bound = None if fewer is None else f"{fewer} decimals at most"
            case Remedy.SMALLER:
                bounds.most = min(intent.amount / 2, bounds.most or intent.amount)
                bound = f"{bounds.most:f} at most"
            case Remedy.LARGER if intent.direction is Direction.ADD:
                bounds.least = max(intent.amount * 2, bounds.least or intent.amount)
                bound = f"{bounds.least:f} at least"
            case _:
                bound = None
        if bound is not None:
            log.warning("amount_bounded", coin=intent.coin, next_amount=bound, **_loan_of(intent))
        return bound is not None

    def _documented(self, intent: Intent) -> int | None:
        """Decimals that the exchange gives for the coin, where it gives any."""
        loan = self._loans.loan(intent.key)
        if loan is None:
            return None
        if intent.direction is Direction.REPAY:
            debt = loan.debt_in(intent.coin)
            return debt.accuracy if debt is not None else None
        held = loan.collateral_in(intent.coin)
        return held.accuracy if held is not None else None


def _key_of(decision: Decision, coin: str) -> LoanKey:
    """What it acts on: a transfer's coin is the wallet's."""
    return LoanKey(Product.FUNDING, coin) if decision.direction is Direction.TRANSFER else decision.loan.key


def _subject_of(decision: Decision, direction: Direction, coin: str) -> RefusalSubject:
    """What a refusal of it is noted of."""
    return refusal_subject(direction, coin, decision.collateral_coin, decision.contract_id)


def _loan_of(intent: Intent) -> dict[str, object]:
    return {"product": intent.key.product, "loan_id": intent.key.loan_id, "direction": intent.direction}
