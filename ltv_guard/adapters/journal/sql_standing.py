"""What of a journal in a database bears on a cycle: open intents, episodes and pauses, in one read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ltv_guard.adapters.journal import statements
from ltv_guard.adapters.journal.records import episode_of, intent_of, odd_episode, owner_row, pause_of
from ltv_guard.adapters.journal.session import NOTHING, Row, Session
from ltv_guard.adapters.journal.sql_switches import SqlSwitches
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Owner
from ltv_guard.core.ports import Episode, Standing


class SqlStanding(SqlSwitches):
    """Every method raises JournalUnavailable."""

    async def standing(self, owner: Owner) -> Standing:
        """All three in one read: what is not there is not asked for."""
        of_owner = owner_row(owner)

        def look(session: Session) -> tuple[list[Row], list[Row], list[Row]]:
            (there,) = session.rows(statements.IS_THERE, of_owner)
            return (
                session.rows(statements.OPEN_OF, of_owner) if there["open_intents"] else [],
                session.rows(statements.EPISODES_OF, of_owner) if there["episodes"] else [],
                session.rows(statements.PAUSES) if there["pauses"] else [],
            )

        intents, rows, pauses = await self._store.read(look)
        episodes = [(row, episode_of(row)) for row in rows]
        return Standing(
            open_intents=tuple(map(intent_of, intents)),
            episodes=tuple(episode for _, episode in episodes if episode is not None),
            pauses=tuple(map(pause_of, pauses)),
            odd_rows=tuple(odd_episode(row) for row, episode in episodes if episode is None),
        )

    async def open_intents(self, owner: Owner) -> tuple[Intent, ...]:
        """Intents that are planned, sent, accepted or unknown, the oldest first."""
        return (await self.standing(owner)).open_intents

    async def episodes(self, owner: Owner) -> tuple[Episode, ...]:
        """The latest episode of each loan, open or closed."""
        return (await self.standing(owner)).episodes

    async def _intents(self, statement: str, values: Mapping[str, Any] = NOTHING) -> tuple[Intent, ...]:
        return tuple(intent_of(row) for row in await self._rows(statement, values))
