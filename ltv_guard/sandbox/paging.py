"""Pages and cursors: newest first; a cursor names the last row that was shown."""

from typing import Any

from .refusals import Refusal

DEFAULT, MOST = 10, 100
Row = dict[str, Any]


def page(
    rows: list[Row], params: Row, identity: str, *, closing_cursor: bool, known: list[str] | None = None
) -> Row:
    """Cut a page of `limit` rows after `cursor`.

    With `closing_cursor` a page that has rows always carries a cursor, as the exchange's history does:
    the page behind the last one is empty. `known` lists all ids that a cursor may name, also of rows
    that have gone since.
    """
    limit = _limit(params.get("limit"))
    ids = known or [str(row[identity]) for row in rows]
    left = _behind(ids, params.get("cursor"))
    remaining = [row for row in rows if str(row[identity]) in left]
    shown = remaining[:limit]
    more = len(remaining) > limit
    cursor = str(shown[-1][identity]) if shown and (more or closing_cursor) else ""
    return {"list": shown, "nextPageCursor": cursor}


def _limit(text: str | None) -> int:
    if not text:
        return DEFAULT
    if not text.isdigit() or not 1 <= int(text) <= MOST:
        raise Refusal(10001, f"Request parameter error: limit must be 1 to {MOST}")
    return int(text)


def _behind(ids: list[str], cursor: str | None) -> set[str]:
    if not cursor:
        return set(ids)
    if cursor not in ids:
        raise Refusal(10001, "Request parameter error: cursor")
    return set(ids[ids.index(cursor) + 1 :])
