"""What a daemon tells of cycles and chores that fail, and of a journal that can't be used."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import structlog

from ltv_guard.core.model.errors import JournalUnavailable, LeaseLost
from ltv_guard.log.alert_repeater import AlertRepeater

ALARM_AFTER = 2  # cycles that fail one after the other

log = structlog.stdlib.get_logger()


class Failures:
    """Of accounts and chores, by `whose`: such as `account main`."""

    def __init__(self, alerts: AlertRepeater) -> None:
        self._alerts = alerts
        self._times: Counter[str] = Counter()
        self._explained: set[str] = set()
        self._without_journal: set[str] = set()

    @property
    def journal_is_sound(self) -> bool:
        """Whether nobody is without the journal now."""
        return not self._without_journal

    @contextmanager
    def of_account(self, name: str) -> Iterator[None]:
        """Tells how its cycle in the block went, and goes on. Raises LeaseLost, once that is told."""
        whose = f"account {name}"
        try:
            yield
        except LeaseLost as error:
            self._lease_lost(name, error)
            raise
        except JournalUnavailable as error:
            self.journal_failed(whose, error)
        except Exception as error:  # noqa: BLE001 - told
            self.failed(whose, error, account=name)
        else:
            self.journal_works(whose)
            self.works(whose, account=name)

    @contextmanager
    def of_journal(self, whose: str) -> Iterator[None]:
        """Tells whether the block could use the journal, and goes on."""
        try:
            yield
        except JournalUnavailable as error:
            self.journal_failed(whose, error)
        else:
            self.journal_works(whose)

    def forget(self, accounts: Iterable[str]) -> None:
        """They are guarded no more: whether they could use the journal does not matter."""
        self._without_journal.difference_update(accounts)

    def failed(self, whose: str, error: Exception, **named: str) -> None:
        """A defect is told with its traceback once; one that comes again at once guards nobody: an alarm."""
        self._times[whose] += 1
        why = f"{type(error).__name__}: {error}"
        if (place := _place_of(error)) not in self._explained:
            self._explained.add(place)
            log.error("cycle_failed", why=why, exc_info=error, **named)
        if self._times[whose] >= ALARM_AFTER:
            self._alerts.grave(
                ("failing", whose), "failing", "cycle_failed", why=why, times=self._times[whose], **named
            )

    def works(self, whose: str, **named: str) -> None:
        """A cycle or chore went well: the end of its failures, if there were any, is told once."""
        failed = self._times.pop(whose, 0)
        if self._alerts.ended(("failing", whose)):
            log.warning("cycle_works_again", times=failed, **named)

    def journal_failed(self, whose: str, error: JournalUnavailable) -> None:
        """The journal could not be used: an alarm, and again with growing pauses."""
        self._without_journal.add(whose)
        self._alerts.grave("journal", str(error), "journal_unavailable", why=str(error))

    def _lease_lost(self, name: str, error: LeaseLost) -> None:
        """Another worker of the fleet may guard the account by now."""
        log.warning("lease_refused", account=name, why=str(error))

    def journal_works(self, whose: str) -> None:
        """Reads may work where writes don't: it is well once nobody is without it any more."""
        self._without_journal.discard(whose)
        if not self._without_journal and self._alerts.ended("journal"):
            log.warning("journal_available")


def _place_of(error: Exception) -> str:
    """What tells one defect from another: its kind, and the line that raised it."""
    frames = [f"{frame.f_code.co_filename}:{line}" for frame, line in traceback.walk_tb(error.__traceback__)]
    return f"{type(error).__name__} {frames[-1:]}"
