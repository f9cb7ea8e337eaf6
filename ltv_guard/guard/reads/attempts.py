"""A read that may fail: what it found, or nothing, which is said once. Decides nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import structlog

from ltv_guard.core.model.defects import Defect
from ltv_guard.core.model.errors import ExchangeUnavailable, NeedsHuman
from ltv_guard.guard.defects import Defects
from ltv_guard.log.alert_repeater import AlertRepeater

T = TypeVar("T")

log = structlog.stdlib.get_logger()


class Attempts:
    """Says when a read fails, and when it works again."""

    def __init__(self, alerts: AlertRepeater, defects: Defects) -> None:
        self._alerts = alerts
        self._defects = defects

    async def read(self, what: str, reading: Awaitable[T], *, wait_s: float | None = None) -> T | None:
        """What was read; None, and said once, where it could not be, or not within `wait_s`."""
        try:
            async with asyncio.timeout(wait_s):
                found = await reading
        except TimeoutError:
            self.came_too_late(what, wait_s or 0)
            return None
        except (ExchangeUnavailable, NeedsHuman) as error:
            self.failed(what, str(error))
            return None
        except Exception as error:  # noqa: BLE001 - what can be done without this read is done
            self._defects.tell(Defect(what=f"reading {what}", error=error))
            return None
        self.works(what)
        return found

    def works(self, what: str) -> None:
        """Says that it can be had again, where it could not."""
        if self._alerts.ended(what):
            log.info("read_works_again", what=what)

    def came_too_late(self, what: str, wait_s: float) -> None:
        """Says that it did not come within so long, where nobody waits for it any more."""
        self.failed(what, f"no answer within {wait_s:.3g} s")

    def failed(self, what: str, why: str) -> None:
        """Says once that it can't be had, until it works again."""
        self._alerts.once(what, "warning", "read_failed", what=what, why=why)
