"""Secrets: where they are read from, and that they never show."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ltv_guard.adapters.settings import Settings, load

Load = Callable[..., Settings]
Refusal = Callable[..., str]

KEY = "ApiKeyThatNobodyMaySee001"
SECRET = "ApiSecretThatNobodyMaySee002"
WITH_RSA = "accounts: {main: {api_key_file: key, rsa_private_key_file: rsa.pem}}"


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, passphrase: bytes = b"") -> str:
    encryption = (
        serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    ).decode()


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def test_files_beside_the_configuration_are_read_without_their_trailing_newline(
    load_text: Load, folder: Path
) -> None:
    (folder / "secret").write_bytes(SECRET.encode() + b"\r\n")

    credentials = load_text().accounts["main"].credentials

    assert credentials.api_key.get_secret_value() == KEY
    assert credentials.api_secret is not None
    assert credentials.api_secret.get_secret_value() == SECRET
    assert credentials.rsa_private_key is None


def test_secrets_never_show(load_text: Load) -> None:
    settings = load_text("", {"LTV_GUARD_JOURNAL__URL": f"postgresql://u:{SECRET}@db/x"})
    account = settings.accounts["main"]
    shown = "".join(
        f"{thing}{thing!r}" for thing in (settings, account, account.credentials, settings.journal)
    )
    shown += settings.model_dump_json() + str(settings.model_dump()) + settings.journal.shown

    assert KEY not in shown
    assert SECRET not in shown


def test_a_value_wins_over_a_file_even_one_that_does_not_exist(load_text: Load) -> None:
    settings = load_text(
        "accounts: {main: {api_key_file: absent, api_secret_file: absent}}",
        {"LTV_GUARD_ACCOUNTS__MAIN__API_KEY": "a", "LTV_GUARD_ACCOUNTS__MAIN__API_SECRET": "b"},
    )

    assert settings.accounts["main"].api_key.get_secret_value() == "a"


def test_a_key_file_may_have_a_name_like_a_key(load_text: Load, folder: Path) -> None:
    (folder / "key").rename(folder / "keyOfMyBybitAccount1")

    load_text("accounts: {main: {api_key_file: keyOfMyBybitAccount1, api_secret_file: secret}}")


def test_the_librarys_own_debug_log_holds_no_secret(
    load_text: Load, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PYDANTIC_SETTINGS_DEBUG", "1")
    caplog.set_level("DEBUG")

    load_text(
        "",
        {
            "LTV_GUARD_ACCOUNTS__MAIN__API_SECRET": SECRET,
            "LTV_GUARD_JOURNAL__URL": f"postgresql://u:{SECRET}@db/x",
        },
    )

    assert SECRET not in caplog.text


def test_a_file_may_be_named_by_a_variable(load_text: Load, folder: Path) -> None:
    (folder / "other").write_text("other-key")

    settings = load_text("", {"LTV_GUARD_ACCOUNTS__MAIN__API_KEY_FILE": "other"})

    assert settings.accounts["main"].api_key.get_secret_value() == "other-key"


def test_without_a_configuration_file_paths_start_from_the_working_directory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    environ = {
        "LTV_GUARD_ACCOUNTS__MAIN__API_KEY_FILE": "key",
        "LTV_GUARD_ACCOUNTS__MAIN__API_SECRET_FILE": "secret",
    }

    assert load(None, environ=environ).accounts["main"].api_key.get_secret_value() == KEY


def test_an_rsa_key_signs_instead_of_a_secret(
    load_text: Load, folder: Path, rsa_key: rsa.RSAPrivateKey
) -> None:
    (folder / "rsa.pem").write_text(pem(rsa_key))

    credentials = load_text(WITH_RSA).accounts["main"].credentials

    assert credentials.api_secret is None
    assert credentials.rsa_private_key is not None
    assert credentials.rsa_private_key.get_secret_value().strip() == pem(rsa_key).strip()


def test_an_rsa_key_in_a_variable_may_write_its_line_breaks_out(
    load_text: Load, rsa_key: rsa.RSAPrivateKey
) -> None:
    text = pem(rsa_key).replace("\n", "\\n")
    environ = {"LTV_GUARD_ACCOUNTS__MAIN__RSA_PRIVATE_KEY": text}

    credentials = load_text("accounts: {main: {api_key_file: key}}", environ).accounts["main"].credentials

    assert credentials.rsa_private_key is not None
    assert credentials.rsa_private_key.get_secret_value() == pem(rsa_key)


def test_a_key_that_is_not_rsa_or_has_a_passphrase_is_refused(
    refusal: Refusal, folder: Path, rsa_key: rsa.RSAPrivateKey
) -> None:
    for text in (
        pem(ec.generate_private_key(ec.SECP256R1())),
        pem(rsa_key, b"passphrase"),
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
    ):
        (folder / "rsa.pem").write_text(text)
        assert "accounts.main.rsa_private_key_file is not an RSA private key" in refusal(WITH_RSA)
