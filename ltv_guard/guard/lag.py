"""How late the exchange shows what was done: measured from each adjustment, for each endpoint. No I/O.

The margins of `settlement` are a guess. What was measured widens them, and never narrows them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ltv_guard.core.reconcile.settlement import SettlementTimeouts

GAP_MS = 3_000  # it counts as shown at most this long after the last read that lacked it
MOST_MS = 30_000  # the widest margin that a measurement makes: it also leaves loans alone for longer
KEPT_MS = 86_400_000  # the widest lag of a day counts


@dataclass(slots=True)
class Lateness:
    """Mutable, owned by one guard. Times are exchange time, ms; `endpoint` is a name for people."""

    _lacked: dict[tuple[str, str], int] = field(default_factory=dict)
    _done: set[tuple[str, str]] = field(default_factory=set)
    _measured: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    _timeouts: dict[SettlementTimeouts, SettlementTimeouts] = field(default_factory=dict)  # of now

    def is_measured(self, endpoint: str, intent_id: str) -> bool:
        """Whether it is known already how late this endpoint showed this intent."""
        return (endpoint, intent_id) in self._done

    def lacks(self, endpoint: str, intent_id: str, read_ms: int) -> None:
        """A complete read, begun at `read_ms`, does not show it."""
        if (endpoint, intent_id) not in self._done:
            self._lacked[endpoint, intent_id] = read_ms

    def shows(self, endpoint: str, intent_id: str, read_ms: int, landed_ms: int) -> None:
        """A read shows what took effect by `landed_ms`. Only the first such read counts."""
        what = (endpoint, intent_id)
        lacked_ms = self._lacked.pop(what, None)
        if what not in self._done and lacked_ms is not None:
            lag_ms = min(read_ms, lacked_ms + GAP_MS) - landed_ms
            kept = [item for item in self._measured.get(endpoint, ()) if read_ms - item[0] < KEPT_MS]
            self._measured[endpoint] = [*kept, (read_ms, max(0, lag_ms))]
            self._timeouts.clear()
        self._done.add(what)

    def forget(self, intent_id: str) -> None:
        """Nothing more is measured by this intent."""
        self._done = {what for what in self._done if what[1] != intent_id}
        self._lacked = {what: ms for what, ms in self._lacked.items() if what[1] != intent_id}

    def slowest(self) -> tuple[str, int]:
        """The endpoint with the widest lag of the last day, and that lag in ms; 0 where none was seen."""
        lags = [(lag, endpoint) for endpoint, items in self._measured.items() for _, lag in items]
        lag, endpoint = max(lags, default=(0, ""))
        return endpoint, lag

    def timeouts(self, assumed: SettlementTimeouts) -> SettlementTimeouts:
        """The margins to settle with: a quarter more than the widest lag, within the bound."""
        found = self._timeouts.get(assumed)
        if found is None:
            measured_ms = min(MOST_MS, self.slowest()[1] * 5 // 4)
            found = replace(assumed, history_lag_ms=max(assumed.history_lag_ms, measured_ms))
            self._timeouts[assumed] = found
        return found
