"""Loans, both products: v5/crypto-loan, v5/crypto-loan-common and v5/crypto-loan-flexible.

Each answers with the payload of its page. What it does not answer raises Refusal.
"""

from __future__ import annotations

from decimal import Decimal

from ltv_guard.sandbox import payloads, public_payloads
from ltv_guard.sandbox.accounts import Account
from ltv_guard.sandbox.calls import Call, amount_of, directions, handling_of
from ltv_guard.sandbox.contract_payloads import contract_row, fixed_repayment_row
from ltv_guard.sandbox.exchange import Exchange
from ltv_guard.sandbox.market import Moment, Prices
from ltv_guard.sandbox.paging import page
from ltv_guard.sandbox.payloads import Payload
from ltv_guard.sandbox.records import DebtOf, Origin, Repayment
from ltv_guard.sandbox.refusals import LEGACY, POOL, Refusal
from ltv_guard.sandbox.repayments import RepaymentAsked
from ltv_guard.sandbox.views import OF_NOW, filtered, shown, visible

FIXED = "/v5/crypto-loan-fixed"


def _of_before(
    exchange: Exchange, call: Call, moment: Moment, *variants: str
) -> tuple[Account, Prices] | None:
    """The account and the prices of a while ago, where a fault shows some of them beside what is of now."""
    stale = call.fault("stale_reads")
    if stale is None or stale.variant not in variants:
        return None
    then_s = moment.real_s - (stale.seconds or Decimal(0))
    return exchange.ledger.as_of(call.user, then_s), exchange.moment(then_s).prices


def _old_ltvs(exchange: Exchange, call: Call, moment: Moment) -> dict[str, str]:
    """The LTVs of a while ago where a fault shows them beside today's collateral."""
    before = _of_before(exchange, call, moment, *OF_NOW)
    if before is None:
        return {}
    then, prices = before
    return {loan.loan_id: payloads.quoted_ltv(loan.ltv(prices), loan.product) for loan in then.loans()}


def answer_orders(exchange: Exchange, call: Call, moment: Moment) -> Payload:
    """Answers v5/crypto-loan/ongoing-orders."""
    account, then = shown(exchange, call, moment)
    old = _old_ltvs(exchange, call, moment)
    rows = [payloads.order_row(order, then.prices) for order in account.open_orders()]
    for row in rows:
        row["currentLTV"] = old.get(row["orderId"], row["currentLTV"])
    rows = filtered(rows, call, "orderId", "loanCurrency", "collateralCurrency")
    known = list(reversed(account.orders))
    return page(rows, call.params, "orderId", closing_cursor=False, known=known)


def answer_position(exchange: Exchange, call: Call, moment: Moment) -> Payload:
    """Answers v5/crypto-loan-common/position."""
    account, then = shown(exchange, call, moment)
    ledger = exchange.ledger
    found = payloads.position(account.pool, then.prices, ledger.col_res, ledger.coin_col_res)
    before = _of_before(exchange, call, moment, "new_collateral_old_worth")
    if before is not None:
        found = payloads.with_worth_of(found, payloads.position(before[0].pool, before[1], ledger.col_res))
    return found | {"ltv": _old_ltvs(exchange, call, moment).get("pool", found["ltv"])}


def answer_maximum(exchange: Exchange, call: Call, moment: Moment) -> Payload:
    """Answers max-collateral-amount of both products."""
    product = call.endpoint.product or LEGACY
    loan_id = call.text("orderId") if product == LEGACY else "pool"
    loan = exchange.ledger.loan(call.user, product, loan_id)
    coin = next(iter(loan.holdings())) if product == LEGACY else call.text("currency")
    return {"maxCollateralAmount": payloads.plain(loan.maximum_release(coin, moment.prices))}


def answer_adjust(exchange: Exchange, call: Call, moment: Moment) -> Payload:
    """Answers adjust-ltv of both products."""
    product = call.endpoint.product or LEGACY
    loan_id = call.text("orderId") if product == LEGACY else "pool"
    direction = directions(exchange).get(call.text("direction"))
    if direction is None:
        raise Refusal(10001, "Request parameter error: direction")
    coin = "" if product == LEGACY else call.text("currency")
    amount = amount_of(call, product)
    loan = exchange.ledger.loan(call.user, product, loan_id)
    row = exchange.ledger.adjust(
        loan,
        coin or next(iter(loan.holdings())),
        direction,
        amount,
        moment,
        origin=Origin(signed_at=call.signed.timestamp),
        handling=handling_of(call),
    )
    return {"adjustId": str(row.adjust_id) if product == LEGACY else row.adjust_id}


