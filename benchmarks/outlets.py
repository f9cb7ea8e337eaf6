"""What it costs a quiet daemon to be seen and heard: HTTP and its scrapes, notifications, both.

One daemon a side, the same but for its outlets, each with a user of its own at one server. They run at the
same time and are measured over the same windows, four quiet cycles at the default poll interval, so that
whatever else the machine does meets all of them alike. What counts is the ratio to the side without any
outlet, window by window.

CPU is the kernel's of the process, all threads, user and system: also what is spent between the cycles. A
scrape is a `GET /metrics` on a connection of its own: each minute, as Prometheus does unless told otherwise,
and each 15 s.
"""

from __future__ import annotations

import contextlib
import socket
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import bench
import world

POLL_S = 15.0
CYCLES = 4  # a window
ORDERS = 20
LIMIT = 1.10  # with everything on
NOBODY = "none"
SCRAPED = "http, scraped each 60 s"
EVERYTHING = "all, scraped each 60 s"
HURRIED = "all, scraped each 15 s"
SCRAPES = {SCRAPED: 1, EVERYTHING: 1, HURRIED: CYCLES}  # a window


@dataclass(slots=True, kw_only=True)
class Side:
    """A running daemon, where it is scraped, and how often a window. `spent`: CPU seconds of each."""

    program: world.Running
    metrics: str
    scrapes: int
    spent: list[float]

    def scrape(self) -> None:
        with urllib.request.urlopen(self.metrics, timeout=10) as answer:  # noqa: S310
            answer.read()


def changes_of(port: int, target: Path) -> Mapping[str, dict[str, world.Tree]]:
    """By side: what its configuration adds. Nothing is ever delivered: a quiet day has nothing to tell."""
    served: world.Tree = {"enabled": True, "host": "127.0.0.1", "port": port}
    told: world.Tree = {"targets": {"phone": {"url_file": str(target), "level": "warning"}}}
    return {
        NOBODY: {"http": {"enabled": False}},
        "http": {"http": served},
        SCRAPED: {"http": served},
        "notify": {"http": {"enabled": False}, "notify": told},
        EVERYTHING: {"http": served, "notify": told},
        HURRIED: {"http": served, "notify": told},
    }


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextlib.contextmanager
def sides_of(borrowers: Mapping[str, world.Borrower], url: str, folder: Path) -> Iterator[dict[str, Side]]:
    with contextlib.ExitStack() as running:
        sides = {}
        for name, borrower in borrowers.items():
            own, port = folder / borrower.name, free_port()
            own.mkdir()
            (own / "target").write_text("json://127.0.0.1:9/")
            changes = changes_of(port, own / "target")[name]
            schedule = {"schedule": {"poll_interval_s": POLL_S, **world.without_stream()}}
            command = world.guard(borrower, url, own, {**changes, **schedule})
            program = running.enter_context(world.running(command))
            metrics = f"http://127.0.0.1:{port}/metrics"
            sides[name] = Side(program=program, metrics=metrics, scrapes=SCRAPES.get(name, 0), spent=[])
        yield sides


def watch(sides: Mapping[str, Side], windows: int) -> None:
    """Adds what each of them spent in each window; one more goes before, in which all is imported."""
    for number in range(windows + 1):
        before = {name: side.program.cpu_s() for name, side in sides.items()}
        for cycle in range(CYCLES):
            time.sleep(POLL_S / 2)
            for side in sides.values():
                if cycle < side.scrapes:
                    side.scrape()
            time.sleep(POLL_S / 2)
        for name, side in sides.items():
            if number:
                side.spent.append(side.program.cpu_s() - before[name])


def report_of(sides: Mapping[str, Side]) -> bench.Report:
    bare = sides[NOBODY].spent
    title = f"{CYCLES} quiet cycles over {ORDERS} orders, {POLL_S:g} s apart, beside a daemon without outlets"
    report = bench.Report(
        title, ["outlets", "windows", "CPU ms a window", "ratio", "middle half", "whole ratio"]
    )
    for name, side in sides.items():
        ratios = [spent / other for spent, other in zip(side.spent, bare, strict=True)]
        report.add(
            name,
            len(side.spent),
            bench.ms(bench.quantile(side.spent, 0.5)),
            f"{bench.quantile(ratios, 0.5):.3f}",
            spread(ratios),
            f"{sum(side.spent) / sum(bare):.3f}",
        )
    report.notes.append(
        "ratio: the median of all windows' ratios; middle half: their quartiles; whole ratio: of the sums. "
        f"With everything on and a scrape a minute it is to stay at or below {LIMIT:.2f}."
    )
    return report


def spread(ratios: Sequence[float]) -> str:
    return f"{bench.quantile(ratios, 0.25):.3f} to {bench.quantile(ratios, 0.75):.3f}"


def main() -> None:
    """All sides at once, window by window."""
    asked = bench.options(
        __doc__, windows={"type": int, "default": 30, "help": f"of {CYCLES * POLL_S:g} s each"}
    )
    if asked.smoke:
        asked.windows = 1
    names = [NOBODY, "http", SCRAPED, "notify", EVERYTHING, HURRIED]
    borrowers = {
        name: world.Borrower(name=str(number), orders=ORDERS) for number, name in enumerate(names, start=1)
    }
    with (
        bench.workplace(asked) as folder,
        world.serving(list(borrowers.values()), folder) as server,
        sides_of(borrowers, server.url, folder) as sides,
    ):
        for side in sides.values():
            if not side.program.wait_for("cycle_finished", 1):
                raise SystemExit("a daemon had no cycle within a minute")
        time.sleep(10)  # the first minute's samples and imports are none of a quiet cycle's
        watch(sides, asked.windows)
    bench.publish([report_of(sides)], asked)


if __name__ == "__main__":
    main()
