"""Repayments of both products, from the Funding wallet: an order's debt, and a pool's flexible debts."""

from __future__ import annotations

from ltv_guard.adapters.bybit import order_wire, pool_wire, wire
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


def repayments(client: BybitClient, product: Product) -> WriteEndpoint:
    """The way to repay debts of that product."""
    return WriteEndpoint(client, OF_ORDERS if product is Product.LEGACY else OF_A_POOL)
