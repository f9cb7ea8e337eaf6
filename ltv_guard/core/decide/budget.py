"""What the wallets can still give while one account's loans are served in turn. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from itertools import chain

from ltv_guard.core.amounts.composition import composition_of
from ltv_guard.core.decide.constraints import Constraint, Limit, of_setting
from ltv_guard.core.decide.facts import AccountFacts
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Loan, LoanKey

TRANSFERS = "sources.unified_transfer"


class FundsBudget:
    """What the wallets still have to give within one decision, in coins. What is open is spent already."""

    def __init__(self, account: AccountFacts) -> None:
        self.unread = account.wallet is None
        self.is_old = account.wallet_is_old
        self._doubted_prices = frozenset(account.doubted_prices)
        self.prices = account.prices
        self.transfers_allowed = account.transfer_rules.enabled
        self.unified_unread = account.unified is None
        self._wallet_unread, self._unified_unread = account.wallet_unread, account.unified_unread
        self._rules = account.wallet_rules
        self._due = account.due
        self._transfers = account.transfer_rules
        self._wallet = dict(account.wallet or {})
        self._unified = dict(account.unified or {})
        self._on_the_way = account.on_the_way
        self._unmovable = account.unmovable
        self._added = dict(account.added_24h)
        self._repaid = dict(account.repaid_24h)
        self._moved = dict(account.transferred_24h)
        self._repaid_with_collateral = dict(account.repaid_with_collateral_24h)
        self._moving: dict[str, Decimal] = {}
        self._shares: Mapping[tuple[LoanKey, str], Decimal] = {}
        self._passing, self._overdue = account.passing, account.overdue
        self._tied: set[str] = set()
        shown = [facts.open_intents for facts in account.loans if facts.open_intents]
        for intent in chain(account.open_unseen, *shown):
            if intent.takes_from_wallet:
                self._tie(intent.coin, intent.amount)

    def doubts_price_of(self, loan: Loan, coin: str) -> bool:
        """Whether amounts are sized by a price that is in doubt. An order's need none."""
        return composition_of(loan).sized_by_prices and coin in self._doubted_prices

    def _tie(self, coin: str, amount: Decimal) -> None:
        """Takes off what an open intent takes; it may be gone from what is shown already."""
        _count(self._wallet, coin, -min(amount, max(Decimal(0), self._wallet.get(coin, Decimal(0)))))
        self._tied.add(coin)

    def limits_on(self, coin: str, *, emergency: bool) -> list[Constraint]:
        """What may be added, by limit. In an emergency neither reserve nor daily cap hold it back."""
        return self._balance(coin, emergency=emergency) + self.cap_on_adding(coin, emergency=emergency)

    def cap_on_adding(self, coin: str, *, emergency: bool) -> list[Constraint]:
        """What the day's cap still allows to be added, if there is one and it holds."""
        return [] if emergency else _cap("wallet.max_add_24h", coin, self._rules.max_add_24h, self._added)

    def limits_on_repaying(self, coin: str, *, emergency: bool) -> list[Constraint]:
        """What may be repaid, by limit. The reserve is there in an emergency, the cap holds always."""
        limits = self._balance(coin, emergency=emergency)
        return limits + _cap("wallet.max_repay_24h", coin, self._rules.max_repay_24h, self._repaid)

    def caps_on_repaying_with_collateral(self, coin: str) -> list[Constraint]:
        """What the day's cap leaves to be repaid so, if there is one. It holds in an emergency too."""
        caps, key = self._rules.max_repay_with_collateral_24h, "wallet.max_repay_with_collateral_24h"
        return _cap(key, coin, caps, self._repaid_with_collateral)

    def repaid_with_collateral(self, coin: str, amount: Decimal) -> None:
        """Takes it off what the day's cap leaves."""
        _count(self._repaid_with_collateral, coin, amount)

    def limits_on_moving(self, coin: str) -> list[Constraint]:
        """What may be moved here from the Unified account, by limit. They hold in an emergency too."""
        if coin in self._unmovable:
            refusal = self._unmovable[coin]
            return [Constraint(kind=Limit.UNMOVABLE, coin=coin, amount=Decimal(0), words=refusal)]
        there = max(Decimal(0), self._unified.get(coin, Decimal(0)))
        return [
            Constraint(kind=Limit.UNIFIED, coin=coin, amount=there),
            *_cap(f"{TRANSFERS}.max_transfer", coin, self._transfers.max_transfer, self._moving),
            *_cap(f"{TRANSFERS}.max_transfer_24h", coin, self._transfers.max_transfer_24h, self._moved),
        ]

    def balance_of(self, coin: str) -> Decimal:
        """What the Funding wallet has, less what was given away of it in this cycle."""
        return max(Decimal(0), self._wallet.get(coin, Decimal(0)))

    def _balance(self, coin: str, *, emergency: bool) -> list[Constraint]:
        balance = self.balance_of(coin)
        kind = Limit.FUNDING_UNREAD if self.is_unread(coin) else Limit.FUNDING
        limits = [Constraint(kind=kind, coin=coin, amount=balance)]
        if emergency:
            return limits
        reserve, due = self._rules.reserve.get(coin, Decimal(0)), self._due.get(coin, Decimal(0))
        if reserve > 0:
            left = max(Decimal(0), balance - reserve)
            limits.append(of_setting("wallet.reserve", coin, left, setting=reserve))
        if due > 0:
            left = max(Decimal(0), balance - reserve - due)
            limits.append(Constraint(kind=Limit.DUE, coin=coin, amount=left))
        return limits

    def reserve(self, coin: str, *, emergency: bool) -> Decimal:
        """Coins that stay in the Funding wallet: the operator's reserve, and what is due."""
        if emergency:
            return Decimal(0)
        return self._rules.reserve.get(coin, Decimal(0)) + self._due.get(coin, Decimal(0))

    def on_the_way(self, coin: str) -> Intent | None:
        """The transfer of `coin` that is open, or has landed and does not show yet."""
        return self._on_the_way.get(coin)

    def is_overdue(self, coin: str) -> bool:
        """Whether the transfer of `coin` that is open may never end: an emergency can't wait for it."""
        return coin in self._overdue

    def is_unread(self, coin: str) -> bool:
        """Whether there may be any amount of `coin`: its balance could not be read."""
        return coin in self._wallet_unread

    def is_unread_there(self, coin: str) -> bool:
        """The same of the Unified account."""
        return coin in self._unified_unread

    def is_tied(self, coin: str) -> bool:
        """Whether there may be more of `coin` than it seems: what is open may have been taken off twice."""
        return coin in self._tied

    def may_move_soon(self, coin: str) -> bool:
        """Whether `coin` is not moved for a refusal that may be one of the moment."""
        return self.transfers_allowed and coin in self._passing

    def is_moving(self, coin: str) -> bool:
        """Whether a loan that was served before has asked for a transfer of `coin`."""
        return coin in self._moving

    def lacks(self, coin: str, amount: Decimal, *, emergency: bool) -> Decimal:
        """Coins that are missing in the Funding wallet to give `amount`; 0 if none are."""
        keeps = self.reserve(coin, emergency=emergency)
        return max(Decimal(0), amount + keeps - self._wallet.get(coin, Decimal(0)))

    def divide(self, shares: Mapping[tuple[LoanKey, str], Decimal]) -> None:
        """Notes what each loan may have of a coin that is not enough for all."""
        self._shares = shares

    def share_of(self, key: LoanKey, coin: str) -> Decimal | None:
        """The loan's share of a scarce coin; None where the coin is not scarce."""
        return self._shares.get((key, coin))

    def take(self, coin: str, amount: Decimal) -> None:
        """Takes coins that are added to a loan off the budget."""
        _count(self._wallet, coin, -amount)
        _count(self._added, coin, amount)

    def take_to_repay(self, coin: str, amount: Decimal) -> None:
        """Takes coins that are repaid off the budget."""
        _count(self._wallet, coin, -amount)
        _count(self._repaid, coin, amount)

    def move(self, coin: str, amount: Decimal, keep: Decimal) -> None:
        """Notes a transfer of `amount`, of which `keep` coins, with what is here, are spoken for."""
        _count(self._unified, coin, -amount)
        _count(self._moved, coin, amount)
        _count(self._moving, coin, amount)
        _count(self._wallet, coin, amount - keep)


def _count(coins: dict[str, Decimal], coin: str, amount: Decimal) -> None:
    coins[coin] = coins.get(coin, Decimal(0)) + amount


def _cap(key: str, coin: str, caps: Mapping[str, Decimal], used: Mapping[str, Decimal]) -> list[Constraint]:
    """The limit that a cap sets, if there is one for the coin."""
    cap = caps.get(coin)
    if cap is None:
        return []
    left = max(Decimal(0), cap - used.get(coin, Decimal(0)))
    return [of_setting(key, coin, left, setting=cap)]
