"""The journal: what was decided, sent and found out, kept through every crash."""

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.adapters.journal.opening import open_fleet_journal, open_journal
from ltv_guard.adapters.journal.outbox import SqlOutbox
from ltv_guard.adapters.journal.own_outbox import OwnOutbox
from ltv_guard.adapters.journal.records import Ban, Run
from ltv_guard.adapters.journal.sql import SqlJournal

__all__ = [
    "Ban",
    "MemoryJournal",
    "OwnOutbox",
    "Run",
    "SqlJournal",
    "SqlOutbox",
    "open_fleet_journal",
    "open_journal",
]
