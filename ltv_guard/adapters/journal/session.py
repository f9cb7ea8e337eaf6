"""A transaction as the journal's own code sees it, whichever database it is in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

Row = dict[str, Any]
NOTHING: Mapping[str, Any] = {}


class Violation(Exception):
    """A constraint of the database's refused it. Its words name the columns or the constraint."""


class Session(Protocol):
    """Not async: what happens in a transaction is one step, in SQLite without leaving its thread.

    Both raise Violation, and whatever else the driver raises.
    """

    def rows(self, statement: str, values: Mapping[str, Any] = NOTHING) -> list[Row]:
        """What the statement returns."""

    def execute(self, statement: str, values: Mapping[str, Any] = NOTHING) -> int:
        """How many rows the statement touched."""
