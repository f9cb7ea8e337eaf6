"""Everything but loans: v5/market, v5/system, v5/user and v5/asset.

Each answers with the payload of its page. What it does not answer raises Refusal.
"""

from __future__ import annotations

import math
import re

from ltv_guard.sandbox import account_payloads, public_payloads
from ltv_guard.sandbox.calls import Call, amount_of, handling_of
from ltv_guard.sandbox.exchange import Exchange
from ltv_guard.sandbox.market import Moment
from ltv_guard.sandbox.paging import page
from ltv_guard.sandbox.payloads import Payload
from ltv_guard.sandbox.records import Transfer
from ltv_guard.sandbox.refusals import TRANSFER, Refusal
from ltv_guard.sandbox.views import filtered, shown, visible

UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
WEEK_S = 604_800


def answer_time(exchange: Exchange, call: Call, _moment: Moment) -> Payload:
    """Answers v5/market/time."""
    now = exchange.clock.now_ms() + call.clock_shift_ms
    return {"timeSecond": str(now // 1000), "timeNano": f"{now}000000"}


def answer_tickers(exchange: Exchange, call: Call, moment: Moment) -> Payload:
    """Answers v5/market/tickers, of the spot market."""
    if call.text("category") != "spot":
        raise Refusal(10001, "Only spot is simulated")
    coins = sorted(exchange.market.coins - {"USDT"})
    symbol = call.optional("symbol")
    rows = [public_payloads.ticker(coin, moment.prices) for coin in coins if symbol in (None, f"{coin}USDT")]
    if symbol and not rows:
        raise Refusal(10001, "Not supported symbols")
    return {"category": "spot", "list": rows}


def answer_kline(exchange: Exchange, call: Call, moment: Moment) -> Payload:
    """Answers v5/market/kline: candles of so many minutes, the newest first."""
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
    """Answers v5/system/status: no maintenance is ever announced."""
    return {"list": []}


def answer_key(exchange: Exchange, call: Call, _moment: Moment) -> Payload:
    """Answers v5/user/query-api."""
    key = exchange.keys[call.signed.key]
    return account_payloads.key_information(key, exchange.clock.now_ms(), exchange.key_ends_ms(key))


def answer_wallet(exchange: Exchange, call: Call, moment: Moment) -> Payload:
    """Answers v5/asset/transfer/query-account-coins-balance."""
    name = call.text("accountType")
    if name not in {"FUND", "UNIFIED"}:
        raise Refusal(10001, "Only FUND and UNIFIED are simulated")
    account, _ = shown(exchange, call, moment)
    coins = [coin for coin in (call.optional("coin") or "").split(",") if coin]
    return account_payloads.wallet(account, name, coins)


def answer_transfer(exchange: Exchange, call: Call, moment: Moment) -> Payload:
    """Answers v5/asset/transfer/inter-transfer."""
    transfer_id = call.text("transferId")
    if not UUID.fullmatch(transfer_id):
        raise Refusal(131203, "Request parameter error: transferId")
    source, destination = call.text("fromAccountType"), call.text("toAccountType")
    if {source, destination} != {"FUND", "UNIFIED"}:
        raise Refusal(10001, "Only FUND and UNIFIED are simulated")
    wanted = Transfer(
        transfer_id=transfer_id,
        user=call.user,
        coin=call.text("coin"),
        amount=amount_of(call, TRANSFER),
        source=source,
        destination=destination,
        signed_at=call.signed.timestamp,
        time_ms=moment.time_ms,
        made_s=moment.real_s,
        visible_from_s=moment.real_s,
    )
    return account_payloads.transfer(exchange.ledger.transfer(wanted, moment, handling=handling_of(call)))


def answer_transfers(exchange: Exchange, call: Call, moment: Moment) -> Payload:
    """Answers v5/asset/transfer/query-inter-transfer-list."""
    since, until = _asked_seconds(call, moment)
    transfers = exchange.ledger.transfers.values()
    rows = [
        account_payloads.transfer_row(row)
        for row in visible(transfers, call, moment)
        if since <= row.time_ms // 1000 <= until
        and (call.optional("transferId") or "").removeprefix("selfTransfer_") in {"", row.transfer_id}
    ]
    rows = filtered(rows, call, "coin", "status")
    known = [f"selfTransfer_{row.transfer_id}" for row in reversed(transfers) if row.user == call.user]
    return page(rows, call.params, "transferId", closing_cursor=True, known=known, default=20, most=50)


def _asked_seconds(call: Call, moment: Moment) -> tuple[int, float]:
    """The first and the last second that `startTime` and `endTime` (ms) ask for, at most a week.

    v5/asset/transfer/inter-transfer-list: the query counts in whole seconds. Where one of the two is missing
    it lies a week away from the other; where both are, the last week is meant.
    """
    start, end = (call.number(name, 0) // 1000 for name in ("startTime", "endTime"))
    if start and end and not 0 <= end - start <= WEEK_S:
        raise Refusal(131203, "Request parameter error: startTime and endTime are a week apart at most")
    if not start and not end:
        return moment.time_ms // 1000 - WEEK_S, math.inf
    return start or end - WEEK_S, end or start + WEEK_S
