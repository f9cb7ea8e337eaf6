"""The chaos soak: the real daemon, killed every few seconds, while the exchange goes wrong and prices fall.

Ends with a table of what happened; status 1 if anything was done twice, lost, or came too late.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table
from soak_oracle import KINDS, Books, Judgement, Name, Sent, Targets, judge
from soak_scenario import (
    ADD_TARGET,
    ADD_TRIGGER,
    LATEST_S,
    RELEASE_TARGET,
    RELEASE_TRIGGER,
    Plan,
    config_of,
    moments_of_death,
    scenario_of,
)

from ltv_guard.adapters.journal import open_journal
from ltv_guard.core.model.intents import Intent
from ltv_guard.sandbox import Exchange, Sandbox, parse_scenario
from ltv_guard.sandbox.accounts import Loan
from ltv_guard.sandbox.records import Adjustment, Liquidation

PROGRESS_S = 5.0
LOOK_S = 0.2
SETTLED_WITHIN_S = 60.0
KEPT_LINES = 30
WIDTH = 110


@dataclass(slots=True, kw_only=True)
class Soak:
    """One run: the exchange in this process, the daemon in one of its own."""

    plan: Plan
    exchange: Exchange
    folder: Path
    wanted: int
    kill_between_s: tuple[float, float]
    kills: int = 0
    died: list[int] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    first: dict[Name, Loan] = field(default_factory=dict)
    struck: Counter[str] = field(default_factory=Counter)
    chaos_s: float = 0.0
    reads: list[bool] = field(default_factory=list)

    # The daemon

    def prepare(self) -> None:
        """Writes the configuration and the keys; notes what every loan is at first."""
        for key in self.exchange.scenario.keys:
            (self.folder / f"{key.user}.key").write_text(key.key)
            (self.folder / f"{key.user}.secret").write_text(key.secret or "")
        self._config.write_text(yaml.safe_dump(config_of(self.plan, self.exchange.url, self.folder)))
        for account in self.exchange.ledger.accounts.values():
            self.first |= {(loan.user, loan.loan_id): copy.deepcopy(loan) for loan in account.loans()}

    @property
    def _config(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def log(self) -> Path:
        return self.folder / "daemon.log"

    async def start(self) -> asyncio.subprocess.Process:
        with self.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "ltv_guard", "run", "-c", str(self._config)),
                stdout=log,
                stderr=log,
                env={"PATH": os.defpath, "HOME": str(self.folder)},
            )

    async def chaos(self, until: Callable[[], bool]) -> asyncio.subprocess.Process:
        """Kills the daemon and starts it again, until `until`; gives the one that lives."""
        daemon = await self.start()
        for life_s in moments_of_death(self.plan.seed, self.kill_between_s):
            ends = time.monotonic() + life_s
            # Polled: what it waits for happens in the exchange's books, which tell nobody.
            while time.monotonic() < ends and not until() and daemon.returncode is None:  # noqa: ASYNC110
                await asyncio.sleep(LOOK_S)
            if daemon.returncode is not None:
                self.died.append(daemon.returncode)
            elif until():
                break
            else:
                daemon.send_signal(signal.SIGKILL)
                await daemon.wait()
                self.kills += 1
            daemon = await self.start()
        self.chaos_s = self.elapsed_s
        return daemon

    async def settle(self, daemon: asyncio.subprocess.Process) -> None:
        """An exchange that answers, prices that hold, and a daemon that is left to itself, then stopped."""
        for entry in self.exchange.faults.state():
            self.struck[f"{entry['kind']} ({entry['endpoint']})"] += entry["struck"]
        self.reads = [bool(entry["faults"]) for entry in self.exchange.reads]
        self.exchange.clear_faults()
        for coin, price in self.exchange.moment().prices.items():
            self.exchange.set_price(coin, price)
        ends = time.monotonic() + SETTLED_WITHIN_S
        while True:
            while time.monotonic() < ends and not await self._is_quiet():  # noqa: ASYNC110 - the same
                await asyncio.sleep(1)
            if daemon.returncode is None:
                daemon.terminate()
            status = await daemon.wait()
            if status != 0:
                self.died.append(status)
            # It may have begun something between the last look and its end: the next one settles that.
            if status != 0 or time.monotonic() >= ends or await self._is_quiet():
                return
            daemon = await self.start()

    async def _is_quiet(self) -> bool:
        if self.unprotected():
            return False
        return not any(intent.is_open for intent in await self.intents())

    async def intents(self) -> tuple[Intent, ...]:
        journal = await open_journal(f"sqlite:///{self.folder / 'journal.db'}", writer=False)
        try:
            return await journal.list_intents()
        finally:
            await journal.close()

    # What can be observed

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.began

    @property
    def effects(self) -> list[Adjustment]:
        return [row for row in self.exchange.ledger.effects if row.by == "api"]

    def liquidated(self, users: Sequence[str]) -> list[Liquidation]:
        return [item for item in self.exchange.ledger.liquidations if item.user in users]

    @property
    def guarded(self) -> list[str]:
        return list(self.plan.users)

    @property
    def twins(self) -> list[str]:
        return list(self.plan.users.values())

    def is_enough(self) -> bool:
        """Whether all has happened that the soak is to show."""
        kinds = {(row.product, row.direction) for row in self.effects}
        return (
            len(self.effects) >= self.wanted
            and len(kinds) == len(KINDS) * 2
            and len(self.liquidated(self.twins)) == len(self.first) // 2
        )

    def loans(self) -> list[Loan]:
        """The guarded ones."""
        return [loan for user in self.guarded for loan in self.exchange.ledger.accounts[user].loans()]

    def ltvs(self) -> list[Decimal]:
        prices = self.exchange.moment().prices
        return [loan.ltv(prices) for loan in self.loans() if loan.status == "open"]

    def unprotected(self) -> int:
        """Guarded loans that are above their trigger."""
        return sum(ltv >= Decimal(ADD_TRIGGER) for ltv in self.ltvs())

    def worst_ltv(self, product: str) -> Decimal:
        """The highest that any guarded loan ever was at."""
        return max(loan.peak_ltv or Decimal(0) for loan in self.loans() if loan.product == product)

    def extremes(self, loan: Loan, since_s: Decimal, until_s: Decimal) -> tuple[Decimal, Decimal]:
        market = self.exchange.market
        ltvs = [loan.ltv(market.prices(at)) for at in (since_s, *market.turns(since_s, until_s), until_s)]
        return min(ltvs), max(ltvs)

    def sent(self) -> list[Sent]:
        """The adjustments that reached the exchange. A pool's say nothing of a loan."""
        return [
            Sent(
                name=(
                    self.exchange.keys[entry["key"]].user,
                    json.loads(entry["payload"]).get("orderId", "pool"),
                ),
                timestamp=entry["timestamp"],
            )
            for entry in self.exchange.writes
            if entry["endpoint"] == "adjust"
        ]

    async def judge(self, intents: Sequence[Intent]) -> Judgement:
        books = Books(
            effects=self.effects,
            sent=self.sent(),
            first=self.first,
            extremes=self.extremes,
        )
        targets = Targets(
            add=Decimal(ADD_TARGET),
            release=Decimal(RELEASE_TARGET),
            rescue_floor=Decimal(RELEASE_TRIGGER),
            latest_s=Decimal(LATEST_S),
        )
        return judge(intents, books, targets)

    def events(self) -> Counter[str]:
        """How often the daemons said what."""
        heard: Counter[str] = Counter()
        for line in self.log.read_text().splitlines():
            if line.startswith("{"):
                try:
                    heard[json.loads(line)["event"]] += 1
                except ValueError:  # a line that SIGKILL cut off
                    heard["cut off"] += 1
        return heard


