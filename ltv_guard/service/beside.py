"""What runs beside the guards of a daemon, and looks at them: the watchdog, the dead man's switch.

None of it holds up a cycle. Each asks for the settings in force, which a reload changes.
"""

from __future__ import annotations

import asyncio

from ltv_guard.service.deadman import Deadman, Post
from ltv_guard.service.latest import Health, Latest
from ltv_guard.service.reload import Reloads
from ltv_guard.service.scheduler import Daemon
from ltv_guard.service.watchdog import Signs, Watchdog
from ltv_guard.settings import Settings

LONGEST_WAIT_S = 15.0  # what a request may wait for its turn, beside its own timeout


class Beside:
    """Begun once the guards begin, ended when they have ended."""

    def __init__(self, reloads: Reloads, daemon: Daemon, latest: Latest) -> None:
        self._reloads = reloads
        self._daemon = daemon
        self._latest = latest
        self._watchdog = Watchdog(self.signs)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def settings(self) -> Settings:
        return self._reloads.run.settings

    def begin(self, stop: asyncio.Event) -> None:
        deadman = Deadman(self.post, self.health)
        self._tasks = [
            asyncio.create_task(self._watchdog.watch(stop)),
            asyncio.create_task(deadman.watch()),
        ]

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._watchdog.close()

    def signs(self) -> Signs:
        """What shows that it gets on. While accounts change guards, that counts as progress."""
        settings = self.settings
        handover = object() if self._reloads.is_taking_over else None
        return Signs(
            progress={
                name: (self._daemon.cycles_ended[name], client.requests_ended, handover)
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
        """Loans have to be read as often as `guard_blind` asks for, and a slow read's length more."""
        schedule = self.settings.schedule
        return self._latest.health(
            self.settings.accounts,
            within_s=float(schedule.poll_interval_s) * schedule.blind_after_cycles + LONGEST_WAIT_S,
            journal_is_sound=self._daemon.journal_is_sound,
        )

    def post(self) -> Post:
        deadman = self.settings.deadman
        url = deadman.url.get_secret_value() if deadman.url is not None else None
        return Post(url=url, interval_s=float(deadman.interval_s))
