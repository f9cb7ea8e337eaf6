"""Which of the notices and alarms in a journal are a daemon's own."""

from __future__ import annotations

from collections.abc import Collection
from hashlib import sha256

from ltv_guard.adapters.journal import OwnOutbox, SqlJournal, SqlOutbox
from ltv_guard.adapters.settings import Settings

AnyOutbox = SqlOutbox | OwnOutbox


def outbox_of(journal: SqlJournal, settings: Settings, user_ids: Collection[str]) -> AnyOutbox:
    """A file is one daemon's alone; a database may be others' too. `user_ids`: as far as they are known."""
    if settings.journal.file is not None:
        return journal.outbox
    return journal.outbox_of(_names(settings, user_ids))


def _names(settings: Settings, user_ids: Collection[str]) -> list[str]:
    """Users stay when a key is changed; keys are known while the exchange tells nothing of users."""
    keys = sorted(item.api_key.get_secret_value() for item in settings.accounts.values())
    environment = settings.exchange.environment
    whose = [*sorted(user_ids), *keys] or ["a worker without accounts"]
    return [sha256(f"{environment} {item}".encode()).hexdigest()[:8] for item in whose]
