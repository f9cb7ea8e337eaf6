"""Which URLs can name a journal, and what is said about the others: never the URL itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import make_url

from ltv_guard.adapters.journal import open_journal
from ltv_guard.adapters.journal.opening import sqlite_file
from ltv_guard.adapters.journal.postgres_url import parse_url
from ltv_guard.core.model.errors import JournalUnavailable


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://guard:hunter2@db/journal?sslmode=require",
        "postgres://guard@db/journal",
        "postgresql+asyncpg://db/journal",
    ],
)
def test_a_server_can_be_a_journal(url: str) -> None:
    assert parse_url(url).drivername == "postgresql+asyncpg"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:////var/lib/ltv-guard/journal.db", "/var/lib/ltv-guard/journal.db"),
        ("sqlite+aiosqlite:///journal.db", "journal.db"),
        ("sqlite:////srv/a b%20c@d:e/journal.db", "/srv/a b c@d:e/journal.db"),
    ],
)
def test_a_file_can_be_a_journal(url: str, path: str) -> None:
    assert sqlite_file(url) == Path(path)
    assert make_url(url).database == path  # as it was read before


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "is not one"),
        ("hunter2", "is not one"),
        ("mysql://guard:hunter2@db/journal", "begins with mysql"),
        ("sqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("sqlite://hunter2/journal.db", "must name a file"),
        ("sqlite:///journal.db?mode=ro&secret=hunter2", "must name a file"),
        ("sqlite:///hunter2\x00.db", "cannot be"),
        ("postgresql://guard:hunter2@db:port/journal", "is not one"),
        ("postgresql://guard:hunter2@db:99999/journal", "cannot be"),
        ("postgresql://guard:hunter2@db", "must name a database"),
    ],
)
async def test_what_cannot_be_a_journal_is_told_without_its_password(url: str, why: str) -> None:
    with pytest.raises(JournalUnavailable, match=why) as refused:
        await open_journal(url)
    assert "hunter2" not in str(refused.value)
