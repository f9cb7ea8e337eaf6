"""How fast and how patient a daemon is where nobody says otherwise: the one place for it. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long (ms) a refused coin rests: at first, and where the cause will not pass by itself.

    `same_body_ms`: what takes no other amount (a fixed loan, in full) is not asked for again before that.
    """

    first_ms: int = 2_000
    lasting_ms: int = 10_000
    same_body_ms: int = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Spans in ms. A request is valid for `recv_window_ms` from its signature on. The rest has no key.

    A key that a person has to mend is tried each `key_probe_ms`, and one that works is looked at each
    `key_look_ms`, for its VIP level may change. Terms of coins are kept for `terms_kept_ms`, and tried again
    each `terms_retried_ms` where they can't be read. `ban_ms`: so long an exchange that shuts an address out
    is left alone (v5/rate-limit). `beat_ms`: how often a run writes that it lives, at least.
    """

    poll_interval_ms: int = 15_000
    fastest_poll_ms: int = 1_000
    max_snapshot_age_ms: int = 10_000
    blind_after_cycles: int = 3
    recv_window_ms: int = 5_000
    request_timeout_ms: int = 4_000
    ip_budget_per_5s: int = 480
    key_probe_ms: int = 60_000
    key_look_ms: int = 3_600_000
    terms_kept_ms: int = 3_600_000
    terms_retried_ms: int = 60_000
    ban_ms: int = 600_000
    beat_ms: int = 5_000
    backoff: Backoff = Backoff()


TIMING = Timing()
