"""Orders of one pair of coins: the price ratios at which they reach their triggers, sorted. No I/O.

An order's LTV is debt x its price over collateral x its price: it depends on the ratio of two prices alone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal

from ltv_guard.core.model.loans import Loan, LoanKey
from ltv_guard.core.watch.watched import Watched

Pair = tuple[str, str]  # collateral coin, loan coin
Line = tuple[Decimal, LoanKey]


@dataclass(slots=True)
class PairLines:
    """Mutable, owned by one trigger index. A line is reached while the ratio is at or below it.

    `reached_as_read`: lines that were reached at the prices at which their loans were read. That is no
    crossing; until `move` is asked for the first time they are the only ones that are.
    """

    pair: Pair
    lines: list[Line]
    reached_as_read: set[Line]
    _ratios: list[Decimal]
    _unreached: int

    @classmethod
    def of(cls, pair: Pair, watched: Collection[Watched]) -> PairLines:
        """Each loan's by the prices at which it was read: a page of a list has other ones than the first."""
        pages = {item.told for item in watched}  # few
        then = {told: ratio_of(pair, told.prices) for told in pages}
        lines = [line for item in watched for line in _lines_of(item, then[item.told])]
        lines.sort()
        ratios = [at for at, _ in lines]
        lowest = min((ratio for ratio in then.values() if ratio is not None), default=Decimal("Infinity"))
        reached = set(lines[bisect_left(ratios, lowest) :])
        if reached:
            own = {item.loan.key: then[item.told] for item in watched}
            reached = {line for line in reached if (ratio := own[line[1]]) is not None and line[0] >= ratio}
        return cls(pair, lines, reached, ratios, len(lines))

    @property
    def coins(self) -> Pair:
        """The coins whose prices move it."""
        return self.pair

    def move(self, prices: Mapping[str, Decimal]) -> list[LoanKey]:
        """The loans whose lines are reached now, and were not before."""
        ratio = ratio_of(self.pair, prices)
        if ratio is None:
            return []
        before, self._unreached = self._unreached, bisect_left(self._ratios, ratio)
        known, self.reached_as_read = self.reached_as_read, set()
        return [line[1] for line in self.lines[self._unreached : before] if line not in known]

    def slack(self, prices: Mapping[str, Decimal]) -> Decimal | None:
        """The factor by which the ratio may change, either way, before `move` has to be asked again."""
        ratio = ratio_of(self.pair, prices)
        if ratio is None:
            return None
        at, factors = self._unreached, [Decimal("Infinity")]
        if at > 0:
            factors.append(ratio / self._ratios[at - 1])
        if at < len(self._ratios):
            factors.append(self._ratios[at] / ratio)
        return max(Decimal(1), min(factors))

    def gap(self, prices: Mapping[str, Decimal]) -> Decimal | None:
        """The part by which the ratio stands above its highest line; negative where that is reached."""
        ratio = ratio_of(self.pair, prices)
        return None if ratio is None or not self._ratios else ratio / self._ratios[-1] - 1


def pair_of(loan: Loan) -> Pair | None:
    """The two coins of an order; None for what is not one coin against one coin."""
    if loan.is_pool or len(loan.collateral) != 1 or len(loan.debts) != 1:
        return None
    return loan.collateral[0].coin, loan.debts[0].coin


def ratio_of(pair: Pair, prices: Mapping[str, Decimal]) -> Decimal | None:
    """The collateral's price in coins of the debt; None where one of the two prices lacks."""
    collateral, debt = prices.get(pair[0]), prices.get(pair[1])
    return None if collateral is None or not debt else collateral / debt


def _lines_of(item: Watched, ratio: Decimal | None) -> list[Line]:
    """By the order's own amounts, and by its LTV as it was read: the exchange may reckon otherwise."""
    loan, found = item.loan, []
    held, owed = loan.collateral[0], loan.debts[0]
    if held.amount > 0 and owed.amount > 0 and not (held.unread or owed.unread):
        found.append((owed.amount / (held.amount * item.trigger), loan.key))
    if ratio is not None and 0 < loan.ltv < item.trigger:
        found.append((ratio * loan.ltv / item.trigger, loan.key))
    return found
