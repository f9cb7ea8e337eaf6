"""Why nothing may be sent for an account now, if so; and whether one more adjustment may leave."""

from __future__ import annotations

from collections.abc import Sequence

from ltv_guard.core.decide.decision import Decision
from ltv_guard.core.model.loans import Product
from ltv_guard.core.model.withheld import Why, Withheld
from ltv_guard.core.ports import Clock, Journal
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.directions import Directions
from ltv_guard.guard.journal_trust import JournalTrust
from ltv_guard.guard.key_access import KeyAccess
from ltv_guard.guard.needs import Needs
from ltv_guard.guard.proof import Proof
from ltv_guard.guard.snapshot import GuardOptions, Snapshot
from ltv_guard.guard.surroundings import Surroundings
from ltv_guard.guard.words import Words


class Permission:
    """For all of the account: its mode, the kill switch, the key, a journal that is not trusted yet.

    `needs` says where what another journal had sent would show: that changes with what the loans owe.
    """

    def __init__(
        self,
        options: GuardOptions,
        journal: Journal,
        trust: JournalTrust,
        key_access: KeyAccess,
        needs: Needs,
        words: Words,
    ) -> None:
        self._options = options
        self._journal = journal
        self._trust = trust
        self._key_access = key_access
        self._needs = needs
        self._report = words.report
        self._defects = words.defects

    async def why_not(self, snapshot: Snapshot, decisions: Sequence[Decision]) -> Withheld | None:
        """By pauses of now where anything is to be done. Raises JournalUnavailable."""
        if any(decision.needs_a_closer_look for decision in decisions):
            snapshot.pauses = await self._journal.pauses()
        self._trust.heed_restorations()
        pause = next(
            (item for item in snapshot.pauses if item.account in {None, self._options.account}), None
        )
        with self._defects.contained("reporting a pause"):
            self._report.paused(pause)
        human = await self._key_access.why_not()
        if not self._options.live:
            return Withheld(kind=Why.DRY_RUN)
        if pause is not None:
            return Withheld(kind=Why.PAUSED, detail=pause.reason)
        if human is not None:
            return Withheld(kind=Why.NEEDS_HUMAN, detail=human)
        self._trust.look(snapshot, self._needs.own_channels)
        return None if self._trust.holds else Withheld(kind=Why.WAITING)


class Gate:
    """For each adjustment, right before it: a stop, a key that was refused, directions in doubt."""

    def __init__(
        self,
        surroundings: Surroundings,
        key_access: KeyAccess,
        directions: Directions,
        proof: Proof,
        defects: Defects,
    ) -> None:
        self._clock: Clock = surroundings.clock
        self._stopping = surroundings.stopping
        self._key_access = key_access
        self._directions = directions
        self._proof = proof
        self._defects = defects

    def is_closed_to(self, product: Product) -> bool:
        """Whether nothing may be sent for this product."""
        stops = self._stopping() or self._key_access.is_lost
        return stops or self._directions.why_not(product) is not None

    async def allows_another(self, snapshot: Snapshot, product: Product) -> bool:
        """Whether one may follow another: the first tells whether the exchange means what we mean.

        Where the loans are one page the next cycle tells soon enough; else the history is read at once.
        """
        if not self._directions.allow_another(product, self._clock.now()) and snapshot.is_long(product):
            with self._defects.contained("reading what bears the directions out"):
                await self._proof.read(snapshot, product)
        return self._directions.allow_another(product, self._clock.now())

    def are_directions_proven(self, product: Product) -> bool:
        """Whether adds are known to add."""
        return self._directions.are_proven(product)

    def passed(self, product: Product) -> None:
        """An adjustment of the product's collateral has left."""
        with self._defects.contained("noting what was sent"):
            self._directions.sent(product, self._clock.now())
