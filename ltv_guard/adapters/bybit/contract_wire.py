"""What goes over the wire for a pool's fixed loans, which the exchange calls contracts. Pure.

(v5/new-crypto-loan/fixed: borrow-contract, fully-repay, repay-collateral, repay-history)
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from ltv_guard.adapters.bybit.fields import (
    MalformedPayload,
    Row,
    amount,
    as_row,
    coin,
    identity,
    moment,
    readable,
    rows,
    shown,
    whole,
)
from ltv_guard.adapters.bybit.oddities import Reading, row_named
from ltv_guard.adapters.bybit.pool_wire import POOL, WITH_COLLATERAL, paid_with_collateral
from ltv_guard.adapters.bybit.wire import plain, repayment_id, repayment_names, repayment_row
from ltv_guard.core.model.contracts import AtEnd, Contract, ContractList
from ltv_guard.core.model.history import HistoryRow
from ltv_guard.core.model.intents import Intent

UNREPAID, REPAID, OVERDUE = 1, 2, 3
BY_USER = 1  # repayType: 3 is automatic, 8 is one that turned flexible, and others are liquidations
AT_END: dict[int | None, AtEnd] = {0: AtEnd.NOTHING, 1: AtEnd.REPAID, 2: AtEnd.FLEXIBLE}
PASSED_OVER = "nothing is told of this fixed loan, nothing kept for it, nor is it repaid; all else goes on"


def contract_repayment_id(repay_id: str) -> str:
    """The id of its history row: no repayment of another kind has the same."""
    return repayment_id(f"fixed-{repay_id}")


REPAYMENT_ROW = replace(repayment_names(lambda _: POOL), written_id=contract_repayment_id)


def contract_repayment_body(intent: Intent) -> bytes:
    """The body of POST /v5/crypto-loan-fixed/fully-repay, or of repay-collateral beside it: strings.

    The one takes no amount, and repays the contract in full.
    """
    body = {"loanId": intent.contract_id or "", "loanCurrency": intent.coin}
    if intent.collateral_coin is not None:
        body |= {"collateralCoin": intent.collateral_coin, "amount": plain(intent.amount)}
    return json.dumps(body, separators=(",", ":")).encode()


def parse_contract_repayment(item: object) -> HistoryRow:
    """A row of v5/crypto-loan-fixed/repayment-history, whoever repaid. Raises MalformedPayload.

    Its `details` say of which contracts; where they name several, or none that can be read, it may be of any.
    """
    row = as_row(item)
    kind = readable(row, "repayType", whole)
    details = readable(row, "details", rows) or []
    named = {readable(as_row(part), "loanId", identity) for part in details if isinstance(part, dict)}
    return replace(
        repayment_row(row, POOL),
        adjust_id=contract_repayment_id(identity(row, "repayId")),
        with_collateral=paid_with_collateral(row),
        fixed=True,
        contract_id=named.pop() if len(named) == len(details) == 1 else None,
        by_exchange=kind not in {None, BY_USER, WITH_COLLATERAL},
    )


def parse_contracts(listed: Iterable[object], asked: str, reading: Reading) -> ContractList:
    """The contracts in the coin that was asked for; a row that can't be read is noted, and passed over."""
    found: dict[str, Contract] = {}
    whole_list = True
    for item in listed:
        try:
            row = as_row(item)
            if coin(row, "borrowCurrency") != asked or _is_repaid(row):
                continue
            contract = _contract(row, asked, reading)
        except MalformedPayload as exc:
            reading.passes_over(row_named(item, "loanId", "orderId"), exc, PASSED_OVER)
            whole_list = False
            continue
        found[contract.loan_id] = contract  # the list may have moved on while it was read
    soonest_first = sorted(found.values(), key=lambda item: (item.ends_at_ms, item.loan_id))
    return ContractList(contracts=tuple(soonest_first), whole=whole_list)


def _is_repaid(row: Row) -> bool:
    return readable(row, "status", whole) == REPAID


def _contract(row: Row, asked: str, reading: Reading) -> Contract:
    """Raises MalformedPayload where it can't be told what is owed, or until when."""
    loan_id = identity(row, "loanId")
    interest, status = readable(row, "residualPenaltyInterest", amount), readable(row, "status", whole)
    at_end = AT_END.get(readable(row, "repayType", whole), AtEnd.UNTOLD)
    if interest is None:
        why = f"its residualPenaltyInterest is {shown(row.get('residualPenaltyInterest'))}"
        reading.passes_over(loan_id, why, "its interest is taken from what the pool owes in the coin")
    elif status not in {UNREPAID, OVERDUE}:
        reading.passes_over(loan_id, f"its status is {shown(row.get('status'))}", "its end tells")
    elif at_end is AtEnd.UNTOLD:
        why = f"its repayType is {shown(row.get('repayType'))}"
        reading.passes_over(loan_id, why, "it is taken to be repaid from the Funding wallet at its end")
    return Contract(
        loan_id=loan_id,
        coin=asked,
        ends_at_ms=moment(row, "repaymentTime"),
        principal=amount(row, "residualPrincipal"),
        interest=interest or Decimal(0),
        at_end=at_end,
        overdue=status == OVERDUE,
        annual_rate=readable(row, "annualRate", amount),
    )
