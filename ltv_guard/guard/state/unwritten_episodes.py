"""Episodes that are not durable yet: the next adjustment that is sent takes them along, in its own commit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from ltv_guard.core.model.errors import GuardError
from ltv_guard.core.model.loans import LoanKey
from ltv_guard.core.ports import Episode

T = TypeVar("T")


class UnwrittenEpisodes:
    """Mutable, owned by one guard. What a cycle does not get written, the next finds anew."""

    def __init__(self) -> None:
        self._waiting: dict[LoanKey, Episode] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, episodes: Sequence[Episode]) -> None:
        """They wait, each in place of one of its loan."""
        self._waiting.update({episode.key: episode for episode in episodes})

    def forget(self) -> None:
        """None waits any more."""
        self._waiting.clear()

    async def write(self, how: Callable[[Sequence[Episode]], Awaitable[T]]) -> T:
        """Has `how` write those that wait. They go on waiting where it raises, or returns False."""
        taken = dict(self._waiting)
        result = await how(tuple(taken.values()))
        if result is not False:
            self._waiting = {key: item for key, item in self._waiting.items() if taken.get(key) is not item}
        return result

    async def write_along(self, how: Callable[[Sequence[Episode]], Awaitable[bool]]) -> bool:
        """The same beside an adjustment, which an error of ours in an episode does not hold up.

        It is written without them then; whoever writes them by themselves tells of the error.
        """
        try:
            return await self.write(how)
        except GuardError:
            raise
        except Exception:  # noqa: BLE001 - nothing was written, and the adjustment's own errors come again
            return await how(())
