"""A transaction in PostgreSQL, as the journal's own code sees it: by SQLAlchemy's greenlet over asyncpg."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import Connection, CursorResult, TextClause, text
from sqlalchemy.exc import IntegrityError

from ltv_guard.adapters.journal.session import NOTHING, Row, Violation

_text = cache(text)  # of each of our statements once


class PostgresSession:
    """Implements `Session` within `run_sync`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def rows(self, statement: str, values: Mapping[str, Any] = NOTHING) -> list[Row]:
        return [dict(row) for row in self._execute(statement, values).mappings()]

    def execute(self, statement: str, values: Mapping[str, Any] = NOTHING) -> int:
        return self._execute(statement, values).rowcount

    def _execute(self, statement: str, values: Mapping[str, Any]) -> CursorResult[Any]:
        clause: TextClause = _text(statement)
        try:
            return self._connection.execute(clause, values)
        except IntegrityError as error:
            raise Violation(str(error.orig)) from error
