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
    _rows_missing: dict[str, tuple[int, int]] = field(default_factory=dict)

    def nothing_sent_since(self, moment: Moment) -> bool:
        """Whether a history that was read at that moment shows all that we have done."""
        return self._book.nothing_sent_since(moment)

    def forget(self, intent_ids: Collection[str]) -> None:
        """Drops what is known of these intents."""
        for intent_id in intent_ids:
            self._rows_missing.pop(intent_id, None)

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
        """From when to when complete histories lack the rows of what the journal says was confirmed."""
        ids = {row.adjust_id for row in history.rows}
        for item in self._book.of(channel):
            if item.state is not State.CONFIRMED or item.adjust_id is None:
                continue
            if item.adjust_id in ids:
                self._rows_missing.pop(item.intent_id, None)
            elif not (item.awaits_row or history.is_old) and landed_lately(item, history.began):
                last_ms = history.began.monotonic_ms
                first_ms, _ = self._rows_missing.get(item.intent_id, (last_ms, last_ms))
                self._rows_missing[item.intent_id] = first_ms, last_ms

    def without_rows(self, intents: Iterable[Intent], now_ms: int, longer_than_ms: int) -> list[Intent]:
        """Those of `intents` whose rows have been missing for longer than that at `now_ms` (monotonic).

        The last history that lacked them may be of long ago: that is enough to tell of, and not to act on.
        """
        known = ((item, self._rows_missing.get(item.intent_id)) for item in intents)
        return [item for item, span in known if span is not None and now_ms - span[0] > longer_than_ms]

    def lacked_throughout(self, intents: Iterable[Intent], longer_than_ms: int) -> list[Intent]:
        """Those whose rows were missing for longer than that, by histories from its beginning to its end."""
        known = ((item, self._rows_missing.get(item.intent_id)) for item in intents)
        return [item for item, span in known if span is not None and span[1] - span[0] > longer_than_ms]
