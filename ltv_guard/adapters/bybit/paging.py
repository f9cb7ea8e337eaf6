"""Pages of a list, read to their end, and proof against cursors that go round in circles."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

from ltv_guard.adapters.bybit.budget import Budget
from ltv_guard.adapters.bybit.client import BybitClient
from ltv_guard.adapters.bybit.doubts import RowNames, doubtful_row
from ltv_guard.adapters.bybit.fields import MalformedPayload, Row
from ltv_guard.adapters.bybit.oddities import Reading
from ltv_guard.adapters.bybit.second_page import SecondPage
from ltv_guard.adapters.bybit.wire import parse_page
from ltv_guard.core.model.errors import ExchangeUnavailable
from ltv_guard.core.model.history import DoubtfulRow, History, HistoryRow

ROWS_PER_PAGE = 100
MOST_PAGES = 200
DOUBTED = "only what was sent and may be this row stays open; all else goes on"


async def pages(
    client: BybitClient,
    path: str,
    *,
    rows_per_page: int = ROWS_PER_PAGE,
    asked: Mapping[str, str] | None = None,
    full_pages: bool = False,
    budget: Budget | None = None,
    second: SecondPage | None = None,
) -> AsyncGenerator[list[object]]:
    """Every page of `path`, of what is `asked` for; one whose successor turns out to be empty is the last.

    `full_pages`: one that has fewer rows than asked for is, whatever successor it names. `second`: what is
    known of the second page, which is then asked for beside the first.
    Raises NeedsHuman, and ExchangeUnavailable also where the list has no plausible end, is too large or takes
    too long as a whole (`budget`; one of its own by default): an incomplete read proves nothing.
    """
    budget = budget or client.budget(path)

    async def ask(cursor: str) -> Row:
        params = {"limit": str(rows_per_page), **(asked or {})} | ({"cursor": cursor} if cursor else {})
        try:
            async with asyncio.timeout(budget.check()):
                return await client.get(path, params, budget=budget)
        except TimeoutError:
            raise budget.too_slow() from None

    cursor = ""
    seen = {cursor}
    async with (second or SecondPage()).asked_for_by(ask) as answer_behind:
        for _ in range(MOST_PAGES):
            rows, cursor = _page_of(path, await answer_behind(cursor))
            yield rows
            if not cursor or not rows or (full_pages and len(rows) < rows_per_page):
                return
            if cursor in seen:
                raise ExchangeUnavailable(f"{path}: the same page came again: its list has no end")
            seen.add(cursor)
    raise ExchangeUnavailable(f"{path}: more than {MOST_PAGES} pages are not plausible")


def _page_of(path: str, result: Row) -> tuple[list[object], str]:
    try:
        return parse_page(result)
    except MalformedPayload as exc:
        raise ExchangeUnavailable(f"{path}: the page makes no sense: {exc}") from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryList:
    """A list of what was done.

    `parse` reads a row (None: not of this kind), `names` says where one that it can't read holds what tells
    it apart. `span_ms`: how much of its past the list shows at once, from its `startTime` on, where that is
    not all of it. `full_pages`: a page that is not full is taken for the last.
    """

    path: str
    parse: Callable[[object], HistoryRow | None]
    names: RowNames
    rows_per_page: int = ROWS_PER_PAGE
    span_ms: int | None = None
    full_pages: bool = False


async def read_history(
    client: BybitClient, listed: HistoryList, since_ms: int, second: SecondPage | None = None
) -> History:
    """Every row since `since_ms` (exchange time) that `parse` does not pass over.

    `second`: what earlier reads of this list have shown of its second page.

    A list that shows part of its past at once is asked for one stretch after the other. Older rows are
    dropped, so that what is returned doesn't depend on where pages happen to end. A row that `parse` can't
    make sense of is kept as doubtful: left out, it would prove an absence. Raises as `pages`.
    """
    began = client.clock.now()
    listing = _Listing(listed.parse, listed.names, since_ms)
    budget = client.budget(listed.path)
    for asked in _stretches(since_ms, began.exchange_ms, listed.span_ms):
        found = pages(
            client,
            listed.path,
            rows_per_page=listed.rows_per_page,
            asked=asked,
            full_pages=listed.full_pages,
            budget=budget,
            second=second,
        )
        async with aclosing(found):
            await listing.collect(found)
    rows, doubtful = listing.kept()
    reading = Reading(listed.path)
    for row in doubtful:
        reading.passes_over(row.name, row.why, DOUBTED)
    client.oddities.note(listed.path, reading.found)
    return History(rows=rows, doubtful=doubtful, began=began)


def _stretches(since_ms: int, now_ms: int, span_ms: int | None) -> list[dict[str, str]]:
    """What to ask the list for: all at once, or one stretch after the other, at least the first."""
    if span_ms is None:
        return [{}]
    starts = range(since_ms, max(now_ms, since_ms + 1), span_ms)
    return [{"startTime": str(start_ms)} for start_ms in starts]


@dataclass(slots=True)
class _Listing:
    """The rows of one list while it is read, by id."""

    parse: Callable[[object], HistoryRow | None]
    names: RowNames
    since_ms: int
    rows: dict[str, HistoryRow] = field(default_factory=dict)
    doubtful: dict[str, DoubtfulRow] = field(default_factory=dict)

    async def collect(self, found: AsyncIterator[list[object]]) -> None:
        """Adds the rows of all pages.

        They come newest first: reading stops at the first page that ends before `since_ms`, but only as long
        as that order holds.
        """
        newest_first, last_ms = True, None
        async for page in found:
            for item in page:
                row = self._read(item)
                if row is None:
                    continue
                again = row.adjust_id in self.rows  # the list moved on while we read it
                self.rows[row.adjust_id] = row
                if again:
                    continue
                newest_first = newest_first and (last_ms is None or row.at_ms <= last_ms)
                last_ms = row.at_ms
            if newest_first and last_ms is not None and last_ms < self.since_ms:
                return

    def _read(self, item: object) -> HistoryRow | None:
        try:
            return self.parse(item)
        except MalformedPayload as exc:
            row = doubtful_row(item, str(exc), self.names)
            self.doubtful[row.name] = row
            return None

    def kept(self) -> tuple[tuple[HistoryRow, ...], tuple[DoubtfulRow, ...]]:
        """What is not older than `since_ms`; a row without a readable time may be of any."""
        rows = tuple(row for row in self.rows.values() if row.at_ms >= self.since_ms)
        doubtful = tuple(
            row
            for row in self.doubtful.values()
            if row.name not in self.rows and (row.at_ms is None or row.at_ms >= self.since_ms)
        )
        return rows, doubtful
