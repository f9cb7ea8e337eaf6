"""A run's presence in the journal: that it lives, what pauses it has seen, and which host banned it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from datetime import UTC, datetime

import structlog
from yarl import URL

from ltv_guard.adapters.journal import MemoryJournal, SqlJournal
from ltv_guard.adapters.settings import Settings
from ltv_guard.adapters.settings.fleet_section import DEFAULT_EGRESS
from ltv_guard.core.model.errors import JournalUnavailable
from ltv_guard.core.model.timing import TIMING
from ltv_guard.core.ports import Pause

ENDED_WITHIN_S = 10.0  # longer than a lock is waited for
BEAT_S = TIMING.beat_ms / 1000

log = structlog.stdlib.get_logger()


class Heartbeat:
    """Written for `pause`, `check` and the next run. Times are wall time, ms, for other processes."""

    def __init__(self, journal: SqlJournal, run_id: str, *, beat_s: float = BEAT_S) -> None:
        self._journal = journal
        self._run_id = run_id
        self._beat_s = beat_s
        self._seen: frozenset[Pause] = frozenset()
        self._beaten = 0.0
        self._sealed = journal.is_continuous
        self._writing: set[asyncio.Task[None]] = set()
        self.leaves_from = ""

    async def begin(self) -> None:
        """Writes that the run has begun, and lifts pauses that are over. Raises JournalUnavailable."""
        await self._journal.begin_run(self._run_id, wall_ms())
        await self._lift(await self._journal.pauses())

    async def beat(self, trusted: bool) -> None:  # noqa: FBT001 - the one thing that it is told
        """Cheap where nothing changed: a read a call, a write every few seconds.

        `trusted`: nothing can have been sent that the journal does not know of, so it is sealed.
        """
        pauses = frozenset(await self._journal.pauses())
        if await self._lift(pauses):
            pauses = frozenset(await self._journal.pauses())
        if pauses != self._seen or time.monotonic() - self._beaten > self._beat_s:
            await self._journal.acknowledge_pauses(self._run_id, wall_ms())
            self._seen, self._beaten = pauses, time.monotonic()
        if trusted and not self._sealed:
            await self._journal.seal()
            self._sealed = True

    async def _lift(self, pauses: Iterable[Pause]) -> bool:
        now_ms = wall_ms()
        is_due = any(item.until_ms is not None and item.until_ms <= now_ms for item in pauses)
        return is_due and await self._journal.lift_pauses(now_ms)

    async def end(self) -> None:
        """Writes that the run has ended. A journal that fails or hangs is told, and holds up no end."""
        try:
            async with asyncio.timeout(ENDED_WITHIN_S):
                await asyncio.gather(*self._writing, return_exceptions=True)
                await self._journal.end_run(self._run_id, wall_ms())
        except JournalUnavailable as error:
            log.critical("journal_unavailable", why=str(error))
        except TimeoutError:
            why = f"the journal has not answered for {ENDED_WITHIN_S:g} s: is its disk stuck?"
            log.critical("journal_unavailable", why=why)

    def banned(self, host: str, seconds: float) -> None:
        """Hears of a ban, and writes it down for the next run."""
        log.critical("exchange_banned", host=host, seconds=round(seconds))
        task = asyncio.ensure_future(self._remember_ban(host, seconds))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _remember_ban(self, host: str, seconds: float) -> None:
        now_ms = wall_ms()
        until_ms = now_ms + int(seconds * 1000)
        try:
            await self._journal.remember_ban(f"{host}{self.leaves_from}", until_ms, now_ms)
        except JournalUnavailable as error:
            log.critical("journal_unavailable", why=str(error))


def leaves_from(settings: Settings) -> str:
    """Which address a ban is of, for a journal that several share; empty: that of the machine."""
    source, fleet = settings.exchange.source_address, settings.fleet
    if source is not None:
        return f" from {source}"
    return f" from {fleet.egress}" if fleet.enabled and fleet.egress != DEFAULT_EGRESS else ""


async def banned_for_s(journal: SqlJournal | MemoryJournal, settings: Settings) -> float:
    """What is left of a ban of this address that an earlier run met: seconds, 0 where there is none."""
    host = f"{URL(settings.exchange.rest_url).authority}{leaves_from(settings)}"
    left = [ban.until_ms - wall_ms() for ban in await journal.bans() if ban.host == host]
    return max(0, *left, 0) / 1000


def wall_ms() -> int:
    """Wall time: what the journal holds of processes is read by people and by other processes."""
    return int(datetime.now(UTC).timestamp() * 1000)
