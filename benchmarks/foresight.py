"""What an order of help loses by not knowing what prices will do, over many storms. No guard, no clock.

The storms of storm.py that have several coins, and turns to write 1.003 s apart, from 0.1 s after the first
breach on. Who has them: who knows all prices; who helps the worst first, or whose time ends first, by prices
until now; and a player who knows prices until now *and the law by which storms are drawn*: that prices stray
by up to 1.5 % from a straight line, which ends after 60 to 110 s at 0.69 to 0.76 of their beginning. At each
turn that player draws futures by this law, given all prices so far, and helps the worst loan of the coin for
which most loans are saved on average, if all is known from the next turn on.

No guard can know such a law. The player shows how much of what the orders lose is for lack of it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import bench
import schedules
import storm

CRASHED_S = storm.CALM_S + storm.CRASH_S
STRAYS = (0.985, 1.015)
SLACK = 0.0007  # bottoms lie on a grid, and lines through them are that far off
BOTTOMS = [
    storm.BEGIN * (storm.BOTTOM[0] + (storm.BOTTOM[1] - storm.BOTTOM[0]) * n / 140) for n in range(141)
]
STEPS = range(int(storm.FALL_S[0] / storm.STEP_S), int(storm.FALL_S[1] / storm.STEP_S))
FUTURES = 24
Loan = schedules.Endangered


@dataclass(slots=True, kw_only=True)
class Line:
    """What one coin's prices tell of its line: how likely each end is, by steps and bottom. Mutable."""

    crashed: float
    seen: list[float] = field(default_factory=list)
    likely: dict[int, list[float]] = field(
        default_factory=lambda: {steps: [1.0] * len(BOTTOMS) for steps in STEPS}
    )

    def saw(self, price: float) -> None:
        """The price at the next step."""
        self.seen.append(price)
        at = len(self.seen)
        for steps, row in self.likely.items():
            for number, bottom in enumerate(BOTTOMS):
                line = self.at(at, steps, bottom)
                strays = at < steps and line * (STRAYS[0] - SLACK) <= price <= line * (STRAYS[1] + SLACK)
                is_bottom = at < steps and price == self.seen[at - 2] and at > 1  # no chance is so precise
                row[number] *= storm.BEGIN / line if strays and price >= bottom else float(is_bottom)

    def at(self, step: int, steps: int, bottom: float) -> float:
        return self.crashed + (bottom - self.crashed) * step / steps

    def future(self, chance: random.Random, steps: int, *, at_s: float, price: float) -> schedules.Points:
        """From now on, if it ends after so many steps; the end of the present piece shows in its slope."""
        row = self.likely[steps]
        bottom = chance.choices(BOTTOMS, row)[0] if any(row) else min([BOTTOMS[0], *self.seen])
        points = [(at_s, price)]
        known_s = CRASHED_S + len(self.seen) * storm.STEP_S
        if known_s > at_s:
            points.append((known_s, self.seen[-1] if self.seen else self.crashed))
        for step in range(len(self.seen) + 1, steps):
            strayed = self.at(step, steps, bottom) * chance.uniform(*STRAYS)
            points.append((CRASHED_S + step * storm.STEP_S, max(bottom, strayed)))
        return [*points, (max(points[-1][0], CRASHED_S + steps * storm.STEP_S) + 1, bottom)]


@dataclass(slots=True, kw_only=True)
class Player:
    """Of one storm. `left`: by coin, those that have not been helped, the worst first."""

    weather: storm.Storm
    chance: random.Random
    left: dict[str, list[Loan]]
    lines: dict[str, Line]

    def lost(self, turns: Sequence[float]) -> int:
        """How many are lost of those that would be without any help."""
        doomed = sum(loan.deadline_s < math.inf for loan in self._all())
        return doomed - sum(self._saves(at_s) for at_s in turns)

    def _all(self) -> Iterable[Loan]:
        return (loan for loans in self.left.values() for loan in loans)

    def _saves(self, at_s: float) -> bool:
        """Takes a turn. Whether that saved a loan which would have been lost."""
        self._learn(at_s)
        for coin, loans in self.left.items():
            self.left[coin] = [loan for loan in loans if loan.deadline_s > at_s]
        coins = [coin for coin, loans in self.left.items() if loans and loans[0].breach_s <= at_s]
        if not coins:
            return False
        coin = coins[0] if len(coins) == 1 else self._choice(coins, at_s)
        return self.left[coin].pop(0).deadline_s < math.inf

    def _learn(self, at_s: float) -> None:
        known = int((at_s - CRASHED_S) / storm.STEP_S) + 1 if at_s >= CRASHED_S else 0
        for coin, line in self.lines.items():
            path = self.weather.paths[coin]
            last_s = path[-4][0]  # then it comes to its bottom
            while (
                len(line.seen) < known
                and (next_s := CRASHED_S + (len(line.seen) + 1) * storm.STEP_S) <= last_s
            ):
                line.saw(schedules.price_at(path, next_s))

    def _choice(self, coins: Sequence[str], at_s: float) -> str:
        saved, ends = dict.fromkeys(coins, 0), dict.fromkeys(coins, 0.0)
        for steps in self._drawn_steps():
            due = {
                coin: ends_of(
                    line.future(self.chance, steps, at_s=at_s, price=self._price(coin, at_s)), loans
                )
                for (coin, line), loans in zip(self.lines.items(), self.left.values(), strict=True)
            }
            for coin in coins:
                others = sorted(end for name in due for end in due[name][name == coin :])
                saved[coin] += most_saved(others, at_s) + (len(due[coin]) > 0)
                ends[coin] += due[coin][0] if due[coin] else at_s + storm.FALL_S[1]
        return max(coins, key=lambda coin: (saved[coin], -ends[coin]))

    def _price(self, coin: str, at_s: float) -> float:
        return schedules.price_at(self.weather.paths[coin], at_s)

    def _drawn_steps(self) -> list[int]:
        """All coins come to their bottoms at the same time."""
        weights = [math.prod(sum(line.likely[steps]) for line in self.lines.values()) for steps in STEPS]
        return self.chance.choices(STEPS, weights if any(weights) else None, k=FUTURES)


