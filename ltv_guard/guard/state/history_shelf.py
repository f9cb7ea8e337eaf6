"""The last history of each kind of write, kept once; and what it lacks of what the journal says is in it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from ltv_guard.core.model.history import History
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Channel, Moment
from ltv_guard.core.reconcile.coin_changes import EARLY_MS
from ltv_guard.guard.state.intent_book import SETTLING_DOWN_MS, IntentBook, landed_lately


@dataclass(slots=True)
class HistoryShelf:
    """Mutable, owned by one guard."""

    _book: IntentBook
    histories: dict[Channel, History] = field(default_factory=dict)
    _old_since: dict[Channel, int] = field(default_factory=dict)
    _rows_missing_since: dict[str, int] = field(default_factory=dict)

    def nothing_sent_since(self, moment: Moment) -> bool:
        """Whether a history that was read at that moment shows all that we have done."""
        return self._book.nothing_sent_since(moment)

    def forget(self, intent_ids: Collection[str]) -> None:
        """Drops what is known of these intents."""
        for intent_id in intent_ids:
            self._rows_missing_since.pop(intent_id, None)

    def put(self, channel: Channel, history: History, since_ms: int) -> History:
        """Keeps a complete read back to `since_ms` (exchange time), and returns it as it is kept.

        One that lacks what an earlier one had shown is from an old replica: it is old, and keeps what it
        lost. After ten minutes it is believed.
        """
        earlier = self.histories.get(channel)
        whole = history if earlier is None else history.with_what_it_lost(earlier, since_ms + EARLY_MS)
        old_since = self._old_since.get(channel, history.began.monotonic_ms)
        if whole.is_old and history.began.monotonic_ms - old_since < SETTLING_DOWN_MS:
            self._old_since[channel] = old_since
            kept = whole
        else:
            self._old_since.pop(channel, None)
            kept = history if whole.is_old else whole
        self.histories[channel] = kept
        return kept

    def note_rows(self, channel: Channel, history: History) -> None:
        """Since when complete histories lack the rows of what the journal says was confirmed."""
        ids = {row.adjust_id for row in history.rows}
        for item in self._book.of(channel):
            if item.state is not State.CONFIRMED or item.adjust_id is None:
                continue
            if item.adjust_id in ids:
                self._rows_missing_since.pop(item.intent_id, None)
            elif not (item.awaits_row or history.is_old) and landed_lately(item, history.began):
                self._rows_missing_since.setdefault(item.intent_id, history.began.monotonic_ms)

    def without_rows(self, intents: Iterable[Intent], now_ms: int, longer_than_ms: int) -> list[Intent]:
        """Those of `intents` whose rows have been missing for longer than that at `now_ms` (monotonic)."""
        since = ((item, self._rows_missing_since.get(item.intent_id, now_ms)) for item in intents)
        return [item for item, since_ms in since if now_ms - since_ms > longer_than_ms]
