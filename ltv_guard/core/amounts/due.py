"""Coins that contracts will take from the Funding wallet at their ends. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_UP, Decimal

from ltv_guard.core.model.contracts import Contract, ContractList

STEP = Decimal("0.00000001")


def is_due(contract: Contract, now_ms: int, within_ms: int) -> bool:
    """Whether the Funding wallet pays it within that time. What should have been paid already counts too."""
    return contract.at_end.takes_coins and within_ms > 0 and contract.ends_at_ms - now_ms <= within_ms


def due_coins(
    lists: Mapping[str, ContractList], fixed: Mapping[str, Decimal], now_ms: int, within_ms: int
) -> dict[str, Decimal]:
    """By coin, what is due within that time (ms). `fixed`: what the pool owes in contracts, by coin.

    Where the pool owes more than the rows tell (interest), each contract owes its share of it.
    """
    found = {coin: _due(item, fixed.get(coin), now_ms, within_ms) for coin, item in lists.items()}
    return {coin: amount for coin, amount in found.items() if amount > 0}


def _due(found: ContractList, fixed: Decimal | None, now_ms: int, within_ms: int) -> Decimal:
    due = _sum(item for item in found.contracts if is_due(item, now_ms, within_ms))
    listed = found.owed
    if fixed is None or fixed <= listed or not found.whole or not due:
        return due
    return (due * fixed / listed).quantize(STEP, ROUND_UP)


def _sum(contracts: Iterable[Contract]) -> Decimal:
    return sum((item.owed for item in contracts), Decimal(0))
