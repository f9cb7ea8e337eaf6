"""ltv-guard: keeps crypto-backed loans on Bybit out of liquidation."""

import decimal
from importlib.metadata import version

__version__ = version("ltv-guard")

# Amounts are exact at any size that a reader lets through (below 1e30 coins, 18 decimals), and so are their
# fingerprints, which stand in the last digits: the 28 of the default would round them away, without a word.
DIGITS = 60
decimal.DefaultContext.prec = DIGITS  # other threads
decimal.getcontext().prec = DIGITS
