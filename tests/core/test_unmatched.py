"""Which settings nothing at the exchange matches."""

from __future__ import annotations

from decimal import Decimal

import pytest
from core_builders import loan

from ltv_guard.core.model.loans import Product
from ltv_guard.core.model.policy import Limits, LoanPolicy, Match, Rulebook, TransferRules, WalletRules
from ltv_guard.core.model.unmatched import Inventory, coins_named, unmatched

ONE = Decimal(1)
LOAN = loan()
COINS = {"BTC", "ETH", "USDC", "USDT"}
KNOWN = Inventory(coins=COINS, loans=[LOAN], keys=[LOAN.key], products=[LOAN.key.product])


def keys(rulebook: Rulebook, known: Inventory = KNOWN) -> list[str]:
    return [item.key for item in unmatched(rulebook, known)]


def test_what_exists_is_not_told() -> None:
    policy = LoanPolicy(limits=Limits(max_add={"BTC": ONE}), collateral_preference=("USDT", "BTC"))
    rulebook = Rulebook(
        default=policy,
        overrides=((Match(order_id=LOAN.key.loan_id, product=LOAN.key.product), policy),),
        wallet=WalletRules(reserve={"USDT": ONE}),
    )
    assert keys(rulebook) == []


@pytest.mark.parametrize(
    ("rulebook", "key"),
    [
        (Rulebook(wallet=WalletRules(reserve={"XBT": ONE})), "wallet.reserve.XBT"),
        (Rulebook(wallet=WalletRules(max_add_24h={"XBT": ONE})), "wallet.max_add_24h.XBT"),
        (Rulebook(wallet=WalletRules(max_repay_24h={"XBT": ONE})), "wallet.max_repay_24h.XBT"),
        (
            Rulebook(transfers=TransferRules(max_transfer={"XBT": ONE})),
            "sources.unified_transfer.max_transfer.XBT",
        ),
        (
            Rulebook(default=LoanPolicy(collateral_preference=("BTC", "XBT"))),
            "policy.collateral_preference.XBT",
        ),
        (
            Rulebook(overrides=((Match(order_id="9"), LoanPolicy(name="overrides.0")),)),
            "overrides.0",
        ),
        (
            Rulebook(overrides=((Match(loan_coin="XBT"), LoanPolicy(name="overrides.0")),)),
            "overrides.0",
        ),
        (
            Rulebook(overrides=((Match(product=Product.CRYPTO_LOAN), LoanPolicy(name="overrides.0")),)),
            "overrides.0",
        ),
    ],
)
def test_what_does_not_exist_is_told_by_its_key(rulebook: Rulebook, key: str) -> None:
    assert keys(rulebook) == [key]


def test_a_rule_for_coins_that_no_loan_has_yet_may_fit_a_later_one() -> None:
    rulebook = Rulebook(overrides=((Match(collateral_coin="USDT"), LoanPolicy()),))
    assert keys(rulebook, Inventory(coins=COINS, loans=[], keys=[], products=[Product.LEGACY])) == []


def test_a_loan_that_is_set_aside_exists() -> None:
    rulebook = Rulebook(overrides=((Match(order_id=LOAN.key.loan_id), LoanPolicy()),))
    assert keys(rulebook, Inventory(coins=COINS, loans=[], keys=[LOAN.key], products=[Product.LEGACY])) == []


def test_what_an_override_inherits_is_told_once() -> None:
    policy = LoanPolicy(limits=Limits(max_add={"XBT": ONE}))
    own = LoanPolicy(name="overrides.0", limits=Limits(max_add={"XBT": ONE, "BCT": ONE}))
    rulebook = Rulebook(default=policy, overrides=((Match(loan_coin="USDT"), own),))
    assert keys(rulebook) == ["policy.limits.max_add.XBT", "overrides.0.policy.limits.max_add.BCT"]
    assert coins_named(rulebook) == {"XBT", "BCT", *COINS}
