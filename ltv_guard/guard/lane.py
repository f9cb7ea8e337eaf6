"""A lane: the loans that wait for one kind of write of one product, while a cycle acts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from ltv_guard.core.decide.decision import Decision
from ltv_guard.core.decide.facts import AccountFacts
from ltv_guard.core.model.loans import Channel, Kind, LoanKey, Moment, Owner, Product


@dataclass(slots=True, kw_only=True)
class Lane:
    """Mutable, of one cycle. `waiting` has the most urgent loan first; none has two turns in a cycle.

    `prices`: those at which the cycle read the loans.
    `turn`: when the present turn to write came; None while it was free all along. `account`: what was decided
    on, where that was after the turn came. `told`: loans whose decisions have been announced.
    """

    owner: Owner
    product: Product
    kind: Kind
    prices: Mapping[str, Decimal] = field(default_factory=dict)
    account: AccountFacts | None = None
    waiting: list[LoanKey] = field(default_factory=list)
    decisions: dict[LoanKey, Decision] = field(default_factory=dict)
    turn: Moment | None = None
    told: set[LoanKey] = field(default_factory=set)
    _tried: set[LoanKey] = field(default_factory=set)

    @property
    def channel(self) -> Channel:
        """The way to write. Transfers of all products share one."""
        return Channel(Product.FUNDING if self.kind is Kind.TRANSFER else self.product, self.kind)

    def join(self, decision: Decision) -> None:
        """A decision of the cycle, which has been announced."""
        self.waiting.append(decision.loan.key)
        self.decisions[decision.loan.key] = decision
        self.told.add(decision.loan.key)

    def decided_anew(self, account: AccountFacts, decisions: Iterable[Decision]) -> None:
        """Decisions, and their facts, on what was read since."""
        self.account = account
        self.decisions = {item.loan.key: item for item in decisions if item.loan.key.product is self.product}
        self.told.clear()

    def line_up(self, keys: Iterable[LoanKey]) -> None:
        """Who waits now; loans that had their turn in this cycle do not."""
        self.waiting = [key for key in keys if key not in self._tried]

    def next(self) -> LoanKey | None:
        """Whose turn it is now; None: nobody's."""
        if not self.waiting:
            return None
        key = self.waiting.pop(0)
        self._tried.add(key)
        return key
