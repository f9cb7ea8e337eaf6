"""Where interest alone leads, at prices that stand still: when a quiet loan is at its trigger. Pure.

Once a fixed loan's end is past it costs three times as much, until it is liquidated for that
(`model/maturity.py`). Interest is reckoned as simple: it is told in days, not to the minute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal

from ltv_guard.core.model.contracts import AtEnd, Contract
from ltv_guard.core.model.loans import Debt, Loan
from ltv_guard.core.model.maturity import CONTRACT_GRACE_MS, GRACE_MS

HOUR_MS, DAY_HOURS, YEAR_HOURS = 3_600_000, 24, 365 * 24
FARTHEST_MS = 10 * YEAR_HOURS * HOUR_MS
PENALTY = 3  # times the interest, from the end of a fixed loan on
COINS = Decimal("0.00000001")
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """`trigger_at_ms`: when interest alone has brought the loan to its trigger, exchange time.

    None: it is there, never comes there, ends before, or its rates are not known. `interest_a_day`,
    `penalty_a_day`: coins by coin that its fixed loans cost now, and once their ends are past.
    """

    trigger_at_ms: int | None
    interest_a_day: Mapping[str, Decimal]
    penalty_a_day: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A part of the debt, which costs `share` of all debt an hour.

    From `dear_from_ms` on it costs three times that; at `gone_at_ms` the loan is liquidated for it.
    """

    share: Decimal
    dear_from_ms: int | None = None
    gone_at_ms: int | None = None

    def grown(self, now_ms: int, until_ms: int) -> Decimal:
        """Its share of growth between the two times."""
        hours = Decimal(until_ms - now_ms) / HOUR_MS
        if self.dear_from_ms is None or until_ms <= self.dear_from_ms:
            return self.share * hours
        dear = Decimal(until_ms - max(now_ms, self.dear_from_ms)) / HOUR_MS
        return self.share * (hours + (PENALTY - 1) * dear)


def drift_of(loan: Loan, trigger: Decimal, now_ms: int, contracts: Sequence[Contract] = ()) -> Drift:
    """`trigger` is an LTV; `contracts` are the fixed loans of a pool, each with its rate."""
    parts = _of_pool(loan, contracts) if loan.is_pool else _of_order(loan)
    costs = _fixed_costs(loan, contracts)
    return Drift(
        trigger_at_ms=None if parts is None else _reached(loan.ltv, trigger, now_ms, parts),
        interest_a_day=costs,
        penalty_a_day={coin: cost * PENALTY for coin, cost in costs.items()},
    )


def _reached(ltv: Decimal, trigger: Decimal, now_ms: int, parts: Sequence[_Part]) -> int | None:
    """The growth is a line with bends, where loans get dear: found piece by piece."""
    if ltv >= trigger or ltv <= 0:
        return None
    needed = trigger / ltv - 1
    end_ms = min([now_ms + FARTHEST_MS, *(part.gone_at_ms for part in parts if part.gone_at_ms is not None)])
    bends = {part.dear_from_ms for part in parts if part.dear_from_ms is not None}
    start_ms, grown = now_ms, ZERO
    for bend_ms in sorted({bend for bend in bends if now_ms < bend < end_ms} | {end_ms}):
        after = sum((part.grown(now_ms, bend_ms) for part in parts), ZERO)
        if after >= needed and bend_ms > now_ms:
            share = (needed - grown) / (after - grown)
            return start_ms + int((bend_ms - start_ms) * share)
        start_ms, grown = bend_ms, after
    return None


def _of_order(loan: Loan) -> list[_Part] | None:
    (debt,) = loan.debts or (None,)
    if debt is None or debt.hourly_rate is None:
        return None
    ends = loan.expires_at_ms
    gone = None if ends is None else ends + GRACE_MS
    return [_Part(share=debt.hourly_rate, dear_from_ms=ends, gone_at_ms=gone)]


def _of_pool(loan: Loan, contracts: Sequence[Contract]) -> list[_Part] | None:
    """None where a debt has no value or no rate: what is not known may be what matters."""
    total = loan.totals.debt_usd if loan.totals is not None else ZERO
    if total <= 0:
        return None
    parts = []
    for debt in loan.debts:
        if debt.amount <= 0:
            continue
        mine = [item for item in contracts if item.coin == debt.coin]
        if debt.value_usd is None or debt.unread or not _rates_are_known(debt, mine):
            return None
        of_all = debt.value_usd / debt.amount / total
        parts.append(_Part(share=debt.repayable * (debt.hourly_rate or ZERO) * of_all))
        parts += [_of_contract(item, of_all) for item in mine]
    return parts


def _rates_are_known(debt: Debt, contracts: Sequence[Contract]) -> bool:
    if debt.repayable > 0 and debt.hourly_rate is None:
        return False
    if debt.fixed > 0 and not contracts:
        return False
    return all(item.annual_rate is not None for item in contracts)


def _of_contract(item: Contract, of_all: Decimal) -> _Part:
    """One that will be repaid, or turn flexible, goes on costing what it does: rather too much."""
    overdue_at = item.ends_at_ms if item.overdue or item.at_end is AtEnd.NOTHING else None
    return _Part(
        share=item.principal * (item.annual_rate or ZERO) / YEAR_HOURS * of_all,
        dear_from_ms=overdue_at,
        gone_at_ms=None if overdue_at is None else overdue_at + CONTRACT_GRACE_MS,
    )


def _fixed_costs(loan: Loan, contracts: Sequence[Contract]) -> dict[str, Decimal]:
    """Coins a day of what has an end, at its usual rate."""
    costs: dict[str, Decimal] = {}
    if not loan.is_pool and loan.expires_at_ms is not None:
        costs = {debt.coin: debt.amount * (debt.hourly_rate or ZERO) * DAY_HOURS for debt in loan.debts}
    for item in contracts if loan.is_pool else ():
        a_day = item.principal * (item.annual_rate or ZERO) / 365
        costs[item.coin] = costs.get(item.coin, ZERO) + a_day
    return {coin: cost.quantize(COINS, ROUND_UP) for coin, cost in costs.items() if cost > 0}
