"""From what was read to decisions: it is appraised, becomes facts, and one pure function decides."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from ltv_guard.core.decide.decide import decide_one, deciding
from ltv_guard.core.decide.decision import Decision
from ltv_guard.core.decide.facts import AccountFacts
from ltv_guard.core.model.loans import Loan, LoanKey
from ltv_guard.core.model.policy import Rulebook
from ltv_guard.core.model.steps import Steps
from ltv_guard.core.ports import Clock
from ltv_guard.guard.appraisal import Appraisal
from ltv_guard.guard.at_rest import NONE, AtRest
from ltv_guard.guard.contradictions import Contradictions
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.facts import FactBuilder
from ltv_guard.guard.snapshot import Snapshot
from ltv_guard.guard.state.memory import Memory

TURNS = 8  # of the loop: from the bytes of a price to those of a request
PIECE = 100  # loans: a page of them takes a few ms
T = TypeVar("T")
Decided = tuple[AccountFacts, tuple[Decision, ...]]


class Decider:
    """Called again after each further read."""

    def __init__(
        self,
        appraisal: Appraisal,
        facts: FactBuilder,
        memory: Memory,
        contradictions: Contradictions,
        at_rest: AtRest,
        clock: Clock,
        defects: Defects,
    ) -> None:
        self._appraisal = appraisal
        self._at_rest = at_rest
        self._facts = facts
        self._last_known = memory.last_known
        self._contradictions = contradictions
        self._clock = clock
        self._defects = defects
        self._gave_up = False  # and has not decided on all since

    def emergencies_if_pressing(self, snapshot: Snapshot, rulebook: Rulebook) -> list[Loan] | None:
        """Loans at emergency LTVs, where one is in need of which nothing is open.

        Whatever is decided on that one, a closer look is taken first. None: that is to be decided.
        """
        found = None
        with self._defects.contained("looking for loans in need"):
            if snapshot.in_haste:
                snapshot.at_rest = self._at_rest.among(snapshot)
            in_need = [loan for loan in self._at_rest.awake(snapshot) if rulebook.is_in_need(loan)]
            if not all(snapshot.open_of(loan.key) for loan in in_need):
                found = [loan for loan in in_need if rulebook.is_at_emergency(loan)]
        return found

    async def decide(self, snapshot: Snapshot) -> Decided:
        """The facts of all loans, and one decision for each, the one nearest liquidation first.

        In haste none for those at rest: they were decided on, told and acted on with the read of all loans,
        and have not been read since. Of hundreds of loans each step takes its time: the loop turns between.
        """
        return await self._decide(snapshot, lambda: False)

    async def decide_unless(self, snapshot: Snapshot, has_come: Callable[[], bool]) -> Decided | None:
        """The same; None once what is more urgent than all the others has come. Never twice in a row."""
        if snapshot.in_haste or self._gave_up:
            return await self.decide(snapshot)
        try:
            return await self._decide(snapshot, has_come)
        except _Outrun:
            self._gave_up = True
            self._at_rest.was_given_up()
            return None

    async def _decide(self, snapshot: Snapshot, has_come: Callable[[], bool]) -> Decided:
        now = self._clock.now()
        await self._turn_of_others(snapshot)
        resting = NONE
        with self._defects.contained("finding loans at rest"):
            resting = self._at_rest.among(snapshot)
        snapshot.at_rest = resting if snapshot.in_haste else NONE
        pieces = _Pieces(partial(self._turn_of_others, snapshot), has_come)
        await pieces.of(self._appraisal.appraising(snapshot, now, at_rest=resting))
        await self._turn_of_others(snapshot)
        account = await pieces.of(self._facts.gathering(snapshot, now, resting.facts))
        snapshot.account = account
        await self._turn_of_others(snapshot)
        awake = account.loans[len(resting) :] if snapshot.in_haste else None
        decisions = await pieces.of(deciding(account, resting.decisions, awake))
        with self._defects.contained("noting loans at rest"):
            self._at_rest.note(snapshot, account, decisions)
        if not snapshot.in_haste:
            self._gave_up = False
        await self._turn_of_others(snapshot)
        return account, decisions

    async def _turn_of_others(self, snapshot: Snapshot) -> None:
        """A price that crosses a trigger meanwhile has the loan asked for, by its id where a list is long.

        What is short, by itself or for haste, would only come later: by many turns where many accounts press.
        """
        is_long = any(book.pages > 1 for book in snapshot.books.values())
        for _ in range(TURNS if is_long and not snapshot.in_haste else 1):
            await asyncio.sleep(0)

    def decide_one(self, snapshot: Snapshot, key: LoanKey) -> Decision | None:
        """For a loan that alone was read again since all were decided on; None where it is gone."""
        now = self._clock.now()
        new = {loan.key for loan in snapshot.loans} - snapshot.appraised.keys()
        self._appraisal.appraise(snapshot, now, only={key, *new})
        changed = {key, *(intent.key for intent in snapshot.begun.values())}
        before = () if snapshot.account is None else snapshot.account.loans
        known = {facts.loan.key: facts for facts in before if facts.loan.key not in changed}
        snapshot.account = self._facts.account(snapshot, now, known)
        return decide_one(snapshot.account, key)

    def remember_prices(self, snapshot: Snapshot) -> None:
        """What the next read of prices is held against."""
        if snapshot.quotes is not None and snapshot.prices is not None:
            self._contradictions.prices(snapshot.quotes, self._last_known.prices)
            self._last_known.saw_prices(snapshot.quotes, self._clock.now())


class _Outrun(Exception):
    """Something has come that is more urgent than what is being worked out."""


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Of work on many loans a piece at a time: others have their `turn` between two."""

    turn: Callable[[], Awaitable[None]]
    has_come: Callable[[], bool]

    async def of(self, work: Steps[T]) -> T:
        """What it comes to. Raises _Outrun."""
        while True:
            try:
                for _ in range(PIECE):
                    next(work)
            except StopIteration as end:
                found: T = end.value
                return found
            await self.turn()
            if self.has_come():
                raise _Outrun
