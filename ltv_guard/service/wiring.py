"""What a run works with: a connection and a guard an account, and whose key each account has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ltv_guard.adapters import bybit
from ltv_guard.core.model.errors import NeedsHuman
from ltv_guard.core.model.loans import Owner
from ltv_guard.core.ports import ContractExchange, Identity, LoanExchange, WritePath
from ltv_guard.guard.cycle import Guard
from ltv_guard.guard.settings_match import Matcher


@dataclass(slots=True)
class Wiring:
    """What a run works with: one guard an account, and what they share."""

    host: bybit.Host
    environment: str
    live: bool = False
    connections: dict[str, Hashable] = field(default_factory=dict)
    limits: dict[str, bybit.RequestLimits] = field(default_factory=dict)
    clients: dict[str, bybit.BybitClient] = field(default_factory=dict)
    accounts: dict[str, bybit.BybitAccount] = field(default_factory=dict)
    guards: dict[str, Guard] = field(default_factory=dict)
    products: dict[str, list[LoanExchange]] = field(default_factory=dict)
    others: dict[str, list[WritePath]] = field(default_factory=dict)
    contracts: dict[str, ContractExchange] = field(default_factory=dict)
    matchers: dict[str, Matcher] = field(default_factory=dict)
    known_products: dict[str, dict[Hashable, LoanExchange]] = field(default_factory=dict)
    claims: dict[str, KeyClaim] = field(default_factory=dict)
    identities: dict[str, Identity] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    clash: str | None = None
    clashing: tuple[str, ...] = ()
    """Accounts that have keys of the same user."""
    stream: bybit.SpotPrices | None = None

    @property
    def clock(self) -> bybit.ExchangeClock:
        """The clock of the host, which all accounts share."""
        return self.host.clock

    @property
    def ban(self) -> bybit.Ban:
        """The ban of this address by the host, if there is one."""
        return self.host.ban

    @property
    def any_client(self) -> bybit.BybitClient:
        """For what belongs to the host and not to an account: its clock."""
        return next(iter(self.clients.values()))

    async def drop(self, name: str) -> None:
        """Forgets an account that another worker guards from now on, and closes its connection."""
        parts: Sequence[dict[str, Any]] = (
            *(self.connections, self.limits, self.accounts, self.guards, self.products, self.others),
            *(self.contracts, self.matchers, self.known_products, self.claims, self.identities),
        )
        for part in parts:
            part.pop(name, None)
        for user_id in [user_id for user_id, account in self.owners.items() if account == name]:
            del self.owners[user_id]
        if (client := self.clients.pop(name, None)) is not None:
            await client.close()

    async def close(self, *, but: Wiring | None = None) -> None:
        """Closes the connections, `but` for those that another holds too."""
        kept = list(but.clients.values()) if but is not None else []
        for client in self.clients.values():
            if client not in kept:
                await client.close()


@dataclass(slots=True)
class KeyClaim:
    """Notes whose key an account's is: two accounts of one user would each adjust the same loans."""

    wiring: Wiring
    environment: str
    account: str
    products: Sequence[LoanExchange]
    own: Callable[[str, Owner], Awaitable[None]] | None

    async def __call__(self, identity: Identity) -> None:
        other = self.wiring.owners.setdefault(identity.user_id, self.account)
        if other != self.account:
            self.wiring.clashing = (other, self.account)
            self.wiring.clash = (
                f"accounts.{other} and accounts.{self.account} have keys of the same user "
                f"{identity.user_id}: keep one of the two"
            )
            raise NeedsHuman(self.wiring.clash)
        self.wiring.identities[self.account] = identity
        for exchange in self.products:
            exchange.belongs_to(identity)
        if self.own is not None:
            await self.own(self.account, Owner(self.environment, identity.user_id))
