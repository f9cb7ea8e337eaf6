"""What is read of an account beside its loans: whose key it is, the Funding wallet, and prices."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from decimal import Decimal

from ltv_guard.adapters.bybit.client import BybitClient
from ltv_guard.adapters.bybit.fields import (
    MalformedPayload,
    Row,
    amount,
    as_row,
    clean,
    coin,
    decimal,
    identity,
    readable,
    rows,
    shown,
    whole,
)
from ltv_guard.adapters.bybit.oddities import Reading, row_named
from ltv_guard.core.model.errors import ExchangeUnavailable
from ltv_guard.core.ports import Identity
from ltv_guard.log.utc import iso

KEY = "/v5/user/query-api"
WALLET = "/v5/asset/transfer/query-account-coins-balance"
TICKERS = "/v5/market/tickers"

COINS_PER_REQUEST = 10
PRICES_KEPT_MS = 50
QUOTE = "USDT"
LONGEST_LEVEL = 32
DAY_MS = 86_400_000
MOST_DAYS = 36_500
PLAUSIBLE_ENDS_MS = range(946_684_800_000, 4_102_444_800_000)  # 2000 to 2100
UNREAD = "this coin counts as unread, the others as read"
UNPRICED = "this coin has no price for now, the others have"
TAKEN_TO_BE_ALLOWED = "the key is taken to be allowed to: the exchange refuses what it is not"
PEGGED = {"USDT": Decimal(1), "USDC": Decimal(1)}


class BybitAccount:
    """Implements ports.AccountExchange."""

    def __init__(self, client: BybitClient) -> None:
        self._client = client
        self._prices: Mapping[str, Decimal] = {}
        self._priced_at_ms: int | None = None
        self._pricing = asyncio.Lock()

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
        return await self._balances("FUND", coins)

    async def unified(self, coins: Collection[str]) -> Mapping[str, Decimal]:
        """Coins that can leave the Unified account, for each of `coins`, by its own margin rules."""
        return await self._balances("UNIFIED", coins, may_owe=True)

    async def _balances(
        self, wallet: str, coins: Collection[str], *, may_owe: bool = False
    ) -> Mapping[str, Decimal]:
        wanted = sorted(set(coins))
        found: dict[str, Decimal] = {}
        reading = Reading(f"{WALLET} {wallet}")
        for start in range(0, len(wanted), COINS_PER_REQUEST):
            batch = wanted[start : start + COINS_PER_REQUEST]
            result = await self._client.get(WALLET, {"accountType": wallet, "coin": ",".join(batch)})
            try:
                found |= parse_wallet(result, batch, reading, may_owe=may_owe)
            except MalformedPayload as exc:
                raise ExchangeUnavailable(f"{WALLET}: the answer makes no sense: {exc}") from exc
        self._client.oddities.note(reading.endpoint, reading.found)
        if wanted and not found:
            why = reading.found[-1].why if reading.found else "no coin of it can be read"
            raise ExchangeUnavailable(f"{WALLET}: the answer makes no sense: {why}")
        return found

    async def prices(self, *, again: bool = False) -> Mapping[str, Decimal]:
        """USD per coin, of every coin with a USDT spot market; kept for a moment, as several may ask.

        `again` asks anew whatever is kept.
        """
        async with self._pricing:
            now_ms = self._client.clock.now().monotonic_ms
            if again or self._priced_at_ms is None or now_ms - self._priced_at_ms > PRICES_KEPT_MS:
                result = await self._client.get(TICKERS, {"category": "spot"}, signed=False)
                reading = Reading(TICKERS)
                try:
                    self._prices = parse_prices(result, reading)
                except MalformedPayload as exc:
                    raise ExchangeUnavailable(f"{TICKERS}: the answer makes no sense: {exc}") from exc
                self._client.oddities.note(TICKERS, reading.found)
                self._priced_at_ms = now_ms
            return self._prices

    async def server_time(self) -> int:
        """The exchange's time, in ms. Raises ExchangeUnavailable."""
        return await self._client.server_time()


def parse_identity(result: Row, reading: Reading | None = None, *, now_ms: int | None = None) -> Identity:
    """Whose key it is must be there. Raises MalformedPayload."""
    reading = reading or Reading("key")
    user_id = identity(result, "userID")
    permissions = _permissions(result, reading)
    read_only = _is_read_only(result, reading)
    addresses = result.get("ips")
    ends_at_ms = _ends_at_ms(result, now_ms)
    return Identity(
        user_id=user_id,
        vip_level=clean(result.get("vipLevel") or "", LONGEST_LEVEL),
        read_only=read_only,
        can_withdraw=_grants(permissions, "Wallet", "Withdraw", unknown=False, reading=reading),
        can_adjust=not read_only and _grants(permissions, "Spot", "SpotTrade", unknown=True, reading=reading),
        can_transfer=not read_only
        and _grants(permissions, "Wallet", "AccountTransfer", unknown=True, reading=reading),
        ip_bound=isinstance(addresses, list) and bool(addresses) and "*" not in addresses,
        expires_at=iso(ends_at_ms) if ends_at_ms is not None else None,
        expires_at_ms=ends_at_ms,
    )


