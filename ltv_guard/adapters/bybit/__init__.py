"""The exchange, Bybit: its crypto loans, orders and pools, over HTTP (v5). Nothing else speaks to it."""

from ltv_guard.adapters.bybit.account import BybitAccount
from ltv_guard.adapters.bybit.address_budget import AddressBudget, AddressPart
from ltv_guard.adapters.bybit.ban import Ban
from ltv_guard.adapters.bybit.client import BybitClient
from ltv_guard.adapters.bybit.clock import ExchangeClock, Measurement
from ltv_guard.adapters.bybit.contracts import FixedContracts
from ltv_guard.adapters.bybit.host import Host
from ltv_guard.adapters.bybit.legacy import LegacyLoans
from ltv_guard.adapters.bybit.limits import RequestLimits
from ltv_guard.adapters.bybit.pool import PoolLoans
from ltv_guard.adapters.bybit.price_stream import SpotPrices
from ltv_guard.adapters.bybit.repayments import contract_repayments, repayments
from ltv_guard.adapters.bybit.signatures import Credentials, HmacSigner, Signer
from ltv_guard.adapters.bybit.source_address import local_address, why_unusable
from ltv_guard.adapters.bybit.transfers import transfers

__all__ = [
    "AddressBudget",
    "AddressPart",
    "Ban",
    "BybitAccount",
    "BybitClient",
    "Credentials",
    "ExchangeClock",
    "FixedContracts",
    "HmacSigner",
    "Host",
    "LegacyLoans",
    "Measurement",
    "PoolLoans",
    "RequestLimits",
    "Signer",
    "SpotPrices",
    "contract_repayments",
    "local_address",
    "repayments",
    "transfers",
    "why_unusable",
]
