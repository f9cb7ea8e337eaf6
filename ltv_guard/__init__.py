"""ltv-guard: keeps crypto-backed loans on Bybit out of liquidation."""

from importlib.metadata import version

__version__ = version("ltv-guard")
