"""What the Funding wallet can still give while one account's loans are served in turn. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from ltv_guard.core.decisions import AccountFacts
from ltv_guard.core.loans import Direction, LoanKey


class Purse:
    """What the Funding wallet still has to give within one decision; open adds are spent already."""

    def __init__(self, account: AccountFacts) -> None:
        self.unread = account.wallet is None
        self.prices = account.prices
        self._rules = account.wallet_rules
        self._wallet = dict(account.wallet or {})
        self._added = dict(account.added_24h)
        self._shares: Mapping[tuple[LoanKey, str], Decimal] = {}
        for facts in account.loans:
            for intent in facts.open_intents:
                if intent.direction is Direction.ADD:
                    self._wallet[intent.coin] = self._wallet.get(intent.coin, Decimal(0)) - intent.amount

    def limits_on(self, coin: str, *, emergency: bool) -> list[tuple[Decimal, str]]:
        """What may leave for `coin`, by limit. In an emergency neither reserve nor daily cap hold it back."""
        balance = max(Decimal(0), self._wallet.get(coin, Decimal(0)))
        if emergency:
            return [(balance, "the Funding wallet")]
        limits = [(balance, "the Funding wallet")]
        reserve = self._rules.reserve.get(coin, Decimal(0))
        if reserve > 0:
            limits.append((max(Decimal(0), balance - reserve), f"wallet.reserve of {reserve}"))
        cap = self._rules.max_add_24h.get(coin)
        if cap is not None:
            left = max(Decimal(0), cap - self._added.get(coin, Decimal(0)))
            limits.append((left, f"wallet.max_add_24h of {cap}"))
        return limits

    def holds(self, coin: str) -> bool:
        return self._wallet.get(coin, Decimal(0)) > 0

    def divide(self, shares: Mapping[tuple[LoanKey, str], Decimal]) -> None:
        """Notes what each loan may have of a coin that is not enough for all."""
        self._shares = shares

    def share_of(self, key: LoanKey, coin: str) -> Decimal | None:
        """The loan's share of a scarce coin; None where the coin is not scarce."""
        return self._shares.get((key, coin))

    def take(self, coin: str, amount: Decimal) -> None:
        self._wallet[coin] = self._wallet.get(coin, Decimal(0)) - amount
        self._added[coin] = self._added.get(coin, Decimal(0)) + amount
