"""A user's account: wallets, orders and pool, and the views of it that reads are answered from."""

from __future__ import annotations

import copy
from bisect import bisect_right
from dataclasses import dataclass, field
from decimal import Decimal

from ltv_guard.sandbox.contracts import signed
from ltv_guard.sandbox.market import Moment
from ltv_guard.sandbox.orders import Order
from ltv_guard.sandbox.pool import Pool
from ltv_guard.sandbox.scenario import Scenario, UserPlan

KEPT_S = 120
ZERO = Decimal(0)
Loan = Order | Pool


@dataclass(slots=True, kw_only=True)
class Account:
    """What one user owns and owes. `wallets` maps FUND and UNIFIED to coins."""

    user: str
    member_id: str
    wallets: dict[str, dict[str, Decimal]]
    orders: dict[str, Order] = field(default_factory=dict)
    pool: Pool | None = None

    def balance(self, coin: str, wallet: str = "FUND") -> Decimal:
        """Coins of one wallet: FUND or UNIFIED."""
        return self.wallets[wallet].get(coin, ZERO)

    def credit(self, coin: str, amount: Decimal, wallet: str = "FUND") -> None:
        """Adds coins, or takes them when negative; a wallet never falls below zero."""
        left = self.balance(coin, wallet) + amount
        if left < 0:
            raise ValueError(f"{wallet} of {self.user} cannot pay {-amount} {coin}")
        self.wallets[wallet][coin] = left

    def loans(self) -> list[Loan]:
        """Every order, and the pool if there is one."""
        return [*self.orders.values(), *([self.pool] if self.pool else [])]

    def open_orders(self) -> list[Order]:
        """The orders that still run, newest first."""
        return [order for order in reversed(self.orders.values()) if order.status == "open"]


def open_account(user: str, plan: UserPlan, scenario: Scenario, time_ms: int) -> Account:
    """A user's account as the scenario has it at the start."""
    account = Account(
        user=user,
        member_id=plan.member_id or user,
        wallets={"FUND": dict(plan.funding), "UNIFIED": dict(plan.unified)},
    )
    for order in plan.orders:
        account.orders[order.order_id] = Order(
            user=user,
            loan_id=order.order_id,
            loan_coin=order.loan_coin,
            collateral_coin=order.collateral_coin,
            debt=order.debt,
            collateral=order.collateral,
            interest=order.interest,
            penalty=order.penalty,
            hourly_rate=order.hourly_rate,
            term=order.term,
            expires_ms=None if order.expires_in is None else time_ms + int(order.expires_in * 1000),
            terms=scenario.terms(order.collateral_coin),
        )
    if plan.pool:
        account.pool = Pool(
            user=user,
            flexible=dict(plan.pool.flexible),
            fixed=dict(plan.pool.fixed),
            contracts=[signed(contract, time_ms) for contract in plan.pool.contracts],
            collateral=dict(plan.pool.collateral),
            supply=dict(plan.pool.supply),
            hourly_rate=plan.pool.hourly_rate,
            pool_terms=scenario.pool_terms,
            terms=dict(scenario.coins),
        )
    return account


def copied(account: Account) -> Account:
    """A copy of what changes; the terms are shared."""
    twin = copy.copy(account)
    twin.wallets = {name: dict(coins) for name, coins in account.wallets.items()}
    twin.orders = {loan_id: copy.copy(order) for loan_id, order in account.orders.items()}
    if account.pool:
        twin.pool = copy.copy(account.pool)
        for name in ("flexible", "fixed", "collateral", "supply"):
            setattr(twin.pool, name, dict(getattr(account.pool, name)))
        twin.pool.contracts = [copy.copy(contract) for contract in account.pool.contracts]
    return twin


class RecentStates:
    """How an account looked over the last two minutes, for reads that are answered late."""

    def __init__(self, account: Account) -> None:
        self._since: list[Decimal] = [Decimal("-Infinity")]
        self._states: list[Account] = [copied(account)]

    def remember(self, account: Account, moment: Moment) -> None:
        """Keeps a copy of the account, for reads that look back."""
        self._since.append(moment.real_s)
        self._states.append(copied(account))
        while len(self._since) > 1 and self._since[1] < moment.real_s - KEPT_S:
            del self._since[0], self._states[0]

    def at(self, real_s: Decimal) -> Account:
        """The account as it was at a real time, as far back as copies go."""
        return self._states[max(bisect_right(self._since, real_s) - 1, 0)]
