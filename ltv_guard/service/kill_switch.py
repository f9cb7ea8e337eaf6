"""The journal as commands use it: opening it, and the kill switch that is kept in it."""

from __future__ import annotations

import asyncio
import difflib
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager

from ltv_guard.adapters.journal import MemoryJournal, Run, SqlJournal, open_journal
from ltv_guard.adapters.settings import ConfigError, JournalSettings
from ltv_guard.core.model.errors import JournalMissing
from ltv_guard.log.utc import iso
from ltv_guard.service.heartbeat import BEAT_S, wall_ms

SILENT_S = 3 * BEAT_S  # a run that was not heard of for so long has ended
ACKNOWLEDGE_S = SILENT_S + 1  # long enough for one that was killed to count no more
OTHER_CLOCK_S = (
    3.0  # what a daemon takes at most to take note, where its clock is so far behind as to seem dead
)
DAY_S = 86_400

Say = Callable[[str], None]


@asynccontextmanager
async def journal_of(settings: JournalSettings) -> AsyncIterator[SqlJournal]:
    """The journal, beside a daemon's. Raises JournalUnavailable; JournalMissing where there is none yet."""
    try:
        journal = await open_journal(settings.journal.url.get_secret_value(), writer=False, create=False)
    except JournalMissing as error:
        raise JournalMissing(
            f"{error}, so nothing was done. Name the daemon's configuration with -c, or LTV_GUARD_CONFIG"
        ) from None
    try:
        yield journal
    finally:
        await journal.close()


@asynccontextmanager
async def journal_to_read(settings: JournalSettings) -> AsyncIterator[SqlJournal | MemoryJournal]:
    """The journal, or an empty one in memory where there is none yet: looking makes none."""
    journal: SqlJournal | MemoryJournal
    try:
        journal = await open_journal(settings.journal.url.get_secret_value(), writer=False, create=False)
    except JournalMissing:
        journal = MemoryJournal()
    try:
        yield journal
    finally:
        await journal.close()


async def pause(
    settings: JournalSettings, account: str | None, reason: str, say: Say, *, for_s: int | None = None
) -> bool:
    """Pulls the kill switch. Returns whether a live daemon has seen it: without one, nothing was stopped.

    `for_s`: for so many seconds. Then a daemon lifts it, the running one or the next.

    Raises ConfigError for an account that does not exist, JournalUnavailable (JournalMissing where no
    daemon ever ran).
    """
    _check_account(account, settings.account_names, settings)
    async with journal_of(settings) as journal:
        began_ms = wall_ms()
        until_ms = None if for_s is None else began_ms + for_s * 1000
        await journal.pause(account, writable(reason), began_ms, until_ms=until_ms)
        say(f"the pause of {account or 'all accounts'} is written to {settings.journal.shown}")
        if until_ms is not None:
            say(f"a daemon lifts it at {iso(until_ms)}, or `ltv-guard resume` before that")
        return await _take_note(journal, account, say)


async def _take_note(journal: SqlJournal, account: str | None, say: Say) -> bool:
    """Waits until every living daemon has acknowledged the pause that was just written, and says which."""
    began = time.monotonic()
    while True:
        waited_s = time.monotonic() - began
        runs = [run for run in await journal.runs() if run.ended_at_ms is None]
        live = [run for run in runs if _silent_for_s(run) < SILENT_S]
        seen = [run for run in runs if account in run.acknowledged]
        # Who has taken note of this pause lives, whatever the clock of its machine says.
        if seen and all(account in run.acknowledged for run in live):
            say(f"the running daemon has acknowledged it ({_named(seen)}): nothing is sent from now on")
            return True
        may_live = any(_silent_for_s(run) < DAY_S for run in runs)
        if not live and (not may_live or waited_s >= OTHER_CLOCK_S):
            say(
                "no daemon is running on this journal, so nothing was stopped; one that starts on it "
                "sends nothing. If a daemon is running, name its configuration with -c"
            )
            return False
        if waited_s >= ACKNOWLEDGE_S:
            break
        await asyncio.sleep(0.1)
    silent = [run for run in live if account not in run.acknowledged]
    say(
        f"a daemon has not acknowledged it ({_named(silent)}), so it is not certain that it sends "
        "nothing: look at its log, or stop that process"
    )
    return False


async def resume(settings: JournalSettings, account: str | None, say: Say) -> bool:
    """Lifts the kill switch. Returns whether a live daemon may send again. Raises as `pause`."""
    async with journal_of(settings) as journal:
        before = await journal.pauses()
        known = settings.account_names
        if known is not None:  # the pause of an account that has another name by now can be lifted too
            known |= {item.account for item in before if item.account is not None}
        _check_account(account, known, settings)
        lifted = await journal.resume(account)
        left = await journal.pauses()
        live = await live_runs(journal)
    whose = account or "all accounts"
    said = f"the pause of {whose} is lifted" if lifted else f"there was no pause of {whose} to lift"
    say(f"{said} in {settings.journal.shown}")
    for item in left:
        say(f"still paused: {item.account or 'all accounts'}: {item.reason}")
    if not live:
        say(
            "no daemon is running on this journal, so no loan is guarded. If a daemon is running, name its "
            "configuration with -c"
        )
    holding = [item for item in left if account is None or item.account in {None, account}]
    return bool(live) and not holding


def _check_account(account: str | None, known: Collection[str] | None, settings: JournalSettings) -> None:
    """Raises ConfigError for a name that would be confirmed without effect."""
    if account is None or (known and account in known):
        return
    source = settings.source or "the environment"
    if known is None:
        raise ConfigError(
            f"--account {account}: the accounts of {source} can't be read, so it is not known whether there "
            "is one of that name; leave --account out to mean all"
        )
    if not known:
        raise ConfigError(
            f"--account {account}: {source} names no accounts; name the daemon's configuration with -c"
        )
    alike = difflib.get_close_matches(account.lower(), known, n=1)
    hint = f"; did you mean {alike[0]}?" if alike else ""
    raise ConfigError(
        f"--account {account}: there is no such account in {source}, only {', '.join(sorted(known))}{hint}"
    )


def _named(runs: Sequence[Run]) -> str:
    return ", ".join(f"process {run.pid} on {run.host}" for run in runs)


def writable(text: str) -> str:
    """The text as any database takes it: what was no text in the command's arguments is escaped."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


async def live_runs(journal: SqlJournal) -> list[Run]:
    """The daemons that were heard of lately: one that was killed counts for another 15 seconds."""
    return [run for run in await journal.runs() if run.ended_at_ms is None and _silent_for_s(run) < SILENT_S]


def _silent_for_s(run: Run) -> float:
    return (wall_ms() - run.alive_at_ms) / 1000
