"""A decision, made anew right before it is acted on, where its loan was read a while ago."""

from __future__ import annotations

from ltv_guard.core.decide.decision import Decision
from ltv_guard.core.model.loans import Direction
from ltv_guard.core.ports import Clock
from ltv_guard.guard.announcements import Announcements
from ltv_guard.guard.decider import Decider
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.reads.loans import LoanReads
from ltv_guard.guard.snapshot import GuardOptions, Snapshot

READ_AGAIN = 0.5  # of max_snapshot_age: a loan seen longer ago is read by its id before it is acted on


class DecisionOfNow:
    """What is older than `max_snapshot_age_ms` is acted on by nobody."""

    def __init__(
        self,
        options: GuardOptions,
        loans: LoanReads,
        decider: Decider,
        announcements: Announcements,
        clock: Clock,
        defects: Defects,
    ) -> None:
        self._longest_ms = options.max_snapshot_age_ms
        self._loans = loans
        self._decider = decider
        self._announcements = announcements
        self._clock = clock
        self._defects = defects

    async def of(self, snapshot: Snapshot, decision: Decision) -> Decision | None:
        """The decision as it is by what is known now; None where it no longer holds, or is too old.

        After an error of ours it stands as it was: it is sent only where its facts are not too old.
        """
        with self._defects.contained("deciding on facts of now"):
            return await self._made_anew(snapshot, decision)
        return decision

    async def _made_anew(self, snapshot: Snapshot, decision: Decision) -> Decision | None:
        key, releases = decision.loan.key, decision.direction is Direction.REDUCE
        is_old = self._clock.now().ms_since(snapshot.asked_at(key)) > READ_AGAIN * self._longest_ms
        if is_old and not releases and await self._loans.read_again(snapshot, key):
            _, anew = self._decider.decide(snapshot)
            found = next((item for item in anew if item.loan.key == key), None)
            if found is None or found.kind is not decision.kind:
                return None
            self._announcements.tell_one(snapshot, found)
            decision = found
        too_old = snapshot.note_if_too_old(decision, self._clock.now(), self._longest_ms)
        return None if too_old else decision
