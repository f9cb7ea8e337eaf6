"""Why nothing may be sent for an account at a moment, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Why(StrEnum):
    """What keeps adjustments back; also the word for such a cycle in `cycle_finished`."""

    DRY_RUN = "dry_run"
    PAUSED = "paused"
    NEEDS_HUMAN = "needs_human"
    WAITING = "waiting"
    """The journal is new or restored, and an earlier one may have sent what it does not know of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """Nothing is sent, for this cause; `detail` is what a person, or the exchange, said of it."""

    kind: Why
    detail: str = ""

    @property
    def ends_by_itself(self) -> bool:
        """Whether looking again soon may find it over."""
        return self.kind is Why.WAITING
