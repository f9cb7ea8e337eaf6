"""The operator's words as the core's rules. Spans in seconds become milliseconds here."""

from __future__ import annotations

from decimal import Decimal

from ltv_guard.core.model.loans import Product
from ltv_guard.core.model.policy import (
    AddRule,
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
from ltv_guard.settings import AccountSection, Policy, Rule, Settings, UnifiedTransfer, Wallet

MS = 1000


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
        wallet=_wallet(account.wallet),
        transfers=_transfers(account.sources.unified_transfer),
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
        add=AddRule(trigger_ltv=policy.add.trigger_ltv, target_ltv=policy.add.target_ltv),
        collateral_preference=policy.collateral_preference,
        maturity_notice_ms=tuple(int(seconds * MS) for seconds in policy.maturity_notice_s),
        reduce=ReduceRule(
            enabled=policy.reduce.enabled,
            trigger_ltv=policy.reduce.trigger_ltv,
            target_ltv=policy.reduce.target_ltv,
            after_ms=int(policy.reduce.after_s * MS),
            after_foreign_add_ms=int(policy.reduce.after_foreign_add_s * MS),
        ),
        repay=RepayRule(enabled=policy.repay.enabled, max_repay=dict(policy.repay.max_repay)),
        limits=Limits(
            min_adjustment_ratio=Decimal(policy.limits.min_adjustment_ratio),
            cooldown_ms=int(policy.limits.cooldown_s * MS),
            max_reduction_ratio=Decimal(policy.limits.max_reduction_ratio),
            max_add=dict(policy.limits.max_add),
            emergency_ltv=policy.limits.emergency_ltv,
            feed_lost=policy.limits.feed_lost,
        ),
    )


def _wallet(wallet: Wallet) -> WalletRules:
    return WalletRules(
        reserve=dict(wallet.reserve),
        max_add_24h=dict(wallet.max_add_24h),
        max_repay_24h=dict(wallet.max_repay_24h),
    )


def _transfers(rule: UnifiedTransfer) -> TransferRules:
    return TransferRules(
        enabled=rule.enabled,
        max_transfer=dict(rule.max_transfer),
        max_transfer_24h=dict(rule.max_transfer_24h),
    )