async def progress(soak: Soak) -> None:
    while True:
        await asyncio.sleep(PROGRESS_S)
        counted = Counter(row.direction for row in soak.effects)
        worst = max(soak.ltvs(), default=Decimal(0))
        Console(stderr=True, width=WIDTH, highlight=False).print(
            f"{soak.elapsed_s:5.0f} s  {counted['add']} adds, {counted['reduce']} releases of {soak.wanted}, "
            f"{soak.kills} kills, worst LTV {worst:.4f}, "
            f"{len(soak.liquidated(soak.twins))} twins and {len(soak.liquidated(soak.guarded))} guarded lost"
        )


def wrongs(soak: Soak, judgement: Judgement, heard: Counter[str]) -> list[str]:
    """A sentence for everything that makes the soak fail."""
    found = list(judgement.wrong)
    found += [
        f"a guarded loan was liquidated: {item.user}/{item.loan_id}" for item in soak.liquidated(soak.guarded)
    ]
    if missing := len(soak.first) // 2 - len(soak.liquidated(soak.twins)):
        found.append(f"{missing} twins were not lost: the prices prove nothing")
    for product, kind in KINDS.items():
        for direction in ("add", "reduce"):
            if not any((row.product, row.direction) == (product, direction) for row in soak.effects):
                found.append(f"no {direction} of any {kind}: this was not shown")
    if len(soak.effects) < soak.wanted:
        found.append(f"only {len(soak.effects)} of {soak.wanted} adjustments")
    if soak.unprotected():
        found.append(f"{soak.unprotected()} loans are still above their trigger")
    if soak.died:
        found.append(f"the daemon ended by itself: {soak.died}")
    if heard["cycle_failed"]:
        found.append(f"{heard['cycle_failed']} cycles failed: see cycle_failed in the log")
    return found


