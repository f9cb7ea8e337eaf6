"""The journal: what was decided, sent and found out, kept through every crash."""

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.adapters.journal.opening import open_journal
from ltv_guard.adapters.journal.records import Ban, Run
from ltv_guard.adapters.journal.sql import SqlJournal

__all__ = ["Ban", "MemoryJournal", "Run", "SqlJournal", "open_journal"]
