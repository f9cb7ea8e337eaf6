"""What `check` says of an account's key: whose it is, what it may do, from where, and until when."""

from __future__ import annotations

from ltv_guard.adapters.settings import Settings
from ltv_guard.core.model.errors import GuardError, NeedsHuman
from ltv_guard.core.model.key_end import DAY_MS, LAST_NOTICE_MS, due_notice
from ltv_guard.core.ports import Identity
from ltv_guard.service.findings import Finding
from ltv_guard.service.wiring import Wiring

Doubt = tuple[bool, bool, str, str]
"""Whether it holds, whether one can live with it, what it is, and what to mend."""


async def examine_key(settings: Settings, wiring: Wiring, name: str) -> tuple[list[Finding], bool]:
    """Reads it at the exchange; what can't be read is a finding. And whether the exchange refuses the key."""
    what = f"accounts.{name}"
    try:
        key = await wiring.accounts[name].identify()
    except GuardError as error:
        mend = error.mend or f"check {what}.api_key_file, its secret, and exchange.environment"
        return [Finding(what=what, good=False, found=str(error), mend=mend)], isinstance(error, NeedsHuman)
    found = f"user {key.user_id}, VIP level {key.vip_level or 'unknown'}; {'; '.join(_traits(key))}"
    findings = [Finding(what=what, good=True, found=found)]
    other = wiring.owners.setdefault(key.user_id, name)
    if other != name:
        same = f"its key is of the same user as that of accounts.{other}"
        findings.append(Finding(what=what, good=False, found=same, mend="keep one of the two"))
    findings += [
        Finding(what=what, good=good, found=found, mend=mend)
        for holds, good, found, mend in (*_doubts(settings, name, key), _end(key, wiring))
        if holds
    ]
    return findings, False


def _traits(key: Identity) -> tuple[str, ...]:
    trades = "adjusts loans ('Spot trade')" if key.can_adjust else "adjusts no loans"
    return (
        "read-only" if key.read_only else "read-write",
        trades,
        "can withdraw" if key.can_withdraw else "can't withdraw",
        "bound to addresses" if key.ip_bound else "bound to no address",
        f"ends {key.expires_at}" if key.expires_at else "has no end",
    )


def _end(key: Identity, wiring: Wiring) -> Doubt:
    """On its last day one can't live with it."""
    now_ms = wiring.clock.now().exchange_ms
    due_ms = due_notice(key.expires_at_ms, now_ms)
    days = ((key.expires_at_ms or now_ms) - now_ms) / DAY_MS
    found = f"the key ends at {key.expires_at}, in {days:.1f} days"
    return (
        due_ms is not None,
        (due_ms or 0) > LAST_NOTICE_MS,
        found,
        "make a new key, and write it into its files",
    )


def _doubts(settings: Settings, name: str, key: Identity) -> tuple[Doubt, ...]:
    transfers = settings.accounts[name].sources.unified_transfer.enabled
    expiry = f" (expires {key.expires_at})" if key.expires_at else ""
    return (
        (key.can_withdraw, True, "the key can withdraw", "make one that has 'Spot trade' only"),
        (
            settings.mode == "live" and not key.can_adjust,
            False,
            "the key can't adjust loans",
            "give it 'Spot trade', read-write",
        ),
        (
            settings.mode == "live" and transfers and not key.can_transfer,
            False,
            "the key can't move coins from the Unified account",
            "give it 'Account Transfer', or set sources.unified_transfer.enabled to false",
        ),
        (not key.ip_bound, True, f"the key is bound to no address{expiry}", "bind it to this machine's"),
    )