def answer_history(exchange: Exchange, call: Call, moment: Moment) -> Payload:
    """Answers adjustment-history of both products."""
    codes = {direction: code for code, direction in directions(exchange).items()}
    rows = [
        payloads.adjustment_row(row, codes)
        for row in visible(exchange.ledger.adjustments, call, moment)
        if row.product == call.endpoint.product
    ]
    rows = filtered(rows, call, "orderId", "adjustId", "collateralCurrency")
    return page(rows, call.params, "adjustId", closing_cursor=True)


def answer_terms(exchange: Exchange, call: Call, _moment: Moment) -> Payload:
    """Answers collateral-data of both products."""
    coin = call.optional("currency")
    if call.endpoint.product == POOL:
        return public_payloads.pool_terms(exchange.scenario, coin)
    return public_payloads.legacy_terms(exchange.scenario, call.optional("vipLevel"), coin)


def answer_repay(exchange: Exchange, call: Call, moment: Moment) -> Payload:
    """Answers repay of both products."""
    product = call.endpoint.product or LEGACY
    loan_id = call.text("orderId") if product == LEGACY else "pool"
    amount = amount_of(call, product)
    loan = exchange.ledger.loan(call.user, product, loan_id)
    coin = loan.debts()[0][0] if product == LEGACY else call.text("loanCurrency")
    row = exchange.ledger.repay(
        loan, coin, amount, moment, origin=Origin(signed_at=call.signed.timestamp), handling=handling_of(call)
    )
    return {"repayId": str(row.repay_id)}


def answer_repay_with_collateral(exchange: Exchange, call: Call, moment: Moment) -> Payload:
    """Answers repay-collateral, of flexible and of fixed debts: with nothing, not even an id."""
    _repay_pool(
        exchange,
        call,
        moment,
        amount_of(call, POOL),
        DebtOf(fixed=call.endpoint.path.startswith(FIXED), contract=call.optional("loanId") or ""),
        tuple(call.text("collateralCoin").split(",")),
    )
    return {}


def answer_repay_fixed(exchange: Exchange, call: Call, moment: Moment) -> Payload:
    """Answers v5/crypto-loan-fixed/fully-repay."""
    debt = DebtOf(fixed=True, contract=call.text("loanId"), whole=True)
    row = _repay_pool(exchange, call, moment, Decimal(0), debt, ())
    return {"repayId": str(row.repay_id)}


def _repay_pool(
    exchange: Exchange, call: Call, moment: Moment, amount: Decimal, debt: DebtOf, selling: tuple[str, ...]
) -> Repayment:
    loan = exchange.ledger.loan(call.user, POOL, "pool")
    wanted = RepaymentAsked(
        loan=loan, coin=call.text("loanCurrency"), amount=amount, debt=debt, selling=selling
    )
    origin = Origin(signed_at=call.signed.timestamp)
    return exchange.ledger.repay_as(wanted, moment, origin, handling_of(call))


def answer_fixed_repayments(exchange: Exchange, call: Call, moment: Moment) -> Payload:
    """Answers v5/crypto-loan-fixed/repayment-history."""
    repayments = visible(exchange.ledger.repayments, call, moment)
    rows = [fixed_repayment_row(row) for row in repayments if row.debt.fixed]
    rows = filtered(rows, call, "repayId", "loanCurrency")
    return page(rows, call.params, "repayId", closing_cursor=True)


def answer_repayments(exchange: Exchange, call: Call, moment: Moment) -> Payload:
    """Answers repayment-history of both products."""
    rows = [
        payloads.repayment_row(row)
        for row in visible(exchange.ledger.repayments, call, moment)
        if row.product == call.endpoint.product and not row.debt.fixed
    ]
    rows = filtered(rows, call, "orderId", "repayId", "loanCurrency")
    return page(rows, call.params, "repayId", closing_cursor=True)


def answer_contracts(exchange: Exchange, call: Call, moment: Moment) -> Payload:
    """Answers v5/crypto-loan-fixed/borrow-contract-info: of one coin, which is required."""
    coin = call.text("orderCurrency")
    account, _ = shown(exchange, call, moment)
    contracts = [] if account.pool is None else account.pool.contracts
    newest_first = sorted(contracts, key=lambda item: item.began_ms, reverse=True)
    rows = [contract_row(item) for item in newest_first if item.coin == coin]
    rows = filtered(rows, call, "orderId", "loanId", "term")
    return page(rows, call.params, "loanId", closing_cursor=True)


def answer_borrowed(exchange: Exchange, call: Call, _moment: Moment) -> Payload:
    """Answers v5/crypto-loan/borrow-history: orders that have ended."""
    orders = exchange.ledger.accounts[call.user].orders.values()
    rows = [payloads.borrowed_row(order) for order in orders if order.status != "open"]
    return page(filtered(rows, call, "orderId"), call.params, "orderId", closing_cursor=True)


def answer_loanable(exchange: Exchange, call: Call, _moment: Moment) -> Payload:
    """Answers v5/crypto-loan-common/loanable-data."""
    return public_payloads.loanable(exchange.scenario, call.optional("currency"))
