"""What each kind of help would do for a loan in trouble, with numbers: for people. Pure; decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from ltv_guard.core.amounts.ltv_model import LtvModel, shown
from ltv_guard.core.amounts.rounding import whole_steps, whole_steps_up
from ltv_guard.core.decide.budget import FundsBudget
from ltv_guard.core.decide.constraints import UNLIMITED, tightest
from ltv_guard.core.decide.facts import AccountFacts
from ltv_guard.core.decide.options import ZERO, Option, best_of
from ltv_guard.core.decide.sales import Owed, by_contract, flexible, sale_of, sale_options
from ltv_guard.core.decide.shortfall import Shortfall, need_of
from ltv_guard.core.decide.top_up import most_lacked, top_up_options
from ltv_guard.core.model.loans import Collateral, Debt, LoanKey


class Way(StrEnum):
    """A kind of help, in the order in which they are tried."""

    ADD = "add"
    TRANSFER = "transfer"
    REPAY = "repay"
    REPAY_WITH_COLLATERAL = "repay_with_collateral"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """What one kind of help would do by itself: `needed` coins bring the loan to its `target`.

    `coin` is what is given (a transfer's is added next) or repaid, with `collateral` where that pays it;
    `contract_id` is the fixed loan that is repaid.
    `amount` of it can be given now, and leads to `ltv_after`; None: the wallet's was not read. `cost_usd` is
    what that costs beyond the coins, at most. `needed` is infinite where no amount would do. `allowed`: by
    the operator's policy. `in_wallet`: what the Funding wallet has of a coin to add, whatever keeps it there.
    """

    way: Way
    coin: str
    target: Decimal
    needed: Decimal
    amount: Decimal | None
    ltv_after: Decimal | None
    collateral: str | None = None
    contract_id: str | None = None
    cost_usd: Decimal = ZERO
    allowed: bool = True
    in_wallet: Decimal = ZERO

    @property
    def cost_of_needed_usd(self) -> Decimal:
        """What it costs to bring the loan to its target this way; infinite where no amount would."""
        if not self.needed.is_finite():
            return self.needed
        return self.cost_usd * self.needed / self.amount if self.amount else ZERO

    @property
    def missing(self) -> Decimal:
        """Coins that are lacking to bring it to its target this way alone; infinite where no amount would."""
        return max(ZERO, self.needed - (self.amount or ZERO))

    @property
    def to_bring(self) -> Decimal:
        """Those of them that the wallet does not have either."""
        return max(ZERO, self.needed - max(self.amount or ZERO, self.in_wallet))


def prospects(account: AccountFacts, key: LoanKey) -> tuple[Prospect, ...]:
    """The best of each kind, as if the loan had the wallets for itself; nothing for one at its target."""
    facts = next((item for item in account.loans if item.loan.key == key), None)
    if facts is None or account.wallet is None:
        return ()
    budget = FundsBudget(account)
    model = LtvModel(loan=facts.loan, prices=budget.prices)
    if model.is_blind:
        return ()
    need = need_of(facts, model)
    if need.value <= 0:
        return ()
    found = (
        _adding(need, budget),
        _moving(need, budget),
        _repaying(need, budget, account),
        _selling(need, budget),
    )
    return tuple(item for item in found if item is not None)


def _adding(need: Shortfall, budget: FundsBudget) -> Prospect | None:
    every = top_up_options(need, budget)
    best = best_of(every)
    if best is None:
        return None
    if not best.amount:
        best = most_lacked(every)
    return Prospect(
        way=Way.ADD,
        coin=best.coin,
        target=need.limits.target,
        needed=best.needed,
        amount=best.amount,
        ltv_after=shown(need.model.ltv_after(best.gain)),
        in_wallet=budget.balance_of(best.coin),
    )


def _moving(need: Shortfall, budget: FundsBudget) -> Prospect | None:
    """Adding what is here with what the Unified account has; None where that is not known, or nothing."""
    if not budget.transfers_allowed or budget.unified_unread:
        return None
    found = [
        _moved(need, held, here, there)
        for held in need.candidates
        if need.model.measures(held)
        and (there := tightest(budget.limits_on_moving(held.coin))) > 0
        and (here := tightest(budget.limits_on(held.coin, emergency=need.emergency))).is_finite()
    ]
    return _best(found)


def _moved(need: Shortfall, held: Collateral, here: Decimal, there: Decimal) -> Prospect:
    needed = need.model.to_gain(held, need.value)
    coins = whole_steps(min(needed, here + there), held.step)
    return Prospect(
        way=Way.TRANSFER,
        coin=held.coin,
        target=need.limits.target,
        needed=max(ZERO, needed - here),
        amount=max(ZERO, coins - here),
        ltv_after=shown(need.model.ltv_after(need.model.gain(held, coins))),
    )


def _repaying(need: Shortfall, budget: FundsBudget, account: AccountFacts) -> Prospect | None:
    wallet = account.wallet or {}
    found = [
        _repaid(need, debt, budget, known=debt.coin in wallet)
        for debt in need.loan.debts
        if debt.repayable > 0 and need.model.to_repay(debt, need.limits.target).is_finite()
    ]
    return _best(found)


def _repaid(need: Shortfall, debt: Debt, budget: FundsBudget, *, known: bool) -> Prospect:
    step, rule = Decimal(1).scaleb(-debt.accuracy), need.facts.policy.repay
    needed = whole_steps_up(need.model.to_repay(debt, need.limits.target), step)
    cap = rule.max_repay.get(debt.coin, debt.repayable) if rule.enabled else debt.repayable
    funds = tightest(budget.limits_on_repaying(debt.coin, emergency=need.emergency))
    amount = whole_steps(min(needed, debt.repayable, funds, cap), step)
    after = need.model.with_debt_less(debt.coin, amount).loan.ltv
    return Prospect(
        way=Way.REPAY,
        coin=debt.coin,
        target=need.limits.target,
        needed=needed if needed <= debt.repayable else UNLIMITED,
        amount=amount if known else None,
        ltv_after=shown(after) if known else None,
        allowed=rule.enabled,
    )


def _selling(need: Shortfall, budget: FundsBudget) -> Prospect | None:
    """Only of a pool: orders take none (v5/crypto-loan/repay)."""
    if not need.loan.is_pool:
        return None
    if not need.facts.policy.repay_with_collateral.enabled:  # then the lists that it needs are not even read
        facts = replace(
            need.facts, unsellable={}, unsellable_for={}, contracts_closed=None, limits=need.limits
        )
        need = replace(need, facts=facts)
    return _cheapest(
        [
            found
            for group in (*flexible(need), *by_contract(need))
            for option in sale_options(need, [group], budget)[0]
            for owed in group
            if option.amount > 0 and owed.contract_id == option.contract_id
            if (found := _sold(need, owed, option, budget)) is not None
        ]
    )


def _sold(need: Shortfall, owed: Owed, option: Option, budget: FundsBudget) -> Prospect | None:
    held = need.loan.collateral_in(option.collateral_coin or "")
    sale = None if held is None else sale_of(need, owed.debt, held, budget)
    if sale is None:
        return None
    needed = sale.to_reach(need.limits.target, min(owed.coins, sale.most), option.step)
    return Prospect(
        way=Way.REPAY_WITH_COLLATERAL,
        coin=option.coin,
        collateral=option.collateral_coin,
        contract_id=owed.contract_id,
        target=need.limits.target,
        needed=UNLIMITED if needed is None else needed,
        amount=option.amount,
        ltv_after=shown(sale.ltv_after(option.amount)),
        cost_usd=sale.cost(option.amount),
        allowed=need.facts.policy.repay_with_collateral.enabled,
    )


def _cheapest(found: Sequence[Prospect]) -> Prospect | None:
    """What costs least of those that bring it to its target; otherwise what brings it lowest."""
    enough = [item for item in found if item.needed.is_finite()]
    return min(enough, key=lambda item: item.cost_of_needed_usd) if enough else _best(found)


def _best(found: Iterable[Prospect]) -> Prospect | None:
    """The one that leads lowest; of those that are as good, the first."""
    return min(found, key=lambda item: (item.ltv_after is None, item.ltv_after or ZERO), default=None)
