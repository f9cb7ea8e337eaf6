"""An API key: whose it is, what it may do, when it ends (v5/user/apikey-info). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from ltv_guard.adapters.bybit.fields import MalformedPayload, Row, brief, identity, shown, whole
from ltv_guard.adapters.bybit.oddities import Reading
from ltv_guard.core.ports import Identity
from ltv_guard.log.utc import iso

LONGEST_LEVEL = 32
DAY_MS = 86_400_000
MOST_DAYS = 36_500
PLAUSIBLE_ENDS_MS = range(946_684_800_000, 4_102_444_800_000)  # 2000 to 2100
TAKEN_TO_BE_ALLOWED = "the key is taken to be allowed to: the exchange refuses what it is not"


def parse_identity(result: Row, reading: Reading | None = None, *, now_ms: int | None = None) -> Identity:
    """Whose key it is must be there. Raises MalformedPayload."""
    reading = reading or Reading("key")
    user_id = identity(result, "userID")
    permissions = _permissions(result, reading)
    read_only = _is_read_only(result, reading)
    addresses = result.get("ips")
    ends_at_ms = _ends_at_ms(result, now_ms)
    return Identity(
        user_id=user_id,
        vip_level=brief(result.get("vipLevel") or "", LONGEST_LEVEL),
        read_only=read_only,
        can_withdraw=_grants(permissions, "Wallet", "Withdraw", unknown=False, reading=reading),
        can_adjust=not read_only and _grants(permissions, "Spot", "SpotTrade", unknown=True, reading=reading),
        can_transfer=not read_only
        and _grants(permissions, "Wallet", "AccountTransfer", unknown=True, reading=reading),
        ip_bound=isinstance(addresses, list) and bool(addresses) and "*" not in addresses,
        expires_at=iso(ends_at_ms) if ends_at_ms is not None else None,
        expires_at_ms=ends_at_ms,
    )


def _permissions(result: Row, reading: Reading) -> Row | None:
    """What the key may do, by group; None where that can't be told."""
    found = result.get("permissions")
    if found is None:
        return {}
    if isinstance(found, Mapping):
        return found
    reading.passes_over("permissions", f"they are no object but {shown(found)}", TAKEN_TO_BE_ALLOWED)
    return None


def _is_read_only(result: Row, reading: Reading) -> bool:
    try:
        return whole(result, "readOnly") != 0
    except MalformedPayload as exc:
        reading.passes_over("readOnly", exc, TAKEN_TO_BE_ALLOWED)
        return False


def _grants(permissions: Row | None, group: str, name: str, *, unknown: bool, reading: Reading) -> bool:
    """Whether a permission is given; `unknown` where that can't be told."""
    granted = permissions.get(group) if permissions is not None else ""
    if granted is None:
        return False
    if isinstance(granted, list):
        return name in granted
    if permissions is not None:
        reading.passes_over(group, f"it is no list but {shown(granted)}", TAKEN_TO_BE_ALLOWED)
    return unknown


def _ends_at_ms(result: Row, now_ms: int | None) -> int | None:
    """When the key ends, in ms; None for one that does not: its days are negative, and its year is 1970.

    Keys without an IP binding die after 90 days, and any may carry an end after a password change.
    """
    asked = result.get("deadlineDay")
    days = asked if isinstance(asked, int) and not isinstance(asked, bool) else 0
    try:
        given = datetime.fromisoformat(str(result.get("expiredAt")))
        ends_at_ms = int(given.replace(tzinfo=given.tzinfo or UTC).timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        ends_at_ms = 0
    if ends_at_ms in PLAUSIBLE_ENDS_MS:
        return ends_at_ms
    return now_ms + days * DAY_MS if now_ms is not None and 0 < days <= MOST_DAYS else None
