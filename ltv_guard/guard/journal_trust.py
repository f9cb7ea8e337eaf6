"""Whether nothing can have been sent that the journal does not know of. One that is new waits for that."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import structlog

from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Channel, Kind, LoanKey, Moment, Product
from ltv_guard.core.ports import Clock
from ltv_guard.guard.snapshot import GuardOptions, Snapshot
from ltv_guard.guard.state.memory import Memory

PLAIN_ENDS = frozenset({State.WITHDRAWN, State.REJECTED, State.CONFIRMED})
CLOCKS_APART_MS = 1_000  # by so much the exchange's time may step where it is measured anew

log = structlog.stdlib.get_logger()


class JournalTrust:
    """`holds` once all is visible that another journal may have had sent."""

    def __init__(self, options: GuardOptions, memory: Memory, clock: Clock) -> None:
        self._journal = memory.journal
        self._intents = memory.intents
        self._clock = clock
        self._wait_ms = options.recv_window_ms + options.timeouts.processing_margin_ms
        self.holds = options.continuous
        self._since_ms = clock.now().monotonic_ms
        self._restorations = len(memory.journal.restorations)

    def take_over(self, before: JournalTrust) -> None:
        """What is known of the same journal already."""
        self.holds = before.holds
        self._since_ms = before._since_ms
        self._restorations = before._restorations

    def heed_restorations(self) -> None:
        """A journal that lost what was written is as one that is new: what it lacks may have been sent."""
        found = self._journal.restorations
        if len(found) > self._restorations:
            self._restorations = len(found)
            self.holds, self._since_ms = False, self._clock.now().monotonic_ms
            log.critical("journal_restored", why=found[-1])

    def adjusted_since(self, asked: Moment, product: Product) -> frozenset[LoanKey] | None:
        """The product's loans that an adjustment of ours ended for since; all else that we did, was before.

        None: something is open, or may be, or ended otherwise than by an answer or its row.
        """
        before = replace(asked, exchange_ms=asked.exchange_ms - CLOCKS_APART_MS)
        since = self._intents.sent_since(before)
        own = Channel(product, Kind.ADJUSTMENT)
        if not self.holds or any(item.channel != own or not _is_plain(item) for item in since):
            return None
        return frozenset(item.key for item in since)

    def look(self, snapshot: Snapshot, channels: Collection[Channel]) -> None:
        """Holds once windows are over and the histories of all `channels` were read after that."""
        if self.holds:
            return
        over_ms = self._since_ms + self._wait_ms
        self.holds = all(
            channel in snapshot.histories and snapshot.histories[channel].began.monotonic_ms > over_ms
            for channel in channels
        )
        if self.holds:  # what a restored journal has lost is over by now, and never will be settled
            self._intents.forget_open_but(snapshot.open_intents)


def _is_plain(intent: Intent) -> bool:
    """Whether it has ended, and nothing more is to be heard of it."""
    return intent.state in PLAIN_ENDS and not intent.awaits_row
