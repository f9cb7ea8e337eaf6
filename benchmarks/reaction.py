"""From the tick that crosses a trigger to the adjustment's arrival at the exchange.

Five sides, one after the other and in rounds, against one server process that answers after 50 ms, each
with an account of its own: this project with its defaults, this project polling each second, a plain loop
on ccxt that polls each second, the same stripped of what it can do without, and the floor
(benchmarks/peers.py).

A sample: the price brings the loan near its trigger (LTV 0.735), rests there for a random part of the
side's poll interval, and crosses it (0.755). The server counts from the moment at which it has that price
until the bytes of an adjustment that it takes have arrived. Then the side settles what it must and sees the
loan at its target, and the next sample begins.

`--virtual` has this project's defaults and the sandbox in one process and in virtual time
(virtual_reaction.py): hundreds of crossings in some minutes, the same on any machine. Neither code nor a disk
takes time there: a reaction of more than a tick and one read has waited for a list, a limit or another read.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import bench
import virtual_time
import world

TARGET = 0.65
WORLDS = {"1": 1, "20": 20, "1000": 1000, "pool": 0}
WITHIN_S = 90.0
A_LIFE = 90  # crossings: each multiplies the collateral, and the wallet has to last
CALM_S = 3.0  # of this project's cycles, with the stream, near a trigger
LATE_S = 0.075  # a tick, a read, and half of another read
LEAST_REST_S = 1.2  # the exchange takes one adjustment a second
DEFAULTS, POLLING = "ltv-guard, defaults", "ltv-guard, poll 1 s"
CCXT, STRIPPED, FLOOR = "ccxt loop, 1 s", "ccxt loop, stripped", "floor"
SIDES = {"defaults": DEFAULTS, "polling": POLLING, "ccxt": CCXT, "stripped": STRIPPED, "floor": FLOOR}


@dataclass(slots=True, kw_only=True)
class Side:
    """One contestant. `rest_s` is as long as its poll interval, so that a tick comes at any phase of it."""

    name: str
    borrower: world.Borrower
    command: Callable[[], list[str]]
    rest_s: float
    settles: bool
    seconds: list[float] = field(default_factory=list)
    spent_s: float = 0.0
    lost: int = 0
    refused: int = 0
    astray: float = 0.0
    slowest: world.Tree = field(default_factory=dict)

    def sample(self, server: world.Server, program: world.Running) -> world.Tree:
        """One crossing, as the server tells it; its `reaction_s` is None where no adjustment came."""
        whose = {"user": self.borrower.name, "loan_id": self.borrower.loan_id, "key": self.borrower.key}
        server.ask("ltv", **whose, ltv=world.NEAR)
        time.sleep(LEAST_REST_S + random.uniform(0, self.rest_s))
        settled = program.count(world.SETTLED)
        told = server.ask("cross", **whose, ltv=world.CROSSED, within_s=WITHIN_S)
        self.refused += told["refused"]
        if told["reaction_s"] is not None:
            self.astray = max(self.astray, abs(told["ltv_after"] - TARGET))
            if self.settles:
                # Else the next price, near the trigger, is still a rescue's: it is helped to its target, and
                # the crossing waits for the turn after that.
                program.wait_for_calm_after(settled + 1)
        return told

    def run(self, server: world.Server, samples: int, budget_s: float) -> None:
        """So many samples, or as many as fit in the budget; the first of a process is not counted."""
        began = time.monotonic()
        with world.running(self.command()) as program:
            # A process that has just started is not what is measured here: see start.py.
            time.sleep(3.0)
            self.sample(server, program)
            for number in range(samples):
                if number and time.monotonic() - began > budget_s:
                    break
                if program.process.poll() is not None:
                    raise SystemExit(f"{self.name} ended by itself")
                self.count(self.sample(server, program))
        self.spent_s += time.monotonic() - began

    def count(self, told: world.Tree) -> None:
        if told["reaction_s"] is None:
            self.lost += 1
            return
        self.seconds.append(told["reaction_s"])
        self.slowest = max(told, self.slowest, key=lambda item: item.get("reaction_s", 0.0))


def sides_of(orders: int, url: Callable[[], str], folder: Path) -> list[Side]:
    users = [world.Borrower(name=str(number), orders=orders) for number in range(1, 6)]

    def guard(number: int, changes: Callable[[], dict[str, world.Tree]]) -> Callable[[], list[str]]:
        own = folder / str(number)
        own.mkdir()
        return lambda: world.guard(users[number], url(), own, changes())

    def loop(number: int, *, stripped: bool) -> list[str]:
        return world.peer("ccxt", {**users[number].job(url(), folder), "stripped": stripped})

    polling = {"schedule": {"poll_interval_s": 1, **world.without_stream()}}
    calm_s = CALM_S if world.streams() else 15.0
    return [
        Side(
            name=DEFAULTS,
            borrower=users[0],
            command=guard(0, lambda: world.with_stream(url())),
            rest_s=calm_s,
            settles=True,
        ),
        Side(
            name=POLLING,
            borrower=users[1],
            command=guard(1, lambda: polling),
            rest_s=1.0,
            settles=True,
        ),
        *(
            Side(
                name=name,
                borrower=users[number],
                command=partial(loop, number, stripped=name == STRIPPED),
                rest_s=max(1.0, orders / 500),
                settles=False,
            )
            for name, number in ((CCXT, 2), (STRIPPED, 3))
        ),
        Side(
            name=FLOOR,
            borrower=users[4],
            command=lambda: world.peer("floor", users[4].job(url(), folder)),
            rest_s=1.0,
            settles=False,
        ),
    ]


def measure(loans: str, folder: Path, asked: argparse.Namespace) -> bench.Report:
    urls: list[str] = []
    sides = sides_of(WORLDS[loans], lambda: urls[0], folder)
    sides = [side for side in sides if not asked.sides or side.name in {SIDES[name] for name in asked.sides}]
    with world.serving([side.borrower for side in sides], folder) as server:
        urls.append(server.url)
        for number in range(asked.rounds):
            for side in sides:
                share = asked.samples // asked.rounds + (number < asked.samples % asked.rounds)
                if share:
                    side.run(server, share, asked.budget_s / asked.rounds)
    title = "a pool" if loans == "pool" else f"{loans} order{'s' if loans != '1' else ''}"
    return report_of(f"Reaction, {title}, 50 ms a request", sides)


def report_of(title: str, sides: list[Side]) -> bench.Report:
    columns = [
        "side",
        "n",
        "median ms",
        "p99 ms",
        "median / floor",
        "p99 / floor",
        "sooner than ccxt",
        "lost",
    ]
    report = bench.Report(title, [*columns, "refused", "off target"])
    medians = {side.name: bench.quantile(side.seconds, 0.5) for side in sides}
    worst = {side.name: bench.quantile(side.seconds, 0.99) for side in sides}
    for side in sides:
        median, p99 = medians[side.name], worst[side.name]
        ratios = [f"{median / medians.get(FLOOR, math.nan):.2f}", f"{p99 / worst.get(FLOOR, math.nan):.2f}"]
        sooner = f"{medians[CCXT] / median:.1f} x" if CCXT in medians else "-"
        counts = [side.lost, side.refused, f"{side.astray:.4f}"]
        report.add(side.name, len(side.seconds), bench.ms(median), bench.ms(p99), *ratios, sooner, *counts)
    if not world.streams():
        report.notes.append("This version has no price stream: its defaults poll every 15 s.")
    spent = ", ".join(f"{side.name} {side.spent_s:.0f} s" for side in sides)
    report.notes.append(f"Time spent: {spent}.")
    report.notes += [
        f"The slowest of {side.name}: {what_took(side.slowest)}" for side in sides if side.slowest
    ]
    return report


def what_took(told: world.Tree) -> str:
    """When what it read for this arrived and was answered, ms from the crossing, and when the write came."""
    reads = [f"{name} {bench.ms(came)} to {bench.ms(left)}" for name, came, left in told["reads"]]
    written, stood = bench.ms(told["reaction_s"]), bench.ms(told["stood_still_s"])
    return f"{', '.join([*reads, f'written at {written}'])} ms; the server was late by {stood} ms at most."


def measure_virtually(loans: str, folder: Path, samples: int) -> list[float | None]:
    """In lives of so many crossings that the wallet lasts. The clocks of this process have been set."""
    import virtual_reaction  # noqa: PLC0415 - what it imports takes the clocks as they are

    found: list[float | None] = []
    while len(found) < samples:
        seed, share = len(found), min(A_LIFE, samples - len(found))
        borrower = world.Borrower(name="1", orders=WORLDS[loans])
        rest_s = (LEAST_REST_S, LEAST_REST_S + CALM_S)
        life = virtual_reaction.reactions(
            borrower, folder / f"{loans}-{seed}", samples=share, rest_s=rest_s, seed=seed
        )
        found += life
        print(f"{loans}: {len(found)} of {samples}", file=sys.stderr)
    return found


def virtual_report_of(found: Mapping[str, Sequence[float | None]]) -> bench.Report:
    report = bench.Report(
        "Reaction in virtual time, 50 ms a request",
        ["world", "n", "median ms", "p99 ms", "worst ms", "above 75 ms", "lost"],
    )
    for name, every in found.items():
        seconds = [item for item in every if item is not None]
        told = [bench.ms(bench.quantile(seconds, share)) for share in (0.5, 0.99, 1)]
        late = sum(item > LATE_S for item in seconds)
        report.add(name, len(every), *told, late, len(every) - len(seconds))
    report.notes.append(
        "Neither code nor a disk takes time here: a tick is told within 5 ms, and one read takes 50 ms."
    )
    return report


def main() -> None:
    """Measure every world that was asked for, each with a server of its own."""
    asked = bench.options(
        __doc__,
        samples={"type": int, "default": 40, "help": "for each side and world"},
        rounds={"type": int, "default": 2, "help": "the sides take turns so often"},
        budget_s={"type": float, "default": 300, "help": "for a side in a world; fewer samples if need be"},
        sides={"nargs": "+", "choices": list(SIDES), "help": "else all"},
        worlds={"nargs": "+", "choices": list(WORLDS), "help": "orders, or a pool; else all"},
        virtual={"action": "store_true", "help": "this project alone, in virtual time"},
    )
    if asked.virtual:
        virtual_time.set_clocks()
        with bench.workplace(asked) as folder:
            worlds = asked.worlds or list(WORLDS)
            found = {loans: measure_virtually(loans, folder, asked.samples) for loans in worlds}
        bench.publish([virtual_report_of(found)], asked)
        return
    if asked.smoke:
        asked.samples, asked.rounds, asked.budget_s = 2, 1, 30
    reports = []
    for loans in asked.worlds or (["20", "pool"] if asked.smoke else WORLDS):
        with bench.workplace(asked) as folder:
            reports.append(measure(loans, folder, asked))
    bench.publish(reports, asked)


if __name__ == "__main__":
    main()
