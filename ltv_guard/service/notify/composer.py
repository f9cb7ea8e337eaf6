"""Writes the notices of one look: of events, of alarms that begin, last or end, and the digest."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ltv_guard.core.model.notices import LEVELS, Alarm, Notice, reaches
from ltv_guard.core.model.status import AlertStatus
from ltv_guard.service.notify import words
from ltv_guard.service.notify.alarms import Turn, id_of
from ltv_guard.service.notify.sighted import Sighted

CRITICAL, INFO = LEVELS[-1], LEVELS[0]
NAMES = ("account", "product", "loan_id")


class Composer:
    """`targets`: name -> URL and least level. `lasting`: the alerts that last now.

    What it writes comes piece by piece: a thousand of them at once would hold up the loop.
    """

    def __init__(
        self,
        targets: Mapping[str, tuple[str, str]],
        lasting: Sequence[AlertStatus],
        sighted: Sighted,
        now_ms: int,
    ) -> None:
        self._targets = targets
        self._lasting = {id_of(alert): alert for alert in lasting}
        self._sighted = sighted
        self._now_ms = now_ms

    def of_events(self, heard: Iterable[Mapping[str, Any]]) -> Iterator[list[Notice]]:
        """Of what lasts the alarm tells, once for all that the log says of it."""
        return map(self._of_event, heard)

    def _of_event(self, event: Mapping[str, Any]) -> list[Notice]:
        level, name = str(event["level"]), str(event["event"])
        account, product, loan_id = (event.get(key) for key in NAMES)
        about = AlertStatus(event=name, since_ms=0, account=account, product=product, loan_id=loan_id)
        wanted = [target for target, (_, least) in self._targets.items() if reaches(level, least)]
        if not wanted or (level == CRITICAL and id_of(about) in self._lasting):
            return []
        title = words.title_of(name, level, _where(about))
        return self._to(wanted, level, title, words.body_of(event, self._sighted.loan_of(about)))

    def of_alarms(self, found: Turn) -> Iterator[list[Notice]]:
        """All targets hear of what is critical, and that it is over."""
        for alarm in found.begun:
            yield self._of_alarm(alarm)
        for alarm in found.again:
            yield self._of_alarm(alarm, words.again(alarm, self._now_ms))
        for alarm in found.over:
            yield self._to(self._targets, INFO, *words.over(alarm))

    def _of_alarm(self, alarm: Alarm, *lasts: str) -> list[Notice]:
        event = {**self._lasting[alarm.alarm_id].details, "event": alarm.event, "level": CRITICAL}
        how = f"To acknowledge: ltv-guard ack {alarm.alarm_id}"
        body = "\n".join([*lasts, words.body_of(event, self._sighted.loan_of(alarm)), how])
        return self._to(self._targets, CRITICAL, words.title_of(alarm.event, CRITICAL, _where(alarm)), body)

    def digest(self) -> list[Notice]:
        return self._to(self._targets, INFO, *words.digest(self._sighted.status))

    def _to(self, targets: Iterable[str], level: str, title: str, body: str) -> list[Notice]:
        return [
            Notice(
                notice_id=uuid.uuid4().hex,
                target=target,
                level=level,
                title=title,
                body=body,
                made_at_ms=self._now_ms,
            )
            for target in targets
        ]


def _where(of: AlertStatus | Alarm) -> str:
    return " ".join(filter(None, (of.account, of.loan_id)))
