"""What can leave an account's wallets (v5/asset/balance/all-balance): a coin that is odd costs itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from ltv_guard.adapters.bybit.answers import RequestRefused
from ltv_guard.adapters.bybit.client import BybitClient
from ltv_guard.adapters.bybit.fields import MalformedPayload
from ltv_guard.adapters.bybit.oddities import Reading
from ltv_guard.adapters.bybit.wallet_wire import UNREAD, parse_wallet
from ltv_guard.core.model.errors import ExchangeUnavailable

WALLET = "/v5/asset/transfer/query-account-coins-balance"
COINS_PER_REQUEST = 10
MOST_REFUSED = 3  # so many coins in a row, and none that is told: it is not the coins
REFUSED_MS = 600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletKind:
    """As the exchange calls it. One that `may_owe` shows what it has borrowed as less than none."""

    name: str
    may_owe: bool = False


FUNDING, UNIFIED = WalletKind(name="FUND"), WalletKind(name="UNIFIED", may_owe=True)


class Wallets:
    """Reads the wallets of one account. A coin that was refused is asked for again after a while."""

    def __init__(self, client: BybitClient) -> None:
        self._client = client
        self._refused: dict[tuple[WalletKind, str], tuple[int, str]] = {}

    async def read(self, wallet: WalletKind, coins: Collection[str]) -> Mapping[str, Decimal]:
        """Each of `coins` but for those that could not be read. Raises ExchangeUnavailable for none."""
        reading = Reading(f"{WALLET} {wallet.name}")
        wanted = self._not_refused(wallet, sorted(set(coins)), reading)
        found: dict[str, Decimal] = {}
        for start in range(0, len(wanted), COINS_PER_REQUEST):
            found |= await self._batch(wallet, wanted[start : start + COINS_PER_REQUEST], reading)
        self._client.oddities.note(reading.endpoint, reading.found)
        if coins and not found:
            why = reading.found[-1].why if reading.found else "no coin of it can be read"
            raise ExchangeUnavailable(f"{WALLET}: the answer makes no sense: {why}")
        return found

    def _not_refused(self, wallet: WalletKind, names: Sequence[str], reading: Reading) -> list[str]:
        wanted, now_ms = [], self._client.clock.now().monotonic_ms
        for name in names:
            until_ms, why = self._refused.get((wallet, name), (0, ""))
            if now_ms < until_ms:
                reading.passes_over(name, why, UNREAD)
            else:
                wanted.append(name)
        return wanted

    async def _batch(self, wallet: WalletKind, names: Sequence[str], reading: Reading) -> dict[str, Decimal]:
        try:
            return await self._asked(wallet, names, reading)
        except RequestRefused:
            if len(names) == 1:
                raise
        return await self._one_by_one(wallet, names, reading)

    async def _one_by_one(
        self, wallet: WalletKind, names: Sequence[str], reading: Reading
    ) -> dict[str, Decimal]:
        """Where one of them is refused, which."""
        found: dict[str, Decimal] = {}
        refused: dict[str, RequestRefused] = {}
        for name in names:
            try:
                found |= await self._asked(wallet, [name], reading)
            except RequestRefused as exc:
                refused[name] = exc
                if not found and len(refused) == min(MOST_REFUSED, len(names)):
                    raise
        until_ms = self._client.clock.now().monotonic_ms + REFUSED_MS
        for name, why in refused.items():
            self._refused[wallet, name] = (until_ms, str(why))
            reading.passes_over(name, why, UNREAD)
        return found

    async def _asked(self, wallet: WalletKind, names: Sequence[str], reading: Reading) -> dict[str, Decimal]:
        asked = {"accountType": wallet.name, "coin": ",".join(names)}
        result = await self._client.get(WALLET, asked, urgent=True)
        try:
            return parse_wallet(result, names, reading, may_owe=wallet.may_owe)
        except MalformedPayload as exc:
            reading.passes_over(f"{names[0]} to {names[-1]}", exc, UNREAD)
            return {}
