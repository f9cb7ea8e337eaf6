"""An error of ours as a value: it costs what was being worked out, never a loan its other help. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """What was being worked out, and the exception, with its traceback, that came of it."""

    what: str
    error: Exception = field(compare=False)

    def __str__(self) -> str:
        return f"{self.what}: an error of ours ({type(self.error).__name__})"


def attempt(what: str, work: Callable[[], T]) -> T | Defect:
    """What `work` returns, or the defect that it ended in."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - whatever it is, the next help has its turn
        return Defect(what=what, error=error)
