"""Reads what `check` has printed, in a terminal that is wide enough to fold nothing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

WIDE = {"COLUMNS": "400"}


def words(lines: Sequence[str]) -> str:
    """All that was printed, in one line."""
    return " ".join("".join(lines).split())


def findings(lines: Sequence[str]) -> dict[str, tuple[str, str, str]]:
    """By what was looked at: the mark, what was found, and what to mend."""
    (number,) = (at for at, line in enumerate(lines) if line.split()[:2] == ["what", "found"])
    starts = [0, *(lines[number].index(name) for name in ("what", "found", "what to mend")), None]
    rows = [[line[start:end].strip() for start, end in pairwise(starts)] for line in lines[number + 2 :]]
    return {what: (mark, found, mend) for mark, what, found, mend in rows if what}
