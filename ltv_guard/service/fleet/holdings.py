"""Which accounts this worker holds, as far as it knows. The journal alone decides whether it may write."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ltv_guard.core.model.leases import FleetView, Lease, Tenure


@dataclass(slots=True)
class HeldAccount:
    """A tenure, and until when (seconds of this machine's monotonic clock) its lease holds for certain."""

    tenure: Tenure
    until: float
    is_leaving: bool = False


class Holdings:
    """By account. `monotonic` is in seconds, and goes on while the process stands still."""

    def __init__(self, worker: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.worker = worker
        self._monotonic = monotonic
        self._held: dict[str, HeldAccount] = {}
        self._given_back: dict[str, int] = {}  # by account, the last epoch that was

    @property
    def accounts(self) -> frozenset[str]:
        """Those that it guards, or is about to."""
        return frozenset(name for name, item in self._held.items() if not item.is_leaving)

    @property
    def tenures(self) -> tuple[Tenure, ...]:
        """All that have not been given back."""
        return tuple(item.tenure for item in self._held.values())

    def tenure_of(self, account: str) -> Tenure | None:
        """None: it is not held."""
        found = self._held.get(account)
        return None if found is None else found.tenure

    def may_send(self, account: str) -> bool:
        """Whether an adjustment may leave: nothing is asked for, it only keeps from trying in vain."""
        found = self._held.get(account)
        return found is not None and not found.is_leaving and self._monotonic() < found.until

    def agree(self, view: FleetView, asked_at: float) -> tuple[list[Tenure], list[str]]:
        """Takes the database's word, of what was asked for at `asked_at`: what has come, and what was lost.

        An account that another held in between is lost and has come: its guard must begin anew.
        """
        lost = self.hear(view, asked_at)
        for name in lost:
            del self._held[name]
        come = []
        for lease in view.leases:
            is_new = lease.epoch > self._given_back.get(lease.account, 0)  # a view may be older than that
            if lease.worker == self.worker and lease.account not in self._held and is_new:
                # The answer that told of it was lost.
                come.append(Tenure(account=lease.account, worker=self.worker, epoch=lease.epoch))
                self.take(come[-1], _until(lease, view, asked_at))
        return come, lost

    def hear(self, view: FleetView, asked_at: float) -> list[str]:
        """Until when each lease holds, and no more than that. Returns what was lost."""
        own = {(item.account, item.epoch): item for item in view.leases if item.worker == self.worker}
        lost = []
        for name, held in self._held.items():
            lease = own.get((name, held.tenure.epoch))
            held.until = 0.0 if lease is None else _until(lease, view, asked_at)
            if lease is None:
                lost.append(name)
        return lost

    def take(self, tenure: Tenure, until: float) -> None:
        """It is held from now on."""
        self._held[tenure.account] = HeldAccount(tenure=tenure, until=until)

    def doubt(self, account: str) -> None:
        """A write for it was refused: nothing is sent until the database says that it is still held."""
        if account in self._held:
            self._held[account].until = 0.0

    def leave(self, accounts: Iterable[str]) -> list[Tenure]:
        """They are about to be given back. Returns those that were not before."""
        leaving = [self._held[name] for name in accounts if name in self._held]
        fresh = [item for item in leaving if not item.is_leaving]
        for item in fresh:
            item.is_leaving = True
        return [item.tenure for item in fresh]

    def drop(self, tenure: Tenure, *, given_back: bool) -> None:
        """It is held no more; `given_back`: the database knows."""
        if given_back:
            self._given_back[tenure.account] = tenure.epoch
        if self.tenure_of(tenure.account) == tenure:
            del self._held[tenure.account]


def _until(lease: Lease, view: FleetView, asked_at: float) -> float:
    """By this machine's clock: not later than by the database's, for the view is younger than that."""
    return asked_at + (lease.expires_at_ms - view.now_ms) / 1000
