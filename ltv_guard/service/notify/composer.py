"""Writes the notices of one look: of events, of alarms that begin, last or end, and the digest."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any, TypeVar

from ltv_guard.core.model.defects import Defect, attempt
from ltv_guard.core.model.notices import LEVELS, Alarm, Notice, reaches, where
from ltv_guard.core.model.status import AlertStatus
from ltv_guard.guard.defects import Defects
from ltv_guard.log.events import ONCE
from ltv_guard.service.notify import words
from ltv_guard.service.notify.alarms import TOLD_APART_BY, Turn, id_of
from ltv_guard.service.notify.sighted import Sighted

T = TypeVar("T")

CRITICAL, INFO = LEVELS[-1], LEVELS[0]
NAMES = ("account", "product", "loan_id")
WORDLESS = "Its details could not be put into words."
DIGEST = "ltv-guard: the digest of the day"


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
        defects: Defects,
    ) -> None:
        self._targets = targets
        self._lasting = {id_of(alert): alert for alert in lasting}
        self._sighted = sighted
        self._now_ms = now_ms
        self._defects = defects
        self._numbers = count()  # what was made at one time is delivered in the order of its ids

    def of_events(self, heard: Iterable[Mapping[str, Any]]) -> Iterator[list[Notice]]:
        """Of what lasts the alarm tells, once for all that the log says of it."""
        return map(self._of_event, heard)

    def _of_event(self, event: Mapping[str, Any]) -> list[Notice]:
        level, name = str(event["level"]), str(event["event"])
        about = _about(event)
        wanted = [target for target, (_, least) in self._targets.items() if reaches(level, least)]
        lasting = self._lasting.get(id_of(about)) if level == CRITICAL else None
        if not wanted or (lasting is not None and not lasting.has_happened):
            return []
        title, body = (
            words.title_of(name, level, where(about.account, about.loan_id)),
            self._body(event, about),
        )
        return self._to(wanted, level, title, body if lasting is None else f"{body}\n{_how(id_of(about))}")

    def of_alarms(self, found: Turn) -> Iterator[list[Notice]]:
        """All targets hear of what is critical, and that it is over."""
        for alarm in found.begun:
            if not self._has_happened(alarm):  # which its event tells, each time that it happens
                yield self._of_alarm(alarm)
        for alarm in found.again:
            yield self._of_alarm(
                alarm, words.again(alarm, self._now_ms, has_happened=self._has_happened(alarm))
            )
        for alarm in found.over:
            if alarm.event not in ONCE:  # it was over when it was told
                yield self._to(self._targets, INFO, *words.over(alarm))

    def _has_happened(self, alarm: Alarm) -> bool:
        return self._lasting[alarm.alarm_id].has_happened

    def _of_alarm(self, alarm: Alarm, *lasts: str) -> list[Notice]:
        event = {**self._lasting[alarm.alarm_id].details, "event": alarm.event, "level": CRITICAL}
        body = "\n".join([*lasts, self._body(event, alarm), _how(alarm.alarm_id)])
        return self._to(
            self._targets,
            CRITICAL,
            words.title_of(alarm.event, CRITICAL, where(alarm.account, alarm.loan_id)),
            body,
        )

    def _body(self, event: Mapping[str, Any], about: AlertStatus | Alarm) -> str:
        """Whatever is odd about an event costs its details: that it happened is told."""
        what = "the words of a notification"
        return self._told(what, lambda: words.body_of(event, self._sighted.loan_of(about)), WORDLESS)

    def digest(self) -> list[Notice]:
        """How everything stands."""
        said = self._told(
            "the words of the digest", lambda: words.digest(self._sighted.status), (DIGEST, WORDLESS)
        )
        return self._to(self._targets, INFO, *said)

    def _told(self, what: str, write: Callable[[], T], otherwise: T) -> T:
        found = attempt(what, write)
        if isinstance(found, Defect):
            self._defects.tell(found)
            return otherwise
        return found

    def _to(self, targets: Iterable[str], level: str, title: str, body: str) -> list[Notice]:
        return [
            Notice(
                notice_id=f"{next(self._numbers):08x}{uuid.uuid4().hex[8:]}",
                target=target,
                level=level,
                title=title,
                body=body,
                made_at_ms=self._now_ms,
            )
            for target in targets
        ]


def _how(alarm_id: str) -> str:
    return f"To acknowledge: ltv-guard ack {alarm_id}"


def _about(event: Mapping[str, Any]) -> AlertStatus:
    """What an event of the log is about, as an alert of it would be."""
    account, product, loan_id = (None if event.get(key) is None else str(event[key]) for key in NAMES)
    own = {name: str(event[name]) for name in TOLD_APART_BY if event.get(name) is not None}
    return AlertStatus(
        event=str(event["event"]),
        since_ms=0,
        account=account,
        product=product,
        loan_id=loan_id,
        details=own,
    )