def ends_of(points: schedules.Points, loans: Sequence[Loan]) -> list[float]:
    """When those of them are liquidated that are at all, the worst first."""
    ends, waiting = list[float](), iter(loans)
    loan = next(waiting, None)
    for (start, high), (end, low) in pairwise(points):
        while loan is not None and low <= loan.price_lost:
            fallen = (high - loan.price_lost) / (high - low) if high > low else 0.0
            ends.append(start + (end - start) * max(0.0, fallen))
            loan = next(waiting, None)
    return ends


def most_saved(ends: Sequence[float], at_s: float) -> int:
    """By the turns after this one, if all is known: the earliest end first, passing over what is too late."""
    saved = 0
    for end in ends:
        saved += (end - at_s) / storm.PACE_S > saved + 1
    return saved


def turns_of(loans: Sequence[Loan]) -> list[float]:
    ends_s = max((loan.deadline_s for loan in loans if loan.deadline_s < math.inf), default=0.0)
    begins_s = min(loan.breach_s for loan in loans) + storm.REACTION_S
    return [begins_s + n * storm.PACE_S for n in range(math.ceil((ends_s - begins_s) / storm.PACE_S))]


def player_of(weather: storm.Storm, loans: Sequence[Loan], seed: int) -> Player:
    worst_first = sorted(loans, key=lambda loan: -loan.price_lost)
    coin_of = {loan_id: coin for loan_id, (coin, _) in weather.orders.items()}
    left = {coin: [loan for loan in worst_first if coin_of[loan.loan_id] == coin] for coin in weather.paths}
    crashed = {coin: schedules.price_at(path, CRASHED_S) for coin, path in weather.paths.items()}
    lines = {coin: Line(crashed=price) for coin, price in crashed.items()}
    return Player(weather=weather, chance=random.Random(seed), left=left, lines=lines)


def lost_by_all(weather: storm.Storm, seed: int) -> dict[str, int]:
    loans = weather.endangered()
    turns = turns_of(loans)
    orders: dict[str, Callable[[Loan, float], float]] = {
        "the worst first": schedules.worst_first,
        "whose time ends first": schedules.least_time_first,
    }
    lost = {name: schedules.lost_in_order_of(loans, turns, rank) for name, rank in orders.items()}
    return {
        "best": schedules.lost_at_best(loans),
        "knows all prices": schedules.lost_at_best_of(loans, turns),
        "knows the law": player_of(weather, loans, seed).lost(turns),
        **lost,
        "the better of both orders": min(lost.values()),
    }


def report_of(found: Sequence[dict[str, int]]) -> bench.Report:
    title = f"{len(found)} storms of several coins: loans lost, by what is known"
    report = bench.Report(title, ["who", "lost", "over best, mean", "within one of best, %", "at most over"])
    for name in found[0]:
        over = [lost[name] - lost["best"] for lost in found]
        within = 100 * sum(far <= 1 for far in over) / len(over)
        report.add(
            name,
            sum(lost[name] for lost in found),
            f"{sum(over) / len(over):.2f}",
            f"{within:.0f}",
            max(over),
        )
    return report


def main() -> None:
    """Reckon so many storms, one after the other."""
    asked = bench.options(
        __doc__, storms={"type": int, "default": 200, "help": "seeds; two of three have several coins"}
    )
    seeds = range(1, 1 + (6 if asked.smoke else asked.storms))
    several = ((seed, storm.storm_of(seed, 300)) for seed in seeds if (seed - 1) % storm.MOST_COINS)
    found = [lost_by_all(weather, seed) for seed, weather in several]
    bench.publish([report_of(found)], asked)


if __name__ == "__main__":
    main()
