"""What `check` found, as a table for people."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text

from ltv_guard.cli.terminal import WIDE, add_row, console, stacked, table_of
from ltv_guard.log.escaping import clean
from ltv_guard.service.findings import Finding


def print_findings(findings: Iterable[Finding]) -> None:
    """A line a finding where there is room for it; otherwise what to mend stands below what was found."""
    terminal = console()
    wide = terminal.width >= WIDE
    table = table_of("", "what", *(("found", "what to mend") if wide else ("found, and what to mend",)))
    for item in findings:
        mark = Text("ok", "green") if item.good and not item.mend else Text("!", "yellow")
        mark = mark if item.good else Text("no", "red")
        found, mend = Text(clean(item.found)), Text(clean(item.mend))
        if wide:
            add_row(table, mark, item.what, found, mend)
        else:
            add_row(
                table, mark, item.what, stacked([found, Text("-> ").append(mend)]) if item.mend else found
            )
    terminal.print(table)
