"""The composition root: opens what a run needs, runs it, closes it."""

from __future__ import annotations

import asyncio
import signal
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import structlog

from ltv_guard import __version__
from ltv_guard.adapters.journal import SqlJournal
from ltv_guard.core.errors import ExchangeUnavailable, JournalUnavailable
from ltv_guard.daemon import Daemon
from ltv_guard.daemon_threads import DaemonThreads
from ltv_guard.exposure import exposures
from ltv_guard.guard import Guard
from ltv_guard.heartbeat import Heartbeat, banned_for_s
from ltv_guard.journals import journal_of, journal_to_read
from ltv_guard.ports import Pause
from ltv_guard.rehearsal import Rehearsal
from ltv_guard.reloading import Reload
from ltv_guard.settings import ConfigError, Settings
from ltv_guard.sight import Outcome
from ltv_guard.tables import AccountPlan
from ltv_guard.wiring import Wiring, wire

DONE, FAILED = 0, 1
PACE_S = 1.1  # between the last write under the old settings and the first under the new
ONCE_S = 120.0  # how long `run --once` waits for what it started to settle

T = TypeVar("T")

log = structlog.stdlib.get_logger()


async def run_daemon(
    settings: Settings,
    stop: asyncio.Event | None = None,
    reload: Reload | None = None,
    adopted: Callable[[Settings], None] = lambda _: None,
) -> int:
    """Guards until SIGTERM, SIGINT or `stop`; begins anew with what SIGHUP finds in the configuration.

    `adopted` hears of it. Status 1 if the journal was unusable at the end.
    """
    asyncio.get_running_loop().set_default_executor(DaemonThreads())
    reload = reload or (Reload.on_signal(settings) if stop is None else Reload(settings))
    stop = stop or _stop_on_signals()
    while True:
        halt = asyncio.Event()
        watch = asyncio.create_task(reload.watch(stop, halt))
        try:
            sound = await _guard_until(halt, reload.settings)
        except (ConfigError, JournalUnavailable) as error:
            if not reload.revert(str(error)):
                raise
            continue
        finally:
            watch.cancel()
        if stop.is_set() or not reload.adopt():
            return DONE if sound else FAILED
        adopted(reload.settings)
        await asyncio.sleep(PACE_S)


async def _guard_until(halt: asyncio.Event, settings: Settings) -> bool:
    """Returns whether the journal was sound at the end."""
    async with _running(settings, halt.is_set) as (wiring, heartbeat):
        daemon = Daemon(
            wiring.guards,
            poll_s=float(settings.schedule.poll_interval_s),
            settle_s=float(settings.schedule.settle_interval_s),
            shutdown_s=float(settings.schedule.shutdown_timeout_s),
            measure_clock=lambda: _skew_ms(wiring),
            heartbeat=heartbeat.beat,
        )
        return await daemon.run(halt)


async def run_once(settings: Settings, stop: asyncio.Event | None = None) -> int:
    """One cycle of every account, and as many more as it takes to settle what it started.

    Status 1 if a loan could not be read, or something is still open after two minutes or at a signal.
    """
    asyncio.get_running_loop().set_default_executor(DaemonThreads())
    stop = stop or _stop_on_signals()
    async with _running(settings, stop.is_set) as (wiring, _):
        work = asyncio.create_task(
            _all(_until_settled(guard, settings, stop) for guard in wiring.guards.values())
        )
        await _ended(work, stop, float(settings.schedule.shutdown_timeout_s))
        if work.cancelled():
            return FAILED
        outcomes = await work
    return FAILED if any(outcome.blind or outcome.left_open for outcome in outcomes) else DONE


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


async def _until_settled(guard: Guard, settings: Settings, stop: asyncio.Event) -> Outcome:
    deadline = time.monotonic() + ONCE_S
    outcome = await guard.cycle()
    while (outcome.left_open or guard.waits) and not stop.is_set() and time.monotonic() < deadline:
        await asyncio.sleep(float(settings.schedule.settle_interval_s))
        outcome = await guard.cycle()
    await guard.drain()
    return outcome


@asynccontextmanager
async def _running(
    settings: Settings, stopping: Callable[[], bool]
) -> AsyncIterator[tuple[Wiring, Heartbeat]]:
    """Journal, ban, clock and guards of a run, with its first and last word in the log."""
    async with journal_of(settings, daemon=True) as journal:
        heartbeat = Heartbeat(journal, uuid.uuid4().hex)
        async with wire(
            settings,
            journal,
            live=settings.mode == "live",
            continuous=journal.is_continuous,
            banned_for_s=await banned_for_s(journal, settings.exchange.rest_url),
            on_ban=heartbeat.banned,
            stopping=stopping,
            own=journal.claim,
        ) as wiring:
            heartbeat.guards = wiring.guards
            _greet(settings, journal)
            try:
                await heartbeat.begin()
                await _know_everyone(wiring)
                yield wiring, heartbeat
            finally:
                await heartbeat.end()
                log.info("daemon_stopped")


def _greet(settings: Settings, journal: SqlJournal) -> None:
    log.info(
        "daemon_started",
        version=__version__,
        mode=settings.mode,
        environment=settings.exchange.environment,
        exchange=settings.exchange.rest_url,
        accounts=list(settings.accounts),
        journal=settings.journal.shown,
        continuous=journal.is_continuous,
    )
    for item in exposures(settings):
        log.warning(
            "permissions_too_wide", key=item.key, path=str(item.path), why=item.why, account=item.account
        )


async def _know_everyone(wiring: Wiring) -> None:
    """Whose keys these are, as far as the exchange answers now. Raises ConfigError for one user twice."""
    await _all(guard.know_ourselves() for guard in wiring.guards.values())
    if wiring.clash is not None:
        raise ConfigError(wiring.clash)


async def _all(works: Iterable[Awaitable[T]]) -> list[T]:
    """Lets every one of them end before the first that failed is raised: none runs on without its journal."""
    ended = await asyncio.gather(*works, return_exceptions=True)
    for item in ended:
        if isinstance(item, BaseException):
            raise item
    return [item for item in ended if not isinstance(item, BaseException)]


async def _skew_ms(wiring: Wiring) -> int:
    """Exchange time minus this machine's. Raises ExchangeUnavailable where that can't be measured."""
    measured = await wiring.any_client.measure_clock()
    if not measured.believed:
        raise ExchangeUnavailable("the exchange's answers disagree: going on with the offset from before")
    return wiring.clock.wall_skew_ms


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


async def plan(settings: Settings) -> list[AccountPlan]:
    """One read-only cycle of every account: decided on what the journal holds, nothing written anywhere."""
    async with journal_to_read(settings) as journal:
        banned_s = await banned_for_s(journal, settings.exchange.rest_url)
        async with wire(settings, Rehearsal(journal), live=False, banned_for_s=banned_s) as wiring:
            pauses = await journal.pauses()
            return [await _plan_of(name, guard, settings, pauses) for name, guard in wiring.guards.items()]


async def _plan_of(name: str, guard: Guard, settings: Settings, pauses: Sequence[Pause]) -> AccountPlan:
    outcome = await guard.cycle()
    pause = next((item for item in pauses if item.account in {None, name}), None)
    withheld = f"mode is {settings.mode}" if settings.mode != "live" else None
    return AccountPlan(
        account=name,
        decisions=outcome.decisions,
        set_aside=tuple((item.key.product.value, item.key.loan_id, item.why) for item in outcome.set_aside),
        blind=outcome.blind,
        why_blind=outcome.why_blind,
        withheld=f"paused: {pause.reason}" if pause is not None else withheld,
    )
