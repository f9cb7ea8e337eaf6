"""What the latest reads had to pass over: remembered by list, until that list is read again. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ltv_guard.core.ports import Oddity

MOST_OF_A_LIST = 8  # so many are told apart; beyond, they are counted


class Oddities:
    """What is odd at the moment in what one API key is shown. Written by readers, told by the guard."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[Oddity, ...]] = {}

    def note(self, endpoint: str, found: Iterable[Oddity], *, part: str = "") -> None:
        """Replaces what was odd the last time that `endpoint` (or this part of it) was read."""
        topic = f"{endpoint} {part}" if part else endpoint
        every = list({item.row: item for item in found}.values())
        if len(every) > MOST_OF_A_LIST:
            more = len(every) - MOST_OF_A_LIST
            rest = Oddity(endpoint=topic, row="(more)", why=f"{more} more rows are odd", follows="the same")
            every = [*every[:MOST_OF_A_LIST], rest]
        self._found[topic] = tuple(every)

    def current(self) -> tuple[Oddity, ...]:
        """What was odd in the last answer of each endpoint."""
        return tuple(item for found in self._found.values() for item in found)


class Reading:
    """One answer of `endpoint` while it is read: collects what is odd in it, row by row."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.found: list[Oddity] = []

    def passes_over(self, row: str, why: object, follows: str) -> None:
        """`row` names it, `why` says what is wrong with it, `follows` what that means."""
        self.found.append(Oddity(endpoint=self.endpoint, row=row, why=str(why), follows=follows))


def row_named(row: object, *names: str) -> str:
    """What to call a row: the first of these fields that has a short text, or "a row"."""
    if isinstance(row, Mapping):
        for name in names:
            value = row.get(name)
            if isinstance(value, str | int) and not isinstance(value, bool):
                text = str(value)
                if text.isascii() and text.isprintable() and 0 < len(text) <= MOST_OF_A_NAME:
                    return text
    return "a row"


MOST_OF_A_NAME = 64
