"""From settings to guards: one an account, new or instead of those of before."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from ltv_guard.adapters.settings import ConfigError, Policy, Settings
from ltv_guard.core.model.errors import ExchangeUnavailable, NeedsHuman
from ltv_guard.core.model.loans import Owner
from ltv_guard.core.ports import Identity, Journal, PriceStream
from ltv_guard.guard.cycle import Guard
from ltv_guard.guard.settings_match import Matcher, Matches
from ltv_guard.guard.surroundings import AccountPorts, Surroundings
from ltv_guard.service.connections import (
    check_source,
    connect,
    connection_of,
    contracts_of,
    credentials_of,
    keep,
    on_host,
    other_writes,
    products_of,
    stream_of,
)
from ltv_guard.service.rules import options_of, rulebook_of
from ltv_guard.service.wiring import KeyClaim, Wiring


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What the guards of a run have in common. `own` makes an account's user this daemon's alone.

    `holds`: whether an account is this daemon's to send for; in a fleet it may be another's by now.
    """

    settings: Settings
    journal: Journal
    live: bool
    continuous: bool = True
    stopping: Callable[[], bool] = lambda: False
    holds: Callable[[str], bool] = lambda _name: True
    own: Callable[[str, Owner], Awaitable[None]] | None = None


@asynccontextmanager
async def wire(
    frame: Frame, *, banned_for_s: float = 0.0, on_ban: Callable[[str, float], None] | None = None
) -> AsyncIterator[Wiring]:
    """Builds a guard for every account; closes the connections at the end. Raises ConfigError."""
    wiring = begin(frame, banned_for_s=banned_for_s, on_ban=on_ban)
    try:
        yield wiring
    finally:
        await wiring.close()


def begin(
    frame: Frame, *, banned_for_s: float = 0.0, on_ban: Callable[[str, float], None] | None = None
) -> Wiring:
    """A guard for every account; whoever asks for them closes them. Raises ConfigError."""
    check_source(frame.settings)
    wiring = on_host(frame.settings, banned_for_s, on_ban)
    wiring.stream = stream_of(frame.settings, wiring.host)
    matches = _matches(frame.settings)
    for name, account in frame.settings.accounts.items():
        connect(wiring, frame.settings, name, credentials_of(account))
        _set_guard(wiring, frame, name, matches)
    return wiring


async def take_on(wiring: Wiring, frame: Frame, name: str) -> None:
    """A guard for one account more, which has come to this worker of a fleet."""
    account = frame.settings.accounts[name]
    credentials = await asyncio.to_thread(credentials_of, account)
    connect(wiring, frame.settings, name, credentials)
    _set_guard(wiring, frame, name, _matches(frame.settings))


async def rewire(
    before: Wiring,
    frame: Frame,
    *,
    keeps_journal: bool,
    banned_for_s: float,
    on_ban: Callable[[str, float], None] | None,
) -> Wiring:
    """Guards for other settings, while those of `before` go on. Takes over what has not changed.

    A key that is new, or is to write for the first time, is tried. Raises ExchangeUnavailable, NeedsHuman,
    ConfigError; nothing is left open then.
    """
    settings = frame.settings
    wiring = _beside(before, settings, banned_for_s, on_ban)
    matches = _matches(settings)
    try:
        for name, account in settings.accounts.items():
            wiring.connections[name] = connection_of(settings, account)
            is_kept = wiring.connections[name] == before.connections.get(name)
            if is_kept:
                keep(wiring, before, name)
            else:
                credentials = await asyncio.to_thread(credentials_of, account)
                connect(wiring, settings, name, credentials, limits=before.limits.get(name))
            if not is_kept or (frame.live and not before.live):
                wiring.identities[name] = await _tried(wiring, frame, name)
            _set_guard(wiring, frame, name, matches, before if keeps_journal else None)
            if (identity := wiring.identities.get(name)) is not None:
                await wiring.claims[name](identity)
    except BaseException:
        await wiring.close(but=before)
        raise
    wiring.host.address.per_5s = settings.exchange.ip_budget_per_5s
    return wiring


def _beside(
    before: Wiring, settings: Settings, banned_for_s: float, on_ban: Callable[[str, float], None] | None
) -> Wiring:
    """What all accounts share, of `before` as far as it is the same. Raises ConfigError."""
    wiring = on_host(settings, banned_for_s, on_ban)
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


def _is_the_same(before: PriceStream | None, after: PriceStream | None) -> bool:
    return before is not None and after is not None and before.url == after.url


def _matches(settings: Settings) -> Matches:
    return Matches({name: [rule.name for rule in item.rules] for name, item in settings.accounts.items()})


def _set_guard(
    wiring: Wiring, frame: Frame, name: str, matches: Matches, before: Wiring | None = None
) -> None:
    settings, account, client = frame.settings, frame.settings.accounts[name], wiring.clients[name]
    products = wiring.products[name] = products_of(
        account, client, wiring.known_products.setdefault(name, {})
    )
    others = wiring.others[name] = other_writes(products, client)
    wiring.contracts |= contracts_of(name, products, client)
    wiring.claims[name] = KeyClaim(wiring, settings.exchange.environment, name, products, frame.own)
    wiring.matchers[name] = Matcher(
        name,
        rulebook_of(account),
        account=wiring.accounts[name],
        products=products,
        matches=matches,
        clock=wiring.clock,
        taken_for_granted=Policy().collateral_preference,
    )
    wiring.guards[name] = Guard(
        options_of(settings, name, live=frame.live, continuous=frame.continuous),
        AccountPorts(
            account=wiring.accounts[name],
            products=products,
            others=others,
            contracts=wiring.contracts.get(name),
            oddities=client.oddities.current,
        ),
        _surroundings(wiring, frame, name),
        journal=frame.journal,
        rulebook=rulebook_of(account),
        matcher=wiring.matchers[name],
        after=_guard_before(wiring, before, name),
    )


def _surroundings(wiring: Wiring, frame: Frame, name: str) -> Surroundings:
    return Surroundings(
        clock=wiring.clock,
        new_id=lambda: uuid.uuid4().hex,
        seed=lambda: secrets.randbelow(1_000_000),
        stopping=lambda: frame.stopping() or not frame.holds(name),
        claim=wiring.claims[name],
        prices=lambda: {} if wiring.stream is None else wiring.stream.prices,
    )


def _guard_before(wiring: Wiring, before: Wiring | None, name: str) -> Guard | None:
    """The guard of the same user before, if there was one: what it knows is taken over."""
    if before is None or (wiring.ban.host, wiring.environment) != (before.ban.host, before.environment):
        return None
    identity = wiring.identities.get(name)
    if identity is None:  # the same key, which nobody has told us the user of yet
        return before.guards.get(name)
    return before.guards.get(before.owners.get(identity.user_id, ""))
