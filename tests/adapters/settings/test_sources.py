"""Where values come from: the file, the environment, the defaults, and how they are laid over each other."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from ltv_guard.adapters.settings import Settings, load
from ltv_guard.adapters.settings.provenance import overlooked_variables

Load = Callable[..., Settings]

KEYS = {"LTV_GUARD_ACCOUNTS__MAIN__API_KEY": "k", "LTV_GUARD_ACCOUNTS__MAIN__API_SECRET": "s"}


def test_the_environment_alone_is_enough() -> None:
    settings = load(None, environ=KEYS)

    assert settings.source is None
    assert settings.mode == "dry_run"
    assert settings.accounts["main"].api_key.get_secret_value() == "k"


def test_the_environment_wins_over_the_file_and_the_file_over_the_defaults(load_text: Load) -> None:
    settings = load_text(
        "policy: {add: {trigger_ltv: 0.74, target_ltv: 0.64}}",
        {"LTV_GUARD_POLICY__ADD__TARGET_LTV": "0.62"},
    )

    assert settings.policy.add.target_ltv == Decimal("0.62")
    assert settings.policy.add.trigger_ltv == Decimal("0.74")
    assert settings.policy.limits.emergency_ltv == Decimal("0.80")


def test_numbers_are_what_is_written(load_text: Load) -> None:
    settings = load_text("policy: {limits: {max_add: {BTC: 0.1, ETH: 100000000.000000000000000001}}}")

    assert settings.policy.limits.max_add == {
        "BTC": Decimal("0.1"),
        "ETH": Decimal("100000000.000000000000000001"),
    }


def test_an_empty_variable_is_unset(load_text: Load) -> None:
    settings = load_text("mode: live", {"LTV_GUARD_MODE": "", "LTV_GUARD_POLICY__ADD__TARGET_LTV": " "})

    assert settings.mode == "live"


def test_variables_count_in_any_case(load_text: Load) -> None:
    assert load_text("", {"ltv_guard_mode": "live"}).mode == "live"


@pytest.mark.parametrize("written", ["usdt", "USDT", "Usdt"])
def test_coins_meet_in_upper_case_whatever_their_source(load_text: Load, written: str) -> None:
    settings = load_text(
        f"wallet: {{reserve: {{{written}: 1, eth: 2}}}}\n"
        "overrides: [{match: {loan_coin: btc, collateral_coin: Eth}}]\n"
        "policy: {collateral_preference: [usdt, usdc, btc, eth]}",
        {"LTV_GUARD_WALLET__RESERVE__USDT": "3"},
    )

    assert settings.wallet.reserve == {"USDT": Decimal(3), "ETH": Decimal(2)}
    assert settings.overrides[0].match.loan_coin == "BTC"
    assert settings.policy.collateral_preference == ("USDT", "USDC", "BTC", "ETH")


def test_an_account_is_laid_over_all_accounts_coin_by_coin(load_text: Load) -> None:
    settings = load_text(
        "policy: {limits: {max_add: {btc: 1, eth: 9}}}",
        {"LTV_GUARD_ACCOUNTS__MAIN__POLICY__LIMITS__MAX_ADD__BTC": "0.5"},
    )

    assert settings.accounts["main"].policy.limits.max_add == {"BTC": Decimal("0.5"), "ETH": Decimal(9)}
    assert settings.policy.limits.max_add == {"BTC": Decimal(1), "ETH": Decimal(9)}


def test_repayments_and_transfers_can_be_set_from_the_environment_alone() -> None:
    settings = load(
        None,
        environ=KEYS
        | {
            "LTV_GUARD_POLICY__REPAY__ENABLED": "true",
            "LTV_GUARD_POLICY__REPAY__MAX_REPAY__USDT": "20000",
            "LTV_GUARD_WALLET__MAX_REPAY_24H": '{"usdt": 50000.5}',
            "LTV_GUARD_SOURCES__UNIFIED_TRANSFER__ENABLED": "TRUE",
            "ltv_guard_sources__unified_transfer__max_transfer__btc": "0.5",
            "LTV_GUARD_SOURCES__UNIFIED_TRANSFER__MAX_TRANSFER_24H__BTC": "2",
            "LTV_GUARD_ACCOUNTS__MAIN__SOURCES__UNIFIED_TRANSFER__MAX_TRANSFER_24H__BTC": "1",
        },
    )
    main = settings.accounts["main"]

    assert main.policy.repay.enabled
    assert main.policy.repay.max_repay == {"USDT": Decimal(20000)}
    assert main.wallet.max_repay_24h == {"USDT": Decimal("50000.5")}
    assert main.sources.unified_transfer.enabled
    assert main.sources.unified_transfer.max_transfer == {"BTC": Decimal("0.5")}
    assert main.sources.unified_transfer.max_transfer_24h == {"BTC": Decimal(1)}
    assert settings.sources.unified_transfer.max_transfer_24h == {"BTC": Decimal(2)}


@pytest.mark.parametrize("text", ["crypto_loan_legacy", " crypto_loan_legacy ,", '["crypto_loan_legacy"]'])
def test_a_list_from_the_environment_is_json_or_has_commas(load_text: Load, text: str) -> None:
    settings = load_text("", {"LTV_GUARD_ACCOUNTS__MAIN__PRODUCTS": text.rstrip(",").strip()})

    assert settings.accounts["main"].products == ("crypto_loan_legacy",)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("604800, 21600", (604800, 21600)), ("[3, 2.5]", (3, 2.5)), ("60", (60,)), ("[]", ())],
)
def test_a_list_of_seconds_replaces_the_one_below_it_whole(
    load_text: Load, text: str, seconds: tuple[float, ...]
) -> None:
    settings = load_text(
        "policy: {maturity_notice_s: [9, 8, 7]}", {"LTV_GUARD_POLICY__MATURITY_NOTICE_S": text}
    )

    assert settings.accounts["main"].policy.maturity_notice_s == seconds


def test_a_section_from_the_environment_is_json_with_exact_numbers(load_text: Load) -> None:
    settings = load_text(
        "",
        {
            "LTV_GUARD_POLICY__ADD": '{"trigger_ltv": 0.7, "target_ltv": "0.65"}',
            "LTV_GUARD_POLICY__ADD__TARGET_LTV": "0.61",
            "LTV_GUARD_POLICY__REDUCE": '{"enabled": true}',
            "LTV_GUARD_OVERRIDES": '[{"match": {"order_id": 1794267532472646144}, "protect": false}]',
        },
    )

    assert settings.policy.add.trigger_ltv == Decimal("0.7")
    assert settings.policy.add.target_ltv == Decimal("0.61")
    assert settings.policy.reduce.enabled
    assert settings.overrides[0].match.order_id == "1794267532472646144"
    assert not settings.overrides[0].protect


@pytest.mark.parametrize(
    "name",
    [
        "SERVICE_HOST",
        "SERVICE_PORT",
        "SERVICE_PORT_METRICS",
        "PORT",
        "PORT_8080_TCP",
        "PORT_8080_TCP_PROTO",
        "PORT_8080_TCP_PORT",
        "PORT_8080_TCP_ADDR",
        "DB_SERVICE_HOST",
        "DB_PORT_5432_TCP_ADDR",
    ],
)
def test_the_service_links_of_kubernetes_are_left_alone(load_text: Load, name: str) -> None:
    load_text("", {f"LTV_GUARD_{name}": "tcp://10.0.0.1:8080"})


def test_other_programs_variables_are_none_of_our_business(load_text: Load) -> None:
    load_text("", {"PATH": "/bin", "LTV_GUARDIAN": "x", "NOT_LTV_GUARD_X": "x"})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("LTVGUARD_MODE", "LTV_GUARD_MODE"),
        ("ltv_gaurd_mode", "LTV_GUARD_MODE"),
        ("LTV_GARD_POLICY__ADD__TRIGGER_LTV", "LTV_GUARD_POLICY__ADD__TRIGGER_LTV"),
        ("LTVGUARD_CONFIG", "LTV_GUARD_CONFIG"),
        ("LTVGUARD_ACCOUNTS__FUND__API_KEY", "LTV_GUARD_ACCOUNTS__FUND__API_KEY"),
        ("LTV_GUARD_HTTP_PORT", "LTV_GUARD_HTTP__PORT"),  # looks like a link of Kubernetes
    ],
)
def test_a_variable_that_is_not_quite_ours_is_told_with_the_one_that_is_meant(name: str, meant: str) -> None:
    assert overlooked_variables({name: "9000"}) == {name: meant}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LTV_GUARD_MODE", "live"),
        ("LTVGUARD_MODE", " "),
        ("NOT_LTV_GUARD_X", "x"),
        ("LTV_GUARDIAN", "x"),
        ("TV_GUIDE_MODE", "x"),
        ("LTV_GUARD_HTTP_PORT", "tcp://10.0.0.1:80"),
        ("LTV_GUARD_SERVICE_PORT", "80"),
        ("LTV_GUARD_PORT_8080_TCP_PORT", "8080"),
        ("LTVGUARD_SERVICE_HOST", "10.0.0.1"),
        ("LTVGUARD_PORT_8080_TCP_PROTO", "tcp"),
    ],
)
def test_what_is_read_or_set_by_others_is_not_told(name: str, value: str) -> None:
    assert overlooked_variables({name: value}) == {}


def test_the_path_that_is_given_wins_over_the_variable_and_that_over_the_default(folder: Path) -> None:
    for name in ("given", "named", "etc"):
        (folder / f"{name}.yaml").write_text("")
    named = {"LTV_GUARD_CONFIG": str(folder / "named.yaml"), **KEYS}

    assert load(folder / "given.yaml", environ=named).source == folder / "given.yaml"
    assert load(None, environ=named).source == folder / "named.yaml"
    assert load(None, environ=KEYS).source == folder / "etc.yaml"


def test_the_variable_that_names_the_file_counts_in_any_case_and_not_when_empty(folder: Path) -> None:
    (folder / "named.yaml").write_text("")

    assert load(None, environ={"ltv_guard_config": str(folder / "named.yaml"), **KEYS}).source is not None
    assert load(None, environ={"LTV_GUARD_CONFIG": " ", **KEYS}).source is None


def test_null_is_as_good_as_unwritten_where_it_may_stand(load_text: Load) -> None:
    settings = load_text(
        "exchange: {base_url: null, stream_url: ~}\njournal: {url: , url_file: }\n"
        "policy:\nwallet: {reserve: }\noverrides:\nlogging: {level: info}"
    )

    assert settings.exchange.rest_url == "https://api-testnet.bybit.com"
    assert settings.overrides == ()
    assert settings.logging.level == "INFO"


def test_anchors_and_merge_keys_work(load_text: Load) -> None:
    settings = load_text(
        "policy:\n  add: &calm {trigger_ltv: 0.7, target_ltv: 0.62}\n"
        "overrides:\n  - match: {loan_coin: USDC}\n    policy: {add: {<<: *calm, trigger_ltv: 0.68}}\n"
    )

    (rule,) = settings.accounts["main"].rules
    assert rule.policy.add.trigger_ltv == Decimal("0.68")
    assert rule.policy.add.target_ltv == Decimal("0.62")


@pytest.mark.parametrize(
    ("exchange", "rest", "stream"),
    [
        ("", "https://api-testnet.bybit.com", "wss://stream-testnet.bybit.com/v5/public/spot"),
        ("environment: mainnet", "https://api.bybit.com", "wss://stream.bybit.com/v5/public/spot"),
        (
            "environment: mainnet, base_url: 'https://api.bybit.nl/'",
            "https://api.bybit.nl",
            "wss://stream.bybit.com/v5/public/spot",
        ),
        ("base_url: 'http://127.0.0.1:8765'", "http://127.0.0.1:8765", None),
        ("base_url: 'http://127.8.8.8'", "http://127.8.8.8", None),
        ("base_url: 'http://localhost:1'", "http://localhost:1", None),
        ("base_url: 'http://[::1]:8765'", "http://[::1]:8765", None),
    ],
)
def test_the_exchange_knows_its_hosts(load_text: Load, exchange: str, rest: str, stream: str | None) -> None:
    settings = load_text(f"exchange: {{{exchange}}}")

    assert settings.exchange.rest_url == rest
    assert settings.exchange.stream_url == stream
