"""Prices, from the tickers of the spot market (v5/market/tickers). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from ltv_guard.adapters.bybit.fields import MalformedPayload, Row, amount, as_row, identity, readable, rows
from ltv_guard.adapters.bybit.oddities import Reading, row_named

QUOTE = "USDT"
UNPRICED = "this coin has no price for now, the others have"
PEGGED = {"USDT": Decimal(1), "USDC": Decimal(1)}


def parse_prices(result: Row, reading: Reading | None = None) -> Mapping[str, Decimal]:
    """USD per coin (v5/market/tickers). Raises MalformedPayload where there is no list."""
    reading = reading or Reading("tickers")
    found = dict(PEGGED)
    for item in rows(result, "list"):
        try:
            row = as_row(item)
            symbol = identity(row, "symbol")
        except MalformedPayload as exc:
            reading.passes_over(row_named(item, "symbol"), exc, UNPRICED)
            continue
        if not symbol.endswith(QUOTE) or len(symbol) == len(QUOTE):
            continue
        price = price_of(row)
        if price is None:
            reading.passes_over(symbol, "it has no price", UNPRICED)
        else:
            found[symbol.removesuffix(QUOTE)] = price
    return found


def price_of(row: Row) -> Decimal | None:
    """A ticker's price, of a read and of the stream: the index in USD, or else the last one in USDT."""
    prices = (readable(row, name, amount) for name in ("usdIndexPrice", "lastPrice"))
    return next((price for price in prices if price), None)
