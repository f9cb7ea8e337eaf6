"""Views: what reads are answered from, and how faults make it old, late or incomplete."""

from __future__ import annotations

from collections.abc import Reversible
from decimal import Decimal

from ltv_guard.sandbox.accounts import Account
from ltv_guard.sandbox.calls import Call
from ltv_guard.sandbox.exchange import Exchange
from ltv_guard.sandbox.market import Moment
from ltv_guard.sandbox.payloads import Payload
from ltv_guard.sandbox.records import Row

OF_NOW = frozenset({"new_collateral_old_ltv", "new_collateral_old_worth"})  # whose amounts are


def shown(exchange: Exchange, call: Call, moment: Moment) -> tuple[Account, Moment]:
    """The account and the prices that a read is answered from; a stale read looks back."""
    stale = call.fault("stale_reads")
    if stale is None or stale.variant in OF_NOW:
        return exchange.ledger.accounts[call.user], moment
    then_s = moment.real_s - (stale.seconds or Decimal(0))
    account = exchange.ledger.as_of(call.user, then_s)
    return account, exchange.moment(then_s) if stale.variant == "whole" else moment


def visible(rows: Reversible[Row], call: Call, moment: Moment) -> list[Row]:
    """The caller's own rows, newest first, without those that a fault hides for a while."""
    lag = call.fault("history_lag")
    until_s = moment.real_s - ((lag and lag.seconds) or Decimal(0))
    return [
        row
        for row in reversed(rows)
        if row.user == call.user and row.visible_from_s <= moment.real_s and row.made_s <= until_s
    ]


def filtered(rows: list[Payload], call: Call, *names: str) -> list[Payload]:
    """Keeps the rows that have what the request asks for; a row without that field is kept."""
    wanted = {name: call.optional(name) for name in names}
    return [
        row
        for row in rows
        if all(value is None or name not in row or str(row[name]) == value for name, value in wanted.items())
    ]
