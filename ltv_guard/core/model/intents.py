"""An intent: an adjustment that was decided on and written down, and the table of what may become of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any

from ltv_guard.core.model.errors import ImpossibleTransition
from ltv_guard.core.model.loans import Channel, Direction, Kind, LoanKey, Owner


class State(StrEnum):
    """Where an intent stands. `docs/architecture.md` draws the table below."""

    PLANNED = "planned"
    SENT = "sent"
    ACCEPTED = "accepted"
    UNKNOWN = "unknown"
    WITHDRAWN = "withdrawn"
    REJECTED = "rejected"
    CONFIRMED = "confirmed"
    ABSENT = "absent"
    AMBIGUOUS = "ambiguous"


TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.PLANNED: frozenset({State.WITHDRAWN, State.SENT}),
    State.SENT: frozenset({State.WITHDRAWN, State.REJECTED, State.ACCEPTED, State.UNKNOWN}),
    State.ACCEPTED: frozenset({State.CONFIRMED, State.REJECTED}),
    State.UNKNOWN: frozenset({State.CONFIRMED, State.REJECTED, State.ABSENT, State.AMBIGUOUS}),
    State.ABSENT: frozenset({State.CONFIRMED}),
    State.WITHDRAWN: frozenset(),
    State.REJECTED: frozenset(),
    State.CONFIRMED: frozenset(),
    State.AMBIGUOUS: frozenset(),
}

# `journal resolve`: a person looked at the exchange and says how it ended.
HUMAN_TRANSITIONS: Mapping[State, frozenset[State]] = {
    state: frozenset({State.CONFIRMED, State.ABSENT})
    for state in (State.ACCEPTED, State.UNKNOWN, State.AMBIGUOUS, State.ABSENT)
}

# So long after its receive window a person may say that an intent is absent: the exchange may take a moment
# to carry out what came in time, and the clock of the person's machine is not the exchange's.
RESOLVABLE_AFTER_MS = 5_000

OPEN = frozenset({State.PLANNED, State.SENT, State.ACCEPTED, State.UNKNOWN})
# An effect of these may exist on the exchange, so budgets count them.
SPENT = OPEN | {State.CONFIRMED, State.AMBIGUOUS}

SHOWN = "accepted, and its coins are in the loan: its row in the history is still awaited"
RELEASED = "accepted, and its coins have left the loan: its row in the history is still awaited"
ARRIVED = "accepted, and its coins went from the Unified account to the Funding wallet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One adjustment (or repayment, or transfer) of one coin by one amount, from plan to end.

    Times are exchange time, ms; `amount` is in coins, and above 0 (else ValueError). LTVs are parts of 1.

    `seen_ids` are the history ids of the loan that existed when it was planned: none of them can be its own.
    `coins_before` and `ltv_before` are what the plan was made from: coins of `coin` that secured the loan,
    that it owed (repayment), or that lay in the Funding wallet (transfer; its `key` is that wallet's coin).
    `awaits_row`: it is confirmed by what the loan holds, and the history does not show its row yet.
    `collateral_coin`: a repayment that is paid with that collateral, of which the loan held
    `collateral_before`. `contract_id`: a repayment of that fixed loan of a pool.
    """

    intent_id: str
    owner: Owner
    account: str
    key: LoanKey
    direction: Direction
    coin: str
    amount: Decimal
    state: State
    reason: str
    coins_before: Decimal
    ltv_before: Decimal
    observed_at_ms: int
    seen_ids: frozenset[str]
    created_at_ms: int
    updated_at_ms: int
    rescue_of: str | None = None
    signed_at_ms: int | None = None
    recv_window_ms: int | None = None
    adjust_id: str | None = None
    ret_code: int | None = None
    ret_msg: str | None = None
    ltv_after: Decimal | None = None
    awaits_row: bool = False
    collateral_coin: str | None = None
    collateral_before: Decimal | None = None
    contract_id: str | None = None

    def __post_init__(self) -> None:
        if not self.amount.is_finite() or self.amount <= 0:
            raise ValueError(f"an adjustment by {self.amount:f} is not possible")

    @property
    def is_open(self) -> bool:
        """Whether it is not known yet how it ended: planned, sent, accepted or unknown."""
        return self.state in OPEN

    @property
    def channel(self) -> Channel:
        """Where it is written to, and where its end is read from."""
        fixed = self.contract_id is not None
        return Channel(self.key.product, Kind.FIXED_REPAYMENT if fixed else self.direction.kind)

    @property
    def repays_in_full(self) -> bool:
        """Whether it asks for no amount: all that a fixed loan owes, with the interest of that moment."""
        return self.contract_id is not None and self.collateral_coin is None

    @property
    def takes_from_wallet(self) -> bool:
        """Whether its coins come out of the Funding wallet."""
        return self.direction in {Direction.ADD, Direction.REPAY} and self.collateral_coin is None

    @property
    def change(self) -> Decimal:
        """Coins that it moves into (+) or out of (-) what it acts on, if it lands."""
        return self.amount * self.direction.sign

    def to(self, state: State, at_ms: int, **changes: Any) -> Intent:  # noqa: ANN401 - fields of Intent
        """The intent in its next state. Raises ImpossibleTransition where the table has no such step."""
        if state not in TRANSITIONS[self.state]:
            raise ImpossibleTransition(f"intent {self.intent_id} cannot go from {self.state} to {state}")
        return replace(self, state=state, updated_at_ms=at_ms, **changes)

    def resolved_by_human(
        self, state: State, at_ms: int, *, adjust_id: str | None = None, forced: bool = False
    ) -> Intent:
        """The intent as a person says it ended. Raises ImpossibleTransition where that makes no sense.

        It can't be absent before its receive window and a margin are over. Confirmed, it is the row
        `adjust_id` of the exchange's history; `forced`: or none that the person can name.
        """
        if state not in HUMAN_TRANSITIONS.get(self.state, frozenset()) or state is self.state:
            raise ImpossibleTransition(
                f"intent {self.intent_id} is {self.state}: it cannot be resolved as {state}"
            )
        if state is State.ABSENT:
            self._check_can_be_absent(at_ms, adjust_id)
            return replace(self, state=state, updated_at_ms=at_ms)
        return replace(self, state=state, updated_at_ms=at_ms, adjust_id=self._row(adjust_id, forced=forced))

    def was_planned_beside(self, first: Intent) -> bool:
        """Whether it is its rescue, and may not know of it. A further one knows of the rescue before."""
        return self.rescue_of == first.intent_id and first.rescue_of is None

    def rescues_among(self, intents: Iterable[Intent]) -> tuple[Intent, ...]:
        """Those that were sent beside it, in their order: each is the rescue of the one before."""
        rescues, found = {item.rescue_of: item for item in intents if item.rescue_of is not None}, [self]
        while (rescue := rescues.get(found[-1].intent_id)) is not None:
            found.append(rescue)
        return tuple(found[1:])

    def _check_can_be_absent(self, at_ms: int, adjust_id: str | None) -> None:
        if adjust_id is not None:
            raise ImpossibleTransition(f"intent {self.intent_id} cannot be absent and be the row {adjust_id}")
        ends_ms = (self.signed_at_ms or 0) + (self.recv_window_ms or 0) + RESOLVABLE_AFTER_MS
        if at_ms < ends_ms:
            seconds = -((at_ms - ends_ms) // 1000)
            raise ImpossibleTransition(
                f"intent {self.intent_id} may still take effect: in {seconds} s look once more in the "
                "exchange's history, and say then that it is absent"
            )

    def _row(self, adjust_id: str | None, *, forced: bool) -> str | None:
        """The id of the row that it is confirmed by, as rows are called here."""
        if adjust_id is not None and self.direction is Direction.REPAY:
            prefix = "repay-" if self.contract_id is None else "repay-fixed-"
            adjust_id = f"{prefix}{adjust_id.removeprefix(prefix)}"
        if adjust_id is None and self.adjust_id is None and not forced:
            raise ImpossibleTransition(
                f"intent {self.intent_id}: name its row with --adjust-id ID, as the exchange's history shows "
                "it; or say --force, if it shows none"
            )
        if adjust_id is not None and adjust_id != (self.adjust_id or adjust_id):
            raise ImpossibleTransition(
                f"intent {self.intent_id} has the id {self.adjust_id}, not {adjust_id}: look again"
            )
        return adjust_id or self.adjust_id
