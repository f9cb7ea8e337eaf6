"""An exchange that is slow, as it is in a crash: how many answers pass until the first add leaves.

210 orders at 3.4 s an answer, and 810 at 1.3 s: to read them all takes longer than what was read may be old
when it is acted on. And 210 orders while answers slow down from 50 ms to 3 s within the minute of a crash,
in which the order breaches at a random moment. One order has a coin of its own, whose price breaches; then
the guard settles what it did, and the next sample begins.

Counted in answers, as long as they take at that time: from the price that crosses the trigger, and from the
first answer that showed the breach, each until the add arrives at the exchange. With the price stream (the
project's defaults), and without.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import bench
import world

CALM, CROSSED, TRIGGER = "0.70", "0.755", "0.75"
QUICK_S, SLOWEST_S, RAMP_S, STEP_S = 0.05, 3.0, 60.0, 0.5
WITHIN_S = 120.0
LISTS_AFTER = 4  # whole ones, until a guard that has just helped, maybe twice, is at rest
MOST_ANSWERS, OWN_S = 3.0, 0.25  # within so many answers, and what the guard itself takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """So many orders, and so long an answer takes; None: ever longer, within a minute."""

    orders: int
    answer_s: float | None

    @property
    def name(self) -> str:
        pace = f"{self.answer_s} s" if self.answer_s else f"{QUICK_S * 1000:.0f} ms to {SLOWEST_S:.0f} s"
        return f"{self.orders} orders, {pace} an answer"


CASES = (Case(orders=210, answer_s=3.4), Case(orders=810, answer_s=1.3), Case(orders=210, answer_s=None))


class Ramp:
    """Answers of a server that slow down from a moment on, in a thread, until the block ends."""

    def __init__(self, server: world.Server) -> None:
        self._server = server
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.began = time.monotonic()

    def __enter__(self) -> Self:
        self.began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def answer_s(self, at: float) -> float:
        share = min(max(at - self.began, 0) / RAMP_S, 1)
        return QUICK_S + (SLOWEST_S - QUICK_S) * share

    def answers(self, since: float, until: float) -> float:
        """How many answers, one after the other, fit between two times: the integral of 1 / their length."""
        steps = 200
        width = (until - since) / steps
        return sum(width / self.answer_s(since + (step + 0.5) * width) for step in range(steps))

    def _run(self) -> None:
        while not self._ended.wait(STEP_S):
            self._server.ask("slow", seconds=f"{self.answer_s(time.monotonic()):.3f}")


@dataclass(slots=True, kw_only=True)
class Found:
    """In answers, of each sample: since the price crossed, and since that was shown. `lost`: no add came."""

    crossed: list[float] = field(default_factory=list)
    shown: list[float] = field(default_factory=list)
    late: int = 0
    seconds: list[float] = field(default_factory=list)
    lost: int = 0

    def note(self, told: world.Tree, answers: Callable[[float], float]) -> None:
        """`answers`: how many the last so many seconds before the add were."""
        if told["reaction_s"] is None:
            self.lost += 1
            return
        self.seconds.append(told["reaction_s"])
        self.crossed.append(answers(told["reaction_s"]))
        if told["after_shown_s"] is not None:
            self.shown.append(answers(told["after_shown_s"]))
            self.late += answers(max(told["after_shown_s"] - OWN_S, 0)) > MOST_ANSWERS


def sample(
    case: Case, borrower: world.Borrower, server: world.Server, program: world.Running, found: Found
) -> None:
    """One crossing, of a guard that is at rest; afterwards it settles, at the speed of calm."""
    whose = {"user": borrower.name, "loan_id": borrower.loan_id, "key": borrower.key}
    settled = program.count(world.SETTLED)
    if case.answer_s is None:
        with Ramp(server) as ramp:
            time.sleep(random.uniform(0, RAMP_S))
            told = server.ask("cross", **whose, ltv=CROSSED, trigger=TRIGGER, within_s=WITHIN_S)
            until = time.monotonic()
            found.note(told, lambda seconds: ramp.answers(until - seconds, until))
    else:
        answer_s = case.answer_s
        server.ask("slow", seconds=str(answer_s))
        time.sleep(random.uniform(2, 2 + 4 * answer_s))
        told = server.ask("cross", **whose, ltv=CROSSED, trigger=TRIGGER, within_s=WITHIN_S)
        found.note(told, lambda seconds: seconds / answer_s)
    server.ask("slow", seconds=str(QUICK_S))
    server.ask("ltv", **{name: whose[name] for name in ("user", "loan_id")}, ltv=CALM)
    if told["reaction_s"] is not None and not program.wait_for(world.SETTLED, settled + 1, 90):
        raise SystemExit(f"{case.name}: an add was not settled within 90 s")
    program.wait_for("cycle_finished", program.count("cycle_finished") + LISTS_AFTER, 90)


def measure(case: Case, *, streaming: bool, samples: int, folder: Path) -> Found:
    found, borrower = Found(), world.Borrower(name="1", orders=case.orders, ltv=CALM)
    folder.mkdir()
    with world.serving([borrower], folder) as server:
        changes = world.with_stream(server.url) if streaming else {"schedule": world.without_stream()}
        with world.running(world.guard(borrower, server.url, folder, changes)) as program:
            if not program.wait_for("cycle_finished", 2):
                raise SystemExit("the guard did not begin")
            for _ in range(samples):
                sample(case, borrower, server, program, found)
    return found


def row_of(report: bench.Report, case: Case, side: str, found: Found) -> None:
    worst = [max(values, default=math.nan) for values in (found.crossed, found.shown, found.seconds)]
    middle = [bench.quantile(values, 0.5) for values in (found.crossed, found.shown)]
    report.add(
        case.name,
        side,
        len(found.seconds) + found.lost,
        f"{middle[0]:.2f}",
        f"{worst[0]:.2f}",
        f"{middle[1]:.2f}",
        f"{worst[1]:.2f}",
        f"{worst[2]:.1f}",
        found.late + found.lost,
        found.lost,
    )


def main() -> None:
    """Measure every case with and without the stream, each with a server of its own."""
    asked = bench.options(
        __doc__,
        samples={"type": int, "default": 10, "help": "for each case and side"},
        cases={"nargs": "+", "type": int, "choices": range(1, len(CASES) + 1), "help": "else all"},
    )
    if asked.smoke:
        asked.samples = 1
    columns = ["case", "side", "n", "crossing to add, answers", "worst", "shown to add, answers", "worst"]
    report = bench.Report(
        "A slow exchange: answers until the first add", [*columns, "worst s", "over 3", "lost"]
    )
    with bench.workplace(asked) as folder:
        for number, case in enumerate(CASES, 1):
            for side, streaming in (("stream", True), ("polling", False)):
                if asked.cases is None or number in asked.cases:
                    own = folder / f"{number}-{side}"
                    found = measure(case, streaming=streaming, samples=asked.samples, folder=own)
                    row_of(report, case, side, found)
    report.notes.append(
        "Shown: the first answer with that order's LTV at its trigger had left the exchange. Over 3: adds "
        "more than three answers and a quarter of a second after that, and breaches that none followed."
    )
    bench.publish([report], asked)


if __name__ == "__main__":
    main()
