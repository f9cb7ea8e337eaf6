"""What `check` says of how loans are covered: thresholds against terms, falls against the wallet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import ROUND_UP, Decimal

from ltv_guard.core.amounts.survival import Held, free_in, missing_in
from ltv_guard.core.model.contracts import AtEnd, Contract
from ltv_guard.core.model.loans import Loan
from ltv_guard.core.model.policy import FixedRepayRule, LoanPolicy, Rulebook, thresholds
from ltv_guard.guard import sentences
from ltv_guard.log.utc import iso
from ltv_guard.service.findings import Finding

FALLS = tuple(map(Decimal, ("0.1", "0.2", "0.3", "0.5")))
DIGITS = 4  # of an amount that is shown


def examine_thresholds(what: str, loans: Iterable[Loan], rulebook: Rulebook) -> list[Finding]:
    """A line for each set of thresholds that holds for any loan, and for how many."""
    lines = Counter(_line(what, loan, rulebook.policy_for(loan)) for loan in loans)
    return [
        Finding(what=head, good=True, found=f"{_loans(count)}: {found}", mend=mend)
        for (head, found, mend), count in lines.items()
    ]


def _line(what: str, loan: Loan, policy: LoanPolicy) -> tuple[str, str, str]:
    head = f"{what}: thresholds, {loan.key.product}"
    if not policy.protect:
        return head, f"not protected, by {policy.name}", ""
    found = thresholds(policy, loan)
    ltvs = {
        "target": found.target,
        "trigger": found.trigger,
        "emergency": found.emergency,
        "margin call": loan.margin_call_ltv,
        "liquidation": loan.liquidation_ltv,
    }
    shown = " < ".join(f"{name} {ltv:f}" for name, ltv in ltvs.items())
    if not found.pulled_in:
        return head, f"{shown} (by {policy.name})", ""
    asked = f"{policy.name}.add.trigger_ltv {policy.add.trigger_ltv:f}, limits.emergency_ltv "
    asked += f"{policy.limits.emergency_ltv:f}"
    mend = f"these hold instead of yours ({asked}), which lie too near the margin call: lower them"
    return head, f"{shown} (by {policy.name})", mend


def examine_contract(what: str, contract: Contract, now_ms: int, rule: FixedRepayRule) -> Finding:
    """When a fixed loan of a pool ends, and what becomes of it; not good once its end is past."""
    head, end = f"{what}: fixed loan {contract.loan_id}", iso(contract.ends_at_ms)
    owed = f"{contract.owed:f} {contract.coin}"
    if contract.overdue or contract.ends_at_ms <= now_ms:
        mend = "repay it in the exchange's app: 24 h after its end it is liquidated"
        return Finding(what=head, good=False, found=f"{owed}, whose end was at {end}", mend=mend)
    then = f"{owed}, at its end ({end}) {sentences.at_end(contract.at_end, rule)}"
    by_hand = contract.at_end is AtEnd.NOTHING and not rule.enabled
    mend = "repay it in the exchange's app before then, or switch policy.repay_fixed on" if by_hand else ""
    return Finding(what=head, good=True, found=then, mend=mend)


def examine_falls(
    what: str,
    loans: Iterable[Loan],
    rulebook: Rulebook,
    wallet: Mapping[str, Decimal],
    due: Mapping[str, Decimal],
) -> list[Finding]:
    """`wallet` is the Funding wallet; what is reserved in it, or soon due from it, does not count."""
    held = [_held(loan, policy) for loan in loans if (policy := rulebook.policy_for(loan)).protect]
    free = free_in(wallet, rulebook.wallet.reserve, due)
    return [_of(what, fall, missing_in(fall, held, free)) for fall in FALLS] if held else []


def _held(loan: Loan, policy: LoanPolicy) -> Held:
    found = thresholds(policy, loan)
    return Held(loan=loan, trigger_ltv=found.trigger, target_ltv=found.target)


def _of(what: str, fall: Decimal, missing: Mapping[str, Decimal]) -> Finding:
    head = f"{what}: a fall of {fall * 100:.0f} %"
    if not missing:
        return Finding(what=head, good=True, found="the Funding wallet survives it", missing={})
    lacking = {coin: _rounded_up(amount) for coin, amount in missing.items()}
    coins = " and ".join(f"{amount:f} {coin}" for coin, amount in sorted(lacking.items()))
    verb = "survive" if len(lacking) > 1 or next(iter(lacking.values())) != 1 else "survives"
    return Finding(
        what=head,
        good=True,
        found="the Funding wallet does not bring every loan back to its target",
        mend=f"{coins} more in the Funding wallet {verb} a fall of {fall * 100:.0f} %",
        missing=lacking,
    )


def _rounded_up(amount: Decimal) -> Decimal:
    step = Decimal(1).scaleb(amount.adjusted() - DIGITS + 1)
    rounded = amount.quantize(step, rounding=ROUND_UP)
    return rounded.quantize(Decimal(1)) if rounded == rounded.to_integral_value() else rounded.normalize()


def _loans(count: int) -> str:
    return "1 loan" if count == 1 else f"{count} loans"
