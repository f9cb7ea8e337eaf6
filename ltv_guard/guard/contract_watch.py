"""What is told of a pool's contracts: ends that are near or past, and coins that are missing for them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal

import structlog

from ltv_guard.core.amounts.due import is_due
from ltv_guard.core.decide.constraints import Constraint, Limit
from ltv_guard.core.model.contracts import AtEnd, Contract
from ltv_guard.core.model.loans import Loan, LoanKey, Moment
from ltv_guard.core.model.maturity import Maturity, maturity_of
from ltv_guard.core.model.policy import FixedRepayRule, LoanPolicy
from ltv_guard.guard.decision_reporter import not_repaid
from ltv_guard.guard.end_teller import Ending, EndTeller
from ltv_guard.guard.loan_fields import named
from ltv_guard.guard.state.contract_shelf import ContractShelf
from ltv_guard.log.alert_repeater import AlertRepeater
from ltv_guard.log.utc import iso

OVERDUE = "three times the interest runs, and 24 h after its end it is liquidated, whatever the pool's LTV"
AT_END = {
    AtEnd.NOTHING: "nothing repays it at its end: repay it in the exchange's app before then; otherwise "
    f"{OVERDUE}",
    AtEnd.REPAID: "at its end the exchange repays it from the Funding wallet: have the coins there; where "
    f"they are missing, {OVERDUE}",
    AtEnd.FLEXIBLE: "at its end the exchange turns it into a flexible debt, whose interest floats",
    AtEnd.UNTOLD: "the exchange does not say what happens at its end: look in its app, and have the coins in "
    f"the Funding wallet; where it is not repaid, {OVERDUE}",
}
AT_END_BY_US = (
    "nothing repays it at its end, so this guard does in its last {seconds} s (policy.repay_fixed): have the "
    f"coins in the Funding wallet; where they are missing, {OVERDUE}"
)
SINCE_IT_ENDED_BY_US = (
    f"{OVERDUE}; no collateral saves it, only repaying does: this guard does once the Funding wallet holds "
    "the coins (policy.repay_fixed)"
)
SINCE_IT_ENDED = f"{OVERDUE}; no collateral saves it, only repaying does: repay it in the exchange's app"

log = structlog.stdlib.get_logger()


class ContractWatch:
    """What it said is remembered until a restart."""

    def __init__(self, shelf: ContractShelf, alerts: AlertRepeater) -> None:
        self._shelf = shelf
        self._alerts = alerts
        self._ends = EndTeller(alerts)
        self._short: set[str] = set()

    def look(self, pool: Loan, policy: LoanPolicy, now: Moment) -> None:
        """Tells of ends, by the distances of the pool's policy."""
        known = set()
        for kept in self._shelf.kept.values():
            for contract in kept.found.contracts:
                known.add(contract.loan_id)
                found = maturity_of(contract, now.exchange_ms, policy.maturity_notice_ms)
                self._announce(pool.key, contract, found, kept.at.exchange_ms, policy.repay_fixed)
        self._forget_all_but(known)

    def nothing_left(self) -> None:
        """No contract is known any more."""
        self._forget_all_but(())
        self.all_covered_but({})

    def _forget_all_but(self, known: Collection[str]) -> None:
        for name in [name for name in self._ends.told if name not in known]:
            self._ends.forget(name)

    def _announce(
        self, key: LoanKey, contract: Contract, found: Maturity, listed_ms: int, rule: FixedRepayRule
    ) -> None:
        """`listed_ms`: when it was listed last (exchange time)."""
        is_overdue = contract.is_overdue(listed_ms)
        ending = Ending(
            name=contract.loan_id,
            key=key,
            found=found,
            owed=_owed(contract),
            what_follows=_what_follows(contract, rule, is_overdue=is_overdue),
            of_contract={"contract": contract.loan_id, "at_end": contract.at_end.value},
        )
        if is_overdue:
            self._ends.tell_overdue(ending)
        else:
            self._ends.tell_near(ending)

    # What the Funding wallet lacks.

    def hold_against(
        self,
        wallet: Mapping[str, Decimal],
        due: Mapping[str, Decimal],
        pool: Loan,
        policy: LoanPolicy,
        now: Moment,
    ) -> None:
        """Tells of coins that are due and not there; a balance that could not be read tells nothing.

        Nor is it told of each contract, and once more of them all.
        """
        for coin in due.keys() & wallet.keys():
            missing = due[coin] - wallet[coin]
            soon = self._due_in(coin, policy, now)
            if missing > 0 and not all(map(self._is_told_to_lack_coins, soon)):
                self._short.add(coin)
                self._alerts.grave(
                    ("due", coin),
                    coin,
                    "protection_short",
                    what=f"due in {coin}",
                    coin=coin,
                    missing=missing,
                    ltv=pool.ltv,
                    why=_why_short(soon, due[coin], wallet[coin]),
                    **named(pool.key),
                )
            else:
                self.is_covered(coin)

    def _due_in(self, coin: str, policy: LoanPolicy, now: Moment) -> list[Contract]:
        return [
            item
            for item in self._shelf.kept[coin].found.contracts
            if is_due(item, now.exchange_ms, policy.due_within_ms, repaid_by_us=policy.repay_fixed.enabled)
        ]

    def _is_told_to_lack_coins(self, contract: Contract) -> bool:
        """Whether `fixed_loan_not_repaid` says so of it."""
        lack = Constraint(kind=Limit.FUNDING, coin=contract.coin)
        return self._alerts.has_told(not_repaid(contract), lack)

    def all_covered_but(self, due: Mapping[str, Decimal]) -> None:
        """What is no longer due is no longer missing."""
        for coin in [coin for coin in self._short if coin not in due]:
            self.is_covered(coin)

    def is_covered(self, coin: str) -> None:
        """The wallet can pay what is due in `coin`."""
        self._short.discard(coin)
        self._alerts.ended(("due", coin))


def _what_follows(contract: Contract, rule: FixedRepayRule, *, is_overdue: bool) -> str:
    if is_overdue:
        return SINCE_IT_ENDED_BY_US if rule.enabled else SINCE_IT_ENDED
    if rule.enabled and contract.at_end is AtEnd.NOTHING:
        return AT_END_BY_US.format(seconds=rule.before_ms // 1000)
    return AT_END[contract.at_end]


def _why_short(soon: Sequence[Contract], due: Decimal, has: Decimal) -> str:
    first, more = soon[0], f" and {len(soon) - 1} more" if soon[1:] else ""
    return (
        f"{due:f} {first.coin} are due from the Funding wallet, which holds {has:f}: fixed loan "
        f"{first.loan_id} ends at {iso(first.ends_at_ms)}{more}; where what is due is not paid, {OVERDUE}"
    )


def _owed(contract: Contract) -> dict[str, str]:
    return {contract.coin: format(contract.owed, "f")}
