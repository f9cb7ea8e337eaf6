"""The outbox of one daemon of several that share a journal: it sees, ends and acknowledges its own alone.

Without it each would take the alarms of the others for over, and bring their notices to its own targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ltv_guard.adapters.journal.outbox import SqlOutbox
from ltv_guard.core.model.notices import Alarm, Notice

MARK = "@"  # stands in no target's name and in no alarm's id


class OwnOutbox:
    """Implements what `SqlOutbox` does. `names` are the daemon's: it writes by the first, and reads by all.

    There are several because one may be new: a key that was changed, a user who was not known before.
    """

    def __init__(self, outbox: SqlOutbox, names: Sequence[str]) -> None:
        self._outbox = outbox
        self._names = names

    async def keep(
        self, notices: Sequence[Notice], alarms: Sequence[Alarm] = (), over: Sequence[str] = ()
    ) -> None:
        await self._outbox.keep(
            [replace(notice, target=self._written(notice.target)) for notice in notices],
            [replace(alarm, alarm_id=self._written(alarm.alarm_id)) for alarm in alarms],
            [f"{alarm_id}{MARK}{name}" for alarm_id in over for name in self._names],
        )

    async def waiting(self, target: str) -> tuple[Notice, ...]:
        found = [item for name in self._names for item in await self._outbox.waiting(f"{target}{MARK}{name}")]
        found.sort(key=lambda item: (item.made_at_ms, item.notice_id))
        return tuple(replace(item, target=target) for item in found)

    async def counted(self) -> dict[str, int]:
        sums: dict[str, int] = {}
        for written, waiting in (await self._outbox.counted()).items():
            target, _, name = written.partition(MARK)
            if name in self._names:
                sums[target] = sums.get(target, 0) + waiting
        return sums

    async def delivered(self, notice_ids: Sequence[str]) -> None:
        await self._outbox.delivered(notice_ids)

    async def alarms(self) -> tuple[Alarm, ...]:
        """One that was written by several of its names is as the first of them has it."""
        found = await self._outbox.alarms()
        own: dict[str, Alarm] = {}
        for mark in (f"{MARK}{name}" for name in reversed(self._names)):
            for alarm in found:
                if alarm.alarm_id.endswith(mark):
                    alarm_id = alarm.alarm_id.removesuffix(mark)
                    own[alarm_id] = replace(alarm, alarm_id=alarm_id)
        return tuple(own.values())

    async def acknowledge(self, written: str, at_ms: int) -> tuple[Alarm, ...]:
        begun = written.strip().lower()
        own = [alarm.alarm_id for alarm in await self.alarms() if alarm.alarm_id.startswith(begun)]
        for alarm_id in own:
            for name in self._names:
                await self._outbox.acknowledge(f"{alarm_id}{MARK}{name}", at_ms)
        return tuple(alarm for alarm in await self.alarms() if alarm.alarm_id in own)

    def _written(self, name: str) -> str:
        return f"{name}{MARK}{self._names[0]}"
