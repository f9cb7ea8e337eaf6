"""The exchange's endpoints: from a request that was read to its result. No HTTP."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from . import payloads
from .accounts import Account
from .exchange import Exchange
from .faults import Fault, Target
from .ledger import Handling
from .limits import Allowance
from .market import Moment
from .paging import page
from .payloads import Payload
from .records import Direction, Transfer
from .refusals import LEGACY, POOL, Refusal, refusal
from .scenario import ApiKey
from .signatures import SignedRequest, check_key, check_permission

PLAIN_NUMBER = re.compile(r"\d+(\.\d+)?")
DIRECTIONS: dict[str, Direction] = {"0": "add", "1": "reduce"}


@dataclass(slots=True, kw_only=True)
class Call:
    """One request as it came in; `key` is set once its signature is known to be good."""

    endpoint: "Endpoint"
    signed: SignedRequest
    params: Payload
    address: str
    faults: list[Fault] = field(default_factory=list)
    key: ApiKey | None = None
    clock_shift_ms: int = 0

    def fault(self, kind: str) -> Fault | None:
        return next((fault for fault in self.faults if fault.kind == kind), None)

    @property
    def user(self) -> str:
        if self.key is None:
            raise Refusal(10003, "API key is invalid.")
        return self.key.user

    def text(self, name: str) -> str:
        """Give a parameter that must be there, as a string, or refuse with 10001."""
        value = self.params.get(name)
        if not isinstance(value, str) or not value:
            raise Refusal(10001, f"Request parameter error: {name}")
        return value

    def optional(self, name: str) -> str | None:
        return self.params.get(name) or None


Handler = Callable[[Exchange, Call, Moment], Payload]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A path, its short name in faults and counts, and what it asks of the key."""

    path: str
    name: str
    handler: Handler
    method: str = "GET"
    product: str | None = None
    signed: bool = True
    permission: tuple[str, str] | None = ("Spot", "SpotTrade")

    @property
    def writes(self) -> bool:
        return self.method == "POST"


def parse_params(endpoint: Endpoint, query: list[tuple[str, str]], body: bytes) -> Payload:
    """Read the query, or the JSON object of strings that a POST must have."""
    if not endpoint.writes:
        return dict(query)
    try:
        document = json.loads(body, parse_float=Decimal)
    except ValueError:
        raise Refusal(10001, "Request body is not JSON") from None
    if not isinstance(document, dict) or not all(isinstance(value, str) for value in document.values()):
        raise Refusal(10001, "Request body must be a JSON object of strings")
    return document


def target_of(endpoint: Endpoint, params: Payload, key: ApiKey | None) -> Target:
    """Say what a request is about before it is carried out, for the faults to choose by."""
    loan_id = params.get("orderId") or ("pool" if endpoint.product == POOL else None)
    return Target(
        endpoint=endpoint.name,
        path=endpoint.path,
        product=endpoint.product,
        direction=DIRECTIONS.get(str(params.get("direction"))),
        user=key.user if key else None,
        loan_id=loan_id,
    )


def authenticate(exchange: Exchange, call: Call) -> Allowance | None:
    """Check key, window, signature, permission and rate limit, in that order."""
    if not call.endpoint.signed:
        return None
    server_ms = exchange.clock.now_ms() + call.clock_shift_ms
    call.key = check_key(exchange.keys, call.signed, server_ms, call.address)
    if call.endpoint.permission:
        check_permission(call.key, *call.endpoint.permission, writes=call.endpoint.writes)
    plan = exchange.limits.plan
    limit = plan.writes_per_s if call.endpoint.writes else plan.reads_per_s
    return exchange.limits.allow(call.user, call.endpoint.path, limit, exchange.clock.real_s())


def carry_out(exchange: Exchange, call: Call) -> Payload:
    """Do what the request asks, at this very moment, or raise Refusal."""
    return call.endpoint.handler(exchange, call, exchange.look())


