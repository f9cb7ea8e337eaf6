"""20,000 cycles over 200 loans, with adjustments now and then: does the daemon grow?

As fast as it goes: both sides' limit of reads is lifted, the server answers at once, and the guard polls
every 0.05 s (watched.py runs it, and tells what it holds). Each 250 cycles one order breaches and is helped.

Resident memory after the first 1,000 cycles beside that at the end, each the median of ten samples; open
files, connections, tasks and threads as they are at rest: the least of ten samples, for an adjustment takes
some for a moment.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import bench
import world

ORDERS, BREACHED, SAMPLES = 200, "0.76", 10
FAST = {"poll_interval_s": 0.05, "fastest_poll_s": 0.05, **world.without_stream()}
UNLIMITED = {"ip_requests": 1_000_000_000, "reads_per_s": 1_000_000}
HELD = ("files", "connections", "tasks", "threads")


@dataclass(slots=True)
class Run:
    """A guard at work. `marks`: after so many cycles, at that time."""

    server: world.Server
    program: world.Running
    borrower: world.Borrower
    told: Path
    began: float = field(default_factory=time.monotonic)
    breaches: int = 0
    marks: list[tuple[int, float]] = field(default_factory=list)

    def cycles(self) -> int:
        found = self.server.ask("sweeps", key=self.borrower.key, since=self.began)
        return len(found["spans"])

    def endure(self, cycles: int, every: int) -> None:
        """So many cycles; each `every` of them one order breaches."""
        done = 0
        while done < cycles:
            done = self.cycles()
            if self.program.process.poll() is not None:
                raise SystemExit("the guard ended by itself")
            if done >= (self.breaches + 1) * every:
                self._breach()
            time.sleep(0.5)

    def mark(self, cycles: int) -> None:
        """At rest: samples are taken in the seconds before."""
        time.sleep(SAMPLES * 2.0)
        self.marks.append((cycles, time.monotonic()))

    def samples(self, until: float) -> list[world.Tree]:
        """The last ones up to a time."""
        all_told: list[world.Tree] = [json.loads(line) for line in self.told.read_text().splitlines()]
        return [item for item in all_told if item["at"] <= until][-SAMPLES:]

    def _breach(self) -> None:
        confirmed = self.program.count(world.SETTLED)
        self.server.ask("ltv", user=self.borrower.name, loan_id=self.borrower.loan_id, ltv=BREACHED)
        if not self.program.wait_for(world.SETTLED, confirmed + 1):
            raise SystemExit("a breach was not answered and settled within a minute")
        self.breaches += 1


def measure(cycles: int, warm: int, every: int, folder: Path) -> Run:
    borrower, told = world.Borrower(name="1", orders=ORDERS), folder / "held"
    with world.serving([borrower], folder, faults=[], limits=UNLIMITED) as server:
        changes = {"schedule": FAST, "exchange": {"ip_budget_per_5s": 599}}
        command = world.guard(borrower, server.url, folder, changes)[len(world.PROGRAM) :]
        watched = [world.PROGRAM[0], str(world.HERE / "watched.py"), str(told), *command]
        with world.running(watched) as program:
            run = Run(server, program, borrower, told)
            for mark in marks_of(cycles, warm):
                run.endure(mark, every)
                run.mark(run.cycles())
    return run


def marks_of(cycles: int, warm: int) -> Sequence[int]:
    """After warming up, and at each quarter from there on."""
    return [warm + (cycles - warm) * quarter // 4 for quarter in range(5)]


def report(run: Run) -> bench.Report:
    found = bench.Report(f"Endurance: {ORDERS} orders", ["cycles", "seconds", "RSS MB", "growth", *HELD])
    first = None
    for cycles, at in run.marks:
        samples = run.samples(at)
        rss = median(item["rss_kb"] for item in samples) / 1024
        first = first or rss
        least = [min(item[name] for item in samples) for name in HELD]
        found.add(cycles, f"{at - run.began:.0f}", f"{rss:.1f}", f"{rss / first - 1:+.1%}", *least)
    return found


def main() -> None:
    """Run it once, and compare what is held after the first 1,000 cycles with what is held at the end."""
    asked = bench.options(
        __doc__,
        cycles={"type": int, "default": 20_000},
        warm={"type": int, "default": 1000, "help": "cycles after which growth counts"},
        every={"type": int, "default": 250, "help": "cycles between breaches"},
    )
    if asked.smoke:
        asked.cycles, asked.warm, asked.every = 300, 100, 100
    with bench.workplace(asked) as folder:
        found = measure(asked.cycles, asked.warm, asked.every, folder)
        table = report(found)
    table.notes.append(f"{found.breaches} breaches, each answered and settled.")
    bench.publish([table], asked)


if __name__ == "__main__":
    main()
