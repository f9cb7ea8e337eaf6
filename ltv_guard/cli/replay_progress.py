"""How far long work has come, and how long it will still take: on a terminal only."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

import click

SOONER_S = 0.2  # a terminal is written to no more often
WIDTH = 60
MINUTE_S = 60


class Progress:
    """One line of standard error that is written over, and taken away at the end."""

    def __init__(self, stream: TextIO = sys.stderr, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._began: dict[str, float] = {}
        self._last_s = float("-inf")

    def of(self, what: str) -> Callable[[int, int], None]:
        """Hears at the begin of each step which it is, and of how many."""

        def tell(step: int, steps: int) -> None:
            now = self._clock()
            spent = now - self._began.setdefault(what, now)
            left = "" if step <= 1 else f", {_span(spent / (step - 1) * (steps - step + 1))} left"
            self._write(f"{what} {step} of {steps}{left}")

        return tell

    def tries(self, what: str) -> Callable[[int], None]:
        """Hears of each try, of which nobody knows how many there will be."""
        return lambda number: self._write(f"{what}: try {number}")

    def end(self) -> None:
        self._last_s = float("-inf")
        self._write("")

    def _write(self, words: str) -> None:
        now = self._clock()
        if self._stream.isatty() and now - self._last_s >= SOONER_S:
            self._last_s = now
            click.echo(f"\r{words:{WIDTH}}" + ("" if words else "\r"), nl=False, file=self._stream)


def _span(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // MINUTE_S} min {whole % MINUTE_S} s" if whole >= MINUTE_S else f"{whole} s"
