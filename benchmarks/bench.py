"""What the scripts share: options, tables, the machine, and RESULTS.md."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
RESULTS = HERE / "RESULTS.md"
PACKAGES = ("aiohttp", "aiosqlite", "ccxt", "msgspec", "orjson", "pybit", "SQLAlchemy", "uvloop")
Tree = dict[str, Any]


# Options and results


def options(about: str | None, **more: Tree) -> argparse.Namespace:
    """`--smoke`, `--record` and a script's own; each of `more` is what `add_argument` takes."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="few samples: shows that it runs, no figures")
    parser.add_argument("--record", action="store_true", help="add the table to benchmarks/RESULTS.md")
    parser.add_argument("--folder", type=Path, default=None, help="for journals; else a temporary one")
    for name, how in more.items():
        parser.add_argument(f"--{name.replace('_', '-')}", **how)
    return parser.parse_args()


@dataclass(slots=True)
class Report:
    """One table, with what it says of itself. `notes` stand below it."""

    title: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, *cells: object) -> None:
        self.rows.append([str(cell) for cell in cells])

    def show(self) -> None:
        table = Table(title=self.title, title_justify="left")
        for number, name in enumerate(self.columns):
            table.add_column(name, justify="right" if number else "left", overflow="fold")
        for row in self.rows:
            table.add_row(*row)
        console = Console(width=None if sys.stdout.isatty() else 140)
        console.print(table)
        for note in self.notes:
            console.print(note, style="dim", highlight=False)

    def markdown(self) -> str:
        lines = [self.columns, ["---", *["---:"] * (len(self.columns) - 1)], *self.rows]
        table = "\n".join(f"| {' | '.join(row)} |" for row in lines)
        return "\n\n".join([f"### {self.title}", table, *self.notes])


def publish(reports: Sequence[Report], asked: argparse.Namespace) -> None:
    """Prints the tables; `--record` adds them to RESULTS.md, with machine, versions, date and command."""
    for report in reports:
        report.show()
    if not asked.record:
        return
    script = Path(sys.argv[0]).name
    smoke = " · SMOKE: few samples, no figures to quote" if asked.smoke else ""
    command = " ".join(["python", f"benchmarks/{script}", *sys.argv[1:]])
    head = f"## {script}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC{smoke}\n\n`{command}`\n\n{setting()}"
    with RESULTS.open("a") as results:
        results.write("\n" + "\n\n".join([head, *(report.markdown() for report in reports)]) + "\n")
    print(f"added to {RESULTS}")


def setting() -> str:
    """Machine, load, versions and commit: without them a figure says nothing."""
    model = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    memory = next((int(line.split()[1]) for line in _lines("/proc/meminfo")), 0) / 2**20
    git = ["git", "-C", str(HERE), "describe", "--always", "--dirty", "--exclude", "*"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    packages = ", ".join(f"{name} {found}" for name in PACKAGES if (found := _version(name)))
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    return (
        f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB; load {load}; {platform.system()} "
        f"{platform.release()}; Python {platform.python_version()}; commit {commit}; {packages}."
    )


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def quantile(values: Sequence[float], share: float) -> float:
    """The nearest rank: of 40 values the p99 is the largest."""
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)] if values else math.nan


def ms(seconds: float) -> str:
    digits = 0 if seconds >= 0.1 else 1 if seconds >= 0.01 else 2
    return f"{seconds * 1000:.{digits}f}"


@contextlib.contextmanager
def workplace(asked: argparse.Namespace) -> Iterator[Path]:
    """A folder for journals and configurations: on a real disk, or commits cost nothing."""
    with tempfile.TemporaryDirectory(dir=asked.folder, prefix="ltv-guard-bench-") as folder:
        yield Path(folder)


def filesystem(folder: Path) -> str:
    """What kind of filesystem a folder lies on: on tmpfs a durable commit costs nothing."""
    mounts = [line.split()[1:3] for line in _lines("/proc/mounts")]
    above = [(point, kind) for point, kind in mounts if folder.resolve().is_relative_to(point)]
    return max(above, key=lambda mount: len(mount[0]), default=("", "an unknown filesystem"))[1]
