"""Whether what the settings name exists at the exchange: read once, and said once, for `run` and `check`."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog

from ltv_guard.core.model.errors import ExchangeUnavailable, NeedsHuman
from ltv_guard.core.model.loans import Loan, LoanKey
from ltv_guard.core.model.policy import Rulebook
from ltv_guard.core.model.unmatched import Inventory, Unmatched, coins_named, unmatched
from ltv_guard.core.ports import AccountExchange, Clock, LoanExchange

RETRIED_MS = 60_000

log = structlog.stdlib.get_logger()


@dataclass(slots=True)
class Matches:
    """What every account found. A setting that is for several accounts matches if it does in one of them."""

    accounts: Mapping[str, Collection[str]]
    """By account, the names of the overrides that are for it."""
    found: dict[str, tuple[Unmatched, ...]] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)

    def add(self, account: str, found: Sequence[Unmatched]) -> list[tuple[str, Unmatched]]:
        """Takes what an account found; returns what is news: whose it is, and what matches nothing."""
        self.found[account] = tuple(found)
        news = []
        for item in found:
            whose = [name for name, overrides in self.accounts.items() if item.key in overrides] or [account]
            missing = all(item.key in {one.key for one in self.found.get(name, ())} for name in whose)
            if missing and item.key not in self.told:
                self.told.add(item.key)
                news.append((", ".join(whose), item))
        return news


class Matcher:
    """For one account. `taken_for_granted`: coins that the exchange has, whatever its lists say."""

    def __init__(
        self,
        name: str,
        rulebook: Rulebook,
        *,
        account: AccountExchange,
        products: Sequence[LoanExchange],
        matches: Matches,
        clock: Clock,
        taken_for_granted: Collection[str],
    ) -> None:
        self._name = name
        self._rulebook = rulebook
        self._account = account
        self._products = products
        self._matches = matches
        self._clock = clock
        self._granted = frozenset(taken_for_granted)
        self._tried_ms: int | None = None
        self._done = False

    async def look_once(self, loans: Sequence[Loan], aside: Collection[LoanKey]) -> None:
        """Warns of each setting that nothing matches. Tried again a minute later where that can't be read."""
        now_ms = self._clock.now().monotonic_ms
        if self._done or (self._tried_ms is not None and now_ms - self._tried_ms < RETRIED_MS):
            return
        self._tried_ms = now_ms
        try:
            news = await self.look(loans, aside)
        except (ExchangeUnavailable, NeedsHuman) as error:
            log.debug("settings_not_compared", why=str(error))
            return
        self._done = True
        for whose, item in news:
            log.warning("setting_matches_nothing", key=item.key, why=item.why, account=whose)

    async def look(self, loans: Sequence[Loan], aside: Collection[LoanKey]) -> list[tuple[str, Unmatched]]:
        """What matches nothing, and whose it is. Raises ExchangeUnavailable, NeedsHuman."""
        known = Inventory(
            coins=await self._coins(loans) if coins_named(self._rulebook) - self._granted else self._granted,
            loans=loans,
            keys={loan.key for loan in loans} | set(aside),
            products=[exchange.product for exchange in self._products],
        )
        found = [_with_hint(item, known.coins) for item in unmatched(self._rulebook, known)]
        return self._matches.add(self._name, found)

    async def _coins(self, loans: Sequence[Loan]) -> frozenset[str]:
        """Every coin that the exchange has a price or terms for, or that stands in a loan."""
        coins = self._granted | set(await self._account.prices())
        for exchange in self._products:
            coins |= set(await exchange.collateral_coins())
        for loan in loans:
            coins |= {item.coin for item in loan.collateral if item.amount > 0} | {
                debt.coin for debt in loan.debts
            }
        return frozenset(coins)


def _with_hint(item: Unmatched, coins: Collection[str]) -> Unmatched:
    alike = difflib.get_close_matches(item.coin or "", sorted(coins), n=1)
    return replace(item, why=f"{item.why}; did you mean {alike[0]}?") if alike else item
