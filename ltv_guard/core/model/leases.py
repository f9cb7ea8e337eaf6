"""Who guards which account of a fleet, and until when. Pure; all times are ms of the database's clock.

What holds of a lease is said here once: the journal's transactions decide by it, under the row's lock.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenure:
    """A worker's proof that an account is its own: good for as long as the lease has this epoch.

    `is_orderly`: the holder before gave it back with nothing of its own under way.
    """

    account: str
    worker: str
    epoch: int
    is_orderly: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """One account of the fleet. `worker`: who holds it, or did until it expired; None: it was given back.

    `epoch` grows each time that it changes hands, and never shrinks.
    """

    account: str
    egress: str
    worker: str | None = None
    epoch: int = 0
    expires_at_ms: int = 0
    since_ms: int = 0

    def is_free(self, now_ms: int) -> bool:
        """Whether another may take it."""
        return self.worker is None or self.expires_at_ms <= now_ms

    def allows(self, tenure: Tenure) -> bool:
        """Whether the holder may write how an adjustment ended: nobody else has held it since."""
        return (self.worker, self.epoch) == (tenure.worker, tenure.epoch)

    def allows_sending(self, tenure: Tenure, now_ms: int) -> bool:
        """Whether the holder may mark an adjustment sent."""
        return self.allows(tenure) and now_ms < self.expires_at_ms

    def taken(self, worker: str, seen_epoch: int, now_ms: int, lease_ms: int) -> Lease | None:
        """As it is once `worker`, who saw it free at `seen_epoch`, has taken it. None: it may not."""
        if not self.is_free(now_ms) or self.epoch != seen_epoch:
            return None
        return replace(
            self, worker=worker, epoch=self.epoch + 1, expires_at_ms=now_ms + lease_ms, since_ms=now_ms
        )

    def renewed(self, tenure: Tenure, now_ms: int, lease_ms: int) -> Lease | None:
        """Also one that has expired, while nobody else has taken it. None: it is another's by now."""
        return replace(self, expires_at_ms=now_ms + lease_ms) if self.allows(tenure) else None

    def given_back(self, tenure: Tenure) -> Lease | None:
        """Free at once; its epoch stays, so that the next one is higher. None: it is another's by now."""
        return replace(self, worker=None, expires_at_ms=0) if self.allows(tenure) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A process of the fleet. It is alive until `expires_at_ms`, which it puts off with its leases."""

    name: str
    egress: str
    host: str = ""
    pid: int = 0
    since_ms: int = 0
    expires_at_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetView:
    """What the database shows of one egress at one instant: its leases, and the workers that are alive."""

    now_ms: int
    leases: Sequence[Lease]
    workers: Collection[str]
