"""The durable commit before an adjustment leaves: by the journal, by SQLAlchemy, or by a bare sqlite3 thread.

One statement, one transaction, WAL, `synchronous=FULL`, on the journal's own schema: the intent is inserted
as sent unless its account is paused. The journal's own way also looks whether its files are still there
(before and after), counts, and seals; it is measured for what waits for nothing (one commit), and for what
waited (planned, then marked sent: two). No way can come below the same statement without a thread. The
ways take turns, each in a file of its own.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import bench
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import create_async_engine

from ltv_guard.adapters.journal import SqlJournal, open_journal
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Direction, LoanKey, Owner, Product

PRAGMAS = ("journal_mode = wal", "synchronous = 2", "fullfsync = 1", "foreign_keys = 1")
ROW = {
    "environment": "testnet",
    "user_id": "1",
    "account": "main",
    "product": "crypto_loan_legacy",
    "direction": "add",
    "coin": "BTC",
    "amount": "0.10000001",
    "state": "sent",
    "reason": "LTV 0.7512 is at or above the trigger 0.75",
    "coins_before": "1",
    "ltv_before": "0.7512",
    "observed_at_ms": 1_800_000_000_000,
    "seen_ids": "[]",
    "created_at_ms": 1_800_000_000_000,
    "updated_at_ms": 1_800_000_000_000,
    "signed_at_ms": 1_800_000_000_000,
    "recv_window_ms": 5000,
}
NAMES = ["intent_id", "loan_id", *ROW]
STATEMENT = (
    f"INSERT INTO intents ({', '.join(NAMES)}) SELECT {', '.join(f':{name}' for name in NAMES)} "  # noqa: S608
    "WHERE NOT EXISTS (SELECT 1 FROM pauses WHERE account IN ('*', :account))"
)
Way = Callable[[int], Awaitable[None]]


def row_of(number: int) -> dict[str, Any]:
    return {"intent_id": f"intent-{number}", "loan_id": str(number), **ROW}


async def prepared(folder: Path, name: str) -> Path:
    """A journal file with nothing in it."""
    path = folder / f"{name}.db"
    journal = await open_journal(f"sqlite:///{path}", writer=False)
    await journal.close()
    return path


def connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    return connection


def insert(connection: sqlite3.Connection, number: int) -> None:
    if connection.execute(STATEMENT, row_of(number)).rowcount != 1:
        raise SystemExit("the row was not inserted")


async def inline(folder: Path, stack: AsyncExitStack) -> Way:
    connection = connected(await prepared(folder, "inline"))
    stack.callback(connection.close)

    async def commit(number: int) -> None:
        insert(connection, number)

    return commit


async def by_thread(folder: Path, stack: AsyncExitStack) -> Way:
    connection = connected(await prepared(folder, "thread"))
    stack.callback(connection.close)
    pool = stack.enter_context(ThreadPoolExecutor(1))

    async def commit(number: int) -> None:
        await asyncio.get_running_loop().run_in_executor(pool, insert, connection, number)

    return commit


async def by_sqlalchemy(folder: Path, stack: AsyncExitStack) -> Way:
    path = await prepared(folder, "sqlalchemy")
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{path}", connect_args={"isolation_level": None}, pool_size=1
    )
    stack.push_async_callback(engine.dispose)

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _record: object) -> None:  # noqa: ANN401 - a driver's connection
        cursor = connection.cursor()
        for pragma in PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Any) -> None:  # noqa: ANN401 - as above
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    statement = text(STATEMENT)

    async def commit(number: int) -> None:
        async with engine.begin() as connection:
            await connection.execute(statement, row_of(number))

    return commit


async def opened(folder: Path, name: str, stack: AsyncExitStack) -> SqlJournal:
    journal = await open_journal(f"sqlite:///{folder / name}.db")
    stack.push_async_callback(journal.close)
    await journal.begin_run("benchmark", 1_800_000_000_000)
    await journal.seal()
    return journal


async def by_journal(folder: Path, stack: AsyncExitStack) -> Way:
    journal = await opened(folder, "journal", stack)

    async def commit(number: int) -> None:
        if not await journal.write_sent(sent_of(intent_of(number))):
            raise SystemExit("the intent was not written")

    return commit


async def by_journal_in_two(folder: Path, stack: AsyncExitStack) -> Way:
    journal = await opened(folder, "waited", stack)

    async def commit(number: int) -> None:
        planned = intent_of(number)
        await journal.plan(planned)
        if not await journal.mark_sent(sent_of(planned)):
            raise SystemExit("the intent was not marked sent")

    return commit


def sent_of(planned: Intent) -> Intent:
    return planned.to(State.SENT, 1_800_000_000_000, signed_at_ms=1_800_000_000_000, recv_window_ms=5000)


def intent_of(number: int) -> Intent:
    return Intent(
        intent_id=f"intent-{number}",
        owner=Owner("testnet", "1"),
        account="main",
        key=LoanKey(Product.LEGACY, str(number)),
        direction=Direction.ADD,
        coin="BTC",
        amount=Decimal("0.10000001"),
        state=State.PLANNED,
        reason=str(ROW["reason"]),
        coins_before=Decimal(1),
        ltv_before=Decimal("0.7512"),
        observed_at_ms=1_800_000_000_000,
        seen_ids=frozenset(),
        created_at_ms=1_800_000_000_000,
        updated_at_ms=1_800_000_000_000,
    )


RAW = "bare sqlite3, a thread"
WAYS = {
    "bare sqlite3, no thread": inline,
    RAW: by_thread,
    "SQLAlchemy + aiosqlite": by_sqlalchemy,
    "the journal: written as sent": by_journal,
    "the journal, after a wait: planned, marked sent": by_journal_in_two,
}


async def measure(folder: Path, samples: int) -> bench.Report:
    taken: dict[str, list[float]] = {name: [] for name in WAYS}
    cpu: dict[str, list[float]] = {name: [] for name in WAYS}
    async with AsyncExitStack() as stack:
        ways = {name: await prepare(folder, stack) for name, prepare in WAYS.items()}
        for number in range(-5, samples):
            for name, commit in ways.items():
                began, cpu_s = time.perf_counter(), time.process_time()
                await commit(number)
                if number >= 0:
                    taken[name].append(time.perf_counter() - began)
                    cpu[name].append(time.process_time() - cpu_s)
                # As in the daemon, a commit comes out of the blue: no thread is still awake from the last.
                await asyncio.sleep(0.005)
    columns = ["way", "n", "median ms", "p99 ms", "CPU ms", f"median / {RAW}"]
    report = bench.Report("One durable commit before the bytes leave", columns)
    for name, seconds in taken.items():
        median, p99 = (bench.quantile(seconds, share) for share in (0.5, 0.99))
        ratio = median / bench.quantile(taken[RAW], 0.5)
        report.add(
            name, samples, bench.ms(median), bench.ms(p99), bench.ms(sum(cpu[name]) / samples), f"{ratio:.2f}"
        )
    report.notes.append(f"Journals on {bench.filesystem(folder)}.")
    return report


def main() -> None:
    """Measure all ways in one run."""
    asked = bench.options(__doc__, samples={"type": int, "default": 1000, "help": "commits of each way"})
    if asked.smoke:
        asked.samples = 30
    with bench.workplace(asked) as folder:
        report = asyncio.run(measure(folder, asked.samples))
    bench.publish([report], asked)


if __name__ == "__main__":
    main()
