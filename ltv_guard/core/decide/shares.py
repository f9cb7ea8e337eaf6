"""Which accounts of an egress a worker takes and gives back: even shares, and nothing moves that need not.

Every worker works this out by itself from what the database shows to all of them. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ltv_guard.core.model.leases import FleetView, Lease


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """What a worker should do now: leases that are free and its to take, and accounts to give back."""

    take: tuple[Lease, ...] = ()
    give_back: tuple[str, ...] = ()


def quotas(view: FleetView, accounts: Collection[str]) -> Mapping[str, int]:
    """How many of `accounts` each live worker should hold: as many as every other, or one more.

    Those that hold most have the one more, so that the fewest accounts move.
    """
    held = {worker: len(_held_by(view, worker, accounts)) for worker in view.workers}
    ranked = sorted(held, key=lambda worker: (-held[worker], worker))
    least, over = divmod(len(accounts), max(1, len(ranked)))
    return {worker: least + (rank < over) for rank, worker in enumerate(ranked)}


def moves(view: FleetView, worker: str, accounts: Collection[str], *, may_take: bool) -> Moves:
    """What `worker`, which guards some of `accounts`, should do by this view.

    It may take nothing by its first view, nor by the first after it could not see the database for long:
    the others have to be heard of first, or it would take what is still theirs.
    """
    held = _held_by(view, worker, accounts)
    quota = quotas(view, accounts).get(worker, 0)
    if len(held) > quota:
        return Moves(give_back=tuple(lease.account for lease in held[quota:]))
    if not may_take:
        return Moves()
    return Moves(take=tuple(_free(view, worker, accounts)[: quota - len(held)]))


def _held_by(view: FleetView, worker: str, accounts: Collection[str]) -> list[Lease]:
    """The longest held first: what came last is the first to go."""
    own = (item for item in view.leases if item.worker == worker and not item.is_free(view.now_ms))
    return sorted((item for item in own if item.account in accounts), key=_longest_held)


def _longest_held(lease: Lease) -> tuple[int, str]:
    return lease.since_ms, lease.account


def _free(view: FleetView, worker: str, accounts: Collection[str]) -> list[Lease]:
    """Each worker begins elsewhere in the list, so that two seldom reach for the same account."""
    free = sorted(
        (item for item in view.leases if item.account in accounts and item.is_free(view.now_ms)),
        key=lambda item: item.account,
    )
    rank, count = sorted(view.workers).index(worker) if worker in view.workers else 0, len(view.workers)
    start = rank * len(free) // max(1, count)
    return free[start:] + free[:start]
