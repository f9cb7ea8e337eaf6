"""What a journal holds of one intent."""

from __future__ import annotations

from ltv_guard.adapters.journal import MemoryJournal, SqlJournal
from ltv_guard.core.model.intents import Intent


async def intent_in(journal: SqlJournal | MemoryJournal, intent_id: str) -> Intent | None:
    return next((item for item in await journal.list_intents() if item.intent_id == intent_id), None)
