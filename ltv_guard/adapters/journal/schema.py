"""The journal's schema: whether a database has the newest. `schema_upgrade` knows the way to it."""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum, auto

from ltv_guard.adapters.journal.session import Session
from ltv_guard.core.model.errors import JournalUnavailable

VERSION_TABLE = "journal_version"
REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010", "0011", "0012")
NEWEST = REVISIONS[-1]


class SchemaState(Enum):
    """How a database's schema stands to this program's."""

    EMPTY = auto()
    OLDER = auto()
    CURRENT = auto()


def standing(session: Session, tables: Collection[str], place: str) -> SchemaState:
    """`tables` are the database's. Raises JournalUnavailable where they are newer, or not a journal's."""
    held = session.rows(f"SELECT version_num FROM {VERSION_TABLE}") if VERSION_TABLE in tables else []  # noqa: S608
    versions = [row["version_num"] for row in held]
    if versions == [NEWEST]:
        return SchemaState.CURRENT
    if not versions:
        if "intents" in tables:
            raise JournalUnavailable(
                f"{place} holds tables that are not a journal's: give the journal its own"
            )
        return SchemaState.EMPTY
    if unknown := [version for version in versions if version not in REVISIONS]:
        raise JournalUnavailable(
            f"{place} was written by a newer ltv-guard (schema {unknown[0]}): upgrade ltv-guard to use it"
        )
    return SchemaState.OLDER
