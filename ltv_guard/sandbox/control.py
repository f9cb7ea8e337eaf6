"""The control plane under /sandbox/: unsigned, for tests and demos on this machine only.

GET    /sandbox/state[?wire=0]      the whole ledger (state.py)
POST   /sandbox/price               {"coin", "price"}: hold a USD price; null gives the coin back to its path
POST   /sandbox/terms               {"coin", "margin_call_ltv", "liquidation_ltv"}: either or both, and for
                                    orders that exist too
POST   /sandbox/faults              one fault, or a list of them (faults.py)
DELETE /sandbox/faults              no fault from now on
POST   /sandbox/user-adjust         {"user", "loan_id", "direction", "amount"[, "coin"]}: the user's own hand
POST   /sandbox/user-repay          {"user", "loan_id", "amount"[, "coin"]}: the same, from the Funding wallet
POST   /sandbox/partial-liquidation {"user", "loan_id", "amount"[, "coin"]}: collateral coins sold for debt
POST   /sandbox/partial-repayment   {"user", "loan_id", "amount"[, "coin"]}: debt paid from outside
POST   /sandbox/deposit             {"user", "coin", "amount"[, "wallet"]}: negative takes out
POST   /sandbox/clock               {"offset_ms"}: the server's clock against this machine's
POST   /sandbox/platform            {"col_res", "coin_col_res", "closed_collateral"}: what pools show of the
                                    platform's limits, and coins that it takes no more of

Amounts are strings. A wrong request gets HTTP 400 and {"error": "..."}.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from ipaddress import ip_address
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from ltv_guard.sandbox.exchange import Exchange
from ltv_guard.sandbox.faults import Fault
from ltv_guard.sandbox.refusals import Refusal
from ltv_guard.sandbox.state import jsonable, state_of

Asked = dict[str, Any]
WRONG = (LookupError, TypeError, ValueError, InvalidOperation, ValidationError, Refusal)


class Control:
    """Handles /sandbox/ requests."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self._posts: dict[str, Callable[[Asked], object]] = {
            "price": self._price,
            "terms": self._terms,
            "faults": self._faults,
            "user-adjust": self._user_adjust,
            "user-repay": _of_a_loan(exchange.user_repay),
            "partial-liquidation": _of_a_loan(exchange.partial_liquidation),
            "partial-repayment": _of_a_loan(exchange.partial_repayment),
            "deposit": self._deposit,
            "clock": lambda asked: exchange.set_clock(int(asked["offset_ms"])),
            "platform": lambda asked: exchange.set_platform(**asked),
        }

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answers with JSON; only callers on this machine are served."""
        if not ip_address(request.remote or "0.0.0.0").is_loopback:  # noqa: S104 a missing address, not a bind
            return web.json_response({"error": "the control plane is for this machine only"}, status=403)
        name = request.match_info["name"]
        match request.method, name:
            case "GET", "state":
                return web.json_response(state_of(self.exchange, wire=request.query.get("wire") != "0"))
            case "DELETE", "faults":
                self.exchange.clear_faults()
                return web.json_response({})
            case "POST", _ if name in self._posts:
                return await self._post(request, self._posts[name])
        return web.json_response({"error": f"no such control: {request.method} {name}"}, status=404)

    async def _post(self, request: web.Request, act: Callable[[Asked], object]) -> web.Response:
        try:
            done = act(json.loads(await request.read(), parse_float=Decimal))
        except WRONG as error:
            return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=400)
        return web.json_response(jsonable(done) or {})

    def _price(self, asked: Asked) -> None:
        price = asked["price"]
        self.exchange.set_price(asked["coin"], None if price is None else Decimal(str(price)))

    def _terms(self, asked: Asked) -> None:
        ltvs = {name: Decimal(ltv) for name, ltv in asked.items() if name != "coin"}
        self.exchange.set_terms(asked["coin"], **ltvs)

    def _faults(self, asked: Asked | list[Asked]) -> None:
        for fault in [Fault.model_validate(one) for one in (asked if isinstance(asked, list) else [asked])]:
            self.exchange.add_fault(fault)

    def _user_adjust(self, asked: Asked) -> object:
        return self.exchange.user_adjust(
            asked["user"], asked["loan_id"], asked["direction"], Decimal(asked["amount"]), asked.get("coin")
        )

    def _deposit(self, asked: Asked) -> None:
        self.exchange.deposit(
            asked["user"], asked["coin"], Decimal(asked["amount"]), asked.get("wallet", "FUND")
        )


def _of_a_loan(act: Callable[[str, str, Decimal, str | None], object]) -> Callable[[Asked], object]:
    """Reads what a hand on a loan needs: whose, which, how many coins, and of which coin."""
    return lambda asked: act(asked["user"], asked["loan_id"], Decimal(asked["amount"]), asked.get("coin"))
