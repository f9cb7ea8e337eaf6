"""One host of the exchange, and what all keys that are used on it share."""

from __future__ import annotations

from dataclasses import dataclass, field

from ltv_guard.adapters.bybit.ban import Ban
from ltv_guard.adapters.bybit.clock import ExchangeClock
from ltv_guard.adapters.bybit.limits import AddressLimit


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Its clock, its ban, and what it allows this machine's address."""

    rest_url: str
    clock: ExchangeClock
    ban: Ban
    address: AddressLimit = field(default_factory=AddressLimit)
