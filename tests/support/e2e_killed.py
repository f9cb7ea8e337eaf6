"""`ltv-guard`, killed by the kernel at one step of an adjustment: python e2e_killed.py WHEN STEP ARGS...

WHEN is before or after; STEP a method of the journal (write_sent, write_episodes, seal; plan and mark_sent,
where the signing waits), `record:` with the state that is recorded, or `send`. The program knows nothing of
it: what is wrapped is wrapped here.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from ltv_guard.adapters.bybit.write_endpoint import WriteEndpoint
from ltv_guard.adapters.journal import SqlJournal
from ltv_guard.cli.main import main

Method = Callable[..., Awaitable[Any]]
WAITED = ("plan", "mark_sent")
JOURNALLED = ("write_sent", *WAITED, "write_episodes", "seal")
LANDMARKS = ("write_sent", *WAITED, "send", "record:accepted", "record:confirmed")
SLOW_S = 0.05  # what is signed at once is never written as planned


def deadly(method: Method, when: str, state: str | None) -> Method:
    """`method`, ending the process before or after its work; with `state` only where that is recorded."""

    async def step(*args: Any, **kwargs: Any) -> object:  # noqa: ANN401 - the wrapped method's own
        is_it = state is None or args[-1].state == state
        if is_it and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            return await method(*args, **kwargs)
        finally:
            if is_it:
                os.kill(os.getpid(), signal.SIGKILL)

    return step


def slow(method: Method) -> Method:
    """`method`, after a moment."""

    async def step(*args: Any, **kwargs: Any) -> object:  # noqa: ANN401 - the wrapped method's own
        await asyncio.sleep(SLOW_S)
        return await method(*args, **kwargs)

    return step


def arm(when: str, step: str) -> None:
    name, _, state = step.partition(":")
    if name not in {*JOURNALLED, "record", "send"} or when not in {"before", "after"}:
        raise SystemExit(f"no such step: {when} {step}")
    for owner in (WriteEndpoint,) if name == "send" else (SqlJournal,):
        setattr(owner, name, deadly(getattr(owner, name), when, state or None))
    if name in WAITED:
        setattr(WriteEndpoint, "sign", slow(WriteEndpoint.sign))  # noqa: B010 - a method


if __name__ == "__main__":
    arm(sys.argv[1], sys.argv[2])
    sys.argv[1:] = sys.argv[3:]
    main()
