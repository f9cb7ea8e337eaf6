"""What a run holds open: journal, connections, guards. Others are made ready beside them, then take over."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import structlog

from ltv_guard import __version__
from ltv_guard.adapters.journal import SqlJournal, open_journal
from ltv_guard.adapters.settings import ConfigError, Settings
from ltv_guard.core.model.errors import ExchangeUnavailable
from ltv_guard.service.compose import Frame, begin
from ltv_guard.service.duties import Duties
from ltv_guard.service.exposure import exposures
from ltv_guard.service.heartbeat import Heartbeat, banned_for_s, leaves_from
from ltv_guard.service.rewire import InForce, KeysRefused, rewire
from ltv_guard.service.wiring import Wiring

T = TypeVar("T")

log = structlog.stdlib.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRun:
    """Settings, and what was opened for them."""

    settings: Settings
    stopping: Callable[[], bool]
    journal: SqlJournal
    heartbeat: Heartbeat
    wiring: Wiring
    may_send: Callable[[str], bool] | None = None
    """Of a fleet's worker: whether an account is its own. None: every account is."""

    @property
    def duties(self) -> Duties:
        """What a daemon does for it."""
        schedule = self.settings.schedule
        return Duties(
            guards=self.wiring.guards,
            poll_s=float(schedule.poll_interval_s),
            fastest_poll_s=float(schedule.fastest_poll_s),
            settle_s=float(schedule.settle_interval_s),
            shutdown_s=float(schedule.shutdown_timeout_s),
            measure_clock=self._skew_ms,
            heartbeat=self.heartbeat.beat,
            connections=self.wiring.connections,
            stream=self.wiring.stream,
            accounts=self.wiring.accounts,
            odd_accounts=self.settings.odd_accounts,
        )

    async def _skew_ms(self) -> int:
        """Exchange time minus this machine's. Raises ExchangeUnavailable where that can't be measured."""
        if not self.wiring.clients:  # a worker that holds no account yet
            return self.wiring.clock.wall_skew_ms
        measured = await self.wiring.any_client.measure_clock()
        if not measured.believed:
            raise ExchangeUnavailable("the exchange's answers disagree: going on with the offset from before")
        return self.wiring.clock.wall_skew_ms

    async def successor(self, settings: Settings) -> LiveRun:
        """A run with other settings, ready to take over, while this one goes on.

        What has not changed is shared: an open journal above all, so that its lock is never let go.
        Raises ConfigError, GuardError where it can't be begun with; nothing more is open then.
        """
        keeps = settings.journal.url == self.settings.journal.url
        journal = self.journal if keeps else await _opened(settings)
        heartbeat = self.heartbeat if keeps else _heartbeat(settings, journal)
        try:
            in_force = InForce(
                wiring=self.wiring,
                keeps_journal=keeps,
                banned_for_s=await banned_for_s(journal, settings),
                on_ban=heartbeat.banned,
            )
            try:
                wiring = await rewire(in_force, self.frame(settings, journal))
            except KeysRefused as refused:
                settings = settings.passing_over(refused.by_account, self.settings.accounts)
                wiring = await rewire(in_force, self.frame(settings, journal))
            if not keeps:
                await heartbeat.begin()
        except BaseException:
            if not keeps:
                await journal.close()
            raise
        return LiveRun(
            settings=settings,
            stopping=self.stopping,
            journal=journal,
            heartbeat=heartbeat,
            wiring=wiring,
            may_send=self.may_send,
        )

    def frame(self, settings: Settings, journal: SqlJournal | None = None) -> Frame:
        """What its guards have in common, or those of other settings."""
        return _frame(settings, journal or self.journal, self.stopping, self.may_send)

    async def greet(self) -> None:
        """Its first word in the log. From now on beats and bans are its own."""
        self.wiring.ban.on_ban = self.heartbeat.banned
        self.heartbeat.leaves_from = leaves_from(self.settings)
        log.info(
            "daemon_started",
            version=__version__,
            mode=self.settings.mode,
            environment=self.settings.exchange.environment,
            exchange=self.settings.exchange.rest_url,
            stream=self.wiring.stream.url if self.wiring.stream is not None else "none",
            accounts=list(self.settings.accounts),
            journal=self.settings.journal.shown,
            continuous=self.journal.is_continuous,
        )
        for item in await asyncio.to_thread(exposures, self.settings):
            log.warning(
                "permissions_too_wide", key=item.key, path=str(item.path), why=item.why, account=item.account
            )

    async def close(self, *, but: LiveRun | None = None) -> None:
        """Lets go of everything, `but` for what another run holds too."""
        await self.wiring.close(but=but.wiring if but is not None else None)
        if but is None or but.journal is not self.journal:
            await self.heartbeat.end()
            await self.journal.close()


async def open_run(
    settings: Settings,
    stopping: Callable[[], bool],
    *,
    journal: SqlJournal | None = None,
    may_send: Callable[[str], bool] | None = None,
) -> LiveRun:
    """The first run of a process. Raises ConfigError for one user twice, JournalUnavailable.

    A fleet's worker brings its `journal`, which is closed with the run.
    """
    journal = journal or await _opened(settings)
    heartbeat = _heartbeat(settings, journal)
    try:
        wiring = begin(
            _frame(settings, journal, stopping, may_send),
            banned_for_s=await banned_for_s(journal, settings),
            on_ban=heartbeat.banned,
        )
    except BaseException:
        await journal.close()
        raise
    run = LiveRun(
        settings=settings,
        stopping=stopping,
        journal=journal,
        heartbeat=heartbeat,
        wiring=wiring,
        may_send=may_send,
    )
    try:
        await run.greet()
        await heartbeat.begin()
        await _know_everyone(wiring, settings)
    except BaseException:
        await run.close()
        log.info("daemon_stopped")
        raise
    return run


async def _opened(settings: Settings) -> SqlJournal:
    return await open_journal(settings.journal.url.get_secret_value(), writer=True)


def _heartbeat(settings: Settings, journal: SqlJournal) -> Heartbeat:
    return Heartbeat(journal, uuid.uuid4().hex, beat_s=settings.timing.beat_ms / 1000)


def _frame(
    settings: Settings,
    journal: SqlJournal,
    stopping: Callable[[], bool],
    may_send: Callable[[str], bool] | None,
) -> Frame:
    return Frame(
        settings=settings,
        journal=journal,
        live=settings.mode == "live",
        continuous=journal.is_continuous,
        stopping=stopping,
        holds=may_send or (lambda _name: True),
        own=journal.claim_for,
    )


async def _know_everyone(wiring: Wiring, settings: Settings) -> None:
    """Whose keys these are, as far as the exchange answers now. Raises ConfigError for one user twice.

    Where one of the two has a file of its own, it costs that account alone: its guard says so.
    """
    await all_of(guard.know_ourselves() for guard in wiring.guards.values())
    if wiring.clash is not None and not settings.account_files.keys() & set(wiring.clashing):
        raise ConfigError(wiring.clash)


async def all_of(works: Iterable[Awaitable[T]]) -> list[T]:
    """Lets every one of them end before the first that failed is raised: none runs on without its journal."""
    ended = await asyncio.gather(*works, return_exceptions=True)
    for item in ended:
        if isinstance(item, BaseException):
            raise item
    return [item for item in ended if not isinstance(item, BaseException)]
