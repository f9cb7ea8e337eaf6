"""Balances of a wallet (v5/asset/balance/all-balance). Pure."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal

from ltv_guard.adapters.bybit.fields import MalformedPayload, Row, amount, as_row, coin, decimal, rows
from ltv_guard.adapters.bybit.oddities import Reading, row_named

UNREAD = "this coin counts as unread, the others as read"


def parse_wallet(
    result: Row, coins: Collection[str], reading: Reading | None = None, *, may_owe: bool = False
) -> dict[str, Decimal]:
    """What can leave a wallet, of each of `coins` that can be read. Raises MalformedPayload for no list.

    One that `may_owe` shows a coin that it has borrowed as less than none. A coin that is not listed is none,
    unless a row is there that may be that coin's.
    """
    reading = reading or Reading("wallet")
    found: dict[str, Decimal] = {}
    unread: set[str] = set()
    nameless = False
    for item in rows(result, "balance"):
        try:
            row = as_row(item)
            name = coin(row, "coin")
        except MalformedPayload as exc:
            nameless = True
            reading.passes_over(row_named(item, "coin"), exc, UNREAD)
            continue
        if name not in coins:
            nameless = nameless or name.upper() in coins
            continue
        try:
            leaves = _leaves(row, reading, may_owe=may_owe)
        except MalformedPayload as exc:
            unread.add(name)
            reading.passes_over(name, exc, UNREAD)
            continue
        if found.setdefault(name, leaves) != leaves:
            unread.add(name)
            reading.passes_over(name, "it is listed twice, differently", UNREAD)
    if not nameless:
        found = dict.fromkeys(coins, Decimal(0)) | found
    return {name: leaves for name, leaves in found.items() if name not in unread}


def _leaves(row: Row, reading: Reading, *, may_owe: bool) -> Decimal:
    """Coins that may leave: what can be transferred, and no more than there is."""
    read = decimal if may_owe else amount
    free = read(row, "transferBalance")
    try:
        free = min(free, read(row, "walletBalance"))
    except MalformedPayload as exc:
        reading.passes_over(str(row["coin"]), exc, "what can be transferred of it counts")
    return max(Decimal(0), free)
