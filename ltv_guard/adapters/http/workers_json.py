"""`/api/v1/workers`, and what `ltv-guard workers` shows: who of a fleet guards what, in the same words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ltv_guard.core.model.leases import FleetRegister, Lease, Worker
from ltv_guard.log.utc import iso

Row = dict[str, Any]


def as_json(register: FleetRegister) -> bytes:
    """`as_tree`, in UTF-8."""
    return json.dumps(as_tree(register)).encode()


def as_tree(register: FleetRegister) -> dict[str, list[Row]]:
    """Times in ISO 8601 by the database's clock; `left_s` until the lease runs out, if it is not renewed."""
    accounts = [_account(lease, register.now_ms) for lease in register.leases]
    return {
        "workers": [_worker(item, register.now_ms, accounts) for item in register.workers],
        "accounts": accounts,
    }


def _account(lease: Lease, now_ms: int) -> Row:
    is_held = not lease.is_free(now_ms)
    return {
        "account": lease.account,
        "egress": lease.egress,
        "worker": lease.worker if is_held else None,
        "epoch": lease.epoch,
        "since": iso(lease.since_ms) if is_held else None,
        "left_s": (lease.expires_at_ms - now_ms) // 1000 if is_held else None,
        "last_cycle": None if lease.last_cycle_ms is None else iso(lease.last_cycle_ms),
    }


def _worker(worker: Worker, now_ms: int, accounts: Sequence[Row]) -> Row:
    return {
        "worker": worker.name,
        "host": worker.host,
        "pid": worker.pid,
        "egress": worker.egress,
        "accounts": sum(row["worker"] == worker.name for row in accounts),
        "since": iso(worker.since_ms),
        "alive": worker.expires_at_ms > now_ms,
    }
