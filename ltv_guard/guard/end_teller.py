"""What is told of the ends of fixed loans: of an order's, and of a pool's contracts. Logs only."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, field

import structlog

from ltv_guard.core.model.loans import LoanKey
from ltv_guard.core.model.maturity import Maturity
from ltv_guard.guard.loan_fields import named
from ltv_guard.log.alert_repeater import AlertRepeater
from ltv_guard.log.utc import iso

log = structlog.stdlib.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """One end: of which loan, how far away, what is owed (coin -> coins), and what follows in words.

    `name` tells it from all others. `of_contract`: of a pool's fixed loan, `contract` (its id) and `at_end`.
    """

    name: Hashable
    key: LoanKey
    found: Maturity
    owed: Mapping[str, str]
    what_follows: str
    of_contract: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> dict[str, str]:
        """Which loan it is, as fields of an event."""
        return {**named(self.key), **self.of_contract}


class EndTeller:
    """Each distance is told once, and what is overdue again and again. Remembered until a restart."""

    def __init__(self, alerts: AlertRepeater) -> None:
        self._alerts = alerts
        self._told: dict[Hashable, Maturity] = {}

    @property
    def told(self) -> Collection[Hashable]:
        """The names of those of which anything was told."""
        return self._told.keys()

    def tell_overdue(self, ending: Ending) -> None:
        """A CRITICAL that lasts: its end is past, and it is not repaid."""
        found = ending.found
        self._told.setdefault(ending.name, found)
        self._alerts.grave(
            ("overdue", ending.name),
            found.ends_at_ms,
            "loan_overdue",
            expires_at=iso(found.ends_at_ms),
            liquidated_at=iso(found.liquidated_at_ms),
            owed=ending.owed,
            what_follows=ending.what_follows,
            **ending.names,
        )

    def tell_near(self, ending: Ending) -> None:
        """That its end is near, where another distance has been reached."""
        found = ending.found
        if not found.is_news_after(self._told.get(ending.name)):
            return
        self._told[ending.name] = found
        log.warning(
            "maturity_near",
            expires_at=iso(found.ends_at_ms),
            seconds_left=found.left_ms // 1000,
            owed=ending.owed,
            what_follows=ending.what_follows,
            **ending.names,
        )

    def forget(self, name: Hashable) -> None:
        """It is gone, and no longer overdue."""
        self._told.pop(name, None)
        self._alerts.ended(("overdue", name))
