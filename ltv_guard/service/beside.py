"""What runs beside the guards of a daemon: watchdog, dead man's switch, HTTP server, notifications.

None of it holds up a cycle. Each asks for the settings in force, which a reload changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ltv_guard.adapters.settings import Settings
from ltv_guard.core.model.loans import Owner
from ltv_guard.core.model.status import AlertStatus, Health, Status
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.snapshot import CycleResult
from ltv_guard.log import format as logs
from ltv_guard.service.deadman import Deadman, Post
from ltv_guard.service.heartbeat import wall_ms
from ltv_guard.service.kill_switch import writable
from ltv_guard.service.lasting_objects import GuardsSeen, LastingObjects, seen_of
from ltv_guard.service.latest import Latest
from ltv_guard.service.notify.delivery_thread import send
from ltv_guard.service.notify.desk import Desk, Orders, Sight
from ltv_guard.service.notify.outboxes import AnyOutbox, outbox_of
from ltv_guard.service.outlets import listens_of, orders_of, post_of
from ltv_guard.service.recorder import Recorder, RecorderSource
from ltv_guard.service.reload import Reloads
from ltv_guard.service.scheduler import Daemon
from ltv_guard.service.sign_of_life import SignOfLife
from ltv_guard.service.status import alerts_of, status_of, take_note
from ltv_guard.service.watchdog import Signs, Watchdog
from ltv_guard.service.web import Listens, Shown, Web

if TYPE_CHECKING:
    from ltv_guard.service.fleet.running import Fleet

FOUND_AGAIN_S = 60.0  # some troubles are told once they have lasted for a minute
LONGEST_WAIT_S = 15.0  # what a request may wait for its turn, beside its own timeout


class Beside:
    """Begun once the guards begin, ended when they have ended."""

    def __init__(self, reloads: Reloads, daemon: Daemon, latest: Latest, fleet: Fleet | None = None) -> None:
        self._reloads = reloads
        self._daemon = daemon
        self._latest = latest
        self._fleet = fleet
        self._defects = Defects(daemon.alerts)
        self._watchdog = Watchdog(self.signs, self._defects, life=SignOfLife(self.settings.source))
        self._desk = Desk(
            Sight(
                orders=self.orders,
                outbox=self.outbox,
                lasting=self.lasting,
                status=self.status,
                sees_all=self.sees_all,
                noted=self.noted,
            ),
            send,
            self._defects,
        )
        self._recorder = Recorder(
            RecorderSource(
                is_wanted=lambda: self.settings.http.enabled and self._has_begun(),
                status=self.status,
                owners=self.owners,
                samples=lambda: self._reloads.run.journal.samples,
            ),
            self._defects,
        )
        self._unlisten: Callable[[], None] = lambda: None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def settings(self) -> Settings:
        """Those in force: a reload replaces them."""
        return self._reloads.run.settings

    def begin(self, stop: asyncio.Event) -> None:
        """Starts what runs beside the guards. None of it ends the daemon by failing, but for the watchdog."""
        deadman = Deadman(self.post, self.health, self._defects)
        web = Web(
            Shown(
                listens=self.listens,
                health=self.health,
                see=self.status,
                pause=self.pause,
                resume=self.resume,
                ack=self.ack,
                waiting=self._waiting,
                acknowledged=self._acknowledged,
                samples=self._recorder.shown,
                tell=self._defects.tell,
                register=None if self._fleet is None else self._fleet.register,
            ),
            self._has_begun,
            self._defects,
        )
        self._daemon.hear = self.hear
        works = (
            *(self._watchdog.watch(stop), deadman.watch(), web.watch(), self._desk.watch()),
            *(self._recorder.watch(), LastingObjects(self._guards, self._defects).watch()),
        )
        self._unlisten = logs.listen(self._desk.hear)
        self._tasks = [asyncio.create_task(work) for work in works]

    async def end(self) -> None:
        """Ends it all. Notices that wait stay in the journal."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._unlisten()
        await self._desk.end()
        self._watchdog.close()

    def hear(self, name: str, result: CycleResult, took_s: float) -> None:
        """What a cycle came to, and how many seconds it took."""
        self._latest.hear(name, result, took_s)
        wiring = self._reloads.run.wiring
        if (guard := wiring.guards.get(name)) is not None:
            with self._defects.contained("counting how soon breaches are answered"):
                began_ms = wiring.clock.now().exchange_ms - int(took_s * 1000)
                self._latest.reactions.hear(name, result, guard.intents.every, began_ms)

    def _guards(self) -> GuardsSeen:
        return seen_of(self._reloads, self._daemon)

    def signs(self) -> Signs:
        """What shows that it gets on. While accounts change guards, that counts as progress.

        So do, for accounts that may wait behind them, long jobs of the journal that end, and cycles of those
        in line that begin. Quick jobs show nothing: the heartbeat's own end each second.
        """
        settings, slow_jobs = self.settings, self._reloads.run.journal.slow_jobs_ended
        handover = object() if self._reloads.is_taking_over else None
        ended, line = self._daemon.cycles_ended, self._daemon.line
        return Signs(
            progress={
                name: (ended[name], line.progress(name), client.transport.requests_ended, slow_jobs, handover)
                for name, client in self._reloads.run.wiring.clients.items()
            },
            account_s=max(
                float(settings.watchdog.stuck_after_s),
                float(settings.exchange.request_timeout_s) + LONGEST_WAIT_S,
                2 * float(settings.schedule.poll_interval_s),
            ),
            loop_s=float(settings.watchdog.stuck_after_s),
        )

    def health(self) -> Health:
        """Whether every account's last good cycle is recent enough, and the journal is sound."""
        return self._latest.health(
            self.settings.accounts,
            within_s=self._sighted_within_s,
            journal_is_sound=self._daemon.journal_is_sound,
        )

    def post(self) -> Post:
        """Where a dead man's switch is told, and how often (s)."""
        return post_of(self.settings)

    def listens(self) -> Listens:
        """Where HTTP is answered, and by which token something may be changed."""
        return listens_of(self.settings)

    def status(self) -> Status:
        """All that is seen now, put together from memory: reads nothing, waits for nobody."""
        run = self._reloads.run
        seen = status_of(run.settings, run.wiring, self._latest, self.health(), self._daemon.alerts)
        return seen if self._fleet is None else replace(seen, fleet=self._fleet.status)

    async def pause(self, account: str | None, reason: str) -> None:
        """Nothing is sent for the account from now on; None: for all.

        Raises JournalUnavailable; ValueError for an account that it does not know.
        """
        self._known(account)
        await self._reloads.run.journal.pause(account, writable(reason), wall_ms())

    async def resume(self, account: str | None) -> bool:
        """Whether there was a pause to end. Raises as `pause` does."""
        self._known(account)
        return await self._reloads.run.journal.resume(account)

    async def _waiting(self) -> dict[str, int]:
        """A journal that holds nothing for anybody is not asked at each scrape."""
        return await self.outbox().counted() if self._desk.may_hold_any(self.orders()) else {}

    async def _acknowledged(self) -> dict[str, int]:
        alarms = await self.outbox().alarms()
        return {
            item.alarm_id: item.acknowledged_at_ms for item in alarms if item.acknowledged_at_ms is not None
        }

    async def ack(self, alarm_id: str) -> list[str]:
        """The alarms whose id begins so. They are told no more, unless things get worse.

        Raises JournalUnavailable.
        """
        found = await self.outbox().acknowledge(alarm_id, wall_ms())
        noted = take_note(
            self._reloads.run.wiring, self._daemon.alerts, lambda item: item.startswith(alarm_id.lower())
        )
        return list(dict.fromkeys([*(alarm.alarm_id for alarm in found), *noted]))

    def noted(self, ids: Collection[str]) -> None:
        """A person has taken note of these."""
        take_note(self._reloads.run.wiring, self._daemon.alerts, lambda item: item in ids)

    def lasting(self) -> Sequence[AlertStatus]:
        """What is wrong and has not ended, of all accounts."""
        return alerts_of(self.settings, self._reloads.run.wiring, self._daemon.alerts)

    def owners(self) -> dict[str, Owner]:
        """Whose each account is, as far as the exchange has told it."""
        wiring = self._reloads.run.wiring
        return {name: Owner(wiring.environment, user_id) for user_id, name in wiring.owners.items()}

    def outbox(self) -> AnyOutbox:
        """The outbox of this daemon's users, in the journal that is open now."""
        run = self._reloads.run
        return outbox_of(run.journal, run.settings, run.wiring.owners)

    def orders(self) -> Orders:
        """Which targets are told from which level on, and when again (s)."""
        return orders_of(self.settings)

    def sees_all(self) -> bool:
        """Whether what lasted before this start, or this reload, would have been found again by now."""
        if self._reloads.is_taking_over or not self._has_begun():
            return False
        return self._reloads.in_force_s > self._sighted_within_s + FOUND_AGAIN_S

    @property
    def _sighted_within_s(self) -> float:
        """Loans have to be read as often as `guard_blind` asks for, and a slow read's length more."""
        schedule = self.settings.schedule
        return float(schedule.poll_interval_s) * schedule.blind_after_cycles + LONGEST_WAIT_S

    def _known(self, account: str | None) -> None:
        names = self.settings.accounts
        if account is not None and account not in names:
            raise ValueError(f"there is no account {account}, only {', '.join(names)}")

    def _has_begun(self) -> bool:
        """Whether every account's first cycle has ended, one way or the other."""
        return all(self._daemon.cycles_ended[name] for name in self.settings.accounts)