def _permissions(result: Row, reading: Reading) -> Row | None:
    """What the key may do, by group; None where that can't be told."""
    found = result.get("permissions")
    if found is None:
        return {}
    if isinstance(found, Mapping):
        return found
    reading.passes_over("permissions", f"they are no object but {shown(found)}", TAKEN_TO_BE_ALLOWED)
    return None


def _is_read_only(result: Row, reading: Reading) -> bool:
    try:
        return whole(result, "readOnly") != 0
    except MalformedPayload as exc:
        reading.passes_over("readOnly", exc, TAKEN_TO_BE_ALLOWED)
        return False


def _grants(permissions: Row | None, group: str, name: str, *, unknown: bool, reading: Reading) -> bool:
    """Whether a permission is given; `unknown` where that can't be told."""
    granted = permissions.get(group) if permissions is not None else ""
    if granted is None:
        return False
    if isinstance(granted, list):
        return name in granted
    if permissions is not None:
        reading.passes_over(group, f"it is no list but {shown(granted)}", TAKEN_TO_BE_ALLOWED)
    return unknown


def _ends_at_ms(result: Row, now_ms: int | None) -> int | None:
    """When the key ends, in ms; None for one that does not: its days are negative, and its year is 1970.

    Keys without an IP binding die after 90 days, and any may carry an end after a password change.
    """
    asked = result.get("deadlineDay")
    days = asked if isinstance(asked, int) and not isinstance(asked, bool) else 0
    try:
        given = datetime.fromisoformat(str(result.get("expiredAt")))
        ends_at_ms = int(given.replace(tzinfo=given.tzinfo or UTC).timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        ends_at_ms = 0
    if ends_at_ms in PLAUSIBLE_ENDS_MS:
        return ends_at_ms
    return now_ms + days * DAY_MS if now_ms is not None and 0 < days <= MOST_DAYS else None


def parse_wallet(
    result: Row, coins: Collection[str], reading: Reading | None = None, *, may_owe: bool = False
) -> dict[str, Decimal]:
    """What can leave a wallet, of each of `coins` that can be read. Raises MalformedPayload for no list.

    One that `may_owe` shows a coin that it has borrowed as less than none. A coin that is not listed is none,
    unless a row is there that may be that coin's.
    """
    reading = reading or Reading("wallet")
    found: dict[str, Decimal] = {}
    unread: set[str] = set()
    nameless = False
    for item in rows(result, "balance"):
        try:
            row = as_row(item)
            name = coin(row, "coin")
        except MalformedPayload as exc:
            nameless = True
            reading.passes_over(row_named(item, "coin"), exc, UNREAD)
            continue
        if name not in coins:
            nameless = nameless or name.upper() in coins
            continue
        try:
            leaves = _leaves(row, reading, may_owe=may_owe)
        except MalformedPayload as exc:
            unread.add(name)
            reading.passes_over(name, exc, UNREAD)
            continue
        if found.setdefault(name, leaves) != leaves:
            unread.add(name)
            reading.passes_over(name, "it is listed twice, differently", UNREAD)
    if not nameless:
        found = dict.fromkeys(coins, Decimal(0)) | found
    return {name: leaves for name, leaves in found.items() if name not in unread}


def _leaves(row: Row, reading: Reading, *, may_owe: bool) -> Decimal:
    """Coins that may leave: what can be transferred, and no more than there is."""
    read = decimal if may_owe else amount
    free = read(row, "transferBalance")
    try:
        free = min(free, read(row, "walletBalance"))
    except MalformedPayload as exc:
        reading.passes_over(str(row["coin"]), exc, "what can be transferred of it counts")
    return max(Decimal(0), free)


def parse_prices(result: Row, reading: Reading | None = None) -> Mapping[str, Decimal]:
    """USD per coin (v5/market/tickers): the index price in USD, or else the last price in USDT."""
    reading = reading or Reading("tickers")
    found = dict(PEGGED)
    for item in rows(result, "list"):
        try:
            row = as_row(item)
            symbol = identity(row, "symbol")
        except MalformedPayload as exc:
            reading.passes_over(row_named(item, "symbol"), exc, UNPRICED)
            continue
        if not symbol.endswith(QUOTE) or len(symbol) == len(QUOTE):
            continue
        prices = (readable(row, name, amount) for name in ("usdIndexPrice", "lastPrice"))
        price = next((value for value in prices if value), None)
        if price is None:
            reading.passes_over(symbol, "it has no price", UNPRICED)
        else:
            found[symbol.removesuffix(QUOTE)] = price
    return found
