"""What is measured, and against what: borrowers, a server, and the processes beside it with their clocks."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
PROGRAM = [sys.executable, "-m", "ltv_guard"]
SECRET = "secret-of-the-benchmarks"
LATENCY_S = "0.05"
NEAR, CROSSED = "0.735", "0.755"  # LTVs beside the trigger, 0.75
SETTLED = "adjustment_confirmed"
Tree = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Borrower:
    """A user with quiet orders, of which the one in the middle has a coin of its own; or with a pool."""

    name: str
    orders: int = 0
    ltv: str = "0.65"

    @property
    def key(self) -> str:
        return f"key-{self.name}"

    @property
    def coin(self) -> str:
        return f"V{self.name}"

    @property
    def loan_id(self) -> str:
        return self._order_id(self.orders // 2) if self.orders else "pool"

    @property
    def product(self) -> str:
        return "crypto_loan_legacy" if self.orders else "crypto_loan"

    def _order_id(self, number: int) -> str:
        return str(1_000_000 * int(self.name) + number)

    def plan(self) -> Tree:
        """The loan that is watched owes 30,000 USDT; its coin begins at 100,000 USD."""
        owned = {"funding": {self.coin: "100000000", "BTC": "1000"}}
        if not self.orders:
            held = format(30_000 / 100_000 / 0.9 / float(self.ltv), ".8f")
            return owned | {"pool": {"flexible": {"USDT": "30000"}, "collateral": {self.coin: held}}}
        return owned | {"orders": [self._order(number) for number in range(self.orders)]}

    def _order(self, number: int) -> Tree:
        watched = number == self.orders // 2
        ltv = float(self.ltv) if watched else 0.45 + number % 100 / 1000
        return {
            "order_id": self._order_id(number),
            "loan_coin": "USDT",
            "debt": "30000",
            "collateral_coin": self.coin if watched else "BTC",
            "collateral": format(30_000 / 100_000 / ltv, ".8f"),
        }

    def job(self, url: str, folder: Path) -> Tree:
        """What a peer needs to know."""
        journal = str(folder / f"floor-{self.name}.db")
        ids = {"user": self.name, "loan_id": self.loan_id, "coin": self.coin}
        return {"url": url, "key": self.key, "secret": SECRET, "journal": journal, **ids}


def scenario(borrowers: Sequence[Borrower]) -> Tree:
    """Prices that stand still, 50 ms an answer, and the exchange's limits for a user.

    The limit of the address is lifted: a run would find it used up by the one before.
    """
    prices = {coin: {"path": [[0, "100000"]]} for coin in ["BTC", *(item.coin for item in borrowers)]}
    return {
        "name": "benchmark",
        "market": {"coins": prices},
        "keys": [{"key": item.key, "secret": SECRET, "user": item.name} for item in borrowers],
        "users": {item.name: item.plan() for item in borrowers},
        "limits": {"ip_requests": 1_000_000},
        "faults": [{"kind": "slow", "times": None, "seconds": LATENCY_S}],
    }


# Processes


def cpu_s_of(pid: int) -> float:
    return time.clock_gettime((~pid << 3) | 2)


class Server:
    """benchmarks/server.py, asked over HTTP. What waits, waits there, on the server's clock."""

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self._pid = pid

    def cpu_s(self) -> float:
        return cpu_s_of(self._pid)

    def ask(self, name: str, **asked: object) -> Tree:
        body = json.dumps({"within_s": 60, **asked}).encode()
        try:
            with urllib.request.urlopen(f"{self.url}/bench/{name}", body, timeout=700) as answer:  # noqa: S310
                found: Tree = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            raise SystemExit(f"the server could not {name} {asked}: {error}") from None


