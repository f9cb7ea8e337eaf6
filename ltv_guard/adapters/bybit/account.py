"""What is read of an account beside its loans: whose key it is, the Funding wallet, and prices."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal

from ltv_guard.adapters.bybit.client import BybitClient
from ltv_guard.adapters.bybit.fields import MalformedPayload
from ltv_guard.adapters.bybit.key_wire import parse_identity
from ltv_guard.adapters.bybit.oddities import Reading
from ltv_guard.adapters.bybit.read_connections import ReadConnections
from ltv_guard.adapters.bybit.ticker_wire import parse_prices
from ltv_guard.adapters.bybit.wallets import FUNDING, UNIFIED, Wallets
from ltv_guard.core.model.errors import ExchangeUnavailable
from ltv_guard.core.ports import Identity, Oddity

KEY = "/v5/user/query-api"
TICKERS = "/v5/market/tickers"

PRICES_KEPT_MS, NEVER_KEPT_MS = 50, -1


class BybitAccount:
    """Implements ports.AccountExchange."""

    def __init__(self, client: BybitClient) -> None:
        self._client = client
        self._wallets = Wallets(client)
        self._connections = ReadConnections(client.server_time, client.host.may_open_for_reads)

    def keep_ready(self, until_ms: int) -> None:
        was_ready = self._client.turns.is_ready
        self._client.keep_ready(until_ms)
        self._connections.open(anew=not was_ready)

    async def identify(self) -> Identity:
        """Who the key belongs to, and what it may do (v5/user/apikey-info).

        Where that can't be read it is taken to be allowed: the exchange refuses what it is not, cleanly.
        """
        result = await self._client.get(KEY)
        reading = Reading(KEY)
        try:
            identity = parse_identity(result, reading, now_ms=self._client.clock.now().exchange_ms)
        except MalformedPayload as exc:
            raise ExchangeUnavailable(f"{KEY}: the answer makes no sense: {exc}") from exc
        self._client.oddities.note(KEY, reading.found)
        return identity

    async def wallet(self, coins: Collection[str]) -> Mapping[str, Decimal]:
        """Coins that can leave the Funding wallet (v5/asset/balance/all-balance).

        For each of `coins` but for those whose balance could not be read.
        """
        return await self._wallets.read(FUNDING, coins)

    async def unified(self, coins: Collection[str]) -> Mapping[str, Decimal]:
        """Coins that can leave the Unified account, for each of `coins`, by its own margin rules."""
        return await self._wallets.read(UNIFIED, coins)

    async def prices(self, *, again: bool = False) -> Mapping[str, Decimal]:
        """USD per coin, of every coin with a USDT spot market; kept for a moment, as several may ask.

        `again` asks anew whatever is kept.
        """
        kept = await self._client.shared.get(
            TICKERS, self._read_prices, max_age_ms=NEVER_KEPT_MS if again else PRICES_KEPT_MS
        )
        prices, odd = kept.value
        self._client.oddities.note(TICKERS, odd)
        return prices

    async def _read_prices(self) -> tuple[Mapping[str, Decimal], list[Oddity]]:
        result = await self._client.get(TICKERS, {"category": "spot"}, signed=False, urgent=True)
        reading = Reading(TICKERS)
        try:
            return parse_prices(result, reading), reading.found
        except MalformedPayload as exc:
            raise ExchangeUnavailable(f"{TICKERS}: the answer makes no sense: {exc}") from exc

    async def server_time(self) -> int:
        """The exchange's time, in ms. Raises ExchangeUnavailable."""
        return await self._client.server_time()
