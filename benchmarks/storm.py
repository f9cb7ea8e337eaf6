"""A crash in which 300 orders breach within ten seconds, and the exchange takes one adjustment a second.

Each storm is random: prices that fall about 2 % a second for ten seconds and then, with bounces, on to a
bottom of 0.69 to 0.76 of where they began, a minute or two later. Every order begins between LTV 0.62 and
0.745, crosses its trigger (0.75) in those ten seconds, and is liquidated at 0.95. Where there are several
coins, each has a path of its own: who is to be helped depends on prices to come, and no order that does not
know them is within one loan of the best in each storm (foresight.py).

How many are lost: by this project with its defaults, live, in real time against a server that answers after
50 ms and liquidates; by whoever helps first who breached first, and whoever helps the worst first, both
without any delay; by the best schedule, which knows all prices; and by nobody's help. The last four are
reckoned (schedules.py). And how far from its target each add landed, and where turns to write were lost: by
what was read before a write that came late.

`--virtual` has all of it in one process and in virtual time (virtual_storm.py): some seven seconds of CPU a
storm, and the same figures whatever else the machine does. It leaves out the CPU time of both sides, the
journal's disk, and what differs between two of the exchange's answers.
"""

from __future__ import annotations

import math
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import bench
import schedules
import virtual_time
import world

BEGIN, TRIGGER, LIQUIDATION, TARGET = 100_000.0, 0.75, 0.95, 0.65
CALM_S, CRASH_S, STEP_S, AFTER_S = 12.0, 10.0, 2.0, 4.0
BOTTOM, FALL_S = (0.69, 0.76), (60.0, 110.0)
LTVS = (0.62, 0.745)
DEBT, USER = 30_000, "1"
MOST_COINS = 3
ON_TIME_S = 1.05  # from one write to the next
REACTION_S, PACE_S = (
    0.1,
    1.003,
)  # of who knows at once and keeps the exchange's pace: a read and a write later
ASTRAY = ("off target in the crash", "off target")
SEARCHED = 3  # so many loans are read for one turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """Prices by coin, from the market's start on, and the orders: id -> coin, LTV at the start."""

    paths: dict[str, schedules.Points]
    orders: dict[str, tuple[str, float]]

    @property
    def ends_s(self) -> float:
        return max(path[-1][0] for path in self.paths.values())

    def endangered(self) -> list[schedules.Endangered]:
        speeds = {coin: schedules.speeds_of(path) for coin, path in self.paths.items()}
        return [self._endangered(loan_id, speeds) for loan_id in self.orders]

    def _endangered(
        self, loan_id: str, speeds: Mapping[str, Callable[[float], tuple[float, float]]]
    ) -> schedules.Endangered:
        coin, ltv = self.orders[loan_id]
        path, lost = self.paths[coin], BEGIN * ltv / LIQUIDATION
        return schedules.Endangered(
            loan_id=loan_id,
            breach_s=schedules.first_at_or_below(path, BEGIN * ltv / TRIGGER),
            deadline_s=schedules.first_at_or_below(path, lost),
            price_now=lambda at_s: schedules.price_at(path, at_s),
            price_lost=lost,
            speeds=speeds[coin],
        )

    def plan(self) -> world.Tree:
        """What the server's scenario has instead of the usual."""
        coins = {
            coin: {"path": [[f"{at:.3f}", f"{usd:.2f}"] for at, usd in path]}
            for coin, path in self.paths.items()
        }
        orders = [
            {
                "order_id": loan_id,
                "loan_coin": "USDT",
                "debt": str(DEBT),
                "collateral_coin": coin,
                "collateral": f"{DEBT / BEGIN / ltv:.8f}",
            }
            for loan_id, (coin, ltv) in self.orders.items()
        ]
        funding = dict.fromkeys(self.paths, "1000000")
        return {
            "name": "storm",
            "market": {"start": "first_request", "coins": coins},
            "users": {USER: {"funding": funding, "orders": orders}},
        }


