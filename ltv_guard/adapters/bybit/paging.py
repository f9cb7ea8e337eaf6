"""Pages of a list, read to their end, and proof against cursors that go round in circles."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping

from ltv_guard.adapters.bybit.client import BybitClient
from ltv_guard.adapters.bybit.fields import Nonsense
from ltv_guard.adapters.bybit.wire import parse_page
from ltv_guard.core.errors import ExchangeUnavailable
from ltv_guard.core.loans import History, HistoryRow

ROWS_PER_PAGE = 100
MOST_PAGES = 200


async def pages(
    client: BybitClient,
    path: str,
    *,
    rows_per_page: int = ROWS_PER_PAGE,
    asked: Mapping[str, str] | None = None,
    full_pages: bool = False,
) -> AsyncIterator[list[object]]:
    """Every page of `path`, of what is `asked` for; one whose successor turns out to be empty is the last.

    `full_pages`: one that has fewer rows than asked for is, whatever successor it names.
    Raises ExchangeUnavailable where the list has no plausible end: an incomplete read proves nothing.
    """
    cursor = ""
    seen = {cursor}
    for _ in range(MOST_PAGES):
        params = {"limit": str(rows_per_page), **(asked or {})} | ({"cursor": cursor} if cursor else {})
        result = await client.get(path, params)
        try:
            rows, cursor = parse_page(result)
        except Nonsense as exc:
            raise ExchangeUnavailable(f"{path}: the page makes no sense: {exc}") from exc
        yield rows
        if not cursor or not rows or (full_pages and len(rows) < rows_per_page):
            return
        if cursor in seen:
            raise ExchangeUnavailable(f"{path}: the same page came again: its list has no end")
        seen.add(cursor)
    raise ExchangeUnavailable(f"{path}: more than {MOST_PAGES} pages are not plausible")


async def read_history(
    client: BybitClient,
    path: str,
    parse: Callable[[object], HistoryRow | None],
    since_ms: int,
    *,
    rows_per_page: int = ROWS_PER_PAGE,
    span_ms: int | None = None,
    full_pages: bool = False,
) -> History:
    """Every row since `since_ms` (exchange time) that `parse` does not pass over (None).

    `span_ms`: a list that shows no more than so much of its past at once, from its `startTime` on, is asked
    for one stretch after the other. Older rows are dropped, so that what is returned doesn't depend on where
    pages happen to end. A row that makes no sense fails the read: leaving it out would prove an absence.
    """
    began = client.clock.now()
    rows: dict[str, HistoryRow] = {}
    for asked in _stretches(since_ms, began.exchange_ms, span_ms):
        found = pages(client, path, rows_per_page=rows_per_page, asked=asked, full_pages=full_pages)
        await _collect(rows, found, path, parse, since_ms)
    return History(rows=tuple(row for row in rows.values() if row.at_ms >= since_ms), began=began)


def _stretches(since_ms: int, now_ms: int, span_ms: int | None) -> list[dict[str, str]]:
    """What to ask the list for: all at once, or one stretch after the other, at least the first."""
    if span_ms is None:
        return [{}]
    starts = range(since_ms, max(now_ms, since_ms + 1), span_ms)
    return [{"startTime": str(start_ms)} for start_ms in starts]


async def _collect(
    rows: dict[str, HistoryRow],
    found: AsyncIterator[list[object]],
    path: str,
    parse: Callable[[object], HistoryRow | None],
    since_ms: int,
) -> None:
    """Adds the rows of all pages to `rows`, by id.

    They come newest first: reading stops at the first page that ends before `since_ms`, but only as long as
    that order holds.
    """
    newest_first, last_ms = True, None
    async for page in found:
        for item in page:
            try:
                row = parse(item)
            except Nonsense as exc:
                raise ExchangeUnavailable(f"{path}: a row makes no sense: {exc}") from exc
            if row is None:
                continue
            again = row.adjust_id in rows  # the list moved on while we read it
            rows[row.adjust_id] = row
            if again:
                continue
            newest_first = newest_first and (last_ms is None or row.at_ms <= last_ms)
            last_ms = row.at_ms
        if newest_first and last_ms is not None and last_ms < since_ms:
            return
