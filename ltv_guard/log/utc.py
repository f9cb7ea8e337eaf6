"""The exchange's times as people and programs read them. Pure."""

from __future__ import annotations

from datetime import UTC, datetime


def iso(ms: int) -> str:
    """Milliseconds since 1970 in ISO 8601, UTC, to the millisecond: `2026-11-20T08:00:00.000Z`."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