@contextlib.contextmanager
def serving(borrowers: Sequence[Borrower], folder: Path, **changes: object) -> Iterator[Server]:
    """A server process for as long as the block lasts; `changes` are of its scenario."""
    plan = folder / "scenario.json"
    plan.write_text(json.dumps({**scenario(borrowers), **changes}))
    command = [sys.executable, str(HERE / "server.py"), str(plan)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        url = process.stdout.readline().strip() if process.stdout else ""
        if not url:
            raise SystemExit("benchmarks/server.py did not start")
        yield Server(url, process.pid)
    finally:
        process.terminate()
        process.wait()


def is_calm(event: Mapping[str, Any]) -> bool:
    """Whether it tells of a loan that is in its bounds, or at its target."""
    return event.get("event") == "decision_made" and event.get("cause") in {"in_bounds", "at_target"}


def is_calm_after(log: Sequence[Mapping[str, Any]], number: int) -> bool:
    """Whether a loan was found in its bounds, or at its target, after so many adjustments were confirmed."""
    ends = [index for index, item in enumerate(log) if item.get("event") == SETTLED]
    return len(ends) >= number and any(map(is_calm, log[ends[number - 1] :]))


class Running:
    """A program under test. `count(event)` says how often it has logged that."""

    def __init__(self, command: Sequence[str]) -> None:
        self.began = time.monotonic()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.log: list[Tree] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            try:
                self.log.append(json.loads(line))
            except ValueError:
                print(line, end="", file=sys.stderr)

    def count(self, event: str) -> int:
        return sum(1 for item in list(self.log) if item.get("event") == event)

    def wait_for_calm_after(self, number: int) -> bool:
        """Whether it finds a loan in its bounds, or at its target, after so many adjustments."""
        return self._wait(lambda: is_calm_after(list(self.log), number), 60)

    def wait_for(self, event: str, number: int, within_s: float = 60) -> bool:
        return self._wait(lambda: self.count(event) >= number, within_s)

    def _wait(self, is_so: Callable[[], bool], within_s: float) -> bool:
        deadline = time.monotonic() + within_s
        while not is_so():
            if time.monotonic() > deadline or self.process.poll() is not None:
                return False
            time.sleep(0.02)
        return True

    def cpu_s(self) -> float:
        """CPU of all its threads so far, on the kernel's clock of that process (clock_getcpuclockid)."""
        return cpu_s_of(self.process.pid)

    def peak_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next((int(line.split()[1]) for line in status if line.startswith("VmHWM")), 0) / 1024

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(timeout=30)
        self._reader.join(timeout=5)


@contextlib.contextmanager
def running(command: Sequence[str]) -> Iterator[Running]:
    program = Running(command)
    try:
        yield program
    finally:
        program.stop()


def peer(name: str, job: Mapping[str, Any]) -> list[str]:
    return [sys.executable, str(HERE / "peers.py"), name, json.dumps(job)]


def guard(borrower: Borrower, url: str, folder: Path, changes: Mapping[str, Tree]) -> list[str]:
    """The command that guards a borrower: the project's defaults but for `changes`, live.

    The cooldown is off, for the same loan is brought into need again and again.
    """
    (folder / "key").write_text(borrower.key)
    (folder / "secret").write_text(SECRET)
    config: Tree = {
        "mode": "live",
        "exchange": {"base_url": url},
        "accounts": {
            "main": {
                "products": [borrower.product],
                "api_key_file": str(folder / "key"),
                "api_secret_file": str(folder / "secret"),
            }
        },
        "policy": {"limits": {"cooldown_s": 0}, "collateral_preference": [borrower.coin]},
        "journal": {"url": f"sqlite:///{folder / 'journal.db'}"},
        "logging": {"format": "json"},
    }
    for section, keys in changes.items():
        config[section] = {**config.get(section, {}), **keys}
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    return [*PROGRAM, "run", "-c", str(file)]


def streams() -> bool:
    """Whether this version of the project knows a price stream."""
    from ltv_guard.adapters.settings import sections  # noqa: PLC0415 - the one look inside

    return "price_stream" in sections.Schedule.model_fields


def with_stream(url: str) -> dict[str, Tree]:
    """The setting that a stream needs beside an exchange on this machine, where there is one."""
    return {"exchange": {"stream_url": f"{url.replace('http', 'ws', 1)}/v5/public/spot"}} if streams() else {}


def without_stream() -> Tree:
    return {"price_stream": False} if streams() else {}
