"""What repayments with collateral really took, told once their loan is shown with them. Logs only."""

from __future__ import annotations

from decimal import Decimal

import structlog

from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Loan
from ltv_guard.core.model.policy import Rulebook
from ltv_guard.core.reconcile.charged_fee import Charge, charge_of
from ltv_guard.guard.appraised import Appraised
from ltv_guard.guard.loan_fields import named
from ltv_guard.guard.snapshot import Snapshot
from ltv_guard.guard.state.intent_book import landed_lately
from ltv_guard.guard.state.memory import Memory

DEARER = "more than policy.repay_with_collateral.max_fee was taken, as far as prices tell"

log = structlog.stdlib.get_logger()


def tell_charges(memory: Memory, snapshot: Snapshot, rulebook: Rulebook, echo_ms: int) -> None:
    """Of each once; not of one that can't be told any more, for something else has come after it.

    That too much was taken is told once the same has been shown for `echo_ms`: until then a hand may have
    sold as well, or taken out, which is shown late.
    """
    for intent in memory.sales.landed:
        if intent.key.product not in snapshot.books:
            continue  # nothing was read of it
        found, at = snapshot.appraised.get(intent.key), snapshot.asked_at(intent.key)
        if not isinstance(found, Appraised) or found.is_reckoned or not found.freshness.fresh:
            if landed_lately(intent, at):
                continue  # it is waited for
        elif not _is_followed(intent, memory):
            most = rulebook.policy_for(found.loan).repay_with_collateral.max_fee
            memory.sales.saw(intent, _charge_of(intent, found.loan, memory, snapshot), at)
            charge, since = memory.sales.charge_of(intent) or (None, at)
            if charge is not None and charge.fee > most and at.ms_since(since) < echo_ms:
                continue
            if charge is not None:
                _tell(intent, charge, most)
        memory.sales.forget([intent.intent_id])


def _charge_of(intent: Intent, loan: Loan, memory: Memory, snapshot: Snapshot) -> Charge | None:
    prices = (memory.sales.prices_of(intent), snapshot.prices or {})
    rows, debts = memory.rows.of(intent.key), memory.sales.debts_of(intent)
    return charge_of(intent, loan, rows, prices, debts)


def _is_followed(intent: Intent, memory: Memory) -> bool:
    """Whether something that was planned since may have moved the collateral as well."""
    others = (item for item in memory.intents.of_loan(intent.key) if item.intent_id != intent.intent_id)
    return any(item.created_at_ms >= intent.created_at_ms for item in others)


def _tell(intent: Intent, charge: Charge, most: Decimal) -> None:
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
