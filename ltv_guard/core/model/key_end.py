"""When an API key ends, and which notice of that is due. Pure.

Keys that are bound to no address die after 90 days; any key may carry an end after a password change
(v5/user/apikey-info).
"""

from __future__ import annotations

DAY_MS = 86_400_000
NOTICES_MS = tuple(days * DAY_MS for days in (14, 7, 3, 1))
LAST_NOTICE_MS = DAY_MS


def due_notice(ends_at_ms: int | None, now_ms: int) -> int | None:
    """The nearest of NOTICES_MS (ms before the end) that was reached; 0 once it is past; None before all.

    Both are exchange time, ms. `ends_at_ms` None: a key without an end.
    """
    if ends_at_ms is None:
        return None
    left_ms = ends_at_ms - now_ms
    if left_ms <= 0:
        return 0
    return min((notice for notice in NOTICES_MS if left_ms <= notice), default=None)