def storm_of(seed: int, orders: int, coins_asked: int | None = None) -> Storm:
    chance = random.Random(seed)
    coins = [f"S{number}" for number in range(coins_asked or 1 + (seed - 1) % MOST_COINS)]
    fall_s = chance.uniform(*FALL_S)
    paths = {coin: path_of(chance, fall_s) for coin in coins}
    listed = {
        str(1_000_000 + number): (chance.choice(coins), chance.uniform(*LTVS)) for number in range(orders)
    }
    return Storm(paths=paths, orders=listed)


def path_of(chance: random.Random, fall_s: float) -> list[tuple[float, float]]:
    """Calm, crash, a rough way down to the bottom, and a little above it afterwards."""
    rate, bottom = chance.uniform(0.0195, 0.021), BEGIN * chance.uniform(*BOTTOM)
    points = [(0.0, BEGIN)]
    points += [(CALM_S + second, BEGIN * (1 - rate) ** second) for second in range(int(CRASH_S) + 1)]
    crashed, steps = points[-1][1], int(fall_s / STEP_S)
    for step in range(1, steps):
        straight = crashed + (bottom - crashed) * step / steps
        points.append(
            (CALM_S + CRASH_S + step * STEP_S, max(bottom, straight * chance.uniform(0.985, 1.015)))
        )
    ends_s = CALM_S + CRASH_S + fall_s
    return [*points, (ends_s, bottom), (ends_s + 1, bottom * 1.01), (ends_s + AFTER_S, bottom * 1.01)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one storm came to. `astray`: how far off target the worst add landed, in the crash and in all."""

    coins: int
    lost: dict[str, int]
    adds: int
    too_soon: int
    refused: int
    astray: tuple[float, float]
    pace_s: float
    late_s: dict[str, float]
    at_its_turns: dict[str, int]
    not_needed: dict[str, int]


def outcome_of(storm: Storm, told: world.Tree) -> Outcome:
    loans, adds = storm.endangered(), told["adds"]
    off = [(at_s, abs(ltv - TARGET)) for _, at_s, ltv in adds]
    in_crash = [far for at_s, far in off if at_s <= CALM_S + CRASH_S]
    return Outcome(
        coins=len(storm.paths),
        lost={
            "nobody": sum(loan.deadline_s < storm.ends_s for loan in loans),
            "first come": schedules.lost_in_order(loans, schedules.first_come),
            "worst first": schedules.lost_in_order(loans, schedules.worst_first),
            "ltv-guard": len(told["lost"]),
            "best at its pace": schedules.lost_at_best(loans, pace_of(adds)),
            "best": schedules.lost_at_best(loans),
        },
        adds=len(adds),
        too_soon=told["refused"]["too_soon"],
        refused=told["refused"]["otherwise"],
        astray=(max(in_crash, default=0.0), max((far for _, far in off), default=0.0)),
        pace_s=pace_of(adds),
        late_s=late_of(told["waits"]),
        at_its_turns=lost_at(loans, [at_s for _, at_s, _ in adds]) | {"guard": len(told["lost"])},
        not_needed=not_needed_of(loans, adds),
    )


def lost_at(loans: Sequence[schedules.Endangered], turns: Sequence[float]) -> dict[str, int]:
    """How many others lose, by the turns that the guard had and by turns as steady as can be."""
    ends_s = max((loan.deadline_s for loan in loans if loan.deadline_s < math.inf), default=0.0)
    begins_s = min(loan.breach_s for loan in loans) + REACTION_S
    steady = [begins_s + number * PACE_S for number in range(math.ceil((ends_s - begins_s) / PACE_S))]
    return {
        "best, steady": schedules.lost_at_best_of(loans, steady),
        "worst first, steady": schedules.lost_in_order_of(loans, steady, schedules.worst_first),
        "least time first, steady": schedules.lost_in_order_of(loans, steady, schedules.least_time_first),
        "best, its turns": schedules.lost_at_best_of(loans, turns),
        "worst first, its turns": schedules.lost_in_order_of(loans, turns, schedules.worst_first),
        "least time first, its turns": schedules.lost_in_order_of(loans, turns, schedules.least_time_first),
    }


def not_needed_of(
    loans: Sequence[schedules.Endangered], adds: Sequence[tuple[str, float, float]]
) -> dict[str, int]:
    """Adds that saved nobody: to a loan that had one, or while others waited to one that needed none."""
    deadlines = {loan.loan_id: loan.deadline_s for loan in loans}
    last_s = max((at_s for at_s in deadlines.values() if at_s < math.inf), default=0.0)
    ids = [loan_id for loan_id, _, _ in adds]
    survivors = [loan_id for loan_id, at_s, _ in adds if at_s < last_s and deadlines[loan_id] == math.inf]
    return {"second adds": len(ids) - len(set(ids)), "adds to survivors": len(survivors)}


def pace_of(adds: Sequence[tuple[str, float, float]]) -> float:
    """Seconds from add to add: the median of what was seen."""
    gaps = [later - sooner for (_, sooner, _), (_, later, _) in pairwise(adds)]
    return max(bench.quantile(gaps, 0.5), schedules.TURN_S) if gaps else schedules.TURN_S


def late_of(waits: Sequence[world.Tree]) -> dict[str, float]:
    """Seconds by which writes came later than a second after the last one, by why."""
    late_s = dict.fromkeys(("new cycles", "searches", "the rest"), 0.0)
    for wait in waits:
        if wait["apart_s"] > ON_TIME_S:
            late_s[_why_late([name for name, *_ in wait["reads"]])] += wait["apart_s"] - schedules.TURN_S
    return late_s


def _why_late(read: Sequence[str]) -> str:
    """A new cycle looks at the wallet; a search reads loan after loan."""
    if "query-account-coins-balance" in read:
        return "new cycles"
    return "searches" if read.count("loan") > SEARCHED else "the rest"


def weather(storm: Storm, folder: Path) -> Outcome:
    """One storm, in real time."""
    folder.mkdir()
    borrower = world.Borrower(name=USER, orders=1)
    with world.serving([borrower], folder, **storm.plan()) as server:
        command = world.guard(borrower, server.url, folder, world.with_stream(server.url) | changes_of(storm))
        with world.running(command) as program:
            if not program.wait_for("cycle_finished", 1, within_s=CALM_S):
                raise SystemExit("the first look took longer than the calm before the storm")
            while (told := server.ask("storm", user=USER, key=borrower.key))["market_s"] < storm.ends_s:
                time.sleep(min(5.0, storm.ends_s - told["market_s"] + 0.1))
    return outcome_of(storm, told)


def weather_virtually(storm: Storm, folder: Path, seed: int) -> Outcome:
    """One storm, in virtual time. The clocks of this process have been set."""
    import virtual_storm  # noqa: PLC0415 - what it imports takes the clocks as they are

    told = virtual_storm.weather(storm.plan(), changes_of(storm), folder, ends_s=storm.ends_s, seed=seed)
    print(f"{folder.name}: {len(told['lost'])} lost", file=sys.stderr)
    return outcome_of(storm, told)


def changes_of(storm: Storm) -> dict[str, world.Tree]:
    return {"policy": {"collateral_preference": list(storm.paths)}}


def report_of(found: Sequence[Outcome], orders: int) -> bench.Report:
    sides = list(found[0].lost)
    columns = ["storm", "coins", *(f"lost: {side}" for side in sides), "over best"]
    title = f"{orders} orders breach within ten seconds, one adjustment a second"
    report = bench.Report(title, [*columns, "adds", "too soon", "refused", *ASTRAY])
    for number, one in enumerate(found, 1):
        over = one.lost["ltv-guard"] - one.lost["best"]
        astray = [f"{far:.4f}" for far in one.astray]
        report.add(number, one.coins, *one.lost.values(), over, one.adds, one.too_soon, one.refused, *astray)
    overs = [one.lost["ltv-guard"] - one.lost["best"] for one in found]
    totals = [sum(one.lost[side] for one in found) for side in sides]
    worst = [f"{max(one.astray[part] for one in found):.4f}" for part in (0, 1)]
    counts = [
        sum(each) for each in zip(*((one.adds, one.too_soon, one.refused) for one in found), strict=True)
    ]
    report.add("all", "", *totals, f"{max(overs)} at most", *counts, *worst)
    report.notes.append(
        "Best is a bound: no schedule of one add a second loses fewer, though it know all prices. First come "
        "and worst first act without any delay, to the second. Best at its pace: of the schedules whose adds "
        "are as far apart as the guard's were in the median. Too soon: writes refused for their pace; "
        "refused: for anything else, as of a loan that is gone. Off target: how far from LTV 0.65 the worst "
        "add landed."
    )
    return report


def pace_report_of(found: Sequence[Outcome]) -> bench.Report:
    report = bench.Report(
        "Where turns were lost", ["storm", "median s", *(f"s late: {why}" for why in found[0].late_s)]
    )
    for number, one in enumerate(found, 1):
        report.add(number, f"{one.pace_s:.3f}", *(f"{late:.1f}" for late in one.late_s.values()))
    report.notes.append(
        f"Seconds from write to write, beyond one, of those that came more than {ON_TIME_S} s after the one "
        "before: because a cycle ended and the next had to read and settle first; because one loan after the "
        "other was looked at; or because it was decided late, as on a machine that has other work."
    )
    return report


def turns_report_of(found: Sequence[Outcome]) -> bench.Report:
    report = bench.Report(
        "Loans lost: by pace, by order, by adds that nobody needed",
        ["storm", *found[0].at_its_turns, *found[0].not_needed],
    )
    for number, one in enumerate(found, 1):
        report.add(number, *one.at_its_turns.values(), *one.not_needed.values())
    totals = [sum(one.at_its_turns[side] for one in found) for side in found[0].at_its_turns]
    report.add("all", *totals, *(sum(one.not_needed[why] for one in found) for why in found[0].not_needed))
    report.notes.append(
        "Best knows all prices; worst first and least time first know those until now. Steady: a turn each "
        f"{PACE_S} s from {REACTION_S} s after the first breach on. Its turns: when the guard's adds landed. "
        "So of what the guard lost beyond the best, pace lost the difference between the best's two, and "
        "order what remains."
    )
    return report


def main() -> None:
    """Weather so many storms, one after the other."""
    asked = bench.options(
        __doc__,
        storms={
            "type": int,
            "default": 20,
            "help": "how many; each takes a minute and a half to two and a half",
        },
        first={"type": int, "default": 1, "help": "the seed of the first one"},
        orders={"type": int, "default": 300},
        coins={"type": int, "help": "so many in each storm (one, two, three, in turns)"},
        virtual={"action": "store_true", "help": "in virtual time: quick, and the same on any machine"},
    )
    if asked.smoke:
        asked.storms = 1
    seeds = range(asked.first, asked.first + asked.storms)
    storms = {seed: storm_of(seed, asked.orders, asked.coins) for seed in seeds}
    with bench.workplace(asked) as folder:
        if asked.virtual:
            virtual_time.set_clocks()
            found = [weather_virtually(storm, folder / str(seed), seed) for seed, storm in storms.items()]
        else:
            found = [weather(storm, folder / str(seed)) for seed, storm in storms.items()]
    bench.publish([report_of(found, asked.orders), pace_report_of(found), turns_report_of(found)], asked)


if __name__ == "__main__":
    main()