# Market and key


def _time(exchange: Exchange, call: Call, _moment: Moment) -> Payload:
    now = exchange.clock.now_ms() + call.clock_shift_ms
    return {"timeSecond": str(now // 1000), "timeNano": f"{now}000000"}


def _tickers(exchange: Exchange, call: Call, moment: Moment) -> Payload:
    if call.text("category") != "spot":
        raise Refusal(10001, "Only spot is simulated")
    coins = sorted(exchange.market.coins - {"USDT"})
    symbol = call.optional("symbol")
    rows = [payloads.ticker(coin, moment.prices) for coin in coins if symbol in (None, f"{coin}USDT")]
    if symbol and not rows:
        raise Refusal(10001, "Not supported symbols")
    return {"category": "spot", "list": rows}


def _kline(exchange: Exchange, call: Call, moment: Moment) -> Payload:
    coin = call.text("symbol").removesuffix("USDT")
    if coin not in exchange.market.coins:
        raise Refusal(10001, "Not supported symbols")
    minutes = int(call.text("interval")) if call.text("interval").isdigit() else 1
    width_ms = minutes * 60_000
    end = min(int(call.optional("end") or moment.time_ms), moment.time_ms) // width_ms * width_ms
    limit = min(int(call.optional("limit") or 200), 1000)
    start = max(int(call.optional("start") or 0), end - (limit - 1) * width_ms)
    rows = [exchange.candle(coin, opens, width_ms, moment) for opens in range(end, start - 1, -width_ms)]
    return {"category": "spot", "symbol": f"{coin}USDT", "list": rows}


def _status(_exchange: Exchange, _call: Call, _moment: Moment) -> Payload:
    return {"list": []}


def _key(exchange: Exchange, call: Call, _moment: Moment) -> Payload:
    return payloads.key_information(exchange.keys[call.signed.key])


# Wallets


def _wallet(exchange: Exchange, call: Call, moment: Moment) -> Payload:
    name = call.text("accountType")
    if name not in {"FUND", "UNIFIED"}:
        raise Refusal(10001, "Only FUND and UNIFIED are simulated")
    account, _ = shown(exchange, call, moment)
    coins = [coin for coin in (call.optional("coin") or "").split(",") if coin]
    return payloads.wallet(account, name, coins)


def _transfer(exchange: Exchange, call: Call, moment: Moment) -> Payload:
    source, destination = call.text("fromAccountType"), call.text("toAccountType")
    if {source, destination} != {"FUND", "UNIFIED"}:
        raise Refusal(10001, "Only FUND and UNIFIED are simulated")
    wanted = Transfer(
        transfer_id=call.text("transferId"),
        user=call.user,
        coin=call.text("coin"),
        amount=_amount(call, LEGACY),
        source=source,
        destination=destination,
        time_ms=moment.time_ms,
    )
    return payloads.transfer(exchange.ledger.transfer(wanted, moment))


# Loans


def shown(exchange: Exchange, call: Call, moment: Moment) -> tuple[Account, Moment]:
    """Give the account and the prices that a read is answered from; a stale read looks back."""
    stale = call.fault("stale_reads")
    if stale is None or stale.variant == "new_collateral_old_ltv":
        return exchange.ledger.accounts[call.user], moment
    then_s = moment.real_s - (stale.seconds or Decimal(0))
    account = exchange.ledger.as_of(call.user, then_s)
    return account, exchange.moment(then_s) if stale.variant == "whole" else moment


def _old_ltvs(exchange: Exchange, call: Call, moment: Moment) -> dict[str, str]:
    """Give the LTVs of a while ago where a fault shows them beside today's collateral."""
    stale = call.fault("stale_reads")
    if stale is None or stale.variant != "new_collateral_old_ltv":
        return {}
    then_s = moment.real_s - (stale.seconds or Decimal(0))
    then, prices = exchange.ledger.as_of(call.user, then_s), exchange.moment(then_s).prices
    return {loan.loan_id: payloads.quoted_ltv(loan.ltv(prices), loan.product) for loan in then.loans()}


def _orders(exchange: Exchange, call: Call, moment: Moment) -> Payload:
    account, then = shown(exchange, call, moment)
    old = _old_ltvs(exchange, call, moment)
    rows = [payloads.order_row(order, then.prices) for order in account.open_orders()]
    for row in rows:
        row["currentLTV"] = old.get(row["orderId"], row["currentLTV"])
    rows = _filtered(rows, call, "orderId", "loanCurrency", "collateralCurrency")
    known = list(reversed(account.orders))
    return page(rows, call.params, "orderId", closing_cursor=False, known=known)


def _position(exchange: Exchange, call: Call, moment: Moment) -> Payload:
    account, then = shown(exchange, call, moment)
    found = payloads.position(account.pool, then.prices, exchange.ledger.col_res)
    return found | {"ltv": _old_ltvs(exchange, call, moment).get("pool", found["ltv"])}


def _maximum(exchange: Exchange, call: Call, moment: Moment) -> Payload:
    product = call.endpoint.product or LEGACY
    loan_id = call.text("orderId") if product == LEGACY else "pool"
    loan = exchange.ledger.loan(call.user, product, loan_id)
    coin = next(iter(loan.holdings())) if product == LEGACY else call.text("currency")
    return {"maxCollateralAmount": payloads.plain(loan.maximum_release(coin, moment.prices))}


def _adjust(exchange: Exchange, call: Call, moment: Moment) -> Payload:
    product = call.endpoint.product or LEGACY
    loan_id = call.text("orderId") if product == LEGACY else "pool"
    direction = DIRECTIONS.get(call.text("direction"))
    if direction is None:
        raise Refusal(10001, "Request parameter error: direction")
    coin = "" if product == LEGACY else call.text("currency")
    amount = _amount(call, product)
    loan = exchange.ledger.loan(call.user, product, loan_id)
    row = exchange.ledger.adjust(
        loan, coin or next(iter(loan.holdings())), direction, amount, moment, handling=_handling(call)
    )
    return {"adjustId": str(row.adjust_id) if product == LEGACY else row.adjust_id}


def _handling(call: Call) -> Handling:
    lag, slow, failed = (call.fault(kind) for kind in ("history_lag", "status_processing", "status_failed"))
    return Handling(
        hidden_s=(lag and lag.seconds) or Decimal(0),
        processing_s=(slow and slow.seconds) or Decimal(0),
        fails=failed is not None,
    )


def _history(exchange: Exchange, call: Call, moment: Moment) -> Payload:
    lag = call.fault("history_lag")
    until_s = moment.real_s - ((lag and lag.seconds) or Decimal(0))
    rows = [
        payloads.adjustment_row(row)
        for row in reversed(exchange.ledger.adjustments)
        if row.user == call.user
        and row.product == call.endpoint.product
        and row.visible_from_s <= moment.real_s
        and row.made_s <= until_s
    ]
    rows = _filtered(rows, call, "orderId", "adjustId", "collateralCurrency")
    return page(rows, call.params, "adjustId", closing_cursor=True)


def _terms(exchange: Exchange, call: Call, _moment: Moment) -> Payload:
    coin = call.optional("currency")
    if call.endpoint.product == POOL:
        return payloads.pool_terms(exchange.scenario, coin)
    return payloads.legacy_terms(exchange.scenario, call.optional("vipLevel"), coin)


def _repay(exchange: Exchange, call: Call, moment: Moment) -> Payload:
    product = call.endpoint.product or LEGACY
    loan_id = call.text("orderId") if product == LEGACY else "pool"
    amount = _amount(call, product)
    loan = exchange.ledger.loan(call.user, product, loan_id)
    coin = loan.debts()[0][0] if product == LEGACY else call.text("loanCurrency")
    return {"repayId": str(exchange.ledger.repay(loan, coin, amount, moment).repay_id)}


def _repayments(exchange: Exchange, call: Call, _moment: Moment) -> Payload:
    rows = [
        payloads.repayment_row(row)
        for row in reversed(exchange.ledger.repayments)
        if row.user == call.user and row.product == call.endpoint.product
    ]
    rows = _filtered(rows, call, "orderId", "repayId", "loanCurrency")
    return page(rows, call.params, "repayId", closing_cursor=True)


def _filtered(rows: list[Payload], call: Call, *names: str) -> list[Payload]:
    wanted = {name: call.optional(name) for name in names}
    return [
        row
        for row in rows
        if all(value is None or name not in row or str(row[name]) == value for name, value in wanted.items())
    ]


def _amount(call: Call, product: str) -> Decimal:
    text = call.text("amount")
    if not PLAIN_NUMBER.fullmatch(text):
        raise refusal("precision", product, "Amount is not a plain number")
    return Decimal(text)


WALLET_RIGHT = ("Wallet", "AccountTransfer")
COMMON, OLD, FLEXIBLE = "/v5/crypto-loan-common", "/v5/crypto-loan", "/v5/crypto-loan-flexible"
PUBLIC: dict[str, Any] = {"signed": False, "permission": None}

_ALL = [
    Endpoint(path="/v5/market/time", name="time", handler=_time, **PUBLIC),
    Endpoint(path="/v5/market/tickers", name="tickers", handler=_tickers, **PUBLIC),
    Endpoint(path="/v5/market/kline", name="kline", handler=_kline, **PUBLIC),
    Endpoint(path="/v5/system/status", name="status", handler=_status, **PUBLIC),
    Endpoint(path="/v5/user/query-api", name="key", handler=_key, permission=None),
    Endpoint(
        path="/v5/asset/transfer/query-account-coins-balance", name="wallet", handler=_wallet, permission=None
    ),
    Endpoint(
        path="/v5/asset/transfer/inter-transfer",
        name="transfer",
        handler=_transfer,
        method="POST",
        permission=WALLET_RIGHT,
    ),
    Endpoint(path=f"{OLD}/ongoing-orders", name="orders", handler=_orders, product=LEGACY),
    Endpoint(path=f"{OLD}/max-collateral-amount", name="maximum", handler=_maximum, product=LEGACY),
    Endpoint(path=f"{OLD}/adjust-ltv", name="adjust", handler=_adjust, method="POST", product=LEGACY),
    Endpoint(path=f"{OLD}/adjustment-history", name="history", handler=_history, product=LEGACY),
    Endpoint(path=f"{OLD}/collateral-data", name="terms", handler=_terms, product=LEGACY, **PUBLIC),
    Endpoint(path=f"{OLD}/repay", name="repay", handler=_repay, method="POST", product=LEGACY),
    Endpoint(path=f"{OLD}/repayment-history", name="repayments", handler=_repayments, product=LEGACY),
    Endpoint(path=f"{COMMON}/position", name="position", handler=_position, product=POOL),
    Endpoint(path=f"{COMMON}/max-collateral-amount", name="maximum", handler=_maximum, product=POOL),
    Endpoint(path=f"{COMMON}/adjust-ltv", name="adjust", handler=_adjust, method="POST", product=POOL),
    Endpoint(path=f"{COMMON}/adjustment-history", name="history", handler=_history, product=POOL),
    Endpoint(path=f"{COMMON}/collateral-data", name="terms", handler=_terms, product=POOL, **PUBLIC),
    Endpoint(path=f"{FLEXIBLE}/repay", name="repay", handler=_repay, method="POST", product=POOL),
    Endpoint(path=f"{FLEXIBLE}/repayment-history", name="repayments", handler=_repayments, product=POOL),
]
ENDPOINTS = {endpoint.path: endpoint for endpoint in _ALL}
