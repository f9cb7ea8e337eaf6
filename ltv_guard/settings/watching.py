"""The sections about being watched: what ends a daemon that hangs, and who hears of it. Pure."""

from typing import Annotated

from pydantic import AfterValidator

from .sections import Section
from .values import Interval

LEAST_STUCK_S = 10


def _long_enough(value: float) -> float:
    if value < LEAST_STUCK_S:
        raise ValueError(
            f"must be at least {LEAST_STUCK_S} seconds, for a busy machine is not a stuck daemon"
        )
    return value


class Watchdog(Section):
    stuck_after_s: Annotated[Interval, AfterValidator(_long_enough)] = 60
