"""What all of the ledger stands on: accounts, how they looked a while ago, and the scenario's terms."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import count

from ltv_guard.sandbox.accounts import Account, Loan, RecentStates, open_account
from ltv_guard.sandbox.market import Moment
from ltv_guard.sandbox.records import Row
from ltv_guard.sandbox.refusals import LEGACY, POOL, refusal
from ltv_guard.sandbox.scenario import CoinTerms, Scenario


class Books:
    """The accounts of all users. Whoever changes one says so by `changed`, for reads that look back."""

    def __init__(self, scenario: Scenario, time_ms: int) -> None:
        self.scenario = scenario
        self.accounts = {
            user: open_account(user, plan, scenario, time_ms) for user, plan in scenario.users.items()
        }
        self._recent = {user: RecentStates(account) for user, account in self.accounts.items()}

    def as_of(self, user: str, real_s: Decimal) -> Account:
        """A copy of the account as it was at that real time (two minutes back at most)."""
        return self._recent[user].at(real_s)

    def loan(self, user: str, product: str, loan_id: str) -> Loan:
        """An open loan of this user. Raises Refusal where there is none."""
        account = self.accounts[user]
        found: Loan | None = account.pool if product == POOL else account.orders.get(loan_id)
        if found is None or found.status != "open":
            raise refusal("no_loan", product, "Loan order does not exist")
        return found

    def set_terms(self, coin: str, terms: CoinTerms) -> None:
        """Changes a coin's terms as collateral; loans that exist follow them."""
        self.scenario = self.scenario.model_copy(update={"coins": self.scenario.coins | {coin: terms}})
        for account in self.accounts.values():
            for order in account.orders.values():
                if order.collateral_coin == coin:
                    order.terms = terms
            if account.pool:
                account.pool.terms[coin] = terms

    def changed(self, account: Account, moment: Moment) -> None:
        """Remembers how the account looks from this moment on."""
        self._recent[account.user].remember(account, moment)


def growing_ids(legacy: int, pool: int, time_ms: int) -> dict[str, Iterator[int]]:
    """Counts ids for each product from there on.

    They grow with time, as the real ones do: a journal that met an earlier sandbox never sees one twice.
    """
    return {LEGACY: count(legacy + (time_ms << 20)), POOL: count(pool + time_ms)}


def take_due(waiting: list[Row], moment: Moment) -> list[Row]:
    """Takes out the rows that are to be settled by now."""
    due = [row for row in waiting if row.settles_at_s <= moment.real_s]
    waiting[:] = [row for row in waiting if row.settles_at_s > moment.real_s]
    return due


def too_fine(amount: Decimal, accuracy: int) -> bool:
    """Tells whether an amount is written with more decimals than its coin has."""
    exponent = amount.as_tuple().exponent
    return not isinstance(exponent, int) or -exponent > accuracy
