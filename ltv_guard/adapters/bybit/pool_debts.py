"""What a pool owes, and the sums that make its LTV (v5/new-crypto-loan/crypto-loan-position). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from ltv_guard.adapters.bybit.fields import MalformedPayload, Row, amount, as_row, coin, readable, rows, shown
from ltv_guard.adapters.bybit.oddities import Reading, row_named
from ltv_guard.adapters.bybit.wire import USUAL_ACCURACY
from ltv_guard.core.amounts.rounding import POOL_QUOTED_TO
from ltv_guard.core.model.loans import IMPLAUSIBLE_LTV, Debt, Totals

DEBTS_USD = ("flexibleTotalDebtUSD", "fixedTotalDebtUSD")
OTHER_SUMS = "it is reckoned from the pool's other two sums"
ADDED_UP = "it is reckoned from the pool's rows of coins"
NOT_REPAID = "the pool is guarded, and nothing of this debt is repaid"


def owes_nothing(result: Row) -> bool:
    """Whether the account has no pool, or one without a debt: that is quiet, and needs no terms."""
    total = readable(result, "totalDebt", amount)
    if total is not None and total > 0:
        return False
    listed = readable(result, "borrowList", rows)
    if listed is None and (total is None or result.get("borrowList") is not None):
        return False
    debts = [_debt(item, {}, Reading("")) for item in listed or []]
    if total is None and result.get("ltv") not in (None, "", "0", 0):
        return False
    return not any(debt is None or debt.amount > 0 or (total is None and debt.unread) for debt in debts)


def sums_of(result: Row, reading: Reading) -> tuple[Decimal, Totals]:
    """LTV, debt and collateral in USD: the LTV is the quotient of the two, so that any two tell the third.

    Where but one is told, the rows of coins are added up.
    """
    odd = []
    found: dict[str, Decimal | None] = {}
    for name in ("ltv", "totalDebt", "totalCollateral"):
        try:
            found[name] = amount(result, name)
        except MalformedPayload as exc:
            odd.append(exc)
            found[name] = None
    if (found["ltv"] or 0) >= IMPLAUSIBLE_LTV:
        odd.append(MalformedPayload(f"its ltv is {found['ltv']}, which no loan can have"))
        found["ltv"] = None
    ltv, debt, counted = found["ltv"], found["totalDebt"], found["totalCollateral"]
    if len(odd) > 1:
        debt = _or_added_up(debt, result, "borrowList", *DEBTS_USD)
        counted = _or_added_up(counted, result, "collateralList", "amountUSD")
    if ltv is None and debt is not None and counted:
        ltv = (debt / counted).quantize(POOL_QUOTED_TO) if debt / counted < IMPLAUSIBLE_LTV else None
    elif debt is None and ltv is not None and counted is not None:
        debt = ltv * counted
    elif counted is None and debt is not None and ltv:
        counted = debt / ltv
    if ltv is None or debt is None or counted is None:
        raise odd[0] if odd else MalformedPayload("its sums make no LTV")
    for problem in odd:
        follows = OTHER_SUMS if len(odd) == 1 else ADDED_UP
        reading.passes_over("pool", problem, follows)
    return ltv, Totals(debt_usd=debt, collateral_usd=counted)


def _or_added_up(total: Decimal | None, result: Row, listed: str, *names: str) -> Decimal | None:
    """The total, or else USD of all rows; None where one of them can't be read, or there is none."""
    found = readable(result, listed, rows)
    if total is not None or not found:
        return total
    parts = [
        readable(item, name, amount) if isinstance(item, Mapping) else None
        for item in found
        for name in names
    ]
    told = [part for part in parts if part is not None]
    return sum(told, Decimal(0)) if len(told) == len(parts) else None


def debts_of(result: Row, accuracies: Mapping[str, int], reading: Reading) -> list[Debt]:
    """What is owed, a debt a coin; what is odd of it counts as unread. `accuracies`: decimals by coin."""
    try:
        listed = rows(result, "borrowList")
    except MalformedPayload as exc:
        reading.passes_over("pool", exc, "it is guarded, and nothing of it is repaid")
        return []
    found: dict[str, Debt] = {}
    for item in listed:
        debt = _debt(item, accuracies, reading)
        if debt is None:
            continue
        if found.setdefault(debt.coin, debt) != debt:
            found[debt.coin] = replace(debt, unread=True)
            reading.passes_over(debt.coin, "its debt is listed twice, differently", NOT_REPAID)
    return list(found.values())


def _debt(item: object, accuracies: Mapping[str, int], reading: Reading) -> Debt | None:
    """A debt, as far as it can be read; None where its coin can't."""
    try:
        row = as_row(item)
        name = coin(row, "loanCurrency")
    except MalformedPayload as exc:
        reading.passes_over(row_named(item, "loanCurrency"), exc, NOT_REPAID)
        return None
    flexible, fixed = (readable(row, part, amount) for part in ("flexibleTotalDebt", "fixedTotalDebt"))
    unread = flexible is None or fixed is None
    if unread:
        part = "flexibleTotalDebt" if flexible is None else "fixedTotalDebt"
        reading.passes_over(name, f"its {part} is {shown(row.get(part))}", NOT_REPAID)
    return Debt(
        coin=name,
        amount=(flexible or Decimal(0)) + (fixed or Decimal(0)),
        fixed=fixed or Decimal(0),
        accuracy=accuracies.get(name, USUAL_ACCURACY),
        unread=unread,
        hourly_rate=readable(row, "flexibleHourlyInterestRate", amount),
        value_usd=_value_usd(row),
    )


def _value_usd(row: Row) -> Decimal | None:
    """What the debt is worth; None where that is not told."""
    parts = [readable(row, f"{part}TotalDebtUSD", amount) for part in ("flexible", "fixed")]
    known = [part for part in parts if part is not None]
    return sum(known, Decimal(0)) if len(known) == len(parts) else None
