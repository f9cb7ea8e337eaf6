"""ltv-guard: keeps crypto-backed loans on Bybit out of liquidation."""

import decimal

# Amounts are exact at any size that a reader lets through (below 1e30 coins, 18 decimals), and so are their
# fingerprints, which stand in the last digits: the 28 of the default would round them away, without a word.
DIGITS = 60
decimal.DefaultContext.prec = DIGITS  # other threads
decimal.getcontext().prec = DIGITS


def __getattr__(name: str) -> str:
    """`__version__`, looked up when it is asked for: most of what imports the package does not need it."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version  # noqa: PLC0415 - see above

    return version("ltv-guard")
