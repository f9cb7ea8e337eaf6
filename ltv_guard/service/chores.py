"""What a daemon looks at beside its accounts: the exchange's clock, and what is left to open. Logs only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from collections.abc import Set as AbstractSet

import structlog

from ltv_guard.adapters.settings import OddAccount
from ltv_guard.core.model.errors import ExchangeUnavailable
from ltv_guard.log.alert_repeater import AlertRepeater
from ltv_guard.service import descriptors

SKEW_MS = 1000

log = structlog.stdlib.get_logger()


class Chores:
    """Tells what it finds, once."""

    def __init__(self, alerts: AlertRepeater) -> None:
        self._alerts = alerts
        self._odd: AbstractSet[tuple[str, str, bool]] = frozenset()

    def look_at_accounts(self, odd: Sequence[OddAccount]) -> None:
        """Whose own file can't be used: nobody guards such an account, but where it goes on as it was."""
        told = {(item.name, str(item.file), item.guarded): item for item in odd}
        for topic in self._odd - told.keys():
            self._alerts.ended(topic)
            if topic[:2] not in {key[:2] for key in told}:
                log.warning("account_accepted", account=topic[0], path=topic[1])
        for topic, item in told.items():
            found = {"account": item.name, "path": str(item.file), "why": item.why}
            if item.guarded:
                self._alerts.hourly(topic, "error", "account_refused", **found)
            else:
                self._alerts.grave(topic, item.why, "account_refused", **found)
        self._odd = told.keys()

    async def look_at_clock(self, measure: Callable[[], Awaitable[int]]) -> None:
        """`measure` returns how far (ms) the exchange's time is ahead of this machine's."""
        try:
            skew_ms = await measure()
        except ExchangeUnavailable as error:
            self._alerts.once("clock", "warning", "clock_not_measured", why=str(error))
            return
        if abs(skew_ms) > SKEW_MS:
            self._alerts.once("skew", "warning", "clock_skewed", skew_ms=skew_ms)
        elif self._alerts.ended("skew"):
            log.info("clock_agrees", skew_ms=skew_ms)
        self._alerts.ended("clock")

    def look_at_descriptors(self) -> None:
        """Whether this process can still open anything."""
        why = descriptors.why_none_left()
        if why is not None:
            self._alerts.grave("descriptors", "none", "out_of_descriptors", why=why)
        elif self._alerts.ended("descriptors"):
            log.warning("descriptors_available")
