"""What is known of an account at a moment of its replay: wallet, loans, rescues, and what has happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from ltv_guard.core.model.loans import LoanKey
from ltv_guard.core.model.policy import Rulebook, Thresholds, thresholds
from ltv_guard.guard.state.refusal_backoff import RefusalBackoff
from ltv_guard.replay.attention import AlertLine, Attention
from ltv_guard.replay.flight import Flights
from ltv_guard.replay.position import Position, Prices
from ltv_guard.replay.replay_event import Happening, ReplayEvent
from ltv_guard.replay.tally import Tally


@dataclass(slots=True, kw_only=True)
class Rescue:
    """A loan's last episode: open where `closed_ms` is None.

    `told`: what was said of it already; `refused`: of which coins it was said that they are refused.
    """

    closed_ms: int | None = None
    told: set[Happening] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)


@dataclass(slots=True, kw_only=True)
class AccountState:
    """Mutable. The wallet holds coins; all times are the exchange's, ms.

    `waits`: when a turn to write comes for which a decision waits; None where none does. `history`: each loan
    at its start, and as it was after each change but for interest. `attention`: when the guard looks;
    `index`: the prices that the exchange shows at a time, where those are not the last ones.
    """

    rulebook: Rulebook
    wallet: dict[str, Decimal]
    positions: list[Position]
    flights: Flights
    fee: Decimal
    tallies: dict[LoanKey, Tally] = field(default_factory=dict)
    events: list[ReplayEvent] = field(default_factory=list)
    low_since: dict[LoanKey, int] = field(default_factory=dict)
    rescues: dict[LoanKey, Rescue] = field(default_factory=dict)
    waits: int | None = None
    now_ms: int = 0
    attention: Attention = field(default_factory=Attention)
    index: Callable[[int], Prices] | None = None
    refusals: RefusalBackoff = field(default_factory=RefusalBackoff)
    history: dict[LoanKey, list[tuple[int, Position]]] = field(default_factory=dict)

    @property
    def living(self) -> list[Position]:
        """The loans that were not liquidated."""
        return [position for position in self.positions if not position.lost]

    @property
    def wakes_at(self) -> int | None:
        """When something happens that no price brings about."""
        times = (self.flights.wakes_at(self.now_ms), self.waits)
        return min((at for at in times if at is not None), default=None)

    def limits(self, position: Position, prices: Prices) -> Thresholds:
        """The thresholds that hold for a loan."""
        loan = position.shown(prices)
        return thresholds(self.rulebook.policy_for(loan), loan)

    def is_in_rescue(self, key: LoanKey) -> bool:
        """Whether the loan's last rescue has not ended: it ends when its target is reached."""
        rescue = self.rescues.get(key)
        return rescue is not None and rescue.closed_ms is None

    @property
    def is_one_in_rescue(self) -> bool:
        """Whether any living loan is in a rescue: then every point matters, none is skipped."""
        return any(self.is_in_rescue(position.spec.key) for position in self.living)

    def is_one_at(self, alarm: AlertLine, prices: Prices) -> bool:
        """Whether any loan is shown at or above that line."""
        return any(
            position.shown_ltv(prices) >= self.tallies[position.spec.key].line(alarm)
            for position in self.living
        )

    def remember(self, position: Position, now_ms: int) -> None:
        """Notes how a loan is from now on."""
        self.history.setdefault(position.spec.key, []).append((now_ms, position.copy()))
