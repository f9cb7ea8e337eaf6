"""What repayments with collateral really took, told once their loan is shown with them. Logs only."""

from __future__ import annotations

import structlog

from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Loan
from ltv_guard.core.model.policy import Rulebook
from ltv_guard.core.reconcile.charged_fee import Charge, charge_of
from ltv_guard.guard.loan_fields import named
from ltv_guard.guard.snapshot import Appraised, Snapshot
from ltv_guard.guard.state.intent_book import landed_lately
from ltv_guard.guard.state.memory import Memory

DEARER = "more than policy.repay_with_collateral.max_fee was taken, as far as prices tell"

log = structlog.stdlib.get_logger()


def tell_charges(memory: Memory, snapshot: Snapshot, rulebook: Rulebook) -> None:
    """Of each once; not of one that can't be told any more, for something else has come after it."""
    for intent in memory.sales.landed:
        found = snapshot.appraised.get(intent.key)
        if not isinstance(found, Appraised) or found.is_reckoned or not found.freshness.fresh:
            if landed_lately(intent, snapshot.asked_at(intent.key)):
                continue  # it is waited for
        elif not _is_followed(intent, memory):
            known = (memory.sales.prices_of(intent), snapshot.prices or {})
            charge = charge_of(intent, found.loan, memory.rows.of(intent.key), known)
            if charge is not None:
                _tell(intent, charge, found.loan, rulebook)
        memory.sales.forget([intent.intent_id])


def _is_followed(intent: Intent, memory: Memory) -> bool:
    """Whether something that was planned since may have moved the collateral as well."""
    return any(item.created_at_ms > intent.created_at_ms for item in memory.intents.of_loan(intent.key))


def _tell(intent: Intent, charge: Charge, loan: Loan, rulebook: Rulebook) -> None:
    most = rulebook.policy_for(loan).repay_with_collateral.max_fee
    dearer = charge.fee > most
    level = log.warning if dearer else log.info
    level(
        "collateral_sold",
        intent_id=intent.intent_id,
        coin=intent.coin,
        repaid=charge.repaid,
        collateral_coin=intent.collateral_coin,
        sold=charge.sold,
        fee=charge.fee,
        max_fee=most,
        cost_usd=charge.cost_usd,
        **({"why": DEARER} if dearer else {}),
        **named(intent.key),
    )
