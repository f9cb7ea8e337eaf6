"""Text on the page: whatever others wrote is escaped here, and nowhere else."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from ltv_guard.log.escaping import clean
from ltv_guard.log.events import plain


def escaped(text: str) -> str:
    """Foreign text as HTML shows it, without what a terminal or a browser would obey."""
    return html.escape(clean(text))


def prose(text: str) -> str:
    """A sentence of the catalogue, without its marks."""
    return escaped(plain(text))


def clock_of(ms: int) -> str:
    """`14:05:09 UTC` of an exchange time (ms)."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%H:%M:%S UTC")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows of plain text as an HTML table; every cell is escaped."""
    head = "".join(f"<th>{escaped(cell)}</th>" for cell in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escaped(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'
