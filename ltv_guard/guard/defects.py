"""Errors of ours that cost no loan its help: told as defects, with a traceback once. Logs only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ltv_guard.core.model.defects import Defect
from ltv_guard.core.model.errors import JournalUnavailable
from ltv_guard.log.alert_repeater import AlertRepeater

WHAT_TO_DO = "please report it, with this line; the loans are guarded all the same"


class Defects:
    """Contains what must not reach the loans: words, reports, facts that can be done without."""

    def __init__(self, alerts: AlertRepeater) -> None:
        self._alerts = alerts
        self._shown: set[tuple[str, str]] = set()

    @contextmanager
    def contained(self, what: str) -> Iterator[None]:
        """Whatever goes wrong in the block ends the block, and no more. A journal that fails is no defect."""
        try:
            yield
        except JournalUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - that is what it is for
            self.tell(Defect(what=what, error=error))

    def tell(self, defect: Defect) -> None:
        """A CRITICAL once for each kind, with its traceback, and again with growing pauses without it."""
        error = defect.error
        kind = (defect.what, repr(error)[:200])
        first = kind not in self._shown
        self._shown.add(kind)
        self._alerts.grave(
            ("defect", *kind),
            kind,
            "defect",
            what=defect.what,
            why=repr(error),
            what_to_do=WHAT_TO_DO,
            exc_info=error if first else None,
        )
