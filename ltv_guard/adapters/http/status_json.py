"""`/api/v1/status`: the same as JSON. LTVs and amounts are strings, so that nothing rounds them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ltv_guard.core.model.contracts import Contract
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.status import AccountStatus, AlertStatus, Health, LoanStatus, Status


def as_json(status: Status) -> bytes:
    """`as_tree`, in UTF-8."""
    return json.dumps(as_tree(status), ensure_ascii=True).encode()


def health_as_json(health: Health) -> bytes:
    """What `/livez` and `/readyz` answer, as UTF-8 JSON."""
    return json.dumps(_health(health)).encode()


def as_tree(status: Status) -> dict[str, Any]:
    """Amounts (coins), LTVs and falls as strings of plain decimals, times in ISO 8601, spans in seconds."""
    return {
        "at": time_of(status.at_ms),
        "version": status.version,
        "mode": status.mode,
        "environment": status.environment,
        "exchange": status.exchange,
        **_health(status.health),
        "accounts": {account.name: _account(account) for account in status.accounts},
        "alerts": [_alert(alert) for alert in status.alerts],
    }


def _health(health: Health) -> dict[str, Any]:
    return {"ready": health.is_well, "troubles": dict(health.troubles), "unseen": list(health.unseen)}


def _account(account: AccountStatus) -> dict[str, Any]:
    withheld = account.withheld
    return {
        "outcome": account.outcome,
        "withheld": None if withheld is None else {"kind": withheld.kind.value, "detail": withheld.detail},
        "seconds_since_sighted": round(account.unsighted_s, 1),
        "trouble": account.trouble,
        "loans": [_loan(loan) for loan in account.loans],
        "set_aside": [
            {"product": product, "loan_id": loan_id, "why": why}
            for product, loan_id, why in account.set_aside
        ],
        "wallet": None if account.wallet is None else amounts(account.wallet),
        "contracts": [_contract(item) for item in account.contracts],
        "due": amounts(account.due),
    }


def _contract(item: Contract) -> dict[str, Any]:
    """`at_end`: repaid (from the Funding wallet), flexible, nothing, or untold."""
    return {
        "loan_id": item.loan_id,
        "coin": item.coin,
        "owed": plain(item.owed),
        "ends_at": time_of(item.ends_at_ms),
        "at_end": item.at_end.value,
        "overdue": item.overdue,
    }


def _loan(item: LoanStatus) -> dict[str, Any]:
    loan, last = item.loan, item.last_adjustment
    return {
        "product": loan.key.product.value,
        "loan_id": loan.key.loan_id,
        "ltv": plain(loan.ltv),
        "trigger_ltv": plain(item.trigger_ltv),
        "target_ltv": plain(item.target_ltv),
        "margin_call_ltv": plain(loan.margin_call_ltv),
        "liquidation_ltv": plain(loan.liquidation_ltv),
        "fall_to_liquidation": plain(item.fall_to_liquidation),
        "collateral": amounts({held.coin: held.amount for held in loan.collateral if held.amount > 0}),
        "debt": amounts({debt.coin: debt.amount for debt in loan.debts}),
        "doing": item.doing,
        "reason": item.reason,
        "last_adjustment": None if last is None else adjustment(last),
    }


def adjustment(intent: Intent) -> dict[str, Any]:
    """An adjustment, as `as_tree` writes things."""
    return {
        "intent_id": intent.intent_id,
        "direction": intent.direction.value,
        "coin": intent.coin,
        "amount": plain(intent.amount),
        "state": intent.state.value,
        "at": time_of(intent.created_at_ms),
        "ltv_before": plain(intent.ltv_before),
    }


def _alert(alert: AlertStatus) -> dict[str, Any]:
    return {
        "event": alert.event,
        "since": time_of(alert.since_ms),
        "account": alert.account,
        "product": alert.product,
        "loan_id": alert.loan_id,
        "details": dict(alert.details),
        "acknowledged": None if alert.acknowledged_ms is None else time_of(alert.acknowledged_ms),
    }


def amounts(of: Mapping[str, Decimal]) -> dict[str, str]:
    """Coin -> how many, as a plain decimal."""
    return {coin: plain(amount) for coin, amount in of.items()}


def plain(number: Decimal) -> str:
    """Without an exponent."""
    return format(number, "f")


def time_of(ms: int) -> str:
    """ISO 8601, UTC, in whole seconds."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
