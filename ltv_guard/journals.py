"""The journal as commands use it: opening it, and the kill switch that is kept in it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from ltv_guard.adapters.journal import Run, SqlJournal, open_journal
from ltv_guard.heartbeat import BEAT_S
from ltv_guard.settings import JournalSettings

ACKNOWLEDGE_S = 5.0


@asynccontextmanager
async def journal_of(settings: JournalSettings, *, daemon: bool = False) -> AsyncIterator[SqlJournal]:
    """The journal, open. Raises JournalUnavailable."""
    journal = await open_journal(settings.journal.url.get_secret_value(), writer=daemon)
    try:
        yield journal
    finally:
        await journal.close()


async def pause(
    settings: JournalSettings, account: str | None, reason: str, say: Callable[[str], None]
) -> None:
    """Pulls the kill switch, and says whether a live daemon has seen it."""
    async with journal_of(settings) as journal:
        await journal.pause(account, reason, now_ms())
        say(f"paused {account or 'all accounts'}: nothing is sent from now on")
        deadline = time.monotonic() + ACKNOWLEDGE_S
        while time.monotonic() < deadline:
            live = await live_runs(journal)
            if not live:
                say("no daemon is running on this journal")
                return
            if all(account in run.acknowledged for run in live):
                say("the running daemon has acknowledged it")
                return
            await asyncio.sleep(0.1)
        say("a daemon is running and has not acknowledged it yet; it obeys before every send all the same")


async def resume(settings: JournalSettings, account: str | None, say: Callable[[str], None]) -> None:
    """Lifts the kill switch."""
    async with journal_of(settings) as journal:
        lifted = await journal.resume(account)
        left = await journal.pauses()
    say(f"resumed {account or 'all accounts'}" if lifted else "there was no such pause")
    for item in left:
        say(f"still paused: {item.account or 'all accounts'}: {item.reason}")


async def live_runs(journal: SqlJournal) -> list[Run]:
    """The daemons that were heard of lately: one that was killed counts for another 15 seconds."""
    return [
        run
        for run in await journal.runs()
        if run.ended_at_ms is None and now_ms() - run.alive_at_ms < 3 * BEAT_S * 1000
    ]


def now_ms() -> int:
    """Wall time: what commands write is read by people and by other processes."""
    return int(datetime.now(UTC).timestamp() * 1000)
