"""The exchange without its wire: clock, market, ledger, limits, faults, and a hand on each of them."""

from __future__ import annotations

from collections import Counter, deque
from decimal import Decimal
from typing import Any

from ltv_guard.sandbox.accounts import Loan
from ltv_guard.sandbox.clock import Clock
from ltv_guard.sandbox.faults import Fault, FaultBook
from ltv_guard.sandbox.ledger import Ledger
from ltv_guard.sandbox.limits import RateLimits
from ltv_guard.sandbox.market import Market, Moment
from ltv_guard.sandbox.records import BY_HAND, Adjustment, Direction, Repayment
from ltv_guard.sandbox.refusals import LEGACY, POOL
from ltv_guard.sandbox.renumbering import renumbered
from ltv_guard.sandbox.repayments import BY_LIQUIDATION
from ltv_guard.sandbox.scenario import ApiKey, CoinTerms, Scenario

DAY_MS = 86_400_000
KEPT_WRITES, KEPT_READS = 20_000, 2_000


class Exchange:
    """Everything that a running sandbox knows. `url` is set while it is served.

    The methods are what /sandbox/ offers over HTTP (see control.py); tests in the same process
    may call them and read `ledger`, `market`, `limits` and `faults` directly.
    """

    def __init__(self, scenario: Scenario, clock: Clock | None = None) -> None:
        self.url = ""
        self.clock = clock or Clock(scenario.clock_offset_ms)
        if scenario.ids == "new":
            scenario = renumbered(scenario, self.clock.now_ms())
        self.market = Market(scenario.market)
        self.ledger = Ledger(scenario, self.clock.now_ms())
        self.limits = RateLimits(scenario.limits)
        self.faults = FaultBook(scenario.faults, scenario.seed)
        self.keys = {key.key: key for key in scenario.keys}
        self.requests: Counter[str] = Counter()
        self.callers: Counter[str] = Counter()  # the addresses that requests and streams came from
        self.writes: deque[dict[str, Any]] = deque(maxlen=KEPT_WRITES)
        self.reads: deque[dict[str, Any]] = deque(maxlen=KEPT_READS)
        self._looked_s = Decimal(0)
        self._began_ms = self.clock.now_ms()

    @property
    def scenario(self) -> Scenario:
        """The scenario, with the terms as they stand now."""
        return self.ledger.scenario

    def moment(self, real_s: Decimal | None = None) -> Moment:
        """This instant, or the market at another real time."""
        present_s = self.clock.real_s()
        now_s = present_s if real_s is None else real_s
        return Moment(
            time_ms=self.clock.now_ms() - int((present_s - now_s) * 1000),
            real_s=now_s,
            market_s=self.market.market_s(now_s),
            prices=self.market.prices(now_s),
        )

    def look(self) -> Moment:
        """Lets everything happen that is due, at every bend of the prices since the last look."""
        now = self.moment()
        for turn in self.market.turns(self._looked_s, now.real_s):
            self.ledger.look(self.moment(turn))
        self.ledger.look(now)
        self._looked_s = now.real_s
        return now

    def candle(self, coin: str, opens_ms: int, width_ms: int, now: Moment) -> list[str]:
        """One row of v5/market/kline, from the prices as they were in real time."""
        begin = now.real_s - Decimal(now.time_ms - opens_ms) / 1000
        end = min(begin + Decimal(width_ms) / 1000, now.real_s)
        times = [begin, *self.market.turns(begin, end), end]
        prices = [self.market.price(coin, at) / self.market.price("USDT", at) for at in times]
        row = [prices[0], max(prices), min(prices), prices[-1], Decimal(0), Decimal(0)]
        return [str(opens_ms), *(format(value, "f") for value in row)]

    def start(self) -> None:
        """Lets the market, and interest with it, run from now on."""
        self.market.start(self.clock.real_s())

    def key_ends_ms(self, key: ApiKey) -> int | None:
        """When a key ends (ms, counted from the sandbox's start); None for one that does not."""
        if key.expires_in is not None:
            return self._began_ms + int(key.expires_in * 1000)
        return None if key.deadline_days < 0 else self._began_ms + key.deadline_days * DAY_MS

    # What a hand may do

    def set_price(self, coin: str, price: Decimal | None) -> None:
        """Holds a coin's USD price from now on; None gives it back to its path."""
        self.look()
        self.market.set_price(coin, price, self.clock.real_s())
        self.look()

    def set_terms(
        self, coin: str, margin_call_ltv: Decimal | None = None, liquidation_ltv: Decimal | None = None
    ) -> None:
        """Changes a coin's LTVs as collateral from now on, either or both; orders that exist follow them."""
        if coin not in self.market.coins:
            raise KeyError(coin)
        self.look()
        asked = {"margin_call_ltv": margin_call_ltv, "liquidation_ltv": liquidation_ltv}
        changes = {name: ltv for name, ltv in asked.items() if ltv is not None}
        terms = CoinTerms.model_validate(self.scenario.terms(coin).model_dump() | changes)
        self.ledger.set_terms(coin, terms)
        self.look()

    def add_fault(self, fault: Fault) -> None:
        """Has a fault strike from now on."""
        self.faults.add(fault)

    def clear_faults(self) -> None:
        """Has no fault strike any more."""
        self.faults.clear()

    def set_clock(self, offset_ms: int) -> None:
        """Puts the server's clock so many ms ahead of this machine's."""
        self.clock.offset_ms = offset_ms

    def user_adjust(
        self, user: str, loan_id: str, direction: Direction, amount: Decimal, coin: str | None = None
    ) -> Adjustment:
        """Adjusts as the user does in the exchange's own app; loan id `pool` with a coin for the pool."""
        if direction not in ("add", "reduce"):
            raise ValueError(f"direction {direction!r} is neither add nor reduce")
        moment = self.look()
        loan = self._loan(user, loan_id)
        chosen = coin or next(iter(loan.holdings()))
        return self.ledger.adjust(loan, chosen, direction, amount, moment, origin=BY_HAND)

    def user_repay(self, user: str, loan_id: str, amount: Decimal, coin: str | None = None) -> Repayment:
        """Repays from the Funding wallet as the user does in the exchange's own app."""
        moment = self.look()
        loan = self._loan(user, loan_id)
        return self.ledger.repay(loan, coin or loan.debts()[0][0], amount, moment, origin=BY_HAND)

    def partial_liquidation(
        self, user: str, loan_id: str, amount: Decimal, coin: str | None = None, kind: int = BY_LIQUIDATION
    ) -> Repayment:
        """Sells collateral coins for debt. `kind` is the repayType that the history shows."""
        moment = self.look()
        loan = self._loan(user, loan_id)
        sold = coin or next(iter(loan.holdings()))
        return self.ledger.partial_liquidation(loan, sold, amount, moment, kind)

    def partial_repayment(
        self, user: str, loan_id: str, amount: Decimal, coin: str | None = None
    ) -> Repayment:
        """What the exchange itself repays of a loan, unasked: `amount` in `coin`."""
        moment = self.look()
        loan = self._loan(user, loan_id)
        return self.ledger.partial_repayment(loan, coin or loan.debts()[0][0], amount, moment)

    def deposit(self, user: str, coin: str, amount: Decimal, wallet: str = "FUND") -> None:
        """Brings coins into a wallet from outside, or out of it when negative."""
        self.ledger.deposit(user, coin, amount, self.look(), wallet)

    def set_platform(
        self,
        col_res: str | None = None,
        closed_collateral: list[str] | None = None,
        coin_col_res: dict[str, str] | None = None,
    ) -> None:
        """Closes coins to more collateral, or opens them; and sets what pools show, in all or for a coin."""
        shown = [item for item in (col_res, *(coin_col_res or {}).values()) if item is not None]
        if wrong := [item for item in shown if item not in ("-1", "0", "1", "2")]:
            raise ValueError(f"colRes {wrong[0]!r} is none of -1, 0, 1, 2")
        if col_res is not None:
            self.ledger.col_res = col_res
        if coin_col_res is not None:
            self.ledger.coin_col_res = coin_col_res
        if closed_collateral is not None:
            self.ledger.closed_coins = set(closed_collateral)

    def _loan(self, user: str, loan_id: str) -> Loan:
        product = POOL if loan_id == "pool" else LEGACY
        return self.ledger.loan(user, product, loan_id)
