"""Quiet cycles: what it costs to look at all loans when nothing is to be done.

This project with `poll_interval_s: 1` beside bare aiohttp that fetches the same pages under the same limits
(five reads a second, sent as early as they allow) and drops them, and beside ccxt and pybit that fetch the
same; one after the other, against one server process that answers after 50 ms.

Wall time is the server's: from the first page's arrival to the moment at which the last page's answer
leaves. CPU is the process's own, over whole cycles; what the daemon spends at rest in the same time
(measured with one loan and a long poll interval) is told apart.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import bench
import world

ORDERS = (1, 100, 1000, 5000)
GUARD, BARE = "ltv-guard", "bare aiohttp"
CLIENTS = {"ccxt": "ccxt_pages", "pybit": "pybit_pages"}
CLIENTS_AT = 1000
CYCLES = {1: 20, 100: 20, 1000: 10, 5000: 3}
WARM_UP = 10  # cycles before those that count, of every side: a daemon runs for months


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of one cycle, in seconds: the mean of CPU, the median of the sweeps' wall times."""

    wall_s: float
    cpu_s: float
    period_s: float
    requests: float
    refused: int


def cycles_of(command: Sequence[str], borrower: world.Borrower, server: world.Server, cycles: int) -> Figures:
    """Watches so many cycles of a program, after those to warm up."""
    time.sleep(1.5)  # what the side before has asked for counts for no limit any more
    with world.running(command) as program:
        for _ in range(WARM_UP + 1):
            began = next_sweep(server, borrower)
        cpu_s = program.cpu_s()
        for _ in range(cycles):
            ended = next_sweep(server, borrower)
        cpu_s = program.cpu_s() - cpu_s
        told = server.ask("sweeps", key=borrower.key, since=began)
    spans = told["spans"][:cycles]
    return Figures(
        wall_s=bench.quantile(spans, 0.5),
        cpu_s=cpu_s / cycles,
        period_s=(ended - began) / cycles,
        requests=(told["requests"] - 1) / cycles,
        refused=told["refused"],
    )


def next_sweep(server: world.Server, borrower: world.Borrower) -> float:
    arrived: float = server.ask("wait", what="sweep", key=borrower.key, within_s=120)["arrived"]
    return arrived


def idle_share(borrower: world.Borrower, server: world.Server, folder: Path, seconds: float) -> float:
    """CPU seconds a second of a daemon that waits for its next poll."""
    changes = {"schedule": {"poll_interval_s": 3600, **world.without_stream()}}
    with world.running(world.guard(borrower, server.url, folder, changes)) as program:
        next_sweep(server, borrower)
        time.sleep(5)
        began, cpu_s = time.monotonic(), program.cpu_s()
        time.sleep(seconds)
        return (program.cpu_s() - cpu_s) / (time.monotonic() - began)


def measure(orders: int, server: world.Server, folder: Path, cycles: int) -> dict[str, Figures]:
    borrower = borrower_of(orders)
    own = folder / str(orders)
    own.mkdir()
    changes = {"schedule": {"poll_interval_s": 1, **world.without_stream()}}
    job = borrower.job(server.url, own)
    commands = {
        GUARD: world.guard(borrower, server.url, own, changes),
        BARE: world.peer("bare", job),
    }
    if orders == CLIENTS_AT:
        commands |= {name: world.peer(peer, job) for name, peer in CLIENTS.items()}
    return {name: cycles_of(command, borrower, server, cycles) for name, command in commands.items()}


def borrower_of(orders: int) -> world.Borrower:
    return world.Borrower(name=str(1 + ORDERS.index(orders)), orders=orders)


def report_of(found: dict[int, dict[str, Figures]], idle: float) -> bench.Report:
    columns = ["orders", "side", "wall ms", "wall / bare", "CPU ms", "CPU / bare", "CPU us an order"]
    title = "A quiet cycle, 50 ms a request"
    report = bench.Report(title, [*columns, "at rest ms", "requests", "refused", "CPU ms a request"])
    for orders, sides in found.items():
        bare = sides[BARE]
        for name, figures in sides.items():
            at_rest_s = idle * figures.period_s if name == GUARD else 0.0
            busy_s = figures.cpu_s - at_rest_s
            report.add(
                orders,
                name,
                bench.ms(figures.wall_s),
                f"{figures.wall_s / bare.wall_s:.2f}",
                bench.ms(busy_s),
                f"{busy_s / bare.cpu_s:.1f}",
                f"{busy_s / orders * 1e6:.0f}",
                bench.ms(at_rest_s) if name == GUARD else "-",
                f"{figures.requests:.1f}",
                figures.refused,
                bench.ms(busy_s / max(figures.requests, 1)),
            )
    report.notes.append(
        f"CPU of {GUARD} is without what it spends at rest ({idle * 100:.2f} % of a core), which stands "
        "beside it. Requests are all of a cycle, wall time is that of its pages."
    )
    return report


def main() -> None:
    """Measure every number of orders against one server."""
    asked = bench.options(
        __doc__,
        orders={"nargs": "+", "type": int, "choices": ORDERS, "default": list(ORDERS)},
        rest_s={"type": float, "default": 30, "help": "how long a daemon at rest is watched"},
    )
    if asked.smoke:
        asked.rest_s = 5
    with (
        bench.workplace(asked) as folder,
        world.serving([borrower_of(item) for item in ORDERS], folder) as server,
    ):
        found = {
            orders: measure(orders, server, folder, 2 if asked.smoke else CYCLES[orders])
            for orders in asked.orders
        }
        calm = folder / "rest"
        calm.mkdir()
        idle = idle_share(borrower_of(1), server, calm, asked.rest_s)
    bench.publish([report_of(found, idle)], asked)


if __name__ == "__main__":
    main()
