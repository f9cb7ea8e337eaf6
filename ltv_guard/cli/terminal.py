"""How commands write on a terminal: widths, columns, cells. Text that others wrote is shown, never obeyed."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ltv_guard.log.escaping import clean

WIDE, NARROW = 160, 80  # from the first on a loan fits on a line; below the second every column has to fold
PLAIN_WIDTH = 100  # where there is neither a terminal nor COLUMNS to fit
LEAST_WIDTH, MOST_WIDTH = 20, 1000


def console() -> Console:
    """One that takes no text for markup: what is shown was written by others, and means itself."""
    found = Console(highlight=False, markup=False, emoji=False, width=_asked_width())
    if not found.is_terminal and "COLUMNS" not in os.environ:
        found.width = PLAIN_WIDTH
    return found


def _asked_width() -> int | None:
    """What COLUMNS says, within reason; None where it says nothing."""
    asked = os.environ.get("COLUMNS")
    if asked is None:
        return None
    columns = int(asked) if asked.isdecimal() and len(asked) <= len(str(MOST_WIDTH)) else 0
    return max(LEAST_WIDTH, min(columns, MOST_WIDTH)) if columns else PLAIN_WIDTH


def add_row(table: Table, *cells: str | Text, end_section: bool = False) -> None:
    """A row: text as it is, but for what would steer the terminal."""
    table.add_row(
        *(cell if isinstance(cell, Text) else Text(clean(cell)) for cell in cells), end_section=end_section
    )


def table_of(*columns: str, whole: Collection[str] = ()) -> Table:
    """The columns of `whole` are not folded: the others are, as far as it takes."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in whole)
    return table


def stacked(lines: Iterable[str | Text]) -> Text:
    """Several cells as the lines of one."""
    return Text("\n").join(line if isinstance(line, Text) else Text(clean(line)) for line in lines)
