"""Policies laid over each other: all accounts, one account, an override."""

from collections.abc import Callable
from decimal import Decimal

from ltv_guard.settings import Match, Settings
from ltv_guard.wiring import rulebook_of

Load = Callable[..., Settings]
Refusal = Callable[..., str]

TWO_ACCOUNTS = """
policy: {add: {trigger_ltv: 0.76}, limits: {cooldown_s: 10}}
wallet: {reserve: {USDT: 5, BTC: 1}}
accounts:
  main:
    api_key_file: key
    api_secret_file: secret
    policy: {add: {trigger_ltv: 0.70}}
    wallet: {reserve: {USDT: 50}}
  second_one:
    api_key_file: secret
    api_secret_file: key
overrides:
  - match: {account: second_one, collateral_coin: BTC}
    protect: false
  - match: {order_id: "17"}
    policy: {add: {target_ltv: 0.61}}
  - match: {account: main, product: crypto_loan_legacy}
    policy: {limits: {cooldown_s: 0}}
"""


def test_an_account_differs_only_in_what_it_says(load_text: Load) -> None:
    settings = load_text(TWO_ACCOUNTS)
    main, second = settings.accounts["main"], settings.accounts["second_one"]

    assert main.policy.add.trigger_ltv == Decimal("0.70")
    assert main.policy.add.target_ltv == Decimal("0.65")
    assert main.policy.limits.cooldown_s == 10
    assert second.policy == settings.policy
    assert main.wallet.reserve == {"USDT": Decimal(50), "BTC": Decimal(1)}
    assert second.wallet == settings.wallet


def test_an_account_has_the_rules_that_may_fit_its_loans_in_order(load_text: Load) -> None:
    settings = load_text(TWO_ACCOUNTS)
    main, second = settings.accounts["main"], settings.accounts["second_one"]

    assert [rule.name for rule in main.rules] == ["overrides.1", "overrides.2"]
    assert [rule.name for rule in second.rules] == ["overrides.0", "overrides.1"]
    assert second.rules[0].match == Match(account="second_one", collateral_coin="BTC")
    assert not second.rules[0].protect
    assert second.rules[1].protect


def test_a_rule_lies_over_its_own_accounts_policy(load_text: Load) -> None:
    settings = load_text(TWO_ACCOUNTS)
    main, second = settings.accounts["main"], settings.accounts["second_one"]

    assert main.rules[0].policy.add.trigger_ltv == Decimal("0.70")
    assert main.rules[0].policy.add.target_ltv == Decimal("0.61")
    assert second.rules[1].policy.add.trigger_ltv == Decimal("0.76")
    assert main.rules[1].policy.limits.cooldown_s == 0


def test_a_rule_has_notices_of_its_own_or_its_accounts(load_text: Load) -> None:
    rules = "overrides: [{match: {loan_coin: X}, policy: {maturity_notice_s: []}}, {match: {loan_coin: Y}}]\n"
    main = load_text(rules + "policy: {maturity_notice_s: [60, 0.5]}").accounts["main"]

    assert [rule.policy.maturity_notice_s for rule in main.rules] == [(), (60, 0.5)]
    assert [policy.maturity_notice_ms for _, policy in rulebook_of(main).overrides] == [(), (60_000, 500)]


def test_a_policy_that_clashes_only_after_merging_is_refused_where_it_was_written(refusal: Refusal) -> None:
    account = (
        "accounts: {main: {api_key_file: key, api_secret_file: secret, policy: {add: {trigger_ltv: 0.64}}}}"
    )
    assert refusal(account).startswith("accounts.main.policy.add.target_ltv (0.65) must be below")

    override = (
        "overrides: [{match: {loan_coin: X}}, {match: {loan_coin: Y}, policy: {add: {target_ltv: 0.75}}}]"
    )
    assert refusal(override).startswith("overrides.1.policy.add.target_ltv (0.75) must be below")


def test_a_variable_is_named_beside_the_key_that_it_set(refusal: Refusal) -> None:
    name = "LTV_GUARD_ACCOUNTS__MAIN__POLICY__ADD__TARGET_LTV"

    assert refusal("", {name: "0.78"}).startswith(f"accounts.main.policy.add.target_ltv (from {name}) (0.78)")


def test_an_override_that_fits_one_account_is_not_measured_against_another(load_text: Load) -> None:
    text = TWO_ACCOUNTS + "  - {match: {account: second_one}, policy: {add: {target_ltv: 0.72}}}\n"

    assert load_text(text).accounts["second_one"].rules[-1].policy.add.target_ltv == Decimal("0.72")
