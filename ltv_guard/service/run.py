"""The composition root: opens what a run needs, runs it, closes it."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from ltv_guard.adapters.settings import ConfigError, Settings
from ltv_guard.core.amounts.drift import Drift, drift_of
from ltv_guard.core.decide.outlook import Prospect, prospects
from ltv_guard.core.model.loans import LoanKey
from ltv_guard.core.model.withheld import Why, Withheld
from ltv_guard.core.ports import Pause
from ltv_guard.guard.cycle import Guard
from ltv_guard.guard.key_access import MAY_NOT_ADJUST
from ltv_guard.guard.snapshot import CycleResult
from ltv_guard.service.beside import Beside
from ltv_guard.service.compose import Frame, wire
from ltv_guard.service.early_signals import was_asked_to_reload
from ltv_guard.service.findings import AccountPlan
from ltv_guard.service.heartbeat import banned_for_s
from ltv_guard.service.kill_switch import journal_to_read
from ltv_guard.service.latest import Latest
from ltv_guard.service.live_run import all_of, open_run
from ltv_guard.service.rehearsal import Rehearsal
from ltv_guard.service.reload import Reloads
from ltv_guard.service.scheduler import Daemon
from ltv_guard.service.threads import DaemonThreads
from ltv_guard.service.wiring import Wiring

if TYPE_CHECKING:
    from ltv_guard.service.fleet.running import Fleet

DONE, FAILED = 0, 1
ONCE_S = 120.0  # how long `run --once` waits for what it started to settle

T = TypeVar("T")

log = structlog.stdlib.get_logger()


async def run_daemon(
    settings: Settings,
    stop: asyncio.Event | None = None,
    adopted: Callable[[Settings], None] = lambda _: None,
) -> int:
    """Guards until SIGTERM, SIGINT or `stop`, and returns the exit status; SIGHUP rereads the configuration.

    `adopted` hears of what it found. Status 1 if the journal was unusable at the end. Raises
    ConfigError, JournalUnavailable where it can't begin.
    """
    asyncio.get_running_loop().set_default_executor(DaemonThreads())
    asked = asyncio.Event()
    if stop is None:
        stop = _stop_on_signals()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, asked.set)
        if was_asked_to_reload():
            asked.set()
    fleet = await _fleet_of(settings) if settings.fleet.enabled else None
    run = await (open_run(settings, stop.is_set) if fleet is None else fleet.open_run(stop.is_set))
    latest = Latest()
    daemon = Daemon(run.duties)
    reloads = Reloads(run, daemon, adopted=adopted, read=None if fleet is None else fleet.read)
    if fleet is not None:
        fleet.begin(reloads, daemon, latest, stop)
    watching = asyncio.create_task(reloads.watch(asked))
    beside = Beside(reloads, daemon, latest, fleet)
    beside.begin(stop)
    try:
        sound = await daemon.run(stop)
    finally:
        watching.cancel()
        await asyncio.wait([watching])
        if fleet is not None:
            await fleet.end()
        await beside.end()
        await reloads.end()
        log.info("daemon_stopped")
    return DONE if sound else FAILED


async def _fleet_of(settings: Settings) -> Fleet:
    from ltv_guard.service.fleet.running import open_fleet  # noqa: PLC0415 - for workers of a fleet alone

    return await open_fleet(settings)


async def run_once(settings: Settings, stop: asyncio.Event | None = None) -> int:
    """One cycle of every account, and as many more as it takes to settle them. Returns the exit status.

    Status 1 if a loan could not be read, the key or the account needs a human, or something is still open
    after two minutes or at a signal. Raises as `run_daemon`.
    """
    if settings.fleet.enabled:
        raise ConfigError("run --once needs fleet.enabled: false: a worker of a fleet waits for its share")
    asyncio.get_running_loop().set_default_executor(DaemonThreads())
    stop = stop or _stop_on_signals()
    run = await open_run(settings, stop.is_set)
    try:
        guards = run.wiring.guards.values()
        work = asyncio.create_task(all_of(_until_settled(guard, settings, stop) for guard in guards))
        await _ended(work, stop, float(settings.schedule.shutdown_timeout_s))
        if work.cancelled():
            return FAILED
        outcomes = await work
    finally:
        await run.close()
        log.info("daemon_stopped")
    return FAILED if any(map(_failed, outcomes)) else DONE


def _failed(outcome: CycleResult) -> bool:
    return outcome.blind or outcome.left_open > 0 or _needs_a_human(outcome)


def _needs_a_human(outcome: CycleResult) -> bool:
    return outcome.withheld is not None and outcome.withheld.kind is Why.NEEDS_HUMAN


def _goes_on(outcome: CycleResult) -> bool:
    """Whether time alone may change what it came to."""
    return outcome.left_open > 0 or outcome.goes_on or (outcome.waits and not _needs_a_human(outcome))


async def _ended(work: asyncio.Task[Any], stop: asyncio.Event, shutdown_s: float) -> None:
    """Waits for `work`; once `stop` is set, for so many seconds more, and then cancels it."""
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    _, late = await asyncio.wait({work}, timeout=shutdown_s)
    for task in late:
        task.cancel()
        log.error("shutdown_timed_out", tasks=len(late))
        await asyncio.wait({task})


async def _until_settled(guard: Guard, settings: Settings, stop: asyncio.Event) -> CycleResult:
    deadline = time.monotonic() + ONCE_S
    outcome = await guard.cycle()
    while _goes_on(outcome) and not stop.is_set() and time.monotonic() < deadline:
        await asyncio.sleep(float(settings.schedule.settle_interval_s))
        outcome = await guard.cycle()
    await guard.drain()
    return outcome


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


async def plan(settings: Settings) -> list[AccountPlan]:
    """One read-only cycle of every account: decided on what the journal holds, nothing written anywhere.

    Raises ConfigError.
    """
    async with journal_to_read(settings) as journal:
        banned_s = await banned_for_s(journal, settings)
        frame = Frame(settings=settings, journal=Rehearsal(journal), live=False)
        async with wire(frame, banned_for_s=banned_s) as wiring:
            pauses = await journal.pauses()
            return [await _plan_of(name, wiring, settings, pauses) for name in wiring.guards]


async def _plan_of(name: str, wiring: Wiring, settings: Settings, pauses: Sequence[Pause]) -> AccountPlan:
    outcome = await wiring.guards[name].cycle()
    now_ms = wiring.clock.now().exchange_ms
    return AccountPlan(
        account=name,
        decisions=outcome.decisions,
        set_aside=tuple((item.key.product.value, item.key.loan_id, item.why) for item in outcome.set_aside),
        blind=outcome.blind,
        why_blind=outcome.why_blind,
        contracts=outcome.contracts,
        prospects=_prospects(outcome),
        drifts=_drifts(outcome, now_ms),
        withheld=_withheld(name, wiring, settings, pauses),
    )


def _withheld(name: str, wiring: Wiring, settings: Settings, pauses: Sequence[Pause]) -> Withheld | None:
    """Why a run would send nothing for the account; None: it would."""
    pause = next((item for item in pauses if item.account in {None, name}), None)
    if pause is not None:
        return Withheld(kind=Why.PAUSED, detail=pause.reason)
    if settings.mode != "live":
        return Withheld(kind=Why.DRY_RUN)
    identity = wiring.identities.get(name)
    if identity is not None and not identity.can_adjust:
        return Withheld(kind=Why.NEEDS_HUMAN, detail=MAY_NOT_ADJUST)
    return None


def _prospects(outcome: CycleResult) -> dict[LoanKey, tuple[Prospect, ...]]:
    """Of each loan that is being rescued, or would be: what each kind of help would do."""
    account = outcome.account
    if account is None:
        return {}
    return {item.loan.key: prospects(account, item.loan.key) for item in account.loans if item.in_rescue}


def _drifts(outcome: CycleResult, now_ms: int) -> dict[LoanKey, Drift]:
    """Of each loan: when interest alone brings it to its trigger."""
    return {
        item.loan.key: drift_of(item.loan, item.limits.trigger, now_ms, outcome.contracts)
        for item in outcome.decisions
    }
