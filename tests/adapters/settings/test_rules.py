"""Policies laid over each other: all accounts, one account, an override."""

from collections.abc import Callable
from decimal import Decimal

from ltv_guard.adapters.settings import MatchSection, Settings
from ltv_guard.core.model.policy import RepayRule, Rulebook, TransferRules, WalletRules
from ltv_guard.guard.snapshot import GuardOptions
from ltv_guard.service.rules import options_of, rulebook_of

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


def test_what_nobody_says_is_what_the_core_holds_for_the_default(load_text: Load) -> None:
    settings = load_text("accounts: {main: {api_key_file: key, api_secret_file: secret}}")
    assert rulebook_of(settings.accounts["main"]) == Rulebook()
    options = options_of(settings, "main", live=False, continuous=True)
    assert options == GuardOptions(account="main", environment="testnet")


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
    assert second.rules[0].match == MatchSection(account="second_one", collateral_coin="BTC")
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


MORE_WAYS = """
policy: {repay: {enabled: true, max_repay: {USDT: 100, USDC: 7}}}
wallet: {max_repay_24h: {USDT: 1000}}
sources: {unified_transfer: {max_transfer: {BTC: 1, ETH: 9}, max_transfer_24h: {BTC: 4}}}
accounts:
  main:
    api_key_file: key
    api_secret_file: secret
    policy: {repay: {max_repay: {USDT: 50}}}
    wallet: {max_repay_24h: {USDC: 5}}
    sources: {unified_transfer: {enabled: true, max_transfer: {btc: 0.5}}}
  second_one:
    api_key_file: secret
    api_secret_file: key
overrides:
  - match: {loan_coin: USDT}
    policy: {repay: {enabled: false}}
  - match: {account: main, order_id: "17"}
    policy: {repay: {max_repay: {USDC: 1}}}
"""


def test_what_is_not_asked_for_is_off(load_text: Load) -> None:
    rules = rulebook_of(load_text().accounts["main"])

    assert not rules.repays
    assert not rules.default.repay.enabled
    assert rules.transfers == TransferRules(enabled=False, max_transfer={}, max_transfer_24h={})
    assert rules.wallet == WalletRules(reserve={}, max_add_24h={}, max_repay_24h={})


def test_the_sources_of_an_account_lie_over_those_of_all_coin_by_coin(load_text: Load) -> None:
    settings = load_text(MORE_WAYS)
    main, second = (rulebook_of(settings.accounts[name]) for name in ("main", "second_one"))

    assert main.transfers == TransferRules(
        enabled=True,
        max_transfer={"BTC": Decimal("0.5"), "ETH": Decimal(9)},
        max_transfer_24h={"BTC": Decimal(4)},
    )
    assert second.transfers == TransferRules(
        enabled=False,
        max_transfer={"BTC": Decimal(1), "ETH": Decimal(9)},
        max_transfer_24h={"BTC": Decimal(4)},
    )
    assert main.wallet.max_repay_24h == {"USDT": Decimal(1000), "USDC": Decimal(5)}
    assert second.wallet.max_repay_24h == {"USDT": Decimal(1000)}


def test_a_loan_may_be_repaid_differently_from_the_others(load_text: Load) -> None:
    settings = load_text(MORE_WAYS)
    main, second = (rulebook_of(settings.accounts[name]) for name in ("main", "second_one"))

    assert main.default.repay == RepayRule(enabled=True, max_repay={"USDT": Decimal(50), "USDC": Decimal(7)})
    assert second.default.repay == RepayRule(
        enabled=True, max_repay={"USDT": Decimal(100), "USDC": Decimal(7)}
    )
    assert [policy.repay for _, policy in main.overrides] == [
        RepayRule(enabled=False, max_repay={"USDT": Decimal(50), "USDC": Decimal(7)}),
        RepayRule(enabled=True, max_repay={"USDT": Decimal(50), "USDC": Decimal(1)}),
    ]
    assert main.repays


def test_repayments_of_one_loan_alone_are_enough_to_look_at_what_is_owed(load_text: Load) -> None:
    only_one = "overrides: [{match: {order_id: '17'}, policy: {repay: {enabled: true}}}]\n"
    rules = rulebook_of(load_text(only_one).accounts["main"])

    assert (rules.repays, rules.default.repay.enabled) == (True, False)


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
