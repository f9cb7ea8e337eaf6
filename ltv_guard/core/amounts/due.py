"""Coins that contracts will take from the Funding wallet at their ends. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_UP, Decimal

from ltv_guard.core.model.contracts import SETTLES_WITHIN_MS, AtEnd, Contract, ContractList

STEP = Decimal("0.00000001")


def is_due(contract: Contract, now_ms: int, within_ms: int, *, repaid_by_us: bool = False) -> bool:
    """Whether the Funding wallet pays it within that time. What should have been paid already counts too.

    `repaid_by_us`: the guard repays what nothing else repays at its end.
    """
    takes_coins = contract.at_end.takes_coins or (repaid_by_us and contract.at_end is AtEnd.NOTHING)
    return takes_coins and within_ms > 0 and contract.ends_at_ms - now_ms <= within_ms


def is_to_be_repaid(contract: Contract, listed_ms: int, now_ms: int, before_ms: int) -> bool:
    """Whether it is overdue, or will be in so long unless somebody repays it. Exchange times, in ms.

    What the exchange will repay, or turn flexible, is none until it has failed to: that shows after its end.
    One that is to turn flexible may be called overdue until it has.
    """
    if contract.at_end is AtEnd.NOTHING:
        return contract.overdue or contract.ends_at_ms - now_ms <= before_ms
    has_failed = contract.overdue and contract.at_end is not AtEnd.FLEXIBLE
    return has_failed or listed_ms - contract.ends_at_ms >= SETTLES_WITHIN_MS


def due_coins(
    lists: Mapping[str, ContractList],
    fixed: Mapping[str, Decimal],
    now_ms: int,
    within_ms: int,
    *,
    repaid_by_us: bool = False,
) -> dict[str, Decimal]:
    """By coin, what is due within that time (ms). `fixed`: what the pool owes in contracts, by coin."""
    due = {
        coin: [item for item in found.contracts if is_due(item, now_ms, within_ms, repaid_by_us=repaid_by_us)]
        for coin, found in lists.items()
    }
    amounts = {coin: owed_of(due[coin], found, fixed.get(coin)) for coin, found in lists.items()}
    return {coin: amount for coin, amount in amounts.items() if amount > 0}


def owed_of(contracts: Iterable[Contract], found: ContractList, fixed: Decimal | None) -> Decimal:
    """Coins that some of the listed owe. `fixed`: what the pool owes in all of the coin's contracts.

    Where that is more than the rows tell (interest), each contract owes its share of it.
    """
    due, listed = _sum(contracts), found.owed
    if fixed is None or fixed <= listed or not found.whole or not due:
        return due
    return (due * fixed / listed).quantize(STEP, ROUND_UP)


def _sum(contracts: Iterable[Contract]) -> Decimal:
    return sum((item.owed for item in contracts), Decimal(0))
