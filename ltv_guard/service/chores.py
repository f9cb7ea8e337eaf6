"""What a daemon looks at beside its accounts: the exchange's clock, and what is left to open. Logs only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog

from ltv_guard.core.model.errors import ExchangeUnavailable
from ltv_guard.log.alert_repeater import AlertRepeater
from ltv_guard.service import descriptors

SKEW_MS = 1000

log = structlog.stdlib.get_logger()


class Chores:
    """Tells what it finds, once."""

    def __init__(self, alerts: AlertRepeater) -> None:
        self._alerts = alerts

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
