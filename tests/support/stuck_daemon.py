"""The command, with a third cycle that never ends. A program: `stuck_daemon.py blocked|hung run -c CONFIG`.

`blocked` holds up the event loop, `hung` only that cycle.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from ltv_guard.cli.main import main
from ltv_guard.guard.cycle import Guard

how = sys.argv.pop(1)
cycle = Guard.cycle
cycles = 0


async def hangs(self: Guard) -> Any:  # noqa: ANN401 - as it was
    global cycles  # noqa: PLW0603 - a patch has no other place
    cycles += 1
    if cycles < 3:
        return await cycle(self)
    if how == "blocked":
        time.sleep(300)  # noqa: ASYNC251 - this is what it is about
    return await asyncio.Event().wait()


Guard.cycle = hangs  # type: ignore[method-assign]
main()
