"""The alarms as the journal holds them, and over it what could not be written there yet."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from ltv_guard.core.model.errors import JournalUnavailable
from ltv_guard.core.model.notices import Alarm, Notice
from ltv_guard.service.notify.alarms import Turn


class Outbox(Protocol):
    """What is needed of `adapters.journal.outbox`."""

    async def keep(
        self, notices: Sequence[Notice], alarms: Sequence[Alarm] = (), over: Sequence[str] = ()
    ) -> None:
        """In one commit: notices to deliver, alarms that last, and the ids of those that are over.

        Raises JournalUnavailable.
        """

    async def waiting(self, target: str) -> tuple[Notice, ...]:
        """What this target has not been told, oldest first. Raises JournalUnavailable."""

    async def delivered(self, notice_ids: Sequence[str]) -> None:
        """These are told. Raises JournalUnavailable."""

    async def alarms(self) -> tuple[Alarm, ...]:
        """Those that last, as they were kept. Raises JournalUnavailable."""


class AlarmBook:
    """A journal may read and not write, or neither: what was told once is known all the same."""

    def __init__(self) -> None:
        self._held: dict[str, Alarm] = {}
        self._was_read = False
        self._unwritten: dict[str, Alarm | None] = {}  # None: over

    @property
    def is_blank(self) -> bool:
        """Whether the journal was read, and no alarm is known."""
        return self._was_read and not (self._held or self._unwritten)

    async def known(self, outbox: Outbox, *, lasts: bool) -> Collection[Alarm]:
        """What was told and is not over, as far as is known.

        Where none was known and none `lasts` the journal is not asked: nobody can have acknowledged one.
        """
        if not self._was_read or self._held or self._unwritten or lasts:
            try:
                self._held = {alarm.alarm_id: alarm for alarm in await outbox.alarms()}
            except JournalUnavailable:  # which the daemon tells
                pass
            else:
                self._was_read = True
                self._unwritten = {
                    alarm_id: _acknowledged_as(self._held.get(alarm_id), alarm)
                    for alarm_id, alarm in self._unwritten.items()
                }
        return _laid_over(self._held, self._unwritten).values()

    async def keep(self, outbox: Outbox, notices: Sequence[Notice], found: Turn) -> None:
        """Writes all of it, and what could not be written before. Raises JournalUnavailable."""
        changes: dict[str, Alarm | None] = dict(self._unwritten)
        changes |= {alarm.alarm_id: alarm for alarm in (*found.begun, *found.again, *found.changed)}
        changes |= {alarm.alarm_id: None for alarm in found.over}
        if not (notices or changes):
            return
        told = [alarm for alarm in changes.values() if alarm is not None]
        over = [alarm_id for alarm_id, alarm in changes.items() if alarm is None]
        self._unwritten = changes
        await outbox.keep(notices, told, over)
        self._unwritten = {}
        self._held = _laid_over(self._held, changes)


def _laid_over(held: Mapping[str, Alarm], changes: Mapping[str, Alarm | None]) -> dict[str, Alarm]:
    both = {**held, **changes}
    return {alarm_id: alarm for alarm_id, alarm in both.items() if alarm is not None}


def _acknowledged_as(held: Alarm | None, alarm: Alarm | None) -> Alarm | None:
    """Somebody may have acknowledged, since it was told, what could not be written."""
    if held is None or alarm is None or (held.acknowledged_at_ms or 0) <= alarm.told_at_ms:
        return alarm
    return replace(alarm, acknowledged_at_ms=held.acknowledged_at_ms, acknowledged_ltv=held.acknowledged_ltv)
