"""A worker's part of what the exchange allows its address: lowered first, then written down; raised after."""

from __future__ import annotations

from collections.abc import Callable

from ltv_guard.adapters.bybit import AddressBudget, AddressPart
from ltv_guard.adapters.journal.leases import SqlLeases
from ltv_guard.core.decide.calls import LEAST_CALLS, even_part, most_calls
from ltv_guard.core.model.leases import FleetView, Worker


class CallShare:
    """`address` is that of now, `limit` how many requests in 5 s all workers behind it may ask for."""

    def __init__(
        self,
        worker: Worker,
        leases: SqlLeases,
        address: Callable[[], AddressBudget],
        limit: Callable[[], int],
    ) -> None:
        self._worker = worker
        self._leases = leases
        self._address = address
        self._limit = limit

    @property
    def counted(self) -> int:
        """How many requests of this worker the exchange may be counting now."""
        return self._address().counted

    def begin(self) -> None:
        """Nothing is asked for before the database was."""
        self._obey(0, float("inf"))

    async def agree(self, view: FleetView, asked_at: float, *, begins: bool) -> None:
        """Obeys the database's word, and asks for what is missing. Raises JournalUnavailable.

        Who `begins` has heard of nobody yet, and asks for the least.
        """
        own = next((item for item in view.callers if item.name == self._worker.name), None)
        if own is None:
            return
        limit, until = self._limit(), asked_at + (own.expires_at_ms - view.now_ms) / 1000
        wanted = LEAST_CALLS if begins else even_part(view.callers, limit, view.now_ms)
        self._obey(min(wanted, own.calls), until)
        counted = self.counted
        possible = min(wanted, most_calls(view.callers, own.name, limit, view.now_ms))
        if max(counted, possible) != own.calls:
            written = await self._leases.use(self._worker, wanted, counted, limit)
            self._obey(min(wanted, written), until)

    def _obey(self, calls: int, until: float) -> None:
        self._address().part = AddressPart(per_5s=calls, until=until, then=min(calls, LEAST_CALLS))
