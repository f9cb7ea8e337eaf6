"""Histories: read as far back as was asked for, kept once; what is late or lacks rows is said."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog

from ltv_guard.core.model.errors import ExchangeUnavailable, NeedsHuman
from ltv_guard.core.model.history import History
from ltv_guard.core.model.loans import Channel
from ltv_guard.core.ports import Clock, WritePath
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.reads.history_reads import HistoryReads
from ltv_guard.guard.snapshot import Snapshot
from ltv_guard.guard.state.history_shelf import HistoryShelf
from ltv_guard.log.alert_repeater import AlertRepeater

log = structlog.stdlib.get_logger()


class Histories:
    """The shelf keeps the last of each; a snapshot holds those that its cycle got.

    `longest_ms`: what is older is read anew; a cycle waits for a quarter of that.
    """

    def __init__(
        self,
        paths: Mapping[Channel, WritePath],
        shelf: HistoryShelf,
        clock: Clock,
        alerts: AlertRepeater,
        defects: Defects,
        *,
        longest_ms: int,
    ) -> None:
        self._paths = paths
        self._shelf = shelf
        self._alerts = alerts
        self._defects = defects
        self._reads = HistoryReads(
            self._read,
            shelf.histories,
            clock,
            wait_ms=longest_ms // 4,
            longest_ms=longest_ms,
            nothing_sent_since=shelf.nothing_sent_since,
        )

    async def read(self, snapshot: Snapshot, wanted: Mapping[Channel, int], *, anew: bool = False) -> None:
        """Those that are to be had soon, each back to an exchange time (ms). The others are read on.

        What was asked for beside the loans of the snapshot serves it as well. `anew`: for loans to come.
        """
        snapshot.asked |= wanted.keys()
        snapshot.histories |= await self._reads.ask(wanted, beside=snapshot.last_asked, anew=anew)
        for channel in wanted:
            topic = ("history slow", channel)
            what = {"product": channel.product, "kind": channel.kind}
            if channel in self._reads.under_way():
                why = "it takes long to read: only what has to be looked up in it waits"
                self._alerts.once(topic, "warning", "history_slow", **what, why=why)
            elif channel in snapshot.histories and self._alerts.ended(topic):
                log.info("history_in_time", **what)

    def go_by_trust(self, trusted: Callable[[], bool]) -> None:
        """Asks from now on whether the journal is trusted."""
        self._reads.trusted = trusted

    async def close(self) -> None:
        """Ends what is still being read for the next cycle."""
        await self._reads.close()

    async def _read(self, channel: Channel, since_ms: int) -> bool:
        """One complete read, kept; False (said once) where it is not to be had."""
        with self._defects.contained(f"reading the history of {channel.kind}"):
            return await self._read_and_keep(channel, since_ms)
        return False

    async def _read_and_keep(self, channel: Channel, since_ms: int) -> bool:
        topic = ("history", channel)
        what = {"product": channel.product, "kind": channel.kind}
        try:
            history = await self._paths[channel].history(since_ms)
        except (ExchangeUnavailable, NeedsHuman) as error:
            self._alerts.once(topic, "warning", "history_unavailable", **what, why=str(error))
            return False
        if self._alerts.ended(topic):
            log.info("history_available", **what)
        kept = self._shelf.put(channel, history, since_ms)
        self._tell_if_old(channel, kept, lost=len({*kept.rows} - {*history.rows}))
        return True

    def _tell_if_old(self, channel: Channel, history: History, lost: int) -> None:
        topic = ("history lost rows", channel)
        what = {"product": channel.product, "kind": channel.kind}
        if history.is_old:
            why = "rows that it had shown are missing, or as before they ended: it proves no row absent"
            self._alerts.once(topic, "warning", "history_shown_as_before", **what, rows=lost, why=why)
        elif self._alerts.ended(topic):
            log.info("history_shown_as_it_is", **what)
