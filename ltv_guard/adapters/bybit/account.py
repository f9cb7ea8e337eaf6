"""What is read of an account beside its loans: whose key it is, the Funding wallet, and prices."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from decimal import Decimal

from ltv_guard.adapters.bybit.client import BybitClient
from ltv_guard.adapters.bybit.fields import Nonsense, Row, amount, as_row, decimal, identity, rows, whole
from ltv_guard.core.errors import ExchangeUnavailable
from ltv_guard.ports import Identity

KEY = "/v5/user/query-api"
WALLET = "/v5/asset/transfer/query-account-coins-balance"
TICKERS = "/v5/market/tickers"

COINS_PER_REQUEST = 10
PRICES_KEPT_MS = 50
QUOTE = "USDT"
PEGGED = {"USDT": Decimal(1), "USDC": Decimal(1)}


class BybitAccount:
    """Implements ports.AccountExchange."""

    def __init__(self, client: BybitClient) -> None:
        self._client = client
        self._prices: Mapping[str, Decimal] = {}
        self._priced_at_ms: int | None = None
        self._pricing = asyncio.Lock()

    async def identify(self) -> Identity:
        """Who the key belongs to, and what it may do (v5/user/apikey-info)."""
        result = await self._client.get(KEY)
        try:
            return parse_identity(result)
        except Nonsense as exc:
            raise ExchangeUnavailable(f"{KEY}: the answer makes no sense: {exc}") from exc

    async def wallet(self, coins: Collection[str]) -> Mapping[str, Decimal]:
        """Coins that can leave the Funding wallet, for each of `coins` (v5/asset/balance/all-balance)."""
        return await self._balances("FUND", coins)

    async def unified(self, coins: Collection[str]) -> Mapping[str, Decimal]:
        """Coins that can leave the Unified account, for each of `coins`, by its own margin rules."""
        return await self._balances("UNIFIED", coins, may_owe=True)

    async def _balances(
        self, wallet: str, coins: Collection[str], *, may_owe: bool = False
    ) -> Mapping[str, Decimal]:
        wanted = sorted(set(coins))
        found = dict.fromkeys(wanted, Decimal(0))
        for start in range(0, len(wanted), COINS_PER_REQUEST):
            batch = wanted[start : start + COINS_PER_REQUEST]
            result = await self._client.get(WALLET, {"accountType": wallet, "coin": ",".join(batch)})
            try:
                found |= parse_wallet(result, batch, may_owe=may_owe)
            except Nonsense as exc:
                raise ExchangeUnavailable(f"{WALLET}: the answer makes no sense: {exc}") from exc
        return found

    async def prices(self) -> Mapping[str, Decimal]:
        """USD per coin, of every coin with a USDT spot market; kept for a moment, as several may ask."""
        async with self._pricing:
            now_ms = self._client.clock.now().monotonic_ms
            if self._priced_at_ms is None or now_ms - self._priced_at_ms > PRICES_KEPT_MS:
                result = await self._client.get(TICKERS, {"category": "spot"}, signed=False)
                try:
                    self._prices = parse_prices(result)
                except Nonsense as exc:
                    raise ExchangeUnavailable(f"{TICKERS}: the answer makes no sense: {exc}") from exc
                self._priced_at_ms = now_ms
            return self._prices

    async def server_time(self) -> int:
        """The exchange's time, in ms. Raises ExchangeUnavailable."""
        return await self._client.server_time()


def parse_identity(result: Row) -> Identity:
    permissions = as_row(result.get("permissions") or {})
    read_only = whole(result, "readOnly") != 0
    addresses = result.get("ips")
    return Identity(
        user_id=identity(result, "userID"),
        vip_level=str(result.get("vipLevel") or ""),
        read_only=read_only,
        can_withdraw=_grants(permissions, "Wallet", "Withdraw"),
        can_adjust=not read_only and _grants(permissions, "Spot", "SpotTrade"),
        can_transfer=not read_only and _grants(permissions, "Wallet", "AccountTransfer"),
        ip_bound=isinstance(addresses, list) and bool(addresses) and "*" not in addresses,
        expires_at=_expiry(result),
    )


def _grants(permissions: Row, group: str, name: str) -> bool:
    granted = permissions.get(group)
    return isinstance(granted, list) and name in granted


def _expiry(result: Row) -> str | None:
    """Keys without an IP binding die after 90 days; others carry no date, or a count below 1."""
    if result.get("expiredAt"):
        return str(result["expiredAt"])
    days = result.get("deadlineDay")
    return f"in {days} days" if isinstance(days, int) and days > 0 else None


def parse_wallet(result: Row, coins: Collection[str], *, may_owe: bool = False) -> dict[str, Decimal]:
    """What can leave a wallet. One that `may_owe` shows a coin that it has borrowed as less than none."""
    read = decimal if may_owe else amount
    found = {}
    for row in map(as_row, rows(result, "balance")):
        if row.get("coin") in coins:
            leaves = min(read(row, "walletBalance"), read(row, "transferBalance"))
            found[str(row["coin"])] = max(Decimal(0), leaves)
    return found


def parse_prices(result: Row) -> Mapping[str, Decimal]:
    """USD per coin (v5/market/tickers): the index price in USD, or else the last price in USDT."""
    found = dict(PEGGED)
    for item in rows(result, "list"):
        try:
            row = as_row(item)
            symbol = identity(row, "symbol")
            price = amount(row, "usdIndexPrice" if row.get("usdIndexPrice") else "lastPrice")
        except Nonsense:
            continue
        if symbol.endswith(QUOTE) and len(symbol) > len(QUOTE) and price > 0:
            found[symbol.removesuffix(QUOTE)] = price
    return found
