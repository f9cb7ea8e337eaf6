"""Starting: CPU and memory of `--help`, from exec to the first request and to the first add, memory of `run`.

`kill -9` ends a daemon that guards well; it starts again on the same journal while its loan is past the
trigger: the last row of the first table counts until that loan's adjustment has arrived.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bench
import world

MANY = 1000
Taken = tuple[float, float, float]


# A process inherits the peak memory of the one it was forked from: this one imports nothing, and is small.
LAUNCHER = """
import os, resource, sys, time
began = time.monotonic()
child = os.fork()
if not child:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.execv(sys.argv[1], sys.argv[1:])
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, time.monotonic() - began, used.ru_maxrss / 1024)
sys.exit(status)
"""


def once(command: Sequence[str]) -> Taken:
    """CPU, wall (s) and peak memory (MB) of a program that ends by itself."""
    launch = [sys.executable, "-ISc", LAUNCHER, *command]
    told = subprocess.run(launch, capture_output=True, text=True, check=True).stdout.split()
    cpu_s, wall_s, peak_mb = map(float, told)
    return cpu_s, wall_s, peak_mb


def until(command: Sequence[str], borrower: world.Borrower, server: world.Server, what: str) -> Taken:
    """The same for a daemon, up to its first request or adjustment; then it is killed."""
    with ThreadPoolExecutor(1) as pool:
        arrival = pool.submit(server.ask, "wait", what=what, key=borrower.key)
        time.sleep(0.2)  # the server waits by now
        program = world.Running(command)
        try:
            arrived = arrival.result()["arrived"]
            cpu_s, peak_mb = program.cpu_s(), program.peak_mb()
        finally:
            program.stop(signal.SIGKILL)
    return cpu_s, arrived - program.began, peak_mb


def starts(server: world.Server, borrower: world.Borrower, folder: Path, times: int) -> bench.Report:
    changes = {"schedule": {"poll_interval_s": 1}, **world.with_stream(server.url)}
    command = world.guard(borrower, server.url, folder, changes)
    report = bench.Report("Starting (medians)", ["what", "n", "CPU s", "wall s", "peak MB"])

    def add(name: str, taken: list[Taken]) -> None:
        cpu_s, wall_s, peak_mb = (bench.quantile(column, 0.5) for column in zip(*taken, strict=True))
        report.add(name, len(taken), f"{cpu_s:.2f}", f"{wall_s:.2f}", f"{peak_mb:.1f}")

    add("python -c pass", [once([sys.executable, "-c", "pass"]) for _ in range(times)])
    add("ltv-guard --help", [once([*world.PROGRAM, "--help"]) for _ in range(times)])
    whose = {"user": borrower.name, "loan_id": borrower.loan_id, "key": borrower.key}
    with world.running(command) as program:  # which makes the journal, and seals it
        server.ask("cross", **whose, ltv="0.755")
        program.wait_for(world.SETTLED, 1)
        time.sleep(3)
    add("exec to first request", [until(command, borrower, server, "any") for _ in range(times)])
    adds = []
    for number in range(1, times + 1):
        # To the last digit the LTV of before the last adjustment, it would be taken for an old replica's.
        server.ask("ltv", **whose, ltv=f"{0.755 + number / 1000:.3f}")
        adds.append(until(command, borrower, server, "adjust"))
        with world.running(command) as program:  # settles what the kill left open
            program.wait_for(world.SETTLED, 1, within_s=20)
            time.sleep(1)
    add("exec to first add after a kill", adds)
    return report


def memory(server: world.Server, borrower: world.Borrower, folder: Path, cycles: int) -> bench.Report:
    changes = {"schedule": {"poll_interval_s": 1}, **world.with_stream(server.url)}
    report = bench.Report("Peak memory of `run`", ["orders", "cycles", "peak MB"])
    with world.running(world.guard(borrower, server.url, folder, changes)) as program:
        for _ in range(cycles + 1):
            server.ask("wait", what="sweep", key=borrower.key)
        report.add(borrower.orders, cycles, f"{program.peak_mb():.1f}")
    return report


def main() -> None:
    """Measure with one server."""
    asked = bench.options(
        __doc__,
        times={"type": int, "default": 10, "help": "how often each start is measured"},
        cycles={"type": int, "default": 30, "help": "for the memory"},
    )
    if asked.smoke:
        asked.times, asked.cycles = 2, 2
    one, many = world.Borrower(name="1", orders=1), world.Borrower(name="2", orders=MANY)
    with bench.workplace(asked) as folder, world.serving([one, many], folder) as server:
        homes = [folder / borrower.name for borrower in (one, many)]
        for home in homes:
            home.mkdir()
        reports = [starts(server, one, homes[0], asked.times), memory(server, many, homes[1], asked.cycles)]
    bench.publish(reports, asked)


if __name__ == "__main__":
    main()
