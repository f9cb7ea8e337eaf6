"""The exchange's books: exact, synchronous, no I/O and no clock. Every effect is atomic and written down."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_UP, Decimal
from itertools import count

from .accounts import Account, Loan, Memory, open_account
from .market import Moment
from .orders import DUST, Order
from .records import FAILED, PROCESSING, SUCCESS, Adjustment, Direction, Liquidation, Repayment, Transfer
from .refusals import LEGACY, POOL, Refusal, refusal
from .scenario import Scenario

ZERO = Decimal(0)
FIRST_LEGACY_ID, FIRST_POOL_ID, FIRST_REPAY_ID = 1794318409405331968, 27511, 1771


@dataclass(frozen=True, slots=True, kw_only=True)
class Handling:
    """How the exchange treats one adjustment out of the ordinary (faults)."""

    hidden_s: Decimal = ZERO
    processing_s: Decimal = ZERO
    fails: bool = False


class Ledger:
    """Accounts and all that happened to them. Callers say when: every operation takes its moment."""

    def __init__(self, scenario: Scenario, time_ms: int) -> None:
        self.scenario = scenario
        self.accounts = {
            user: open_account(user, plan, scenario, time_ms) for user, plan in scenario.users.items()
        }
        self.adjustments: list[Adjustment] = []
        self.repayments: list[Repayment] = []
        self.transfers: dict[str, Transfer] = {}
        self.liquidations: list[Liquidation] = []
        self.closed_coins = set(scenario.closed_collateral)
        self.col_res: str = scenario.col_res
        self._memory = {user: Memory(account) for user, account in self.accounts.items()}
        self._waiting: list[Adjustment] = []
        # Ids grow with time, as the real ones do: a journal that met an earlier sandbox never sees one twice.
        self._ids = {
            LEGACY: count(FIRST_LEGACY_ID + (time_ms << 20)),
            POOL: count(FIRST_POOL_ID + time_ms),
        }
        self._repay_ids = count(FIRST_REPAY_ID)

    # Reading

    @property
    def effects(self) -> list[Adjustment]:
        """Give the adjustments whose coins have moved."""
        return [row for row in self.adjustments if row.applied_ms is not None]

    def as_of(self, user: str, real_s: Decimal) -> Account:
        """Give a copy of the account as it was at that real time (two minutes back at most)."""
        return self._memory[user].at(real_s)

    def loan(self, user: str, product: str, loan_id: str) -> Loan:
        """Find an open loan of this user, or refuse."""
        account = self.accounts[user]
        found: Loan | None = account.pool if product == POOL else account.orders.get(loan_id)
        if found is None or found.status != "open":
            raise refusal("no_loan", product, "Loan order does not exist")
        return found

    # Adjusting

    def adjust(
        self,
        loan: Loan,
        coin: str,
        direction: Direction,
        amount: Decimal,
        moment: Moment,
        *,
        by: str = "api",
        signed_at: str = "",
        handling: Handling = Handling(),
    ) -> Adjustment:
        """Move collateral between Funding wallet and loan, or raise Refusal and move nothing."""
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
            by=by,
            signed_at=signed_at,
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
        exponent = amount.as_tuple().exponent
        if not isinstance(exponent, int) or -exponent > loan.coin_terms(coin).accuracy:
            raise refusal("precision", product, "Amount exceeds the coin's precision")
        if direction == "reduce":
            maximum = loan.maximum_release(coin, moment.prices)
            if amount > maximum:
                raise refusal("over_maximum", product, f"Amount is over the maximum reduction of {maximum}")
            return maximum
        if coin not in moment.prices:
            raise refusal("platform_limit", product, f"{coin} is no collateral")
        if product == POOL and self.col_res == "2":
            raise refusal("additions_closed", product, "Collateral can't be added at the moment")
        if coin in self.closed_coins:
            raise refusal("platform_limit", product, "The platform's collateral limit is reached")
        if amount > self.accounts[loan.user].balance(coin):
            raise refusal("balance", product, "Insufficient balance")
        return None

    def _settle(self, row: Adjustment, moment: Moment) -> None:
        """Let the coins move now, or fail: what was checked at the start may no longer hold."""
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
        self._changed(account, moment)

    # Paying back

    def repay(self, loan: Loan, coin: str, amount: Decimal, moment: Moment) -> Repayment:
        """Pay from the Funding wallet, at most what is owed; an order paid in full returns its collateral."""
        account = self.accounts[loan.user]
        if isinstance(loan, Order) and coin != loan.loan_coin:
            raise refusal("no_loan", loan.product, "Not the loan's coin")
        if amount <= 0:
            raise refusal("amount", loan.product, "Amount must be greater than zero")
        if amount > account.balance(coin):
            raise refusal("balance", loan.product, "Insufficient balance")
        used = loan.pay(
            coin, amount if isinstance(loan, Order) else min(amount, loan.flexible.get(coin, ZERO))
        )
        if not used:
            raise refusal("no_loan", loan.product, "No flexible debt in this coin")
        account.credit(coin, -used)
        return self._repaid(loan, coin, used, self._freed(loan), 1, moment)

    def _freed(self, loan: Loan) -> Decimal:
        """Close an order that owes nothing any more, and give its collateral back."""
        if not isinstance(loan, Order) or loan.owed > 0:
            return ZERO
        freed, loan.status = loan.collateral, "repaid"
        loan.move(loan.collateral_coin, -freed)
        self.accounts[loan.user].credit(loan.collateral_coin, freed)
        return freed

    def partial_repayment(self, loan: Loan, coin: str, amount: Decimal, moment: Moment) -> Repayment:
        """Let debt shrink by a payment from outside the Funding wallet."""
        used = loan.pay(coin, amount)
        return self._repaid(loan, coin, used, self._freed(loan), 1, moment)

    def partial_liquidation(self, loan: Loan, coin: str, amount: Decimal, moment: Moment) -> Repayment:
        """Sell some collateral at its price against the debt, without a row in the adjustment history."""
        debt_coin, owed = loan.debts()[0]
        proceeds = amount * moment.prices[coin] / moment.prices[debt_coin]
        if proceeds >= owed:
            raise ValueError(f"{amount} {coin} is more than a part of the debt")
        loan.move(coin, -amount)
        paid = proceeds.quantize(DUST, ROUND_DOWN)
        return self._repaid(loan, debt_coin, loan.pay(debt_coin, paid), ZERO, 2, moment)

    def _repaid(
        self, loan: Loan, coin: str, amount: Decimal, returned: Decimal, kind: int, moment: Moment
    ) -> Repayment:
        row = Repayment(
            repay_id=next(self._repay_ids),
            user=loan.user,
            product=loan.product,
            loan_id=loan.loan_id,
            coin=coin,
            amount=amount,
            collateral_coin=loan.collateral_coin if isinstance(loan, Order) else "",
            collateral_returned=returned,
            term=loan.term if isinstance(loan, Order) else "",
            kind=kind,
            time_ms=moment.time_ms,
        )
        self.repayments.append(row)
        self._changed(self.accounts[loan.user], moment)
        return row

    # Wallets

    def transfer(self, wanted: Transfer, moment: Moment, *, handling: Handling = Handling()) -> Transfer:
        """Move coins between a user's wallets, once for each transfer id."""
        known = self.transfers.get(wanted.transfer_id)
        if known:
            if known.user != wanted.user:
                raise Refusal(10001, "transferId is in use")
            return known
        account = self.accounts[wanted.user]
        if wanted.amount > account.balance(wanted.coin, wanted.source):
            raise Refusal(131212, "insufficient balance")
        self.transfers[wanted.transfer_id] = wanted
        wanted.settles_as = "FAILED" if handling.fails else "SUCCESS"
        wanted.settles_at_s = moment.real_s + handling.processing_s
        self._settle_transfers(moment)
        return wanted

    def _settle_transfers(self, moment: Moment) -> None:
        for row in self.transfers.values():
            if row.status != "PENDING" or row.settles_at_s > moment.real_s:
                continue
            account = self.accounts[row.user]
            row.status = row.settles_as
            if row.amount > account.balance(row.coin, row.source):
                row.status = "FAILED"
            if row.status == "SUCCESS":
                account.credit(row.coin, -row.amount, row.source)
                account.credit(row.coin, row.amount, row.destination)
                self._changed(account, moment)

    def deposit(self, user: str, coin: str, amount: Decimal, moment: Moment, wallet: str = "FUND") -> None:
        """Bring coins in from outside, or take them out when negative."""
        self.accounts[user].credit(coin, amount, wallet)
        self._changed(self.accounts[user], moment)

    # Time

    def look(self, moment: Moment) -> None:
        """Let time pass up to this moment: interest, waiting adjustments, LTV extremes, liquidations."""
        self._settle_transfers(moment)
        for row in [row for row in self._waiting if row.settles_at_s <= moment.real_s]:
            self._waiting.remove(row)
            self._settle(row, moment)
        for loan in self.open_loans():
            loan.accrue(moment)
            ltv = loan.ltv(moment.prices)
            loan.peak_ltv = ltv if loan.peak_ltv is None else max(ltv, loan.peak_ltv)
            loan.trough_ltv = ltv if loan.trough_ltv is None else min(ltv, loan.trough_ltv)
            if ltv >= loan.liquidation_ltv:
                self._liquidate(loan, moment, "ltv")
            elif loan.overdue_s(moment) > self.scenario.overdue_grace:
                self._liquidate(loan, moment, "overdue")

    def open_loans(self) -> Iterator[Loan]:
        for account in self.accounts.values():
            yield from (loan for loan in account.loans() if loan.status == "open")

    def _liquidate(self, loan: Loan, moment: Moment, reason: str) -> None:
        """Sell collateral for debt and fee; what is left goes back to the Funding wallet."""
        account = self.accounts[loan.user]
        debt = loan.debt_usd(moment.prices)
        due = debt * (1 + self.scenario.liquidation_fee)
        ltv = loan.ltv(moment.prices)
        sold: dict[str, Decimal] = {}
        returned: dict[str, Decimal] = {}
        holdings = loan.holdings()
        for coin in sorted(holdings, key=lambda coin: loan.coin_terms(coin).liquidation_order):
            amount = holdings[coin]
            step = Decimal(1).scaleb(-loan.coin_terms(coin).accuracy)
            sold[coin] = min(amount, (due / moment.prices[coin]).quantize(step, ROUND_UP))
            returned[coin] = amount - sold[coin]
            due = max(due - sold[coin] * moment.prices[coin], ZERO)
            loan.move(coin, -amount)
            account.credit(coin, returned[coin])
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
        debts = loan.debts()
        loan.write_off()
        loan.status = "liquidated"
        for coin, amount in debts:
            self._repaid(loan, coin, amount, ZERO, 2, moment)

    def _changed(self, account: Account, moment: Moment) -> None:
        self._memory[account.user].remember(account, moment)
