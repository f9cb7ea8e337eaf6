"""How fast and how patient a daemon is where nobody says otherwise: the one place for it. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Spans in ms. A request is valid for `recv_window_ms` from its signature on."""

    poll_interval_ms: int = 15_000
    max_snapshot_age_ms: int = 10_000
    blind_after_cycles: int = 3
    recv_window_ms: int = 5_000
    request_timeout_ms: int = 4_000


TIMING = Timing()
