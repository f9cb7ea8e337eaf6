"""Behind a pooler that pools by transaction: each one may be another session's, so nothing is kept in any.

No prepared statement has a name, nothing is set but within a transaction, and no lock outlives one. The
connection to the pooler outlives the server, so each transaction looks whether it is still the one of before.
"""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

# Of SQLAlchemy's connection over asyncpg, whose own cache is switched off where it is made.
UNNAMED = {"prepared_statement_cache_size": 0, "prepared_statement_name_func": lambda: ""}


class PooledTransactions:
    """`origin`: as SQL, what is another once the database was brought back to before. Spans in seconds."""

    def __init__(self, origin: str, lock_s: float, idle_s: float) -> None:
        settings = {
            "synchronous_commit": "on",
            "lock_timeout": f"{lock_s * 1000:.0f}",
            "idle_in_transaction_session_timeout": f"{idle_s * 1000:.0f}",
        }
        each = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items())
        self._begun = f"SELECT {origin} || ' ' || pg_postmaster_start_time(), {each}"
        self._known: str | None = None

    async def is_news(self, connection: AsyncConnection) -> bool:
        """Begins the transaction of `connection`. Whether the server may be another than before."""
        found: str = (await connection.exec_driver_sql(self._begun)).scalar_one()
        before, self._known = self._known, found
        return before is not None and before != found
