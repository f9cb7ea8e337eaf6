"""From settings to guards: one an account, new or instead of those of before."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ltv_guard.adapters.settings import Policy, Settings
from ltv_guard.core.model.loans import Owner
from ltv_guard.core.ports import Journal
from ltv_guard.guard.cycle import Guard
from ltv_guard.guard.settings_match import Matcher, Matches
from ltv_guard.guard.surroundings import AccountPorts, Surroundings
from ltv_guard.service.connections import (
    check_source,
    connect,
    contracts_of,
    credentials_of,
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
async def wire(frame: Frame, *, banned_for_s: float = 0.0) -> AsyncIterator[Wiring]:
    """Builds a guard for every account; closes the connections at the end. Raises ConfigError."""
    wiring = begin(frame, banned_for_s=banned_for_s)
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
    matches = matches_of(frame.settings)
    for name, account in frame.settings.accounts.items():
        connect(wiring, frame.settings, name, credentials_of(account))
        set_guard(wiring, frame, name, matches)
    return wiring


async def take_on(wiring: Wiring, frame: Frame, name: str) -> None:
    """A guard for one account more, which has come to this worker of a fleet."""
    account = frame.settings.accounts[name]
    credentials = await asyncio.to_thread(credentials_of, account)
    connect(wiring, frame.settings, name, credentials)
    set_guard(wiring, frame, name, matches_of(frame.settings))


def matches_of(settings: Settings) -> Matches:
    """Which rule of which account fits any loan is noted in it."""
    return Matches({name: [rule.name for rule in item.rules] for name, item in settings.accounts.items()})


def set_guard(
    wiring: Wiring, frame: Frame, name: str, matches: Matches, before: Wiring | None = None
) -> None:
    """A guard for an account that has a connection. It takes over what that of `before` knew."""
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
        has_room=lambda: wiring.host.address.has_room,
    )


def _guard_before(wiring: Wiring, before: Wiring | None, name: str) -> Guard | None:
    """The guard of the same user before, if there was one: what it knows is taken over."""
    if before is None or (wiring.ban.host, wiring.environment) != (before.ban.host, before.environment):
        return None
    identity = wiring.identities.get(name)
    if identity is None:  # the same key, which nobody has told us the user of yet
        return before.guards.get(name)
    return before.guards.get(before.owners.get(identity.user_id, ""))
