"""Public candles of the spot market (v5/market/kline): a page at a time, with no key."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from yarl import URL

from ltv_guard.adapters.bybit.ban import Ban
from ltv_guard.adapters.bybit.client import BybitClient
from ltv_guard.adapters.bybit.clock import ExchangeClock
from ltv_guard.adapters.bybit.fields import MalformedPayload, Row, rows
from ltv_guard.adapters.bybit.host import Host
from ltv_guard.adapters.bybit.signatures import Credentials, HmacSigner
from ltv_guard.adapters.bybit.ticker_wire import QUOTE
from ltv_guard.core.model.errors import ExchangeUnavailable

KLINE = "/v5/market/kline"
MOST = 1_000  # candles of one answer
MINUTE_MS = 60_000
DAY_MINUTES = 1_440
CELLS = 5  # when it opens; open, high, low, close; what follows is not needed
NO_KEY = Credentials(api_key="", signer=HmacSigner("none"))  # nothing here is signed


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicCandle:
    """`prices`: open, high, low and close, in USDT a coin, as the exchange writes them."""

    opens_ms: int
    prices: tuple[str, ...]


class SpotCandles:
    """The candles of one length, of one host. Requests keep to the exchange's limits, as all do."""

    def __init__(self, rest_url: str, minutes: int) -> None:
        host = Host(rest_url=rest_url, clock=ExchangeClock(), ban=Ban(URL(rest_url).authority))
        self._client = BybitClient(host, NO_KEY)
        self._minutes = minutes

    @property
    def step_ms(self) -> int:
        """The length of a candle."""
        return self._minutes * MINUTE_MS

    async def now_ms(self) -> int:
        """The exchange's time. Raises ExchangeUnavailable."""
        await self._client.measure_clock()
        return self._client.clock.now().exchange_ms

    async def page(self, coin: str, first_ms: int, end_ms: int) -> list[PublicCandle]:
        """Those that open from `first_ms` on and before `end_ms`, oldest first; at most `MOST` of them.

        Raises ExchangeUnavailable.
        """
        asked = {
            "category": "spot",
            "symbol": coin + QUOTE,
            "interval": "D" if self._minutes == DAY_MINUTES else str(self._minutes),
            "start": str(first_ms),
            "end": str(end_ms - 1),
            "limit": str(MOST),
        }
        result = await self._client.get(KLINE, asked, signed=False)
        try:
            found = parse_candles(result)
        except MalformedPayload as exc:
            raise ExchangeUnavailable(f"{KLINE}: the answer makes no sense: {exc}") from exc
        return [candle for candle in found if first_ms <= candle.opens_ms < end_ms]

    async def close(self) -> None:
        await self._client.close()


def parse_candles(result: Row) -> list[PublicCandle]:
    """Oldest first, each once. Raises MalformedPayload."""
    found = {candle.opens_ms: candle for candle in map(_candle, rows(result, "list"))}
    return [found[opens_ms] for opens_ms in sorted(found)]


def _candle(row: object) -> PublicCandle:
    """Raises MalformedPayload for what is no candle."""
    if not isinstance(row, list) or len(row) < CELLS or not str(row[0]).isdecimal():
        raise MalformedPayload(f"{row!r:.80} is no candle")
    cells = tuple(str(cell) for cell in row[1:CELLS])
    try:
        prices = [Decimal(cell) for cell in cells]
    except ArithmeticError:
        raise MalformedPayload(f"{row!r:.80} has a price that is no number") from None
    if not all(price.is_finite() and price > 0 for price in prices):
        raise MalformedPayload(f"{row!r:.80} has a price that is none")
    return PublicCandle(opens_ms=int(row[0]), prices=cells)
