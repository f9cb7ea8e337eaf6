"""Whether adds add, read off the history right after the first one, while the next turn is waited for."""

from __future__ import annotations

from ltv_guard.core.model.intents import State
from ltv_guard.core.model.loans import Channel, Kind, Product
from ltv_guard.core.ports import Clock
from ltv_guard.guard.directions import Directions
from ltv_guard.guard.lag_watch import Measurer
from ltv_guard.guard.needs import Needs
from ltv_guard.guard.reads.histories import Histories
from ltv_guard.guard.snapshot import Snapshot


class Proof:
    """Settles nothing: what it reads tells `directions`, and how late the history is."""

    def __init__(
        self, directions: Directions, needs: Needs, histories: Histories, measurer: Measurer, clock: Clock
    ) -> None:
        self._directions = directions
        self._needs = needs
        self._histories = histories
        self._measurer = measurer
        self._clock = clock

    async def read(self, snapshot: Snapshot, product: Product) -> None:
        """A history that was asked for after all that the cycle has sent was answered."""
        channel = Channel(product, Kind.ADJUSTMENT)
        seen = Snapshot(books=snapshot.books)
        await self._histories.read(seen, self._needs.of_now(channel, self._clock.now()))
        if (history := seen.histories.get(channel)) is None:
            return
        for intent in snapshot.begun.values():
            if intent.channel == channel and intent.state is State.ACCEPTED:
                self._measurer.measure_row(intent, history)
        self._directions.look(seen)
