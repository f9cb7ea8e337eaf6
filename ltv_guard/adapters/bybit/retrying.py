"""Reads are tried again: which failures, how often, and for how long."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    stop_after_delay,
    wait_exponential,
    wait_random,
)
from tenacity.stop import stop_base

from ltv_guard.adapters.bybit.answers import ClockRefused, TransientError

T = TypeVar("T")

TRIES = 3
FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 2.0


async def trying_again(
    read: Callable[[], Awaitable[T]], *, within_s: float, sleep: Callable[[float], Awaitable[None]]
) -> T:
    """What `read` gives, in one of a few tries; no further one begins after `within_s`.

    Raises what the last one raised. A read that works at once, as nearly all do, costs nothing beside.
    """
    began = time.monotonic()
    try:
        return await read()
    except TransientError as error:
        failures = [error]

    async def read_again() -> T:
        if failures:  # the first try, which was made already
            raise failures.pop()
        return await read()

    tries = AsyncRetrying(
        retry=retry_if_exception_type(TransientError),
        stop=stop_after_attempt(TRIES)
        | stop_after_delay(within_s - time.monotonic() + began)
        | _ClockTwice(),
        wait=wait_exponential(FIRST_WAIT_S, max=LONGEST_WAIT_S) + wait_random(0, FIRST_WAIT_S),
        sleep=sleep,
        reraise=True,
    )
    return await tries(read_again)


class _ClockTwice(stop_base):
    """A timestamp refused again, right after the clock was measured, is not a matter of trying."""

    def __call__(self, retry_state: RetryCallState) -> bool:
        outcome = retry_state.outcome
        failed_with = outcome.exception() if outcome is not None else None
        return retry_state.attempt_number > 1 and isinstance(failed_with, ClockRefused)
