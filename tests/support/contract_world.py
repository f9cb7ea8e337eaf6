"""The exchange in virtual time with what a pool adds to it: fixed loans, and debt that its collateral pays.

A contract ends: it is repaid from the Funding wallet, wholly, in part or not at all; it turns flexible; or it
becomes overdue, costs three times the interest, and a day later its collateral is sold. A repayment with
collateral is answered without an id, costs a fee, and is refused beyond a limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_UP, Decimal

from exchange_world import HELD, HOUR_MS, OWED, POOL, STEP, Row, World

from ltv_guard.core.model.contracts import AtEnd, Contract, ContractList
from ltv_guard.core.model.errors import ExchangeUnavailable, Remedy, WriteRejected
from ltv_guard.core.model.history import DoubtfulRow, History, HistoryRow
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Direction, LoanKey

DAY_MS = 24 * HOUR_MS
ZERO = Decimal(0)
SOLD_DEARER = Decimal("1.02")  # what a liquidation costs
OVERDUE_INTEREST = 3
SALE_LIMIT = 148047


@dataclass(slots=True, kw_only=True)
class Fixed:
    """One contract as it is. `tried`: its end has come, and what then happens has happened."""

    loan_id: str
    coin: str
    principal: Decimal
    signed_ms: int
    ends_ms: int
    at_end: AtEnd
    interest: Decimal = ZERO
    tried: bool = False
    overdue: bool = False

    @property
    def owed(self) -> Decimal:
        return self.principal + self.interest

    def pay(self, coins: Decimal) -> None:
        """Interest first."""
        of_interest = min(coins, self.interest)
        self.interest -= of_interest
        self.principal -= coins - of_interest

    @property
    def shown(self) -> Contract:
        return Contract(
            loan_id=self.loan_id,
            coin=self.coin,
            ends_at_ms=self.ends_ms,
            principal=self.principal,
            interest=self.interest,
            at_end=self.at_end,
            overdue=self.overdue,
        )


@dataclass(frozen=True, slots=True)
class ContractsRead:
    """What one read of them has shown, and when."""

    at_ms: int
    found: ContractList


@dataclass(slots=True)
class ContractWorld(World):
    """`hourly_rate` is of contracts; `fee` a part of what is paid; spans are in ms.

    `pays_in_part`: an automatic repayment takes what there is, where that is too little.
    """

    contracts: list[Fixed] = field(default_factory=list)
    hourly_rate: Decimal = ZERO
    pays_in_part: bool = False
    pays_after_ms: int = 0
    fee: Decimal = ZERO
    sale_limit_usd: Decimal = Decimal(300_000)
    contracts_down: bool = False
    contracts_odd: bool = False  # one row of each list is not understood
    old_contracts_ms: int = 0
    rows_lack_each: int = 0  # every so many-th read of a history shows its newest row as one not understood
    contract_views: list[tuple[int, tuple[Contract, ...]]] = field(default_factory=list)
    contract_reads: dict[str, ContractsRead] = field(default_factory=dict)
    overdue_sold: bool = False
    _history_reads: int = 0

    # Time

    def advance(self, ms: int) -> None:
        """Contracts end at their very moment, between whatever else happens."""
        end = self.true_ms + ms
        while (next_end := min(self._ends(), default=end + 1)) <= end:
            World.advance(self, max(0, next_end - self.true_ms))
            self._end_contracts()
        World.advance(self, end - self.true_ms)

    def _to(self, true_ms: int) -> None:
        hours = Decimal(true_ms - self.true_ms) / HOUR_MS
        for item in self.contracts if self.hourly_rate and hours else ():
            times = OVERDUE_INTEREST if item.overdue else 1
            item.interest += (item.principal * self.hourly_rate * times * hours).quantize(STEP, ROUND_UP)
        World._to(self, true_ms)

    def note(self) -> None:
        fixed: dict[str, Decimal] = {}
        for item in self.contracts:
            fixed[item.coin] = fixed.get(item.coin, ZERO) + item.owed
        self.loans[POOL].fixed = fixed
        shown = tuple(item.shown for item in self.contracts)
        if not self.contract_views or self.contract_views[-1][1] != shown:
            self.contract_views.append((self.true_ms, shown))
        World.note(self)

    # Contracts

    def sign_contract(self, coin: str, principal: Decimal, ends_in_ms: int, at_end: AtEnd) -> None:
        """A new one; what is borrowed goes wherever the user wants it."""
        self.contracts.append(
            Fixed(
                loan_id=f"c{self._ids()}",
                coin=coin,
                principal=principal,
                signed_ms=self.true_ms,
                ends_ms=self.true_ms + ends_in_ms,
                at_end=at_end,
            )
        )
        self.note()

    def repay_contract(self, item: Fixed) -> None:
        """By hand, whole, where the Funding wallet has the coins."""
        if self.wallet.get(item.coin, ZERO) >= item.owed:
            self._pay_whole(item, None)

    def contract(self, loan_id: str | None) -> Fixed | None:
        return next((item for item in self.contracts if item.loan_id == loan_id), None)

    def _pay_whole(self, item: Fixed, intent_id: str | None, *, by_exchange: bool = False) -> None:
        self.wallet[item.coin] -= item.owed
        self.contracts.remove(item)
        self._list_repayment(item, item.owed, intent_id, by_exchange=by_exchange)

    def _list_repayment(self, item: Fixed, paid: Decimal, intent_id: str | None, **how: bool) -> None:
        """In the list of repayments of fixed loans."""
        row = self._row(f"repay-fixed-{self._ids()}", POOL, item.coin, Direction.REPAY, paid)
        self._list(replace(row, fixed=True, contract_id=item.loan_id, **how), intent_id)

    def _ends(self) -> list[int]:
        """When something happens to contracts next."""
        return [item.ends_ms + (DAY_MS if item.tried else self._settles_ms(item)) for item in self.contracts]

    def _settles_ms(self, item: Fixed) -> int:
        return 0 if item.at_end is AtEnd.NOTHING else self.pays_after_ms

    def _end_contracts(self) -> None:
        for item in list(self.contracts):
            if item.tried and item.ends_ms + DAY_MS <= self.true_ms:
                self._sell_for(item)
            elif not item.tried and item.ends_ms + self._settles_ms(item) <= self.true_ms:
                self._end(item)
        self.note()

    def _end(self, item: Fixed) -> None:
        item.tried = True
        has = self.wallet.get(item.coin, ZERO)
        if item.at_end is AtEnd.FLEXIBLE:
            self.loans[POOL].debt += item.owed
            self.contracts.remove(item)
            self._list_repayment(item, item.owed, None, by_exchange=True)
        elif item.at_end.takes_coins and has >= item.owed:
            self._pay_whole(item, None, by_exchange=True)
        else:
            if item.at_end.takes_coins and self.pays_in_part and has > 0:
                item.pay(has)
                self.wallet[item.coin] = ZERO
                self._list_repayment(item, has, None, by_exchange=True)
            item.overdue = True

    def _sell_for(self, item: Fixed) -> None:
        """It has been overdue for a day: the exchange pays it with collateral, and lists that."""
        loan = self.loans[POOL]
        worth = item.owed * self.price_of(item.coin)
        sold = (worth * SOLD_DEARER / self.price).quantize(STEP, ROUND_UP)
        self.contracts.remove(item)
        self._list_repayment(item, item.owed, None, by_exchange=True)  # repayType 4
        self.overdue_sold = True
        if sold >= loan.collateral or self.ltv(POOL) >= 1:
            loan.gone = True
        else:
            loan.collateral -= sold

    # Repaying contracts, and with collateral

    def carry_out(self, intent: Intent) -> str | None:
        """One with collateral is answered without an id."""
        if intent.collateral_coin is None:
            return World.carry_out(self, intent)
        if intent.amount * self.price_of(intent.coin) > self.sale_limit_usd:
            self.refused.append((intent, "sale_limit"))
            raise WriteRejected("too much in one repayment", code=SALE_LIMIT, remedy=Remedy.SMALLER)
        answered = World.carry_out(self, intent)
        return None if answered is None else ""

    def apply(self, intent: Intent) -> bool:
        if intent.collateral_coin is None and intent.contract_id is None:
            return World.apply(self, intent)
        if intent.collateral_coin is None:
            done = self._repay_in_full(intent)
        else:
            done = self.pay_with_collateral(intent.amount, intent.intent_id, of=intent.contract_id)
        if done:
            self.applied.append(intent.intent_id)
        return done

    def _repay_in_full(self, intent: Intent) -> bool:
        """Whatever amount the intent says: the request has none."""
        item = self.contract(intent.contract_id)
        if item is None or self.loans[POOL].gone or self.wallet.get(item.coin, ZERO) < item.owed:
            return False
        self._pay_whole(item, intent.intent_id)
        return True

    def pay_with_collateral(self, amount: Decimal, intent_id: str | None, *, of: str | None = None) -> bool:
        """`of`: of that contract, else of the flexible debt; no more than is owed. False: it is refused."""
        loan, item = self.loans[POOL], self.contract(of)
        if of is not None and item is None:
            return False
        coin, owed = (OWED, loan.debt - 1) if item is None else (item.coin, item.owed)
        paid = min(amount, owed)
        sold = (paid * self.price_of(coin) * (1 + self.fee) / self.price).quantize(STEP, ROUND_UP)
        if loan.gone or paid <= 0 or sold >= loan.collateral or self.ltv(POOL) >= 1:
            return False  # above 1 it would have been liquidated, and each sale would raise its LTV
        loan.collateral -= sold
        if item is not None:
            item.pay(paid)
            self.contracts = [one for one in self.contracts if one.owed > 0]
            self._list_repayment(item, paid, intent_id, with_collateral=True)
        else:
            loan.debt -= paid
            row = self._row(f"repay-{self._ids()}", POOL, OWED, Direction.REPAY, paid)
            self._list(replace(row, with_collateral=True), intent_id)
        return True

    def price_of(self, coin: str) -> Decimal:
        return self.price if coin == HELD else Decimal(1)

    # What it shows

    def shown_contracts(self, coin: str) -> ContractList:
        if self.contracts_down:
            raise ExchangeUnavailable("the list of fixed loans is down")
        self.is_answered()
        by_ms = self.true_ms - max(self.old_contracts_ms, self._age_ms)
        past = [shown for at_ms, shown in self.contract_views if at_ms <= by_ms]
        every = past[-1] if past else self.contract_views[0][1]
        listed = sorted((item for item in every if item.coin == coin), key=lambda item: item.ends_at_ms)
        understood = listed[:-1] if self.contracts_odd and listed else listed
        found = ContractList(contracts=tuple(understood), whole=len(understood) == len(listed))
        self.contract_reads[coin] = ContractsRead(self.true_ms, found)
        return found

    def as_read(self, history: History) -> History:
        self._history_reads += 1
        if not (history.rows and self.rows_lack_each) or self._history_reads % self.rows_lack_each:
            return history
        newest = max(history.rows, key=lambda row: (row.at_ms, row.adjust_id))
        others = tuple(row for row in history.rows if row is not newest)
        return replace(history, rows=others, doubtful=(_doubted(newest),))

    def last_effect_on_collateral_ms(self, key: LoanKey) -> int:
        """When something of ours last moved the loan's collateral; 0 if never."""
        own = (row for row in self.rows if row.shown.key == key and row.intent_id is not None)
        return max((row.landed_ms or 0 for row in own if moves_collateral(row)), default=0)


