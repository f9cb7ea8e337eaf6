"""A storm reckoned without a clock: when each loan would be liquidated, and whom a schedule saves. Pure.

A loan that nobody helps is liquidated once its price has fallen far enough. One add saves it for good:
prices never fall as far again after it (storm.py sees to that). So a schedule is a choice of loans for turns,
one turn a second, and a loan is lost if it had none before its time.

`best` loses as few as any schedule can. Let a schedule's adds leave a second or more apart, each not before
its loan's breach. Rounded down to whole seconds after the first breach, no two share a second, none is later
than it was, and none is before the second of its breach. So whatever it saves can also be saved in the turns
0, 1, 2... by loans that are open from the *second* of their breach on. Of unit jobs in such turns the
earliest deadline first, passing over those that are lost already, completes as many as can be (Glover 1967,
convex bipartite matching). This is therefore a bound: none can lose fewer, though all prices be known.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

TURN_S = 1.0
SPAN_S, LATELY_S, SOON_S = 0.7, 20.0, 1.0  # a speed of now, a range, and how long the former lasts
SLOWEST = 0.001  # the share a second that a price loses at least
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endangered:
    """A loan that breaches: when, and when it is liquidated unless helped (infinity: never).

    `speeds`: the shares of its price that are lost in a second, now and soon.
    """

    loan_id: str
    breach_s: float
    deadline_s: float
    price_now: Callable[[float], float]
    price_lost: float
    speeds: Callable[[float], tuple[float, float]]


def speeds_of(points: Points) -> Callable[[float], tuple[float, float]]:
    """As the guard takes them: the speed of the last moment, and the range of the last 20 s."""

    @cache
    def speeds(at_s: float) -> tuple[float, float]:
        now, before = price_at(points, at_s), price_at(points, at_s - SPAN_S)
        lately = [price for at, price in points if at_s - LATELY_S < at < at_s]
        lately += [now, price_at(points, at_s - LATELY_S)]
        ranged = (1 - min(lately) / max(lately)) / LATELY_S
        return max(SLOWEST, (1 - now / before) / SPAN_S), max(SLOWEST, ranged)

    return speeds


def price_at(points: Points, at_s: float) -> float:
    """The price on the straight lines between points."""
    index = bisect_left([at for at, _ in points], at_s)
    if index == 0:
        return points[0][1]
    if index == len(points):
        return points[-1][1]
    (start, high), (end, low) = points[index - 1], points[index]
    return high + (low - high) * (at_s - start) / (end - start)


def first_at_or_below(points: Points, price: float) -> float:
    """When a price is first reached; infinity: never."""
    if points[0][1] <= price:
        return points[0][0]
    for (start, high), (end, low) in pairwise(points):
        if low <= price:
            return start + (end - start) * (high - price) / (high - low)
    return math.inf


def lost_at_best(loans: Sequence[Endangered], turn_s: float = TURN_S) -> int:
    """How many the best schedule loses: see above. With a longer turn, the best of those at that pace."""
    first = min(loan.breach_s for loan in loans)
    coming = sorted((math.floor((loan.breach_s - first) / turn_s), loan.deadline_s) for loan in loans)
    waiting: list[float] = []
    turn = lost = 0
    while coming or waiting:
        while coming and coming[0][0] <= turn:
            heapq.heappush(waiting, coming.pop(0)[1])
        while waiting and waiting[0] <= first + turn * turn_s:
            heapq.heappop(waiting)
            lost += 1
        if waiting:
            heapq.heappop(waiting)
        turn += 1
    return lost


def lost_at_best_of(loans: Sequence[Endangered], turns: Sequence[float]) -> int:
    """How many the best schedule loses whose adds land at these times alone. It knows all prices."""
    coming = sorted((loan.breach_s, loan.deadline_s) for loan in loans if loan.deadline_s < math.inf)
    lost, waiting = len(coming), list[float]()
    for at_s in turns:
        while coming and coming[0][0] <= at_s:
            heapq.heappush(waiting, coming.pop(0)[1])
        while waiting and waiting[0] <= at_s:
            heapq.heappop(waiting)
        if waiting:
            heapq.heappop(waiting)
            lost -= 1
    return lost


def lost_in_order_of(
    loans: Sequence[Endangered], turns: Sequence[float], rank: Callable[[Endangered, float], float]
) -> int:
    """The same, where at each of these times the lowest rank of those in breach is helped."""
    left = list(loans)
    saved = 0
    for at_s in turns:
        left = [loan for loan in left if loan.deadline_s > at_s]
        if open_now := [loan for loan in left if loan.breach_s <= at_s]:
            helped = min(open_now, key=lambda loan: rank(loan, at_s))
            left.remove(helped)
            saved += helped.deadline_s < math.inf
    return sum(loan.deadline_s < math.inf for loan in loans) - saved


def lost_in_order(loans: Sequence[Endangered], rank: Callable[[Endangered, float], float]) -> int:
    """How many are lost where at each turn the lowest rank of those in breach goes first, without delay."""
    left, lost = list(loans), 0
    at_s = min(loan.breach_s for loan in loans)
    while left:
        lost += sum(loan.deadline_s <= at_s for loan in left)
        left = [loan for loan in left if loan.deadline_s > at_s]
        open_now = [loan for loan in left if loan.breach_s <= at_s]
        if open_now:
            left.remove(min(open_now, key=lambda loan: rank(loan, at_s)))
        at_s += TURN_S
    return lost


def first_come(loan: Endangered, _at_s: float) -> float:
    return loan.breach_s


def worst_first(loan: Endangered, at_s: float) -> float:
    """The share by which its price may still fall: who knows no future can't do better by LTV alone."""
    return 1 - loan.price_lost / loan.price_now(at_s)


def least_time_first(loan: Endangered, at_s: float) -> float:
    """Seconds until it is liquidated, by prices until now: as the guard ranks (core/watch/time_left.py)."""
    now, soon = loan.speeds(at_s)
    left = 1 - loan.price_lost / loan.price_now(at_s)
    return left / now if left <= now * SOON_S else SOON_S + (left - now * SOON_S) / soon
