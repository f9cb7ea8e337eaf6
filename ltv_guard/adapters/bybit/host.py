"""One host of the exchange, and what all keys that are used on it share."""

from __future__ import annotations

from dataclasses import dataclass, field

from ltv_guard.adapters.bybit.address_budget import AddressBudget
from ltv_guard.adapters.bybit.ban import Ban
from ltv_guard.adapters.bybit.clock import ExchangeClock
from ltv_guard.adapters.bybit.read_connections import AT_ONCE
from ltv_guard.adapters.bybit.shared_reads import SharedReads
from ltv_guard.adapters.bybit.warm_socket import OpeningPace
from ltv_guard.core.model.timing import TIMING, Timing

LEFT_FOR_WRITES = 5  # of the connections that may be opened in a second


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Its clock, its ban, what it allows this machine's address, and what it tells everybody."""

    rest_url: str
    clock: ExchangeClock
    ban: Ban
    address: AddressBudget = field(default_factory=AddressBudget)
    openings: OpeningPace = field(default_factory=OpeningPace)
    timing: Timing = TIMING
    source_address: str | None = None
    """Where connections leave from; None: the operating system's choice."""
    shared: SharedReads = field(init=False)

    def __post_init__(self) -> None:
        clock = self.clock
        object.__setattr__(self, "shared", SharedReads(lambda: clock.now().monotonic_ms))

    def may_open(self) -> bool:
        """Whether one more connection may be opened ahead of need. It counts as opened then."""
        return self.ban.remaining_s == 0 and self.openings.allows()

    def may_open_for_reads(self) -> bool:
        """Whether those may by which one account reads at once: each takes a request."""
        allowed = self.ban.remaining_s == 0 and self.address.has_room
        return allowed and self.openings.allows(AT_ONCE, leaving=LEFT_FOR_WRITES)
