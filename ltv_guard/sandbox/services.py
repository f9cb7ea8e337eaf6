"""Everything but loans: v5/market, v5/system, v5/user and v5/asset."""

from decimal import Decimal

from . import payloads
from .accounts import Account
from .calls import Call, amount_of
from .exchange import Exchange
from .market import Moment
from .paging import page
from .payloads import Payload
from .records import Handling, Transfer
from .refusals import LEGACY, Refusal


def answer_time(exchange: Exchange, call: Call, _moment: Moment) -> Payload:
    now = exchange.clock.now_ms() + call.clock_shift_ms
    return {"timeSecond": str(now // 1000), "timeNano": f"{now}000000"}


def answer_tickers(exchange: Exchange, call: Call, moment: Moment) -> Payload:
    if call.text("category") != "spot":
        raise Refusal(10001, "Only spot is simulated")
    coins = sorted(exchange.market.coins - {"USDT"})
    symbol = call.optional("symbol")
    rows = [payloads.ticker(coin, moment.prices) for coin in coins if symbol in (None, f"{coin}USDT")]
    if symbol and not rows:
        raise Refusal(10001, "Not supported symbols")
    return {"category": "spot", "list": rows}


def answer_kline(exchange: Exchange, call: Call, moment: Moment) -> Payload:
    coin = call.text("symbol").removesuffix("USDT")
    if coin not in exchange.market.coins:
        raise Refusal(10001, "Not supported symbols")
    width_ms = max(call.number("interval", 1), 1) * 60_000
    end = min(call.number("end", moment.time_ms), moment.time_ms) // width_ms * width_ms
    limit = min(call.number("limit", 200), 1000)
    start = max(call.number("start", 0), end - (limit - 1) * width_ms)
    rows = [exchange.candle(coin, opens, width_ms, moment) for opens in range(end, start - 1, -width_ms)]
    return {"category": "spot", "symbol": f"{coin}USDT", "list": rows}


def answer_status(_exchange: Exchange, _call: Call, _moment: Moment) -> Payload:
    return {"list": []}


def answer_key(exchange: Exchange, call: Call, _moment: Moment) -> Payload:
    return payloads.key_information(exchange.keys[call.signed.key])


def answer_wallet(exchange: Exchange, call: Call, moment: Moment) -> Payload:
    name = call.text("accountType")
    if name not in {"FUND", "UNIFIED"}:
        raise Refusal(10001, "Only FUND and UNIFIED are simulated")
    account, _ = shown(exchange, call, moment)
    coins = [coin for coin in (call.optional("coin") or "").split(",") if coin]
    return payloads.wallet(account, name, coins)


def answer_transfer(exchange: Exchange, call: Call, moment: Moment) -> Payload:
    source, destination = call.text("fromAccountType"), call.text("toAccountType")
    if {source, destination} != {"FUND", "UNIFIED"}:
        raise Refusal(10001, "Only FUND and UNIFIED are simulated")
    wanted = Transfer(
        transfer_id=call.text("transferId"),
        user=call.user,
        coin=call.text("coin"),
        amount=amount_of(call, LEGACY),
        source=source,
        destination=destination,
        time_ms=moment.time_ms,
    )
    slow, failed = call.fault("status_processing"), call.fault("status_failed")
    handling = Handling(processing_s=(slow and slow.seconds) or Decimal(0), fails=failed is not None)
    return payloads.transfer(exchange.ledger.transfer(wanted, moment, handling=handling))


def answer_transfers(exchange: Exchange, call: Call, _moment: Moment) -> Payload:
    wanted = call.optional("transferId")
    rows = [
        payloads.transfer_row(row)
        for row in reversed(exchange.ledger.transfers.values())
        if row.user == call.user and wanted in (None, row.transfer_id)
    ]
    return page(rows, call.params, "transferId", closing_cursor=False)


def shown(exchange: Exchange, call: Call, moment: Moment) -> tuple[Account, Moment]:
    """Give the account and the prices that a read is answered from; a stale read looks back."""
    stale = call.fault("stale_reads")
    if stale is None or stale.variant == "new_collateral_old_ltv":
        return exchange.ledger.accounts[call.user], moment
    then_s = moment.real_s - (stale.seconds or Decimal(0))
    account = exchange.ledger.as_of(call.user, then_s)
    return account, exchange.moment(then_s) if stale.variant == "whole" else moment
