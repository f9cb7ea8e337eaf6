"""The exchange's endpoints: paths, methods, permissions, and who answers."""

from __future__ import annotations

from typing import Any

from ltv_guard.sandbox import loans, services
from ltv_guard.sandbox.calls import Endpoint
from ltv_guard.sandbox.refusals import LEGACY, POOL

WALLET_RIGHT = ("Wallet", "AccountTransfer")
COMMON, OLD, FLEXIBLE = "/v5/crypto-loan-common", "/v5/crypto-loan", "/v5/crypto-loan-flexible"
FIXED = loans.FIXED
PUBLIC: dict[str, Any] = {"signed": False, "permission": None}

_ALL = [
    Endpoint(path="/v5/market/time", name="time", handler=services.answer_time, **PUBLIC),
    Endpoint(path="/v5/market/tickers", name="tickers", handler=services.answer_tickers, **PUBLIC),
    Endpoint(path="/v5/market/kline", name="kline", handler=services.answer_kline, **PUBLIC),
    Endpoint(path="/v5/system/status", name="status", handler=services.answer_status, **PUBLIC),
    Endpoint(path="/v5/user/query-api", name="key", handler=services.answer_key, permission=None),
    Endpoint(
        path="/v5/asset/transfer/query-account-coins-balance",
        name="wallet",
        handler=services.answer_wallet,
        permission=None,
    ),
    Endpoint(
        path="/v5/asset/transfer/inter-transfer",
        name="transfer",
        handler=services.answer_transfer,
        method="POST",
        permission=WALLET_RIGHT,
    ),
    Endpoint(
        path="/v5/asset/transfer/query-inter-transfer-list",
        name="transfers",
        handler=services.answer_transfers,
        permission=WALLET_RIGHT,
    ),
    Endpoint(path=f"{OLD}/ongoing-orders", name="orders", handler=loans.answer_orders, product=LEGACY),
    Endpoint(
        path=f"{OLD}/max-collateral-amount", name="maximum", handler=loans.answer_maximum, product=LEGACY
    ),
    Endpoint(
        path=f"{OLD}/adjust-ltv", name="adjust", handler=loans.answer_adjust, method="POST", product=LEGACY
    ),
    Endpoint(path=f"{OLD}/adjustment-history", name="history", handler=loans.answer_history, product=LEGACY),
    Endpoint(
        path=f"{OLD}/collateral-data", name="terms", handler=loans.answer_terms, product=LEGACY, **PUBLIC
    ),
    Endpoint(path=f"{OLD}/repay", name="repay", handler=loans.answer_repay, method="POST", product=LEGACY),
    Endpoint(
        path=f"{OLD}/repayment-history", name="repayments", handler=loans.answer_repayments, product=LEGACY
    ),
    Endpoint(path=f"{OLD}/borrow-history", name="borrowed", handler=loans.answer_borrowed, product=LEGACY),
    Endpoint(
        path=f"{COMMON}/loanable-data",
        name="loanable",
        handler=loans.answer_loanable,
        product=POOL,
        **PUBLIC,
    ),
    Endpoint(path=f"{COMMON}/position", name="position", handler=loans.answer_position, product=POOL),
    Endpoint(
        path=f"{COMMON}/max-collateral-amount", name="maximum", handler=loans.answer_maximum, product=POOL
    ),
    Endpoint(
        path=f"{COMMON}/adjust-ltv", name="adjust", handler=loans.answer_adjust, method="POST", product=POOL
    ),
    Endpoint(path=f"{COMMON}/adjustment-history", name="history", handler=loans.answer_history, product=POOL),
    Endpoint(
        path=f"{COMMON}/collateral-data", name="terms", handler=loans.answer_terms, product=POOL, **PUBLIC
    ),
    Endpoint(
        path=f"{FIXED}/borrow-contract-info",
        name="contracts",
        handler=loans.answer_contracts,
        product=POOL,
    ),
    Endpoint(
        path=f"{FIXED}/fully-repay",
        name="repay_fixed",
        handler=loans.answer_repay_fixed,
        method="POST",
        product=POOL,
    ),
    Endpoint(
        path=f"{FIXED}/repayment-history",
        name="fixed_repayments",
        handler=loans.answer_fixed_repayments,
        product=POOL,
    ),
    *(
        Endpoint(
            path=f"{kind}/repay-collateral",
            name="repay_collateral",
            handler=loans.answer_repay_with_collateral,
            method="POST",
            product=POOL,
        )
        for kind in (FLEXIBLE, FIXED)
    ),
    Endpoint(path=f"{FLEXIBLE}/repay", name="repay", handler=loans.answer_repay, method="POST", product=POOL),
    Endpoint(
        path=f"{FLEXIBLE}/repayment-history", name="repayments", handler=loans.answer_repayments, product=POOL
    ),
]
ENDPOINTS = {endpoint.path: endpoint for endpoint in _ALL}
