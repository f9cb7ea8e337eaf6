"""The operator's words as the core's rules. Spans in seconds become milliseconds here."""

from __future__ import annotations

from typing import Any, TypeVar

from ltv_guard.adapters.settings import AccountSection, Policy, Rule, Settings
from ltv_guard.adapters.settings.sections import Section
from ltv_guard.core.model.loans import Product
from ltv_guard.core.model.policy import (
    AddRule,
    CollateralRepayRule,
    FixedRepayRule,
    Limits,
    LoanPolicy,
    Match,
    ReduceRule,
    RepayRule,
    Rulebook,
    TransferRules,
    WalletRules,
)
from ltv_guard.core.reconcile.settlement import SettlementTimeouts
from ltv_guard.guard.snapshot import GuardOptions

MS = 1000
R = TypeVar(
    "R",
    AddRule,
    ReduceRule,
    RepayRule,
    CollateralRepayRule,
    FixedRepayRule,
    Limits,
    WalletRules,
    TransferRules,
)


def options_of(settings: Settings, name: str, *, live: bool, continuous: bool) -> GuardOptions:
    """How the account `name` is guarded, as the guard knows it: spans in ms."""
    return GuardOptions(
        account=name,
        environment=settings.exchange.environment,
        live=live,
        continuous=continuous,
        timing=settings.timing,
        transfers=settings.accounts[name].sources.unified_transfer.enabled,
        poll_interval_ms=int(settings.schedule.poll_interval_s * MS),
        max_snapshot_age_ms=int(settings.schedule.max_snapshot_age_s * MS),
        blind_after_cycles=settings.schedule.blind_after_cycles,
        recv_window_ms=settings.exchange.recv_window_ms,
        timeouts=SettlementTimeouts(
            processing_margin_ms=int(settings.settlement.processing_margin_s * MS),
            history_lag_ms=int(settings.settlement.history_lag_s * MS),
        ),
    )


def rulebook_of(account: AccountSection) -> Rulebook:
    """An account's policy, overrides and wallet, as the core knows them."""
    return Rulebook(
        default=_policy("policy", account.policy, protect=True),
        overrides=tuple(
            (_match(rule), _policy(rule.name, rule.policy, protect=rule.protect)) for rule in account.rules
        ),
        wallet=_rule(WalletRules, account.wallet),
        transfers=_rule(TransferRules, account.sources.unified_transfer),
    )


def _match(rule: Rule) -> Match:
    wanted = rule.match
    return Match(
        product=Product(wanted.product) if wanted.product is not None else None,
        order_id=wanted.order_id,
        collateral_coin=wanted.collateral_coin,
        loan_coin=wanted.loan_coin,
    )


def _policy(name: str, policy: Policy, *, protect: bool) -> LoanPolicy:
    return LoanPolicy(
        name=name,
        protect=protect,
        add=_rule(AddRule, policy.add),
        reduce=_rule(ReduceRule, policy.reduce),
        repay=_rule(RepayRule, policy.repay),
        repay_with_collateral=_rule(CollateralRepayRule, policy.repay_with_collateral),
        repay_fixed=_rule(FixedRepayRule, policy.repay_fixed),
        limits=_rule(Limits, policy.limits),
        collateral_preference=policy.collateral_preference,
        maturity_notice_ms=tuple(map(_ms, policy.maturity_notice_s)),
        due_within_ms=_ms(policy.due_within_s),
    )


def _rule(kind: type[R], section: Section) -> R:
    """The section as the core knows it: by the same names, but that spans are `_ms` there and `_s` here."""
    values: dict[str, Any] = dict(section)
    for name in [name for name in values if name.endswith("_s")]:
        values[f"{name.removesuffix('_s')}_ms"] = _ms(values.pop(name))
    return kind(**values)


def _ms(seconds: float) -> int:
    return int(seconds * MS)