def moves_collateral(row: Row) -> bool:
    return row.shown.direction is not Direction.REPAY or bool(row.shown.with_collateral)


def _doubted(row: HistoryRow) -> DoubtfulRow:
    """Its amount can't be read."""
    return DoubtfulRow(
        name=row.adjust_id,
        why="its amount is no number",
        adjust_id=row.adjust_id,
        key=row.key,
        coin=row.coin,
        direction=row.direction,
        at_ms=row.at_ms,
    )


class ModelContracts:
    """Implements ports.ContractExchange."""

    def __init__(self, world: ContractWorld) -> None:
        self.world = world

    async def contracts(self, coin: str) -> ContractList:
        return self.world.shown_contracts(coin)


def a_pool_with_contracts(
    world: World, shares: Mapping[str, Decimal], *, ends_in_ms: int, at_end: AtEnd, **changes: object
) -> ContractWorld:
    """That world, and a part of what its pool owes is fixed: by coin, how much of its debt."""
    owed = world.loans[POOL].debt
    found = ContractWorld(
        loans=world.loans,
        wallet=world.wallet,
        unified=world.unified,
        accuracy=world.accuracy,
        **changes,  # type: ignore[arg-type]
    )
    for coin, share in shares.items():
        found.loans[POOL].debt -= owed * share
        price = found.price if coin == HELD else Decimal(1)
        ends = at_end if coin == OWED or at_end is not AtEnd.FLEXIBLE else AtEnd.REPAID
        found.sign_contract(coin, (owed * share / price).quantize(STEP), ends_in_ms, ends)
    found.views.clear()  # no old replica shows it without them
    found.contract_views.clear()
    found.note()
    return found
