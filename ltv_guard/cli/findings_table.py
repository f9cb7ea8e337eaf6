"""What `check` found, for people (tables) and for programs (JSON)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.text import Text

from ltv_guard.adapters.settings.provenance import Source, ValueOrigin
from ltv_guard.cli.terminal import WIDE, add_row, console, stacked, table_of
from ltv_guard.log.escaping import clean
from ltv_guard.service.findings import Finding

COLOURS = {"ok": "green", "!": "yellow", "no": "red"}


def mark_of(item: Finding) -> str:
    """`no`: a run can't do with it. `!`: it can, and something should be mended."""
    if not item.good:
        return "no"
    return "!" if item.mend else "ok"


def as_tree(findings: Sequence[Finding], origins: Iterable[ValueOrigin]) -> dict[str, Any]:
    """What `check --json` prints."""
    return {
        "good": all(item.good for item in findings),
        "findings": [_finding(item) for item in findings],
        "settings": [
            {"key": item.key, "value": item.value, "source": item.source.value, "where": item.where or None}
            for item in origins
        ],
    }


def _finding(item: Finding) -> dict[str, Any]:
    tree: dict[str, Any] = {
        "what": item.what,
        "mark": mark_of(item),
        "found": item.found,
        "mend": item.mend or None,
    }
    if item.missing is not None:
        tree["missing"] = {coin: format(amount, "f") for coin, amount in item.missing.items()}
    return tree


def print_origins(origins: Sequence[ValueOrigin]) -> None:
    """What was written, and where; of the rest only how many there are."""
    terminal = console()
    table = table_of("key", "value", "from")
    for item in origins:
        if item.source is not Source.DEFAULT:
            add_row(table, item.key, item.value, f"{item.source}: {_from_here(item.where)}")
    terminal.print(table)
    rest = sum(item.source is Source.DEFAULT for item in origins)
    terminal.print(f"{rest} other keys have their defaults (check --json lists them).")


def _from_here(where: str) -> str:
    """A file below the working directory by its path from there: that is enough, and fits the column."""
    return where.removeprefix(f"{Path.cwd()}/")


def print_findings(findings: Iterable[Finding]) -> None:
    """A line a finding where there is room for it; otherwise what to mend stands below what was found."""
    terminal = console()
    wide = terminal.width >= WIDE
    table = table_of("", "what", *(("found", "what to mend") if wide else ("found, and what to mend",)))
    for item in findings:
        mark = Text(mark_of(item), COLOURS[mark_of(item)])
        found, mend = Text(clean(item.found)), Text(clean(item.mend))
        if wide:
            add_row(table, mark, item.what, found, mend)
        else:
            add_row(
                table, mark, item.what, stacked([found, Text("-> ").append(mend)]) if item.mend else found
            )
    terminal.print(table)
