"""Turns what the log says, and what lasts, into notices for each target, and has couriers bring them.

Written down before it is sent, and beside the cycles: a target that is slow or down for a day holds up none.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import chain
from typing import Any

from ltv_guard.core.model.errors import JournalUnavailable
from ltv_guard.core.model.notices import Alarm, Notice
from ltv_guard.core.model.status import AlertStatus, Status
from ltv_guard.guard.defects import Defects
from ltv_guard.service.heartbeat import wall_ms
from ltv_guard.service.notify.alarm_book import AlarmBook, Outbox
from ltv_guard.service.notify.alarms import Turn, turn
from ltv_guard.service.notify.composer import Composer
from ltv_guard.service.notify.courier import Courier
from ltv_guard.service.notify.heard import Heard
from ltv_guard.service.notify.sighted import Sighted
from ltv_guard.service.rounds import rounds

LOOK_S = 1.0
END_S = 2.0
MOST_AT_ONCE = 100  # written before the loop has its turn
MS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """Whom to tell what: target -> its URL and the least level; `digest_at`: minutes after midnight, UTC."""

    targets: Mapping[str, tuple[str, str]] = field(repr=False)  # URLs hold passwords
    repeat_s: float = 300.0
    digest_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What the desk looks at: asked anew each time. `sees_all`: every account has had a cycle lately.

    `noted` is told the ids of what has happened and was acknowledged: it is to last no longer.
    """

    orders: Callable[[], Orders]
    outbox: Callable[[], Outbox]
    lasting: Callable[[], Sequence[AlertStatus]]
    status: Callable[[], Status]
    sees_all: Callable[[], bool]
    noted: Callable[[Collection[str]], object] = lambda _ids: None


class Desk:
    """`hear` may be called from any thread. `send` takes URL, title, body, level, in a thread: it blocks."""

    def __init__(
        self,
        sight: Sight,
        send: Callable[[str, str, str, str], bool],
        defects: Defects,
        *,
        now_ms: Callable[[], int] = wall_ms,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sight = sight
        self._send = send
        self._defects = defects
        self._now_ms = now_ms
        self._monotonic = monotonic
        self._heard = Heard()
        self._couriers: dict[str, tuple[Courier, asyncio.Task[None] | None]] = {}
        self._book = AlarmBook()
        self._digested: str | None = None

    def hear(self, event: Mapping[str, Any]) -> None:
        """Every event of the log. Keeps a reference to those that anybody may want."""
        self._heard.hear(event)

    async def watch(self) -> None:
        """Until it is cancelled."""
        await rounds("the notifications", self.look, LOOK_S, self._defects)

    async def end(self) -> None:
        """Gives errands that are under way a moment: what was sent and not noted would be sent again."""
        tasks = [task for _, task in self._couriers.values() if task is not None and not task.done()]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=END_S)
            for task in late:
                task.cancel()

    async def look(self) -> None:
        """One round: what is new is written down, and every courier is sent off."""
        orders = self._sight.orders()
        self._heard.only_from(least for _, least in orders.targets.values())
        if not orders.targets:
            self._heard.taken()
            return
        lasting = self._sight.lasting()
        if self._has_nothing_to_do(lasting, orders):
            return
        sighted = Sighted(self._sight.status)
        found = await self._turn(orders, lasting, sighted)
        if found.noted:
            self._sight.noted(found.noted)
        heard = self._heard.taken()
        write = Composer(orders.targets, lasting, sighted, self._now_ms(), self._defects)
        notices = await _by_and_by(
            chain(write.of_events(heard), write.of_alarms(found), self._digest(orders, write))
        )
        await self._keep(notices, found)
        self._dispatch(orders)

    def _has_nothing_to_do(self, lasting: Sequence[AlertStatus], orders: Orders) -> bool:
        """Whether nothing is wrong, said or waiting: nearly always so, and it has to be cheap."""
        is_quiet = not lasting and self._heard.is_empty and self._book.is_blank
        return is_quiet and not self.may_hold_any(orders) and self._due_day(orders) is None

    def may_hold_any(self, orders: Orders) -> bool:
        """Whether a notice may wait for a target, as far as is known."""
        couriers = self._couriers
        return any(name not in couriers or not couriers[name][0].is_idle for name in orders.targets)

    async def _turn(self, orders: Orders, lasting: Sequence[AlertStatus], sighted: Sighted) -> Turn:
        def ltv_of(alarm: Alarm) -> Decimal | None:
            item = None
            with self._defects.contained("how a loan with an alarm stands"):
                item = sighted.loan_of(alarm)
            return None if item is None else item.loan.ltv

        return turn(
            lasting,
            await self._book.known(self._sight.outbox(), lasts=bool(lasting)),
            now_ms=self._now_ms(),
            repeat_ms=int(orders.repeat_s * MS),
            ltv_of=ltv_of,
            sees_all=self._sight.sees_all(),
        )

    async def _keep(self, notices: Sequence[Notice], found: Turn) -> None:
        is_kept = False
        with suppress(JournalUnavailable), self._defects.contained("writing notifications down"):
            await self._book.keep(self._sight.outbox(), notices, found)
            is_kept = True
        for notice in notices:
            courier = self._courier(notice.target)
            if is_kept:
                courier.expect()
            else:  # which has to be told all the more
                courier.hand([notice])

    def _digest(self, orders: Orders, write: Composer) -> Iterator[list[Notice]]:
        """Once a day, at its minute: what was missed while nothing ran is not made up for."""
        today = self._due_day(orders)
        if today is not None:
            self._digested = today
            yield write.digest()

    def _due_day(self, orders: Orders) -> str | None:
        """The day whose digest is due."""
        if orders.digest_at is None:
            return None
        now = datetime.fromtimestamp(self._now_ms() / MS, UTC)
        today, minute = now.date().isoformat(), now.hour * 60 + now.minute
        return None if self._digested == today or minute != orders.digest_at else today

    # Delivery.

    def _courier(self, target: str) -> Courier:
        if target not in self._couriers:
            courier = Courier(
                target,
                lambda title, body, level: self._deliver(target, title, body, level),
                waiting=lambda name: self._sight.outbox().waiting(name),
                delivered=lambda ids: self._sight.outbox().delivered(ids),
                monotonic=self._monotonic,
            )
            self._couriers[target] = (courier, None)
        return self._couriers[target][0]

    def _dispatch(self, orders: Orders) -> None:
        """One errand a target at a time: whoever is slow holds up himself alone."""
        for target in orders.targets:
            courier = self._courier(target)
            task = self._couriers[target][1]
            if not courier.is_idle and (task is None or task.done()):
                self._couriers[target] = (courier, asyncio.create_task(self._errand(courier)))

    async def _errand(self, courier: Courier) -> None:
        with self._defects.contained("bringing notifications"):
            await courier.go()

    async def _deliver(self, target: str, title: str, body: str, level: str) -> bool:
        url = self._sight.orders().targets.get(target, ("", ""))[0]
        try:
            return await asyncio.to_thread(self._send, url, title, body, level)
        except Exception:  # noqa: BLE001 - a library of many services: it may hold the URL, and costs a try
            return False


async def _by_and_by(written: Iterable[list[Notice]]) -> list[Notice]:
    """All of it, however much it is, with turns for the loop in between."""
    notices: list[Notice] = []
    for number, some in enumerate(written, start=1):
        notices += some
        if number % MOST_AT_ONCE == 0:
            await asyncio.sleep(0)
    return notices
