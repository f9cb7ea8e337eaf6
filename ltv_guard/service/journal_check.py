"""What `check` says of the journal: whether it can be used, its schema, pauses, and who runs on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ltv_guard.adapters.journal import Run
from ltv_guard.adapters.journal.schema import NEWEST
from ltv_guard.adapters.settings import Settings
from ltv_guard.core.model.errors import GuardError, JournalMissing
from ltv_guard.core.ports import Pause
from ltv_guard.service.findings import Finding
from ltv_guard.service.heartbeat import banned_for_s
from ltv_guard.service.kill_switch import journal_of, live_runs


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalChecked:
    """`banned_s`: the seconds left of a ban. `is_in_use`: whether a daemon lives on it; None: unknown."""

    findings: Sequence[Finding]
    banned_s: float = 0.0
    is_in_use: bool | None = None


async def examine_journal(settings: Settings) -> JournalChecked:
    """Opens it as a command does: where there is none, none is made."""
    try:
        async with journal_of(settings) as journal:
            pauses = await journal.pauses()
            runs = await live_runs(journal)
            banned_s = await banned_for_s(journal, settings)
    except JournalMissing:
        found = f"{settings.journal.shown}, which the first run makes"
        missing = Finding(what="journal", good=True, found=found)
        return JournalChecked(findings=[missing, *_daemons((), ())], is_in_use=False)
    except GuardError as error:
        mend = "mend the file, or set journal.url"
        return JournalChecked(findings=[Finding(what="journal", good=False, found=str(error), mend=mend)])
    found, mend = f"{settings.journal.shown}, schema {NEWEST}, the newest", ""
    if pauses:
        paused = "; ".join(f"{item.account or 'all accounts'}: {item.reason}{_end(item)}" for item in pauses)
        found, mend = f"{found}; paused ({paused})", "; ".join(map(_lifting, pauses))
    findings = [Finding(what="journal", good=True, found=found, mend=mend), *_daemons(runs, pauses)]
    return JournalChecked(findings=findings, banned_s=banned_s, is_in_use=bool(runs))


def _end(pause: Pause) -> str:
    return "" if pause.until_ms is None else f", until {_time(pause.until_ms)}"


def _lifting(pause: Pause) -> str:
    return "ltv-guard resume" if pause.account is None else f"ltv-guard resume --account {pause.account}"


def _daemons(runs: Sequence[Run], pauses: Sequence[Pause]) -> list[Finding]:
    if not runs:
        return [Finding(what="daemon", good=True, found="none is running on this journal")]
    return [
        Finding(
            what="daemon",
            good=True,
            found=f"alive since {_time(run.started_at_ms)} (process {run.pid} on {run.host})",
            mend=""
            if all(item.account in run.acknowledged for item in pauses)
            else "it has not acknowledged the pause yet",
        )
        for run in runs
    ]


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
