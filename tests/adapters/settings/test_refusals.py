"""Each mistake is one sentence that names the key, the variable or the file, and holds no secret."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ltv_guard.adapters.settings import ConfigError, load

KEY = "ApiKeyThatNobodyMaySee001"
SECRET = "ApiSecretThatNobodyMaySee002"

Refusal = Callable[..., str]

KEYED = "accounts: {{main: {{api_key_file: key, api_secret_file: secret, {}}}}}"


@pytest.mark.parametrize(
    ("text", "named", "said"),
    [
        # unknown keys
        ("polcy: {}", "polcy", "did you mean policy?"),
        ("policy: {add: {targt_ltv: 0.5}}", "policy.add.targt_ltv", "did you mean policy.add.target_ltv?"),
        ("overrides: [{match: {order: '1'}}]", "overrides.0.match.order", "did you mean"),
        ("accounts: {main: {rules: []}}", "accounts.main.rules", "not a key"),
        ("source: x", "source", "not a key"),
        ("policy: {trigger_ltv: 0.7}", "policy.trigger_ltv", "policy.add.trigger_ltv or policy.reduce.trig"),
        (
            "notify: {targets: {phone: {url: x}}}",
            "targets.phone.url",
            "did you mean notify.targets.phone.url_f",
        ),
        ("accounts: {api_key_file: key}", "accounts.api_key_file", "write accounts.NAME.api_key_file"),
        # slips of the pen
        ("policy: {add: {trigger_ltv: 0,75}}", "policy.add.75", "the point as a point"),
        ("policy: {limits: {max_add: {BTC: 0,5}}}", "policy.limits.max_add.5", "the point as a point"),
        (
            "policy: {limits: {max_add: {BTC:0.5}}}",
            "policy.limits.max_add.BTC needs",
            "a space after its colon",
        ),
        ("policy: {add: {trigger_ltv:0.75}}", "policy.add.trigger_ltv needs", "a space after its colon"),
        (f"accounts: {{main: {{api_secret:{SECRET}}}}}", "accounts.main.api_secret needs", "a space after"),
        ("policy: []", "policy", "keys and values, not a list"),
        # shapes
        ("policy: 0.65", "policy", "keys and values"),
        ("policy: {add: {target_ltv: [0.6]}}", "policy.add.target_ltv", "a single value"),
        ("policy: {add: {target_ltv: }}", "policy.add.target_ltv", "no value"),
        ("policy: {add: {target_ltv: ''}}", "policy.add.target_ltv", "no value"),
        ("overrides: {match: {}}", "overrides", "a list"),
        ("policy: {collateral_preference: }", "policy.collateral_preference", "a list"),
        ("overrides: [{match: {order_id: }, protect: false}]", "overrides.0.match.order_id", "no value"),
        ("overrides: [{protect: false}]", "overrides.0.match", "is missing"),
        ("overrides: [{match: {}, protect: false}]", "overrides.0.match", "at least one"),
        ("overrides: [{match: {account: other}}]", "overrides.0.match.account", "must be one of main"),
        ("overrides: [{match: {product: loan}}]", "overrides.0.match.product", "must be 'crypto_loan'"),
        ("overrides: [{match: {loan_coin: BT-C}}]", "overrides.0.match.loan_coin", "a coin's name"),
        ("overrides: [{match: {order_id: 'a b'}}]", "overrides.0.match.order_id", "an order's id"),
        # thresholds
        (
            "policy: {add: {target_ltv: 0.8}}",
            "policy.add.target_ltv",
            "(0.8) must be below add.trigger_ltv (0.75)",
        ),
        ("policy: {add: {trigger_ltv: 0.85}}", "policy.add.trigger_ltv", "below limits.emergency_ltv (0.80)"),
        (
            "policy: {reduce: {enabled: true, trigger_ltv: 0.7}}",
            "policy.reduce.trigger_ltv",
            "below reduce.target_ltv",
        ),
        (
            "policy: {reduce: {enabled: true, target_ltv: 0.61}}",
            "policy.reduce.target_ltv",
            "0.05 or more below",
        ),
        (
            "policy: {reduce: {enabled: true, target_ltv: 0.39}}",
            "policy.reduce.trigger_ltv",
            "below reduce.target_ltv",
        ),
        ("policy: {pool_terms: {margin_call_ltv: 0.95}}", "policy.pool_terms.margin_call_ltv", "below"),
        # numbers
        ("policy: {add: {trigger_ltv: abc}}", "policy.add.trigger_ltv", "a number"),
        ("policy: {add: {trigger_ltv: nan}}", "policy.add.trigger_ltv", "a number"),
        ("policy: {add: {trigger_ltv: .inf}}", "policy.add.trigger_ltv", "a number"),
        ("policy: {add: {trigger_ltv: 1.5e400}}", "policy.add.trigger_ltv", "a number"),
        ("policy: {add: {trigger_ltv: 1e99999999}}", "policy.add.trigger_ltv", "a number"),
        ("policy: {add: {trigger_ltv: 1e-400}}", "policy.add.trigger_ltv", "a number"),
        ("policy: {add: {trigger_ltv: 0_1}}", "policy.add.trigger_ltv", "a number"),
        ("policy: {add: {trigger_ltv: 75}}", "policy.add.trigger_ltv", "at most 1"),
        ("policy: {add: {trigger_ltv: 0}}", "policy.add.trigger_ltv", "above 0"),
        ("policy: {add: {trigger_ltv: -0.7}}", "policy.add.trigger_ltv", "above 0"),
        ("policy: {limits: {min_adjustment_ratio: 0}}", "policy.limits.min_adjustment_ratio", "above 0"),
        ("policy: {limits: {max_reduction_ratio: 1.01}}", "policy.limits.max_reduction_ratio", "at most 1"),
        ("policy: {limits: {max_add: {BTC: -1}}}", "policy.limits.max_add.BTC", "0 or more"),
        ("policy: {limits: {max_add: {BTC: nan}}}", "policy.limits.max_add.BTC", "a number"),
        ("policy: {limits: {max_add: {BTC: }}}", "policy.limits.max_add.BTC", "no value"),
        ("policy: {limits: {max_add: {btc: 1, BTC: 2}}}", "policy.limits.max_add.BTC", "twice"),
        ("wallet: {reserve: {'B C': 1}}", "wallet.reserve.B C", "a coin's name"),
        ("wallet: {max_add_24h: {USDT: many}}", "wallet.max_add_24h.USDT", "a number"),
        ("policy: {repay: {enabled: sometimes}}", "policy.repay.enabled", "true or false"),
        ("policy: {repay: {max_repay: {USDT: -1}}}", "policy.repay.max_repay.USDT", "0 or more"),
        ("policy: {repay: {max_repay: {usdt: 1, USDT: 2}}}", "policy.repay.max_repay.USDT", "twice"),
        ("policy: {repay: {max_repay: 500}}", "policy.repay.max_repay", "keys and values"),
        ("policy: {repay: {max_repay_24h: {}}}", "policy.repay.max_repay_24h", "did you mean"),
        ("wallet: {max_repay_24h: {USDT: nan}}", "wallet.max_repay_24h.USDT", "a number"),
        ("wallet: {max_repay_24h: {USDT: }}", "wallet.max_repay_24h.USDT", "no value"),
        (
            "sources: {unified_transfer: {max_transfer: {BTC: lots}}}",
            "sources.unified_transfer.max_transfer.BTC",
            "a number",
        ),
        (
            "sources: {unified_transfer: {max_transfer_24h: {'B C': 1}}}",
            "sources.unified_transfer.max_transfer_24h.B C",
            "a coin's name",
        ),
        (
            "sources: {unified_transfer: {max_transfer: {BTC: 1e25}}}",
            "sources.unified_transfer.max_transfer.BTC",
            "number",
        ),
        ("sources: {unified_transfer: true}", "sources.unified_transfer", "keys and values"),
        ("sources: {unified: {}}", "sources.unified", "not a key"),
        (
            KEYED.format("sources: {unified_transfer: {max_transfer: {BTC: -0.1}}}"),
            "accounts.main.sources.unified_transfer.max_transfer.BTC",
            "0 or more",
        ),
        (
            "overrides: [{match: {loan_coin: X}, policy: {repay: {max_repay: {X: no}}}}]",
            "overrides.0.policy.repay.max_repay.X",
            "a number",
        ),
        ("overrides: [{match: {loan_coin: X}, sources: {}}]", "overrides.0.sources", "not a key"),
        ("schedule: {blind_after_cycles: 2.5}", "schedule.blind_after_cycles", "whole"),
        ("schedule: {blind_after_cycles: 0}", "schedule.blind_after_cycles", "1 or more"),
        ("policy: {reduce: {after_s: -1}}", "policy.reduce.after_s", "0 or more"),
        ("policy: {reduce: {enabled: perhaps}}", "policy.reduce.enabled", "true or false"),
        # intervals
        ("policy: {maturity_notice_s: [86400, 0]}", "policy.maturity_notice_s.1", "at least"),
        ("policy: {maturity_notice_s: [-1]}", "policy.maturity_notice_s.0", "at least"),
        ("policy: {maturity_notice_s: [1d]}", "policy.maturity_notice_s.0", "a number"),
        ("policy: {maturity_notice_s: 86400}", "policy.maturity_notice_s", "a list"),
        ("policy: {maturity_notice_s: }", "policy.maturity_notice_s", "a list"),
        ("schedule: {poll_interval_s: 0}", "schedule.poll_interval_s", "at least"),
        ("schedule: {poll_interval_s: -15}", "schedule.poll_interval_s", "at least"),
        ("schedule: {settle_interval_s: 0}", "schedule.settle_interval_s", "at least"),
        ("schedule: {max_snapshot_age_s: 0}", "schedule.max_snapshot_age_s", "at least"),
        ("settlement: {history_lag_s: 0}", "settlement.history_lag_s", "at least"),
        ("settlement: {processing_margin_s: -1}", "settlement.processing_margin_s", "at least"),
        ("exchange: {request_timeout_s: 0}", "exchange.request_timeout_s", "at least"),
        (
            "exchange: {request_timeout_s: 5}",
            "exchange.request_timeout_s",
            "(5) must be below recv_window_ms (5 s)",
        ),
        ("exchange: {recv_window_ms: 100}", "exchange.recv_window_ms", "1000 to 60000"),
        ("exchange: {recv_window_ms: 600000}", "exchange.recv_window_ms", "1000 to 60000"),
        (
            "schedule: {shutdown_timeout_s: 4}",
            "schedule.shutdown_timeout_s",
            "above exchange.request_timeout_s",
        ),
        ("exchange: {ip_budget_per_5s: 600}", "exchange.ip_budget_per_5s", "bans an address at 600"),
        ("exchange: {ip_budget_per_5s: 19}", "exchange.ip_budget_per_5s", "from 20 to 599"),
        ("exchange: {ip_budget_per_5s: 100.5}", "exchange.ip_budget_per_5s", "whole number"),
        # words
        ("mode: paper", "mode", "must be 'dry_run' or 'live'"),
        ("exchange: {environment: prod}", "exchange.environment", "'mainnet' or 'testnet'"),
        ("logging: {level: LOUD}", "logging.level", "'INFO'"),
        # hosts
        ("exchange: {base_url: 'http://api.bybit.com'}", "exchange.base_url", "https://"),
        ("exchange: {base_url: 'http://127.0.0.1.example.com'}", "exchange.base_url", "https://"),
        ("exchange: {base_url: 'http://10.0.0.1:8765'}", "exchange.base_url", "https://"),
        ("exchange: {base_url: 'http://0.0.0.0:8765'}", "exchange.base_url", "https://"),
        ("exchange: {base_url: 'ftp://127.0.0.1'}", "exchange.base_url", "https://"),
        ("exchange: {base_url: api.bybit.com}", "exchange.base_url", "https://"),
        ("exchange: {base_url: 'https://'}", "exchange.base_url", "names a host"),
        ("exchange: {base_url: 'https://a.b:port'}", "exchange.base_url", "not a URL"),
        ("exchange: {base_url: 'https://a.b/v5'}", "exchange.base_url", "a host and a port only"),
        ("exchange: {base_url: 'https://a.b/?x=1'}", "exchange.base_url", "query"),
        ("exchange: {base_url: 'https://a b'}", "exchange.base_url", "must be a URL"),
        (f"exchange: {{base_url: 'https://u:{SECRET}@a.b'}}", "exchange.base_url", "password"),
        ("exchange: {source_address: eth0}", "exchange.source_address", "an address of this machine"),
        ("exchange: {source_address: 10.0.0.300}", "exchange.source_address", "an address of this machine"),
        ("exchange: {source_address: 0.0.0.0}", "exchange.source_address", "one network interface"),
        ("exchange: {source_address: 'ff02::1'}", "exchange.source_address", "one network interface"),
        ("exchange: {source_address: 127.0.0.2}", "exchange.source_address", "this machine alone"),
        ("exchange: {stream_url: 'ws://stream.bybit.com'}", "exchange.stream_url", "wss://"),
        # secrets
        (f"accounts: {{main: {{api_key: {KEY}}}}}", "accounts.main.api_key", "api_key_file"),
        (f"accounts: {{main: {{api_secret: {SECRET}}}}}", "accounts.main.api_secret", "must not stand"),
        (f"accounts: {{main: {{api_secret: {{{SECRET}: }}}}}}", "accounts.main.api_secret", "must not stand"),
        ("accounts: {main: {rsa_private_key: x}}", "accounts.main.rsa_private_key", "must not stand"),
        (
            "accounts: {main: {api_key_file: none, api_secret_file: secret}}",
            "accounts.main.api_key_file",
            "exist",
        ),
        (
            "accounts: {main: {api_key_file: key, api_secret_file: no}}",
            "accounts.main.api_secret_file",
            "/no,",
        ),
        (
            "accounts: {main: {api_key_file: ., api_secret_file: x}}",
            "accounts.main.api_key_file",
            "can't be read",
        ),
        (
            f"accounts: {{main: {{api_key_file: {KEY}, api_secret_file: x}}}}",
            "accounts.main.api_key_file",
            "path",
        ),
        ("accounts: {main: {api_secret_file: secret}}", "accounts.main", "no API key"),
        ("accounts: {main: {api_key_file: key}}", "accounts.main", "without its secret"),
        (f"accounts: {{main: {{api_key_file: {'x' * 5000}}}}}", "accounts.main", "without its secret"),
        (
            f"accounts: {{main: {{api_key_file: {'a/' * 3000}, api_secret_file: x}}}}",
            "api_key_file",
            "can't be read",
        ),
        ("accounts: {main: {api_key_file: '-----BEGIN X', api_secret_file: x}}", "api_key_file", "itself"),
        (
            "accounts: {main: {api_key_file: key, api_secret_file: secret, rsa_private_key_file: rsa}}",
            "accounts.main",
            "both",
        ),
        (
            "accounts: {main: {api_key_file: key, rsa_private_key_file: secret}}",
            "accounts.main.rsa_private_key",
            "PEM",
        ),
        ("accounts: {main: }", "accounts.main", "no API key"),
        ("accounts: {}", "accounts", "LTV_GUARD_ACCOUNTS__MAIN__API_KEY"),
        ("accounts: ", "accounts", "LTV_GUARD_ACCOUNTS__MAIN__API_KEY"),
        ("accounts: {Main: {}}", "accounts.Main", "lower-case"),
        ("accounts: {a__b: {}}", "accounts.a__b", "one _"),
        (
            "accounts: {main: {api_key_file: key, api_secret_file: secret, products: []}}",
            "accounts.main.products",
            "at least one product",
        ),
        (
            "accounts: {a: &a {api_key_file: key, api_secret_file: secret}, b: *a}",
            "accounts.b",
            "the same API key as accounts.a",
        ),
        (
            "overrides: [{match: {product: crypto_loan}, policy: {pool_terms: {margin_call_ltv: 0.8}}}]",
            "overrides.0.policy.pool_terms",
            "an account has one pool",
        ),
    ],
)
def test_a_mistake_in_the_file_is_named(refusal: Refusal, text: str | bytes, named: str, said: str) -> None:
    sentence = refusal(text)

    assert named in sentence
    assert said in sentence


@pytest.mark.parametrize(
    ("environ", "named", "said"),
    [
        (
            {"LTV_GUARD_POLICY__ADD__TARGT_LTV": "0.6"},
            "LTV_GUARD_POLICY__ADD__TARGT_LTV",
            "POLICY__ADD__TARGET_LTV?",
        ),
        ({"LTV_GUARD_MOD": "live"}, "LTV_GUARD_MOD ", "did you mean LTV_GUARD_MODE?"),
        ({"LTV_GUARD_CONFIGURATION": "x"}, "LTV_GUARD_CONFIGURATION", "not a variable"),
        (
            {"LTV_GUARD_POLICY_ADD_TARGET_LTV": "0.6"},
            "LTV_GUARD_POLICY_ADD_TARGET_LTV",
            "POLICY__ADD__TARGET_LTV?",
        ),
        ({"LTV_GUARD_SOURCE": "x"}, "LTV_GUARD_SOURCE", "not a variable"),
        ({"LTV_GUARD_": "x"}, "LTV_GUARD_ ", "not a variable"),
        ({"LTV_GUARD_MODE__X": "x"}, "LTV_GUARD_MODE__X", "not a variable"),
        ({"LTV_GUARD_API_SECRET": SECRET}, "LTV_GUARD_API_SECRET", "not a variable"),
        (
            {"LTV_GUARD_ACCOUNTS__MAIN__API_SECRT": SECRET},
            "API_SECRT",
            "did you mean LTV_GUARD_ACCOUNTS__MAIN__API_SE",
        ),
        (
            {"LTV_GUARD_SOURCES__UNIFIED_TRANSFER__MAX_TRANSFER__BTC": "-1"},
            "sources.unified_transfer.max_transfer.BTC (from LTV_GUARD_SOURCES",
            "0 or more",
        ),
        (
            {"LTV_GUARD_POLICY__REPAY__MAX_REPAY_24H__USDT": "1"},
            "LTV_GUARD_POLICY__REPAY__MAX_REPAY_24H__USDT",
            "not a variable",
        ),
        ({"LTV_GUARD_MODE": "paper"}, "mode (from LTV_GUARD_MODE)", "'dry_run' or 'live'"),
        ({"LTV_GUARD_MODE": SECRET}, "mode (from LTV_GUARD_MODE)", "'dry_run' or 'live'"),
        ({"LTV_GUARD_POLICY__ADD__TRIGGER_LTV": SECRET}, "LTV_GUARD_POLICY__ADD__TRIGGER_LTV", "a number"),
        (
            {"LTV_GUARD_POLICY__ADD": '{"trigger_ltv": "x"}'},
            "policy.add.trigger_ltv (from LTV_GUARD_POLICY__ADD)",
            "",
        ),
        (
            {"LTV_GUARD_POLICY__ADD": '{"trigger": 1}'},
            "policy.add.trigger (from LTV_GUARD_POLICY__ADD)",
            "not a key",
        ),
        ({"LTV_GUARD_POLICY__ADD": '{"trigger_ltv": 1, "trigger_ltv": 1}'}, "LTV_GUARD_POLICY__ADD", "JSON"),
        ({"LTV_GUARD_ACCOUNTS": f'{{"main": {{"api_secret": "{SECRET}"'}, "LTV_GUARD_ACCOUNTS", "JSON"),
        ({"LTV_GUARD_ACCOUNTS": f'["{SECRET}"]'}, "LTV_GUARD_ACCOUNTS", "keys and values"),
        (
            {"LTV_GUARD_ACCOUNTS__MAIN__API_SECRET": f"two {SECRET}"},
            "LTV_GUARD_ACCOUNTS__MAIN__API_SECRET",
            "a space",
        ),
        ({"LTV_GUARD_ACCOUNTS__MAIN__RSA_PRIVATE_KEY": SECRET}, "accounts.main", "both"),
        ({"LTV_GUARD_ACCOUNTS__OTHER__API_KEY": KEY + "2"}, "accounts.other", "without its secret"),
        ({"LTV_GUARD_ACCOUNTS__A__B__API_KEY": KEY}, "LTV_GUARD_ACCOUNTS__A__B__API_KEY", "not a variable"),
        ({"LTV_GUARD_MODE": "live", "ltv_guard_mode": "dry_run"}, "LTV_GUARD_MODE", "twice"),
        ({"LTV_GUARD_OVERRIDES": '[{"match": {"coin": "X"}}]'}, "overrides.0.match.coin", "not a key"),
        ({"LTV_GUARD_JOURNAL__URL": f"mysql://u:{SECRET}@db/x"}, "journal.url", "sqlite:///"),
        ({"LTV_GUARD_JOURNAL__URL": f"postgresql://u:{SECRET}@db:port/x"}, "journal.url", "not a URL"),
        ({"LTV_GUARD_JOURNAL__URL": f"postgresql://u:{SECRET}@db"}, "journal.url", "a database"),
    ],
)
def test_a_mistake_in_the_environment_is_named(
    refusal: Refusal, environ: dict[str, str], named: str, said: str
) -> None:
    sentence = refusal("", environ)

    assert named in sentence
    assert said in sentence


def test_no_configuration_at_all_says_how_to_begin() -> None:
    with pytest.raises(ConfigError, match=r"-c config\.yaml.*LTV_GUARD_ACCOUNTS__MAIN__API_KEY"):
        load(None, environ={})


@pytest.mark.parametrize("content", ["", "\n", " \n"])
def test_an_empty_key_file_is_named(refusal: Refusal, folder: Path, content: str) -> None:
    (folder / "key").write_text(content)

    sentence = refusal()

    assert "accounts.main.api_key_file" in sentence
    assert str(folder / "key") in sentence
    assert "empty" in sentence


def test_a_binary_key_file_is_named(refusal: Refusal, folder: Path) -> None:
    (folder / "secret").write_bytes(b"\xff\xfe" + SECRET.encode())

    assert "accounts.main.api_secret_file" in refusal()
