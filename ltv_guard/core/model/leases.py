"""Who guards which account of a fleet, and until when. Pure; all times are ms of the database's clock.

What holds of a lease is said here once: the journal's transactions decide by it, under the row's lock.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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

    @property
    def how(self) -> str:
        """How it came: nobody had held it, its holder gave it back in order, or the lease ran out."""
        return "first" if self.epoch == 1 else "handed_over" if self.is_orderly else "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """One account of the fleet. `worker`: who holds it, or did until it expired; None: it was given back.

    `epoch` grows each time that it changes hands, and never shrinks. `last_cycle_ms`: when a cycle has
    last read its loans, as its holder said when it renewed the lease; None: nobody has said so yet.
    """

    account: str
    egress: str
    worker: str | None = None
    epoch: int = 0
    expires_at_ms: int = 0
    since_ms: int = 0
    last_cycle_ms: int | None = None

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
    """A process of the fleet. It is alive until `expires_at_ms`, which it puts off with its leases.

    One that has left has 0 there. `calls`: how many requests in 5 s it may ask the exchange for; they count
    until `calls_until_ms`, which is 5 s later.
    """

    name: str
    egress: str
    host: str = ""
    pid: int = 0
    since_ms: int = 0
    expires_at_ms: int = 0
    calls: int = 0
    calls_until_ms: int = 0

    def is_alive(self, now_ms: int) -> bool:
        """Whether it has said so within a lease."""
        return self.expires_at_ms > now_ms

    def is_lost(self, now_ms: int) -> bool:
        """Whether nothing was heard of it for a lease, though it has not left."""
        return 0 < self.expires_at_ms <= now_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetView:
    """What the database shows of one egress at one instant: its leases, and the workers that are alive.

    `callers` are all that were heard of within a day.
    """

    now_ms: int
    leases: Sequence[Lease]
    workers: Collection[str]
    callers: Sequence[Worker] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetRegister:
    """All that the database holds of a fleet, for people: of every egress, and workers of the last day."""

    now_ms: int
    leases: Sequence[Lease]
    workers: Sequence[Worker]

    def of(self, accounts: Mapping[str, str]) -> FleetRegister:
        """Of these accounts alone, each with its egress; those that nobody has held yet are shown as well."""
        known = {lease.account: lease for lease in self.leases if lease.account in accounts}
        free = (Lease(account=name, egress=egress) for name, egress in accounts.items() if name not in known)
        return replace(self, leases=(*known.values(), *free))


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetStatus:
    """What one worker knows of its fleet, without asking anybody.

    `epochs`: by account, of what it holds. `accounts`: how many its egress has; `unheld`: how many of them
    nobody held at its last look; `workers`: how many lived there then. `taken`: by how each came (`first`,
    `handed_over`, `expired`), `lost`: how many it lost, `refused`: writes that were refused, by account.
    """

    worker: str
    epochs: Mapping[str, int]
    accounts: int
    unheld: int
    workers: int
    taken: Mapping[str, int]
    lost: int
    refused: Mapping[str, int]
