"""Episodes that are not durable yet: an adjustment that is sent takes its loan's along, in its own commit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from ltv_guard.core.model.errors import GuardError
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import LoanKey
from ltv_guard.core.ports import Episode

WriteSent = Callable[[Intent, Episode | None], Awaitable[bool]]
WriteEpisodes = Callable[[Sequence[Episode]], Awaitable[None]]


class UnwrittenEpisodes:
    """Mutable, owned by one guard."""

    def __init__(self) -> None:
        self._waiting: dict[LoanKey, Episode] = {}

    def add(self, episodes: Sequence[Episode]) -> None:
        """They wait, each in place of one of its loan."""
        self._waiting.update({episode.key: episode for episode in episodes})

    def forget(self) -> None:
        """None waits any more."""
        self._waiting.clear()

    async def write_with(self, intent: Intent, write_sent: WriteSent) -> bool:
        """Writes an intent, and with it the episode of its loan, where one waits. Whether they are written.

        An error of ours in the episode does not hold the intent up: that is written alone then, and whoever
        writes the rest tells of the error.
        """
        episode = self._waiting.get(intent.key)
        try:
            written = await write_sent(intent, episode)
        except GuardError:
            raise
        except Exception:
            if episode is None:
                raise
            return await write_sent(intent, None)  # what failed has left nothing written
        if written:
            self._are_written([episode] if episode else [])
        return written

    async def write_rest(self, write_episodes: WriteEpisodes) -> None:
        """Writes all that wait. Where that raises, they go on waiting.

        An error of ours in one keeps no other from being written: it is raised after them.
        """
        if not self._waiting:
            return
        waiting = tuple(self._waiting.values())
        try:
            await self._write(waiting, write_episodes)
        except GuardError:
            raise
        except Exception:
            if len(waiting) == 1:
                raise
            await self._write_each(waiting, write_episodes)

    async def _write_each(self, episodes: Sequence[Episode], write_episodes: WriteEpisodes) -> None:
        odd: Exception | None = None
        for episode in episodes:
            try:
                await self._write([episode], write_episodes)
            except GuardError:
                raise
            except Exception as error:  # noqa: BLE001 - raised, once the others are written
                odd = error
        if odd is not None:
            raise odd

    async def _write(self, episodes: Sequence[Episode], write_episodes: WriteEpisodes) -> None:
        await write_episodes(episodes)
        self._are_written(episodes)

    def _are_written(self, episodes: Sequence[Episode]) -> None:
        for episode in episodes:
            if self._waiting.get(episode.key) is episode:
                del self._waiting[episode.key]
