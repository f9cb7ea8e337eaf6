"""Repayments: of an order's debt, of a pool's flexible debts, and of its fixed loans, one by one."""

from __future__ import annotations

from ltv_guard.adapters.bybit import contract_wire, order_wire, pool_wire, wire
from ltv_guard.adapters.bybit.client import BybitClient
from ltv_guard.adapters.bybit.paging import HistoryList
from ltv_guard.adapters.bybit.write_endpoint import Endpoints, WriteEndpoint
from ltv_guard.core.model.loans import Channel, Kind, Product

# v5/crypto-loan/repay, v5/crypto-loan/repay-transaction
OF_ORDERS = Endpoints(
    channel=Channel(Product.LEGACY, Kind.REPAYMENT),
    write="/v5/crypto-loan/repay",
    body=order_wire.repayment_body,
    history=HistoryList(
        path="/v5/crypto-loan/repayment-history",
        parse=order_wire.parse_repayment,
        names=order_wire.REPAYMENT_ROW,
    ),
    id_field="repayId",
    written_id=wire.repayment_id,
)
# v5/new-crypto-loan/flexible/repay, flexible/repay-orders, flexible/repay-collateral
OF_A_POOL = Endpoints(
    channel=Channel(Product.CRYPTO_LOAN, Kind.REPAYMENT),
    write="/v5/crypto-loan-flexible/repay",
    body=pool_wire.repayment_body,
    history=HistoryList(
        path="/v5/crypto-loan-flexible/repayment-history",
        parse=pool_wire.parse_repayment,
        names=pool_wire.REPAYMENT_ROW,
    ),
    id_field="repayId",
    written_id=wire.repayment_id,
    with_collateral="/v5/crypto-loan-flexible/repay-collateral",
)
# v5/new-crypto-loan/fixed/fully-repay, fixed/repay-history, fixed/repay-collateral
OF_CONTRACTS = Endpoints(
    channel=Channel(Product.CRYPTO_LOAN, Kind.FIXED_REPAYMENT),
    write="/v5/crypto-loan-fixed/fully-repay",
    body=contract_wire.contract_repayment_body,
    history=HistoryList(
        path="/v5/crypto-loan-fixed/repayment-history",
        parse=contract_wire.parse_contract_repayment,
        names=contract_wire.REPAYMENT_ROW,
    ),
    id_field="repayId",
    written_id=contract_wire.contract_repayment_id,
    with_collateral="/v5/crypto-loan-fixed/repay-collateral",
)


def repayments(client: BybitClient, product: Product) -> WriteEndpoint:
    """The way to repay debts of that product."""
    return WriteEndpoint(client, OF_ORDERS if product is Product.LEGACY else OF_A_POOL)


def contract_repayments(client: BybitClient) -> WriteEndpoint:
    """The way to repay fixed loans of a pool."""
    return WriteEndpoint(client, OF_CONTRACTS)
