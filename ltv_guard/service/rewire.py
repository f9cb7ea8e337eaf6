"""Guards for other settings, made ready while those of before go on: a new key is tried before it counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from ltv_guard.adapters.settings import ConfigError, Settings
from ltv_guard.core.model.errors import ExchangeUnavailable, NeedsHuman
from ltv_guard.core.ports import Identity, PriceStream
from ltv_guard.service.compose import Frame, matches_of, set_guard
from ltv_guard.service.connections import (
    check_source,
    connect,
    connection_of,
    credentials_of,
    keep,
    on_host,
    stream_of,
)
from ltv_guard.service.wiring import Wiring

AT_ONCE = 20  # keys that are tried, guards that are made


class KeysRefused(ConfigError):
    """Accounts with files of their own whose keys do not work, each with why. All others may go on."""

    def __init__(self, by_account: Mapping[str, str]) -> None:
        super().__init__(next(iter(by_account.values())))
        self.by_account = by_account


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """What goes on meanwhile. `banned_for_s` is left of a ban of the new host's that was met before."""

    wiring: Wiring
    keeps_journal: bool
    banned_for_s: float
    on_ban: Callable[[str, float], None] | None


async def rewire(in_force: InForce, frame: Frame) -> Wiring:
    """Guards for other settings, which take over what has not changed.

    A key that is new, or is to write for the first time, is tried. Raises ExchangeUnavailable, NeedsHuman,
    ConfigError; nothing is left open then.
    """
    settings, before = frame.settings, in_force.wiring
    wiring = _shared(in_force, settings)
    matches = matches_of(settings)
    refused: dict[str, str] = {}
    try:
        new = [name for name in settings.accounts if not await _is_kept(wiring, before, settings, name)]
        first_write = frame.live and not before.live
        await _try(wiring, frame, settings.accounts if first_write else new, refused)
        for number, name in enumerate([name for name in settings.accounts if name not in refused]):
            set_guard(wiring, frame, name, matches, before if in_force.keeps_journal else None)
            await _claim(wiring, settings, name, refused)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)  # a thousand would hold up the guards of before
        _raise_for(refused)
    except BaseException:
        await wiring.close(but=before)
        raise
    wiring.host.address.per_5s = settings.exchange.ip_budget_per_5s
    return wiring


def _raise_for(refused: Mapping[str, str]) -> None:
    if refused:
        raise KeysRefused(refused)


def _shared(in_force: InForce, settings: Settings) -> Wiring:
    """What all accounts share, of before as far as it is the same. Raises ConfigError."""
    before = in_force.wiring
    wiring = on_host(settings, in_force.banned_for_s, in_force.on_ban)
    source = wiring.host.source_address
    leaves_as_before = source == before.host.source_address
    if not leaves_as_before:
        check_source(settings)
    if wiring.ban.host == before.ban.host:
        wiring.host = replace(before.host, rest_url=settings.exchange.rest_url, source_address=source)
    else:
        wiring.host.address.part = before.host.address.part  # of a fleet's worker
    wiring.stream = stream_of(settings, wiring.host)
    if _is_the_same(before.stream, wiring.stream) and wiring.ban is before.ban and leaves_as_before:
        wiring.stream = before.stream
    return wiring


async def _is_kept(wiring: Wiring, before: Wiring, settings: Settings, name: str) -> bool:
    """Whether the account's connection is that of before; it has a new one otherwise."""
    account = settings.accounts[name]
    wiring.connections[name] = connection_of(settings, account)
    if wiring.connections[name] == before.connections.get(name):
        keep(wiring, before, name)
        return True
    credentials = await asyncio.to_thread(credentials_of, account)
    connect(wiring, settings, name, credentials, limits=before.limits.get(name))
    return False


async def _try(wiring: Wiring, frame: Frame, names: Collection[str], refused: dict[str, str]) -> None:
    """Whose keys they are. Raises ConfigError for one of the configuration; those of files are `refused`."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def try_one(name: str) -> None:
        async with turns:
            wiring.identities[name] = await _tried(wiring, frame, name)

    for some in (list(names)[:1], list(names)[1:]):  # the first measures the clock for all
        ended = await asyncio.gather(*map(try_one, some), return_exceptions=True)
        for name, error in zip(some, ended, strict=True):
            if isinstance(error, ConfigError) and name in frame.settings.account_files:
                refused[name] = str(error)
            elif error is not None:
                raise error


async def _tried(wiring: Wiring, frame: Frame, name: str) -> Identity:
    """Whose key it is, as the exchange says now. An exchange that was never asked is asked its time too."""
    try:
        if not wiring.clock.is_trusted:
            await wiring.clients[name].measure_clock()
        identity = await wiring.accounts[name].identify()
    except (ExchangeUnavailable, NeedsHuman) as error:
        raise ConfigError(f"accounts.{name} was tried, and its key does not work: {error}") from None
    if frame.live and not identity.can_adjust:
        raise ConfigError(f"accounts.{name} has a key that may not adjust loans: give it 'Spot trade'")
    return identity


async def _claim(wiring: Wiring, settings: Settings, name: str, refused: dict[str, str]) -> None:
    """Notes the account's user, where it is known. Raises NeedsHuman for one user twice."""
    identity = wiring.identities.get(name)
    if identity is None:
        return
    try:
        await wiring.claims[name](identity)
    except NeedsHuman as error:
        if name not in settings.account_files:
            raise
        refused[name] = str(error)


def _is_the_same(before: PriceStream | None, after: PriceStream | None) -> bool:
    return before is not None and after is not None and before.url == after.url
