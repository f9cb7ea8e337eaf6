"""Runs ltv-guard as its command does, but tells what it holds, and lets it read as often as it likes.

    python benchmarks/watched.py FILE run -c CONFIG      (writes a line of JSON to FILE every two seconds)

The exchange's limit of reads is lifted on both sides: twenty thousand cycles would take hours.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import threading
import time
from pathlib import Path

from ltv_guard.adapters.bybit import limits
from ltv_guard.cli.main import main

EVERY_S = 2.0
LOOPS: list[asyncio.AbstractEventLoop] = []
READS = limits.Rate(requests=1000, seconds=1.0)


def held() -> dict[str, float]:
    """What this process holds now. Memory in KB, as the kernel counts it."""
    status = Path("/proc/self/status").read_text().splitlines()
    resident_kb = next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
    opened = descriptors()
    return {
        "at": time.monotonic(),
        "rss_kb": resident_kb,
        "files": len(opened),
        "connections": sum(name.startswith("socket:") for name in opened),
        "tasks": sum(len(asyncio.all_tasks(loop)) for loop in LOOPS),
        "threads": threading.active_count(),
    }


class Watched(asyncio.DefaultEventLoopPolicy):
    """Knows the loops of this process: what lasts is set aside, and the collector shows none of its tasks."""

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        LOOPS.append(super().new_event_loop())
        return LOOPS[-1]


def descriptors() -> list[str]:
    """What they lead to, of those that are open for longer than this takes."""
    found = []
    for link in list(Path("/proc/self/fd").iterdir()):
        with contextlib.suppress(OSError):
            found.append(str(link.readlink()))
    return found


def tell(file: str) -> None:
    with Path(file).open("a") as told:
        while True:
            time.sleep(EVERY_S)
            told.write(json.dumps(held()) + "\n")
            told.flush()


if __name__ == "__main__":
    limits.OF_READS = READS
    asyncio.set_event_loop_policy(Watched())
    threading.Thread(target=tell, args=(sys.argv[1],), daemon=True).start()
    sys.argv[:2] = ["ltv-guard"]
    main()
