"""Pages and cursors: newest first; a cursor names the last row that was shown."""

from __future__ import annotations

from typing import Any

from ltv_guard.sandbox.refusals import Refusal

Row = dict[str, Any]


def page(
    rows: list[Row],
    params: Row,
    identity: str,
    *,
    closing_cursor: bool,
    known: list[str] | None = None,
    default: int = 10,
    most: int = 100,
) -> Row:
    """Cuts a page of `limit` rows (`default`, `most`) after `cursor`.

    With `closing_cursor` a page that has rows always carries a cursor, as the exchange's history does:
    the page behind the last one is empty. `known` lists all ids that a cursor may name, also of rows
    that have gone since. Raises Refusal (10001) for another cursor, or a limit that is none.
    """
    limit = _limit(params.get("limit"), default, most)
    ids = known or [str(row[identity]) for row in rows]
    left = _behind(ids, params.get("cursor"))
    remaining = [row for row in rows if str(row[identity]) in left]
    shown = remaining[:limit]
    more = len(remaining) > limit
    cursor = str(shown[-1][identity]) if shown and (more or closing_cursor) else ""
    return {"list": shown, "nextPageCursor": cursor}


def _limit(text: str | None, default: int, most: int) -> int:
    if not text:
        return default
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise Refusal(10001, f"Request parameter error: limit must be 1 to {most}")
    return int(text)


def _behind(ids: list[str], cursor: str | None) -> set[str]:
    if not cursor:
        return set(ids)
    if cursor not in ids:
        raise Refusal(10001, "Request parameter error: cursor")
    return set(ids[ids.index(cursor) + 1 :])
