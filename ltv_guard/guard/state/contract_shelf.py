"""The contracts of an account's pool as they were read last, by coin, and when to read them again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from ltv_guard.core.amounts.due import due_coins, is_to_be_repaid, owed_of
from ltv_guard.core.model.contracts import SETTLES_WITHIN_MS, TOLD_AFTER_MS, Contract, ContractList
from ltv_guard.core.model.history import HistoryRow
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import Debt, Direction, LoanKey, Moment
from ltv_guard.core.model.timing import Timing
from ltv_guard.core.reconcile.freshness import GROWTH
from ltv_guard.guard.state.intent_book import SETTLING_DOWN_MS

APART = Decimal("0.01")  # of what is owed: interest of which the list does not tell


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptList:
    """One read: what it found, when, and what the pool owed in contracts by then."""

    found: ContractList
    fixed: Decimal
    at: Moment

    def is_to_be_renewed(self, fixed: Decimal, now: Moment, longest_ms: int) -> bool:
        """After an hour, when the fixed debt changes, when a contract has ended, and where a row was odd.

        One that has ended is read once more when it is told as overdue, and when it should be settled.
        And a list that does not bear out what is owed may be of a moment ago.
        """
        ended = any(
            self.at.exchange_ms <= ms <= now.exchange_ms
            for item in self.found.contracts
            for ms in (item.ends_at_ms + after_ms for after_ms in (0, TOLD_AFTER_MS, SETTLES_WITHIN_MS))
        )
        is_odd = not self.found.whole or abs(self.found.owed - self.fixed) > APART * self.fixed
        return ended or is_odd or fixed != self.fixed or now.ms_since(self.at) >= longest_ms


class ContractShelf:
    """Lost by a restart without harm: the first look reads them again. `fixed` is what is owed, by coin."""

    def __init__(self) -> None:
        self.fixed: dict[str, Decimal] = {}
        self.kept: dict[str, KeptList] = {}
        self._tried: dict[str, Moment] = {}
        self._debts: dict[str, Debt] = {}
        self._turned: list[HistoryRow] = []

    def saw(self, book: LoanBook) -> None:
        """Notes what the pool owes in contracts; a coin whose debt could not be read stays as it was."""
        debts = [debt for loan in book.loans if loan.is_pool for debt in loan.debts]
        for loan in book.loans:
            if loan.is_pool:
                self._note_turned(loan.key, loan.debts, book.began.exchange_ms)
        unread = {debt.coin for debt in debts if debt.unread}
        before = {coin: fixed for coin, fixed in self.fixed.items() if coin in unread}
        self.fixed = before | {debt.coin: debt.fixed for debt in debts if debt.fixed > 0}
        for coin in [coin for coin in self.kept if coin not in self.fixed]:
            del self.kept[coin]

    def _note_turned(self, key: LoanKey, debts: Iterable[Debt], at_ms: int) -> None:
        """A contract that turns flexible: as much is owed as before, and less of it is fixed."""
        self._turned = [row for row in self._turned if at_ms - row.at_ms < 2 * SETTLING_DOWN_MS]
        for debt in debts:
            if debt.unread:
                continue
            before, self._debts[debt.coin] = self._debts.get(debt.coin), debt
            drift = debt.amount * GROWTH
            if before is None or abs(debt.amount - before.amount) > drift:
                continue
            coins = before.fixed - debt.fixed
            known = (row for row in self._turned if row.coin == debt.coin)
            if coins > drift and all(abs(coins + row.amount) > drift for row in known):
                self._turned.append(_turned_flexible(key, debt.coin, coins, at_ms))

    def turned_flexible(self, key: LoanKey) -> list[HistoryRow]:
        """What no history shows: contracts of the pool that turned flexible lately, as rows of its debt."""
        return [row for row in self._turned if row.key == key]

    def wanted(self, now: Moment, timing: Timing) -> list[str]:
        """The coins whose contracts are to be read now."""
        return [
            coin
            for coin, fixed in self.fixed.items()
            if self._may_try(coin, now, timing)
            and (coin not in self.kept or self.kept[coin].is_to_be_renewed(fixed, now, timing.terms_kept_ms))
        ]

    def _may_try(self, coin: str, now: Moment, timing: Timing) -> bool:
        """Once a minute, and at once when a contract ends: the exchange may say then that it is overdue."""
        last, kept = self._tried.get(coin), self.kept.get(coin)
        if last is None or now.ms_since(last) >= timing.terms_retried_ms:
            return True
        ends = () if kept is None else (item.ends_at_ms for item in kept.found.contracts)
        return any(last.exchange_ms < ms <= now.exchange_ms for ms in ends)

    def tries(self, coins: Iterable[str], now: Moment) -> None:
        """They are being read: also one that fails is not read again at once."""
        self._tried |= dict.fromkeys(coins, now)

    def keep(self, coin: str, found: ContractList, now: Moment) -> None:
        """What was read at `now`."""
        self.kept[coin] = KeptList(found=found, fixed=self.fixed.get(coin, Decimal(0)), at=now)

    @property
    def lists(self) -> Mapping[str, ContractList]:
        """As they were read last, by coin."""
        return {coin: kept.found for coin, kept in self.kept.items()}

    @property
    def contracts(self) -> tuple[Contract, ...]:
        """All of them, as they were read last, soonest end first."""
        found = [item for kept in self.kept.values() for item in kept.found.contracts]
        return tuple(sorted(found, key=lambda item: item.ends_at_ms))

    def due(self, now: Moment, within_ms: int, *, repaid_by_us: bool = False) -> Mapping[str, Decimal]:
        """Coins that the Funding wallet has to pay within that time, also for what the guard repays."""
        if not self.kept:
            return {}
        return due_coins(self.lists, self.fixed, now.exchange_ms, within_ms, repaid_by_us=repaid_by_us)

    def ending(self, now: Moment, before_ms: int) -> tuple[Contract, ...]:
        """Those that are to be repaid now, or they go overdue: with all that they owe, soonest end first.

        One that may have been repaid since it was listed is none of them.
        """
        found = [
            self.with_all_owed(item)
            for coin, kept in self.kept.items()
            for item in kept.found.contracts
            if is_to_be_repaid(item, kept.at.exchange_ms, now.exchange_ms, before_ms)
            and kept.found.at_least_owed(item, self.fixed.get(coin, Decimal(0))) > 0
        ]
        return tuple(sorted(found, key=lambda item: item.ends_at_ms))

    def with_all_owed(self, contract: Contract) -> Contract:
        """The same with interest that no row tells."""
        kept = self.kept[contract.coin]
        owed = owed_of([contract], kept.found, self.fixed.get(contract.coin))
        return replace(contract, interest=owed - contract.principal)

    def repaid(self, intent: Intent) -> None:
        """One was repaid, all of it or so much: its coin's are read again as soon as may be.

        Until then it owes less than its row, if that is from before.
        """
        kept = self.kept.get(intent.coin)
        if kept is None or intent.contract_id is None:
            return
        is_of_before = kept.at.exchange_ms <= (intent.signed_at_ms or 0)
        left = [
            less(item, intent) if item.loan_id == intent.contract_id and is_of_before else item
            for item in kept.found.contracts
        ]
        found = replace(kept.found, contracts=tuple(item for item in left if item.owed > 0), whole=False)
        self.kept[intent.coin] = replace(kept, found=found)


def less(contract: Contract, repaid: Intent) -> Contract:
    """What of it is left: interest goes first."""
    coins = contract.owed if repaid.repays_in_full else min(repaid.amount, contract.owed)
    of_interest = min(coins, contract.interest)
    interest, principal = contract.interest - of_interest, contract.principal - (coins - of_interest)
    return replace(contract, interest=interest, principal=principal)


def _turned_flexible(key: LoanKey, coin: str, coins: Decimal, at_ms: int) -> HistoryRow:
    """A repayment of less than nothing: so much more is owed in flexible debt."""
    return HistoryRow(
        adjust_id=f"!turned-{coin}-{at_ms}",
        key=key,
        coin=coin,
        direction=Direction.REPAY,
        amount=-coins,
        at_ms=at_ms,
        ltv_before=None,
        ltv_after=None,
    )
