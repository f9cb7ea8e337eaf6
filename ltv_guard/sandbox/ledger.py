"""The exchange's books: exact, synchronous, no I/O and no clock. Every effect is atomic and written down."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_DOWN, Decimal

from ltv_guard.sandbox.accounts import Loan
from ltv_guard.sandbox.books import Books, growing_ids, take_due, too_fine
from ltv_guard.sandbox.collateral_sales import sell_all
from ltv_guard.sandbox.contract_ends import BECAME_OVERDUE, grace_s, settle_contracts
from ltv_guard.sandbox.contracts import ContractEnd
from ltv_guard.sandbox.market import Moment
from ltv_guard.sandbox.orders import DUST
from ltv_guard.sandbox.records import (
    BY_API,
    FAILED,
    ORDINARY,
    PROCESSING,
    SUCCESS,
    Adjustment,
    Direction,
    Handling,
    Liquidation,
    Origin,
    Repayment,
    Transfer,
)
from ltv_guard.sandbox.refusals import Refusal, refusal
from ltv_guard.sandbox.repayments import BY_LIQUIDATION, RepaymentAsked, Repayments
from ltv_guard.sandbox.scenario import Scenario
from ltv_guard.sandbox.transfers import Transfers

ZERO = Decimal(0)
FIRST_LEGACY_ID, FIRST_POOL_ID = 1794318409405331968, 27511


class Ledger(Books):
    """All that happened to the accounts. Callers say when: every operation takes its moment."""

    def __init__(self, scenario: Scenario, time_ms: int) -> None:
        super().__init__(scenario, time_ms)
        self.adjustments: list[Adjustment] = []
        self.liquidations: list[Liquidation] = []
        self.contract_ends: list[ContractEnd] = []
        self.closed_coins = set(scenario.closed_collateral)
        self.col_res: str = scenario.col_res
        self.coin_col_res: dict[str, str] = dict(scenario.coin_col_res)
        self._repayments, self._transfers = Repayments(self, time_ms), Transfers(self)
        self._waiting: list[Adjustment] = []
        self._ids = growing_ids(FIRST_LEGACY_ID, FIRST_POOL_ID, time_ms)

    @property
    def effects(self) -> list[Adjustment]:
        """The adjustments whose coins have moved."""
        return [row for row in self.adjustments if row.applied_ms is not None]

    @property
    def repayments(self) -> list[Repayment]:
        """All that were taken, oldest first: whoever asked for them."""
        return self._repayments.rows

    @property
    def transfers(self) -> dict[str, Transfer]:
        """All that were ever taken, by their ids."""
        return self._transfers.rows

    # Adjusting

    def adjust(
        self,
        loan: Loan,
        coin: str,
        direction: Direction,
        amount: Decimal,
        moment: Moment,
        *,
        origin: Origin = BY_API,
        handling: Handling = ORDINARY,
    ) -> Adjustment:
        """Moves collateral between Funding wallet and loan. Raises Refusal, and moves nothing."""
        maximum = self._check(loan, coin, direction, amount, moment)
        ltv = loan.ltv(moment.prices)
        row = Adjustment(
            adjust_id=next(self._ids[loan.product]),
            user=loan.user,
            product=loan.product,
            loan_id=loan.loan_id,
            coin=coin,
            direction=direction,
            amount=amount,
            by=origin.by,
            signed_at=origin.signed_at,
            time_ms=moment.time_ms,
            made_s=moment.real_s,
            visible_from_s=moment.real_s + handling.hidden_s,
            maximum=maximum,
            ltv_before=ltv,
            ltv_after=ltv,
            settles_as=FAILED if handling.fails else SUCCESS,
        )
        self.adjustments.append(row)
        if handling.processing_s > 0:
            row.status, row.settles_at_s = PROCESSING, moment.real_s + handling.processing_s
            self._waiting.append(row)
        else:
            self._settle(row, moment)
        return row

    def _check(
        self, loan: Loan, coin: str, direction: Direction, amount: Decimal, moment: Moment
    ) -> Decimal | None:
        product = loan.product
        if amount <= 0:
            raise refusal("amount", product, "Amount must be greater than zero")
        if too_fine(amount, loan.coin_terms(coin).accuracy):
            raise refusal("precision", product, "Amount exceeds the coin's precision")
        if direction == "reduce":
            maximum = loan.maximum_release(coin, moment.prices)
            if amount > maximum:
                raise refusal("over_maximum", product, f"Amount is over the maximum reduction of {maximum}")
            return maximum
        if coin not in moment.prices:
            raise refusal("not_taken", product, f"{coin} is no collateral")
        if coin in self.closed_coins:
            raise refusal(
                "platform_limit", product, f"The limit of {coin} is reached: use another supported asset"
            )
        if amount > self.accounts[loan.user].balance(coin):
            raise refusal("balance", product, "Insufficient balance")
        return None

    def _settle(self, row: Adjustment, moment: Moment) -> None:
        """Moves the coins now, or fails: what was checked at the start may no longer hold."""
        account = self.accounts[row.user]
        try:
            if row.settles_as == FAILED:
                raise refusal("balance", row.product, "failed by the scenario")
            loan = self.loan(row.user, row.product, row.loan_id)
            row.maximum = self._check(loan, row.coin, row.direction, row.amount, moment)
        except Refusal:
            row.status = FAILED
            return
        sign = 1 if row.direction == "add" else -1
        row.ltv_before = loan.ltv(moment.prices)
        account.credit(row.coin, -sign * row.amount)
        loan.move(row.coin, sign * row.amount)
        row.ltv_after = loan.ltv(moment.prices)
        row.status, row.applied_ms, row.applied_s = SUCCESS, moment.time_ms, moment.real_s
        self.changed(account, moment)

    def repay(
        self,
        loan: Loan,
        coin: str,
        amount: Decimal,
        moment: Moment,
        *,
        origin: Origin = BY_API,
        handling: Handling = ORDINARY,
    ) -> Repayment:
        """Pays from the Funding wallet, at most what is owed. Raises Refusal, and moves nothing."""
        return self.repay_as(RepaymentAsked(loan=loan, coin=coin, amount=amount), moment, origin, handling)

    def repay_as(
        self, wanted: RepaymentAsked, moment: Moment, origin: Origin = BY_API, handling: Handling = ORDINARY
    ) -> Repayment:
        """Pays any debt in any way: a contract's too, and with collateral. Raises Refusal."""
        return self._repayments.ask(wanted, moment, origin, handling)

    def partial_repayment(self, loan: Loan, coin: str, amount: Decimal, moment: Moment) -> Repayment:
        """Lets debt shrink by a payment from outside the Funding wallet."""
        return self._repayments.from_outside(loan, coin, amount, moment)

    def partial_liquidation(
        self, loan: Loan, coin: str, amount: Decimal, moment: Moment, kind: int = BY_LIQUIDATION
    ) -> Repayment:
        """Sells some collateral at its price against the debt, without a row in the adjustment history."""
        debt_coin, owed = loan.debts()[0]
        proceeds = amount * moment.prices[coin] / moment.prices[debt_coin]
        if proceeds >= owed:
            raise ValueError(f"{amount} {coin} is more than a part of the debt")
        loan.move(coin, -amount)
        paid = proceeds.quantize(DUST, ROUND_DOWN)
        return self._repayments.by_sale(loan, debt_coin, loan.pay(debt_coin, paid), moment, kind)

    def transfer(self, wanted: Transfer, moment: Moment, *, handling: Handling = ORDINARY) -> Transfer:
        """Moves coins between a user's wallets (transfers.py)."""
        return self._transfers.ask(wanted, moment, handling)

    def deposit(self, user: str, coin: str, amount: Decimal, moment: Moment, wallet: str = "FUND") -> None:
        """Brings coins in from outside, or takes them out when negative."""
        self.accounts[user].credit(coin, amount, wallet)
        self.changed(self.accounts[user], moment)

    def look(self, moment: Moment) -> None:
        """Lets time pass up to this moment: interest, what waits to settle, LTV extremes, liquidations."""
        self._transfers.settle(moment)
        self._repayments.settle(moment)
        self._end_contracts(moment)
        for row in take_due(self._waiting, moment):
            self._settle(row, moment)
        for loan in self.open_loans():
            loan.accrue(moment)
            ltv = loan.ltv(moment.prices)
            loan.peak_ltv = ltv if loan.peak_ltv is None else max(ltv, loan.peak_ltv)
            loan.trough_ltv = ltv if loan.trough_ltv is None else min(ltv, loan.trough_ltv)
            if ltv >= loan.liquidation_ltv:
                self._liquidate(loan, moment, "ltv")
            elif loan.overdue_s(moment) > grace_s(self.scenario, loan):
                self._liquidate(loan, moment, "overdue")

    def _end_contracts(self, moment: Moment) -> None:
        for end in settle_contracts(self, moment):
            self.contract_ends.append(end)
            pool = self.accounts[end.user].pool
            if end.kind != BECAME_OVERDUE and pool is not None:
                self._repayments.by_contract(pool, end.coin, {end.loan_id: end.amount}, moment, end.kind)

    def open_loans(self) -> Iterator[Loan]:
        """Every user's orders and pools that are neither repaid nor liquidated."""
        for account in self.accounts.values():
            yield from (loan for loan in account.loans() if loan.status == "open")

    def _liquidate(self, loan: Loan, moment: Moment, reason: str) -> None:
        """Sells collateral for debt and fee; what is left goes back to the Funding wallet."""
        account = self.accounts[loan.user]
        debt, ltv = loan.debt_usd(moment.prices), loan.ltv(moment.prices)
        sold, returned = sell_all(loan, debt * (1 + self.scenario.liquidation_fee), moment.prices)
        for coin, amount in returned.items():
            account.credit(coin, amount)
        self.liquidations.append(
            Liquidation(
                user=loan.user,
                product=loan.product,
                loan_id=loan.loan_id,
                time_ms=moment.time_ms,
                market_s=moment.market_s,
                prices=dict(moment.prices),
                ltv=ltv,
                debt_usd=debt,
                cost_usd=debt * self.scenario.liquidation_fee,
                sold=sold,
                returned=returned,
                reason=reason,
            )
        )
        self._repayments.by_liquidation(loan, moment, overdue=reason == "overdue")
