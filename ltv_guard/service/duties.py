"""What a daemon does, and how often. Pure values."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from ltv_guard.adapters.settings import OddAccount
from ltv_guard.core.model.timing import TIMING
from ltv_guard.core.ports import AccountExchange, PriceStream
from ltv_guard.guard.cycle import Guard


@dataclass(frozen=True, slots=True, kw_only=True)
class Duties:
    """What is done, and how often. Spans in seconds.

    `connections` tell by name whether an account is the same as one of before. `heartbeat` is told whether
    every guard trusts its journal. An account near a trigger is looked at each `fastest_poll_s`, if that is
    less than `poll_s`; `stream` tells when one may be. Without it the last LTVs alone do.
    """

    guards: Mapping[str, Guard]
    poll_s: float
    settle_s: float
    shutdown_s: float
    measure_clock: Callable[[], Awaitable[int]]
    heartbeat: Callable[[bool], Awaitable[None]]
    connections: Mapping[str, Hashable] = field(default_factory=dict)
    fastest_poll_s: float = TIMING.fastest_poll_ms / 1000
    stream: PriceStream | None = None
    accounts: Mapping[str, AccountExchange] = field(default_factory=dict)
    odd_accounts: Sequence[OddAccount] = ()

    def pace_s(self, *, armed: bool) -> float:
        """Seconds between two looks at an account."""
        return min(self.fastest_poll_s, self.poll_s) if armed else self.poll_s
