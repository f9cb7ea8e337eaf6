"""Where no collateral helps: how much of which debt is repaid from the Funding wallet. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from ltv_guard.core.amounts.fingerprint import coarsest, most_above
from ltv_guard.core.amounts.ltv_model import shown
from ltv_guard.core.amounts.rounding import whole_steps, whole_steps_up
from ltv_guard.core.decide.add import worded
from ltv_guard.core.decide.budget import FundsBudget, tightest
from ltv_guard.core.decide.decision import Cause, Decision
from ltv_guard.core.decide.shortfall import Shortfall
from ltv_guard.core.model.defects import Defect, attempt
from ltv_guard.core.model.loans import Debt, Direction
from ltv_guard.core.reconcile.plausibility import STEPS


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """One debt: repaying `needed` brings the loan to its target, `amount` can be repaid.

    With its fingerprint that is at most `ceiling`; it lowers the LTV by `gain`.
    """

    debt: Debt
    needed: Decimal
    amount: Decimal
    ceiling: Decimal
    gain: Decimal
    held_back: tuple[str, ...]


def decide_repayment(need: Shortfall, budget: FundsBudget, short: Decision) -> Decision:
    """The most useful repayment; `short` with a note of what holds it back if there is none.

    What is paid back is gone: not while it is to be seen in a moment whether collateral helps after all.
    """
    rule = need.facts.policy.repay
    if not rule.enabled or short.cause is not Cause.SHORT:
        return short
    if need.facts.awaits_row:
        note = "repaying: the history does not show the last add yet"
        return replace(short, held_back=(*short.held_back, note))
    coins = _would_help(need)
    passing = [coin for coin in coins if coin in need.facts.passing or budget.may_move_soon(coin)]
    if passing:
        return replace(short, cause=Cause.REPAY, reason=f"{short.reason}: once more before debt is repaid")
    maybe = _maybe_there(coins, budget)
    if maybe is not None and not need.emergency:
        return replace(short, held_back=(*short.held_back, f"repaying: {maybe}"))
    payments, defects = [], []
    for debt in need.loan.debts:
        item = attempt(
            f"reckoning with a debt in {debt.coin}",
            lambda debt=debt: _payment(need, debt, budget),  # type: ignore[misc]
        )
        if isinstance(item, Defect):
            defects.append(item)
        else:
            payments.append(item)
    short = replace(short, defects=(*short.defects, *defects))
    # As much of the LTV as a smaller adjustment would not be worth a call for.
    least = need.loan.ltv * need.facts.policy.limits.min_adjustment_ratio
    if need.breach:
        least = min(least, need.loan.ltv - need.limits.target)
    useful = [item for item in payments if item.amount > 0 and item.gain >= least]
    best = max(useful, key=lambda item: item.gain, default=None)
    notes = tuple(f"repaying: {note}" for item in payments for note in item.held_back)
    if best is None:
        return replace(short, held_back=(*short.held_back, *notes))
    coin = best.debt.coin
    budget.take_to_repay(coin, best.ceiling)
    decision = replace(
        short,
        cause=Cause.REPAY,
        direction=Direction.REPAY,
        reason=f"{need.reason}, and no collateral to add",
        coin=coin,
        amount=best.amount,
        ceiling=best.ceiling,
        held_back=best.held_back,
        missing=Decimal(0),
    )
    return worded(
        decision,
        lambda: replace(
            decision,
            reason=f"{decision.reason}: repaying {best.needed:f} {coin} brings it to {need.limits.target:f}",
            reachable_ltv=shown(need.loan.ltv - best.gain),
            missing=max(Decimal(0), best.needed - best.amount),
        ),
    )


def _maybe_there(coins: Sequence[str], budget: FundsBudget) -> str | None:
    """Why there may be a coin to be added after all; None: there is none."""
    for coin in coins:
        if budget.is_tied(coin):
            return f"an open intent may leave {coin} to be added"
        if budget.is_unread(coin):
            return f"the Funding wallet's {coin} could not be read, and may be there to be added"
    return None


def _would_help(need: Shortfall) -> list[str]:
    """The coins that could be added if they were there and taken."""
    return [held.coin for held in need.facts.policy.candidates(need.loan)]


def _payment(need: Shortfall, debt: Debt, budget: FundsBudget) -> Payment:
    coin = debt.coin
    accuracy = coarsest(debt.accuracy, debt.amount)
    step = Decimal(1).scaleb(-accuracy)
    if debt.unread:
        return _nothing(debt, f"what is owed in {coin} could not be read")
    exact = need.model.to_repay(debt, need.limits.target)
    if coin in need.facts.unpayable or not exact.is_finite():
        why = need.facts.unpayable.get(coin, f"{coin} has no price")
        return _nothing(debt, why)
    needed = whole_steps_up(exact, step)
    limits = [
        *budget.limits_on_repaying(coin, emergency=need.emergency),
        (need.facts.policy.repay.max_repay.get(coin, Decimal("Infinity")), "repay.max_repay"),
        (debt.repayable, "what is owed in flexible loans"),
    ]
    if budget.doubts_price_of(need.loan, coin):
        limits.append((whole_steps_up(needed / STEPS, step), f"the price of {coin}, which is in doubt,"))
    most = tightest(limits)
    amount = whole_steps(min(needed, most), step)
    ceiling = min(whole_steps(most, step), amount + most_above(accuracy, debt.amount))
    after = need.model.with_debt_less(coin, amount).loan.ltv
    return Payment(
        debt=debt,
        needed=needed,
        amount=amount,
        ceiling=ceiling,
        gain=need.loan.ltv - after,
        held_back=tuple(f"{name} leaves {limit} {coin}" for limit, name in limits if limit < needed),
    )


def _nothing(debt: Debt, why: str) -> Payment:
    zero = Decimal(0)
    return Payment(debt=debt, needed=zero, amount=zero, ceiling=zero, gain=zero, held_back=(why,))
