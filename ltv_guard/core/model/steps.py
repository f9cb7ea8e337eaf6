"""Long work that may be left between two of its steps: a generator, whose value is what it comes to. Pure."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")
Steps = Generator[None, None, T]


def done(work: Steps[T]) -> T:
    """What it comes to, without a pause."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            found: T = end.value
            return found
