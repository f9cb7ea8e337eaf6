"""What a pool's debts could be repaid with of its own collateral: each debt, with each coin. Pure.

Fixed loans are debts of their own: each is repaid by itself, where the flexible ones do not do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial

from ltv_guard.core.amounts.composition import composition_of
from ltv_guard.core.amounts.fingerprint import coarsest, most_above
from ltv_guard.core.amounts.rounding import whole_steps, whole_steps_up
from ltv_guard.core.amounts.sale import CollateralPayment
from ltv_guard.core.decide.budget import FundsBudget
from ltv_guard.core.decide.constraints import Constraint, Limit, below, of_setting, tightest
from ltv_guard.core.decide.options import ZERO, Option, reckoned
from ltv_guard.core.decide.shortfall import Shortfall
from ltv_guard.core.model.defects import Defect
from ltv_guard.core.model.loans import Collateral, Debt
from ltv_guard.core.reconcile.plausibility import STEPS, Bearing


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """What may be repaid: what is owed flexibly of `debt`, or by the fixed loan `contract_id`, in coins."""

    debt: Debt
    coins: Decimal
    contract_id: str | None = None

    @property
    def step(self) -> Decimal:
        """The smallest amount that it is repaid by."""
        return Decimal(1).scaleb(-self.accuracy)

    @property
    def accuracy(self) -> int:
        """Decimals of an amount that it is repaid by: as fine as a fingerprint needs it, and no finer."""
        return coarsest(self.debt.accuracy, self.reference)

    @property
    def limit(self) -> Constraint:
        """That no more of it is owed."""
        kind = Limit.FLEXIBLE_DEBT if self.contract_id is None else Limit.CONTRACT
        return Constraint(kind=kind, coin=self.debt.coin, amount=self.coins, words=self.contract_id or "")

    @property
    def reference(self) -> Decimal:
        """What the cost of a fingerprint is measured by."""
        return self.debt.part(fixed=self.contract_id is not None)


Group = Sequence[Owed]  # debts in one coin, of which one is repaid: what else they owe does not differ


def flexible(need: Shortfall) -> list[Group]:
    """What can be repaid a little at a time: each is by itself."""
    return [(Owed(debt=debt, coins=debt.repayable),) for debt in need.loan.debts]


def by_contract(need: Shortfall) -> list[Group]:
    """The fixed loans in each coin, as far as they are known, soonest end first."""
    found = (tuple(_contracts_in(need, debt)) for debt in need.loan.debts if not debt.unread)
    return [group for group in found if group]


def _contracts_in(need: Shortfall, debt: Debt) -> Iterator[Owed]:
    found = need.facts.contracts.get(debt.coin)
    if found is not None:
        for contract in found.contracts:
            coins = min(debt.fixed, found.at_least_owed(contract, debt.fixed))
            yield Owed(debt=debt, coins=coins, contract_id=contract.loan_id)


def cheapest(every: Iterable[Option], least: Decimal) -> Option | None:
    """Of those that bring the loan to its target the one at the least cost, or else what gains most."""
    worth = [option for option in every if option.is_worth(least)]
    enough = [option for option in worth if option.is_enough]
    if enough:
        return min(enough, key=lambda option: option.cost)
    return max(worth, key=lambda option: option.gain, default=None)


def sale_options(
    need: Shortfall, groups: Iterable[Group], budget: FundsBudget
) -> tuple[list[Option], list[Defect]]:
    """What repaying one of each group with each coin of the pool would do. A defect costs that pair only."""
    return reckoned(
        (
            f"reckoning with {held.coin} for a debt in {group[0].debt.coin}",
            partial(_one_of, need, group, held, budget),
        )
        for group in groups
        for held in need.loan.collateral
    )


def _one_of(need: Shortfall, group: Group, held: Collateral, budget: FundsBudget) -> Option | None:
    """The first that owes enough, or else the largest: two are reckoned with, however many there are."""
    free = [owed for owed in group if _refusal(need, owed, held) is None] or group[:1]
    largest = max(free, key=lambda owed: owed.coins)
    found = _option(need, largest, held, budget)
    if found is None or found.needed <= 0:
        return found
    first = next((owed for owed in free if owed.coins >= found.needed), largest)
    return found if first is largest else _option(need, first, held, budget)


def lowest_ltv(need: Shortfall, budget: FundsBudget) -> Decimal:
    """Where repaying with collateral can bring the loan, in however many steps; its own LTV if nowhere."""
    lowest, rule = need.loan.ltv, need.facts.policy.repay_with_collateral
    if not rule.enabled or not need.loan.is_pool:
        return lowest
    for group in (*flexible(need), *by_contract(need)):
        owed = max(group, key=lambda item: item.coins)
        for held in need.loan.collateral:
            sale = sale_of(need, owed.debt, held, budget)
            if sale is not None and not owed.debt.unread:
                caps = budget.caps_on_repaying_with_collateral(owed.debt.coin)
                most = min(owed.coins, sale.most, tightest(caps))
                lowest = min(lowest, sale.ltv_after(most))
    return lowest


def sale_of(need: Shortfall, debt: Debt, held: Collateral, budget: FundsBudget) -> CollateralPayment | None:
    """What `held` does for `debt`; None where prices or terms are missing, or there is nothing to sell."""
    prices = budget.prices or {}
    of_debt, of_held = prices.get(debt.coin, ZERO), prices.get(held.coin, ZERO)
    holding = composition_of(need.loan).holding(held, prices)
    if held.unread or held.amount <= 0 or of_debt <= 0 or of_held <= 0 or holding is None:
        return None
    return CollateralPayment(
        model=need.model,
        coin=debt.coin,
        held=held,
        holding=holding,
        debt_price=of_debt,
        held_price=of_held,
        fee=need.facts.policy.repay_with_collateral.max_fee,
    )


def _option(need: Shortfall, owed: Owed, held: Collateral, budget: FundsBudget) -> Option | None:
    sale = sale_of(need, owed.debt, held, budget)
    if sale is None or owed.coins <= 0:
        return None
    step = owed.step
    nothing = Option(coin=owed.debt.coin, step=step, needed=ZERO, collateral_coin=held.coin)
    refusal = _refusal(need, owed, held)
    if refusal is not None:
        return nothing.as_nothing(Constraint(kind=Limit.REFUSED, coin=held.coin, words=refusal))
    whole = min(owed.coins, sale.most)
    needed = sale.to_reach(need.limits.target, whole, step)
    wanted = whole_steps(whole, step) if needed is None else needed
    limits = _limits(need, owed, sale, _part(need, sale, budget, needed, step), budget)
    most = tightest(limits)
    amount = whole_steps(min(wanted, most), step)
    gain = need.loan.ltv - sale.ltv_after(amount)
    if amount > 0 and gain <= 0:
        return nothing.as_nothing(Constraint(kind=Limit.NO_GAIN, coin=held.coin))
    return replace(
        nothing,
        needed=wanted,
        amount=amount,
        ceiling=min(whole_steps(most, step), amount + most_above(owed.accuracy, owed.reference)),
        gain=gain,
        is_enough=needed is not None and amount >= needed,
        held_back=below(limits, wanted),
        cost=sale.cost(amount),
        contract_id=owed.contract_id,
    )


def _refusal(need: Shortfall, owed: Owed, held: Collateral) -> str | None:
    if owed.contract_id is None:
        return need.facts.unsellable.get(held.coin)
    return need.facts.contracts_closed or need.facts.unsellable_for.get((owed.contract_id, held.coin))


def _part(
    need: Shortfall, sale: CollateralPayment, budget: FundsBudget, needed: Decimal | None, step: Decimal
) -> Constraint | None:
    """No more than a part at a time where a price, or the loan's own LTV, is in doubt.

    A part of what it lacks: a debt that is too little for all of that (`needed` is None) is not paid in
    parts of its own.
    """
    coins = (sale.coin, sale.held.coin)
    doubted = next((coin for coin in coins if budget.doubts_price_of(need.loan, coin)), None)
    if doubted is None and need.facts.bearing is not Bearing.CONTRADICTED:
        return None
    lacking = sale.to_reach(need.limits.target, sale.most, step) if needed is None else needed
    part = whole_steps_up((sale.most if lacking is None else lacking) / STEPS, step)
    kind = Limit.NOT_BORNE_OUT if doubted is None else Limit.DOUBTED_PRICE
    return Constraint(kind=kind, coin=doubted or sale.coin, amount=part)


def _limits(
    need: Shortfall, owed: Owed, sale: CollateralPayment, part: Constraint | None, budget: FundsBudget
) -> list[Constraint]:
    """What caps, the exchange, the debt and the collateral leave to repay, in coins of the debt."""
    coin = owed.debt.coin
    most = need.facts.policy.repay_with_collateral.max_repay.get(coin)
    limits = budget.caps_on_repaying_with_collateral(coin)
    if most is not None:
        limits.append(of_setting("repay_with_collateral.max_repay", coin, most, setting=most))
    limits.append(Constraint(kind=Limit.SALE_LIMIT, coin=coin, amount=sale.limit))
    limits.append(owed.limit)
    limits.append(Constraint(kind=Limit.COLLATERAL, coin=coin, amount=sale.most, words=sale.held.coin))
    return limits if part is None else [*limits, part]