def told(
    soak: Soak, intents: Sequence[Intent], judgement: Judgement, heard: Counter[str], failures: Sequence[str]
) -> Table:
    """The counts, for a person."""
    table = Table("what", "count", title="ltv-guard: chaos soak")
    table.columns[1].justify = "right"
    landed = Counter((row.product, row.direction) for row in soak.effects)
    table.add_row("adjustments", str(len(soak.effects)))
    for product, kind in KINDS.items():
        table.add_row(f"  adds to {kind}s", str(landed[product, "add"]))
        table.add_row(f"  releases from {kind}s", str(landed[product, "reduce"]))
    table.add_row("intents", str(len(intents)))
    for state, number in sorted(Counter(intent.state.value for intent in intents).items()):
        table.add_row(f"  {state}", str(number))
    table.add_row("  of these rescues", str(sum(intent.rescue_of is not None for intent in intents)))
    table.add_section()
    sent = [entry for entry in soak.exchange.writes if entry["endpoint"] == "adjust"]
    faulty = sum(any(kind != "history_lag" for kind in entry["faults"]) for entry in sent)
    table.add_row(
        "adjustments answered wrongly", f"{faulty} of {len(sent)} ({faulty / max(1, len(sent)):.0%})"
    )
    table.add_row("of the last reads, answered wrongly", f"{sum(soak.reads)} of {len(soak.reads)}")
    for kind, number in sorted(soak.struck.items()):
        table.add_row(f"  {kind}", str(number))
    table.add_row("kills", str(soak.kills))
    table.add_section()
    for event in (
        "adjustment_unknown",
        "rescue_sent",
        "guard_blind",
        "cycle_failed",
        "adjustment_put_off",
        "clock_skewed",
    ):
        table.add_row(f"said {event}", str(heard[event]))
    table.add_section()
    for product, kind in KINDS.items():
        table.add_row(f"worst LTV of a guarded {kind}", f"{soak.worst_ltv(product):.4f}")
    for kind, past in sorted(judgement.farthest.items()):
        over = len(judgement.over_rounding[kind])
        table.add_row(f"farthest past the target, {kind}", f"{past:.3%} ({over} over rounding)")
    table.add_row("twins liquidated", f"{len(soak.liquidated(soak.twins))} of {len(soak.first) // 2}")
    table.add_row("guarded loans liquidated", str(len(soak.liquidated(soak.guarded))))
    table.add_row("doubled", str(len(judgement.doubled)))
    table.add_row("lost", str(len(judgement.lost)))
    table.add_row("beyond the need", str(len(judgement.beyond)))
    table.add_row("time", f"{soak.chaos_s:.0f} s of chaos, {soak.elapsed_s:.0f} s in all")
    table.add_row("verdict", "FAILED" if failures else "passed")
    return table


async def run(options: argparse.Namespace, folder: Path) -> int:
    seconds = options.minutes * 60
    plan = Plan(accounts=options.accounts, seed=options.seed, fall_per_s=options.fall, seconds=seconds + 60)
    async with Sandbox(parse_scenario(scenario_of(plan))).serve() as exchange:
        soak = Soak(
            plan=plan,
            exchange=exchange,
            folder=folder,
            wanted=options.adjustments,
            kill_between_s=(options.kill_after[0], options.kill_after[1]),
        )
        soak.prepare()
        telling = asyncio.create_task(progress(soak))
        try:
            daemon = await soak.chaos(lambda: soak.is_enough() or soak.elapsed_s > seconds)
            try:
                await soak.settle(daemon)
            finally:
                if daemon.returncode is None:
                    daemon.kill()
        finally:
            telling.cancel()
        intents = await soak.intents()
        judgement, heard = await soak.judge(intents), soak.events()
        failures = wrongs(soak, judgement, heard)
        console = Console(width=WIDTH, highlight=False)
        console.print(told(soak, intents, judgement, heard, failures))
        for kind, stories in judgement.over_rounding.items():
            for story in stories[:KEPT_LINES]:
                console.print(f"over rounding, {kind}: {story}", markup=False)
        for sentence in failures[:KEPT_LINES]:
            console.print(f"FAILED: {sentence}", markup=False)
        if failures:
            console.print(f"journal and log: {folder}")
    return 1 if failures else 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--adjustments", type=int, default=2000, help="how many have to land")
    parser.add_argument("--minutes", type=float, default=15, help="after which it gives up")
    parser.add_argument("--accounts", type=int, default=10, help="with five loans each")
    parser.add_argument("--seed", type=int, default=1, help="of faults and kills")
    parser.add_argument(
        "--fall", type=float, default=0.002, help="how fast prices fall: 0.002 is 0.2 %% a second"
    )
    parser.add_argument(
        "--kill-after",
        type=float,
        nargs=2,
        default=(3.0, 15.0),
        help="seconds that a daemon lives: least, most",
    )
    parser.add_argument("--folder", type=Path, help="where journal and log are kept; a new one otherwise")
    return parser.parse_args(arguments)


def main() -> int:
    options = parse()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="ltv-guard-soak-"))
    folder.mkdir(parents=True, exist_ok=True)
    return asyncio.run(run(options, folder))


if __name__ == "__main__":
    sys.exit(main())
