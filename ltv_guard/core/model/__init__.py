"""What the rest of the core speaks of: loans, intents, policy, decisions, errors. Pure values.

Unless a name or a docstring says otherwise, here and in all rooms: an amount is in coins, `_usd` in USD, a
price in USD a coin; an LTV, a ratio or a fall is a part of 1 (0.75 is 75 %). An instant is the exchange's
time in ms since 1970 (`at_ms`), a span is in ms or s as its name ends. Amounts and LTVs are Decimal.
"""
