"""A journal of many intents beside an empty one: what a cycle asks of it, what a send writes, and opening it.

Both take turns in one run, each in a file of its own. The many are of one user, closed, over half a year: the
worst there is, for every index leads to them. `PRAGMA quick_check`, which each start makes, reads the whole
file: it is told apart.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import bench
from commit import intent_of

from ltv_guard.adapters.journal import SqlJournal, open_journal
from ltv_guard.adapters.journal.records import INTENT_COLUMNS, row_of
from ltv_guard.core.model.intents import State
from ltv_guard.core.model.loans import LoanKey, Product

HALF_A_YEAR_MS = 180 * 86_400_000
OWNER = intent_of(0).owner
NOW_MS = intent_of(0).created_at_ms
LOANS = 200

Work = Callable[[SqlJournal, int], Awaitable[object]]


async def filled(path: Path, intents: int) -> None:
    """Closed intents, oldest first, as a daemon would have left them."""
    await (await open_journal(f"sqlite:///{path}", writer=False)).close()
    connection = sqlite3.connect(path)
    columns = ", ".join(f":{column}" for column in INTENT_COLUMNS)
    rows = (
        row_of(
            replace(
                intent_of(number),
                intent_id=f"{number * 2_654_435_761 % 2**32:08x}{number:024x}",  # scattered, as a UUID is
                key=LoanKey(Product.LEGACY, str(number % LOANS)),
                state=State.CONFIRMED,
                adjust_id=f"old-{number}",
                created_at_ms=NOW_MS - HALF_A_YEAR_MS + number * HALF_A_YEAR_MS // intents,
                updated_at_ms=NOW_MS - HALF_A_YEAR_MS + number * HALF_A_YEAR_MS // intents + 900,
            )
        )
        for number in range(intents)
    )
    with connection:
        connection.executemany(f"INSERT INTO intents VALUES ({columns})", rows)  # noqa: S608 - columns of ours
    connection.close()
    os.sync()  # or the first commits would wait for all of it


async def open_intents(journal: SqlJournal, _: int) -> object:
    return await journal.open_intents(OWNER)


async def recent_intents(journal: SqlJournal, _: int) -> object:
    return await journal.recent_intents(OWNER, NOW_MS + 1)


async def newest(journal: SqlJournal, _: int) -> object:
    return await journal.list_intents(1)


async def one_sent(journal: SqlJournal, number: int) -> object:
    """As a send does: written as sent, then accepted, then confirmed."""
    sent = replace(
        intent_of(10_000_000 + number).to(State.SENT, NOW_MS, signed_at_ms=NOW_MS, recv_window_ms=5000),
        key=LoanKey(Product.LEGACY, f"new-{number}"),
    )
    if not await journal.write_sent(sent):
        raise SystemExit("the intent was not written")
    accepted = sent.to(State.ACCEPTED, NOW_MS, adjust_id=f"new-{number}")
    await journal.record(sent, accepted)
    await journal.record(accepted, accepted.to(State.CONFIRMED, NOW_MS))
    return None


WORKS: dict[str, Work] = {
    "open intents": open_intents,
    "recent intents": recent_intents,
    "the newest": newest,
    "write sent, accepted, confirmed": one_sent,
}


async def measure(folder: Path, samples: int, many: int) -> bench.Report:
    sizes = {"empty": 0, f"{many:,} intents": many}
    journals = {}
    for name, intents in sizes.items():
        path = folder / f"{intents}.db"
        await filled(path, intents)
        journals[name] = await open_journal(f"sqlite:///{path}")
    taken = {(work, name): [] for work in WORKS for name in sizes}  # type: dict[tuple[str, str], list[float]]
    for number in range(-5, samples):
        for work, does in WORKS.items():
            for name, journal in journals.items():
                began = time.perf_counter()
                await does(journal, number)
                if number >= 0:
                    taken[work, name].append(time.perf_counter() - began)
                await asyncio.sleep(0.002)
    for journal in journals.values():
        await journal.close()
    report = bench.Report(
        f"A journal of {many:,} intents beside an empty one",
        ["what", "n", *(f"{name}, median ms" for name in sizes), "ratio", "ratio of p90"],
    )
    for work in WORKS:
        halves, tails = ([bench.quantile(taken[work, name], share) for name in sizes] for share in (0.5, 0.9))
        ratio, of_tails = halves[1] / halves[0], tails[1] / tails[0]
        report.add(work, samples, *map(bench.ms, halves), f"{ratio:.2f}", f"{of_tails:.2f}")
    report.notes.append(f"Journals on {bench.filesystem(folder)}.")
    return report


async def opening(folder: Path, many: int) -> bench.Report:
    report = bench.Report("Opening them", ["journal", "ms", "of that quick_check, ms", "file, MB"])
    for intents in (0, many):
        path = folder / f"{intents}.db"
        began = time.perf_counter()
        await (await open_journal(f"sqlite:///{path}")).close()
        taken = time.perf_counter() - began
        connection = sqlite3.connect(path)
        began = time.perf_counter()
        connection.execute("PRAGMA quick_check(1)").fetchall()
        checked = time.perf_counter() - began
        connection.close()
        report.add(f"{intents:,}", bench.ms(taken), bench.ms(checked), f"{path.stat().st_size / 1e6:.0f}")
    return report


def main() -> None:
    """Measure both in one run."""
    asked = bench.options(
        __doc__,
        samples={"type": int, "default": 500, "help": "of each kind of work"},
        many={"type": int, "default": 100_000, "help": "intents in the larger journal"},
    )
    if asked.smoke:
        asked.samples = 40
    with bench.workplace(asked) as folder:
        reports = [
            asyncio.run(measure(folder, asked.samples, asked.many)),
            asyncio.run(opening(folder, asked.many)),
        ]
    bench.publish(reports, asked)


if __name__ == "__main__":
    main()
