"""Rows of v5/crypto-loan/unpaid-loan-order as the loans that they show, each by the key in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ltv_guard.adapters.bybit.oddities import Reading
from ltv_guard.adapters.bybit.order_wire import order_key, parse_keyed
from ltv_guard.adapters.bybit.terms import Terms
from ltv_guard.core.model.loan_book import SetAside
from ltv_guard.core.model.loans import Loan


def parse_orders(
    items: Iterable[object], terms: Mapping[str, Terms], reading: Reading | None = None
) -> tuple[tuple[Loan, ...], tuple[SetAside, ...]]:
    return parse_keyed(((order_key(item), item) for item in items), terms, reading or Reading("orders"))
