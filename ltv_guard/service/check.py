"""What `check` looks at: configuration, journal, exchange, clock and every key; and what to mend."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from ltv_guard.adapters.journal import MemoryJournal, Run
from ltv_guard.core.model.errors import ExchangeBanned, GuardError, JournalMissing
from ltv_guard.core.model.key_end import DAY_MS, LAST_NOTICE_MS, due_notice
from ltv_guard.core.ports import Identity, Pause
from ltv_guard.service.account_check import examine
from ltv_guard.service.chores import SKEW_MS
from ltv_guard.service.compose import Frame, wire
from ltv_guard.service.exposure import exposures
from ltv_guard.service.findings import Finding
from ltv_guard.service.heartbeat import banned_for_s
from ltv_guard.service.kill_switch import journal_of, live_runs
from ltv_guard.service.stream_check import examine_stream
from ltv_guard.service.wiring import Wiring
from ltv_guard.settings import Settings


async def check(settings: Settings) -> list[Finding]:
    """Everything a first run needs, each with what was found."""
    source = str(settings.source) if settings.source else "the environment"
    of_the_journal, banned_s = await _journal(settings)
    findings = [
        Finding(what="configuration", good=True, found=f"{source}, mode {settings.mode}"),
        *of_the_journal,
        *(
            Finding(what=item.key, good=True, found=f"{item.why} ({item.path})", mend=item.mend)
            for item in exposures(settings)
        ),
    ]
    frame = Frame(settings=settings, journal=MemoryJournal(), live=False)
    async with wire(frame, banned_for_s=banned_s) as wiring:
        findings.append(await _clock(settings, wiring))
        findings += await examine_stream(wiring.stream)
        for name in wiring.accounts if wiring.ban.remaining_s == 0 else ():
            findings += await _key(settings, wiring, name)
            findings += await examine(settings, wiring, name)
    return findings


async def _journal(settings: Settings) -> tuple[list[Finding], float]:
    """What the journal says of itself, of pauses and of a daemon; and the seconds left of a ban."""
    try:
        async with journal_of(settings, create=False) as journal:
            pauses = await journal.pauses()
            runs = await live_runs(journal)
            banned_s = await banned_for_s(journal, settings.exchange.rest_url)
    except JournalMissing:
        found = f"{settings.journal.shown}, which the first run makes"
        return [Finding(what="journal", good=True, found=found), *_daemons((), ())], 0.0
    except GuardError as error:
        mend = "mend the file, or set journal.url"
        return [Finding(what="journal", good=False, found=str(error), mend=mend)], 0.0
    found, mend = settings.journal.shown, ""
    if pauses:
        paused = "; ".join(f"{item.account or 'all accounts'}: {item.reason}" for item in pauses)
        found, mend = f"paused ({paused})", "; ".join(map(_lifting, pauses))
    return [Finding(what="journal", good=True, found=found, mend=mend), *_daemons(runs, pauses)], banned_s


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


async def _clock(settings: Settings, wiring: Wiring) -> Finding:
    host = settings.exchange.rest_url
    try:
        await wiring.any_client.measure_clock()
    except ExchangeBanned as error:
        mend = "wait, and look after the loans in the exchange's app"
        return Finding(what="exchange", good=False, found=str(error), mend=mend)
    except GuardError as error:
        mend = error.mend or "check exchange.base_url, exchange.environment and the network"
        return Finding(what="exchange", good=False, found=str(error), mend=mend)
    skew_ms = wiring.clock.wall_skew_ms
    mend = "let this machine keep its clock by NTP" if abs(skew_ms) > SKEW_MS else ""
    found = f"{host}, its clock {skew_ms:+} ms from ours"
    return Finding(what="exchange and clock", good=True, found=found, mend=mend)


async def _key(settings: Settings, wiring: Wiring, name: str) -> list[Finding]:
    what = f"accounts.{name}"
    try:
        key = await wiring.accounts[name].identify()
    except GuardError as error:
        mend = error.mend or f"check {what}.api_key_file, its secret, and exchange.environment"
        return [Finding(what=what, good=False, found=str(error), mend=mend)]
    found = f"user {key.user_id}, VIP level {key.vip_level or 'unknown'}"
    findings = [Finding(what=what, good=True, found=found)]
    other = wiring.owners.setdefault(key.user_id, name)
    if other != name:
        same = f"its key is of the same user as that of accounts.{other}"
        findings.append(Finding(what=what, good=False, found=same, mend="keep one of the two"))
    return findings + [
        Finding(what=what, good=good, found=found, mend=mend)
        for holds, good, found, mend in (*_doubts(settings, name, key), _end(key, wiring))
        if holds
    ]


def _end(key: Identity, wiring: Wiring) -> tuple[bool, bool, str, str]:
    """Whether the key ends soon; on its last day one can't live with it."""
    now_ms = wiring.clock.now().exchange_ms
    due_ms = due_notice(key.expires_at_ms, now_ms)
    days = ((key.expires_at_ms or now_ms) - now_ms) / DAY_MS
    found = f"the key ends at {key.expires_at}, in {days:.1f} days"
    return (
        due_ms is not None,
        (due_ms or 0) > LAST_NOTICE_MS,
        found,
        "make a new key, and write it into its files",
    )


def _doubts(settings: Settings, name: str, key: Identity) -> tuple[tuple[bool, bool, str, str], ...]:
    """Whether each doubt holds, whether one can live with it, what it is, and what to mend."""
    transfers = settings.accounts[name].sources.unified_transfer.enabled
    expiry = f" (expires {key.expires_at})" if key.expires_at else ""
    return (
        (key.can_withdraw, True, "the key can withdraw", "make one that has 'Spot trade' only"),
        (
            settings.mode == "live" and not key.can_adjust,
            False,
            "the key can't adjust loans",
            "give it 'Spot trade', read-write",
        ),
        (
            settings.mode == "live" and transfers and not key.can_transfer,
            False,
            "the key can't move coins from the Unified account",
            "give it 'Account Transfer', or set sources.unified_transfer.enabled to false",
        ),
        (not key.ip_bound, True, f"the key is bound to no address{expiry}", "bind it to this machine's"),
    )
