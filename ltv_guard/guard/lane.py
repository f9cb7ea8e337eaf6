"""A lane: the loans that wait for one kind of write of one product, while a cycle acts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from ltv_guard.core.decide.decision import Decision
from ltv_guard.core.model.loans import Channel, Kind, Loan, LoanKey, Moment, Owner, Product

Prices = Mapping[str, Decimal]


@dataclass(slots=True, kw_only=True)
class Lane:
    """Mutable, of one cycle. `waiting` has the most urgent loan first; none has two turns in a cycle.

    `prices`: those at which the cycle read the loans, but for those `read` since, at others. `began`: when it
    began to act. `turn`: when the present turn to write came; None while it was free all along; `answered`:
    when what was read for it had come. `told`: loans whose decisions have been announced. `gone`: loans that
    were found gone since that turn came. `chosen`: those read for it, as prices of that moment put them
    first. `tried`: those that had a turn.
    """

    owner: Owner
    product: Product
    kind: Kind
    prices: Prices = field(default_factory=dict)
    read: dict[LoanKey, Prices] = field(default_factory=dict)
    waiting: list[LoanKey] = field(default_factory=list)
    decisions: dict[LoanKey, Decision] = field(default_factory=dict)
    began: Moment | None = None
    turn: Moment | None = None
    answered: Moment | None = None
    told: set[LoanKey] = field(default_factory=set)
    gone: dict[LoanKey, Loan] = field(default_factory=dict)
    chosen: set[LoanKey] = field(default_factory=set)
    tried: set[LoanKey] = field(default_factory=set)

    @property
    def channel(self) -> Channel:
        """The way to write. Transfers of all products share one."""
        return Channel(Product.FUNDING if self.kind is Kind.TRANSFER else self.product, self.kind)

    def prices_of(self, key: LoanKey) -> Prices:
        """Those at which the loan was read."""
        return self.read.get(key, self.prices)

    def decided(
        self, decisions: Iterable[Decision], at_rest: Mapping[LoanKey, Decision], *, told: bool
    ) -> None:
        """Decisions on all loans, with those that rest, and whether they have been announced."""
        own = {item.loan.key: item for item in decisions if item.loan.key.product is self.product}
        self.decisions = {**at_rest, **own}
        self.told = set(self.decisions) if told else set()

    def decided_one(self, key: LoanKey, decision: Decision | None) -> None:
        """The decision on one loan that was read since; None: it is gone."""
        self.told.discard(key)
        if decision is None:
            self.decisions.pop(key, None)
        else:
            self.decisions[key] = decision

    def line_up(self, keys: Iterable[LoanKey]) -> None:
        """Who waits now; loans that had their turn in this cycle do not."""
        self.waiting = [key for key in keys if key not in self.tried]

    def next(self) -> LoanKey | None:
        """Whose turn it is now; None: nobody's."""
        if not self.waiting:
            return None
        key = self.waiting.pop(0)
        self.tried.add(key)
        return key
