"""What lasts is no garbage: once the guards run, the collector passes over all that is there.

With a thousand guards a full collection looks at millions of objects, and stops the loop for half a second.
What is set aside (`gc.freeze`) is never looked at. But guards that leave are garbage which only the collector
finds: it looks through everything once after they have come or gone, while no loan is near its trigger.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from ltv_guard.guard.defects import Defects
from ltv_guard.service.reload import Reloads
from ltv_guard.service.rounds import rounds
from ltv_guard.service.scheduler import Daemon

LOOK_S = 1.0
SETTLED_S = 10.0  # guards come and go in numbers: so long after the last one it is done
LONGEST_S = 3600.0  # so long garbage is kept, where some loan is always near its trigger


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardsSeen:
    """`which` differs when guards have come or gone; None: not all of them have begun.

    `is_calm`: no loan is near its trigger, and nothing is under way.
    """

    which: Hashable | None
    is_calm: bool


def seen_of(reloads: Reloads, daemon: Daemon) -> GuardsSeen:
    """Those of a run, as they are now."""
    wiring = reloads.run.wiring
    have_begun = not reloads.is_taking_over and all(daemon.cycles_ended[name] for name in wiring.guards)
    which = (id(wiring), frozenset(wiring.guards))
    return GuardsSeen(which=which if have_begun else None, is_calm=daemon.is_calm)


class LastingObjects:
    """Runs beside the guards."""

    def __init__(
        self,
        see: Callable[[], GuardsSeen],
        defects: Defects,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._see = see
        self._defects = defects
        self._monotonic = monotonic
        self._last: Hashable | None = None
        self._since = monotonic()
        self._may_hold_garbage = True
        self._is_set_aside = False

    async def watch(self) -> None:
        """Until it is cancelled."""
        await rounds("setting aside what lasts", self.look, LOOK_S, self._defects)

    async def look(self) -> None:
        """Sets aside what is there once the guards are the same for a while."""
        seen, now = self._see(), self._monotonic()
        if seen.which is None or seen.which != self._last:
            self._last, self._since = seen.which, now
            self._may_hold_garbage, self._is_set_aside = True, False
            return
        for_s = now - self._since
        if for_s < SETTLED_S:
            return
        if self._may_hold_garbage and (seen.is_calm or for_s > LONGEST_S):
            gc.unfreeze()
            gc.collect()
            gc.freeze()
            self._may_hold_garbage, self._is_set_aside = False, True
        elif not self._is_set_aside:  # it costs nothing, and what it keeps is found once all is calm
            gc.freeze()
            self._is_set_aside = True
