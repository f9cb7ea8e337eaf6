"""Pages of a list, read to their end, and proof against cursors that go round in circles."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ltv_guard.adapters.bybit.client import BybitClient
from ltv_guard.adapters.bybit.fields import Nonsense
from ltv_guard.adapters.bybit.wire import parse_page
from ltv_guard.core.errors import ExchangeUnavailable

ROWS_PER_PAGE = 100
MOST_PAGES = 200


async def pages(client: BybitClient, path: str) -> AsyncIterator[list[object]]:
    """Every page of `path`. A page may name a successor that turns out to be empty; that ends it too.

    Raises ExchangeUnavailable where the list has no plausible end: an incomplete read proves nothing.
    """
    cursor = ""
    seen = {cursor}
    for _ in range(MOST_PAGES):
        params = {"limit": str(ROWS_PER_PAGE)} | ({"cursor": cursor} if cursor else {})
        result = await client.get(path, params)
        try:
            rows, cursor = parse_page(result)
        except Nonsense as exc:
            raise ExchangeUnavailable(f"{path}: the page makes no sense: {exc}") from exc
        yield rows
        if not cursor or not rows:
            return
        if cursor in seen:
            raise ExchangeUnavailable(f"{path}: the same page came again: its list has no end")
        seen.add(cursor)
    raise ExchangeUnavailable(f"{path}: more than {MOST_PAGES} pages are not plausible")
