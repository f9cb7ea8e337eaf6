"""Accounts in files of their own: one odd file costs only itself, whatever is odd about it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ltv_guard.adapters.settings import ConfigError, Settings, account_files, load, load_journal, load_rules
from ltv_guard.adapters.settings.accounts import AccountSection
from ltv_guard.adapters.settings.provenance import origins
from ltv_guard.cli import init_files
from ltv_guard.cli.init_questions import Answers

if TYPE_CHECKING:
    from conftest import Load, Refusal

DIR = "accounts_dir: accounts.d\n"
ANSWERS = Answers(
    environment="testnet",
    url=None,
    account="main",
    products="[crypto_loan]",
    api_key="key",
    api_secret="secret",
    trigger=Decimal("0.75"),
    target=Decimal("0.65"),
    max_add={},
    max_add_24h={},
    reserve={},
    notify_url=None,
    token=None,
)
Written = Callable[..., Path]


@pytest.fixture
def write(folder: Path) -> Written:
    """Writes a file of the folder, and, for an account, its secrets beside it."""
    (folder / "accounts.d").mkdir()

    def write_it(name: str, more: str = "products: [crypto_loan]\n", *, keyed: bool = True) -> Path:
        file = folder / "accounts.d" / name
        stem = name.partition(".")[0]
        if keyed:
            for kind in ("key", "secret"):
                file.with_name(f"{stem}.{kind}").write_text(f"{kind}-of-{stem}\n")
        keys = f"api_key_file: {stem}.key\napi_secret_file: {stem}.secret\n" if keyed else ""
        file.write_text(keys + more)
        return file

    return write_it


@pytest.fixture
def read(folder: Path) -> Callable[..., Settings]:
    """Loads a configuration that has no account but those of the folder."""

    def read_it(
        text: str = DIR, before: Settings | None = None, environ: Mapping[str, str] | None = None
    ) -> Settings:
        (folder / "config.yaml").write_text(text)
        return load(folder / "config.yaml", environ=environ or {}, before=before)

    return read_it


def test_a_file_is_an_account_with_its_secrets_beside_it(
    write: Written, read: Callable[..., Settings]
) -> None:
    file = write("desk_one.yaml", "policy: {add: {trigger_ltv: 0.7}}\n")

    settings = read(DIR + "policy: {add: {target_ltv: 0.6}}\n")
    account = settings.accounts["desk_one"]

    assert account.api_key.get_secret_value() == "key-of-desk_one"
    assert account.api_secret_file == file.with_name("desk_one.secret")
    assert (str(account.policy.add.trigger_ltv), str(account.policy.add.target_ltv)) == ("0.7", "0.6")
    assert settings.account_files == {"desk_one": file}
    assert settings.odd_accounts == ()


def test_files_stand_beside_the_accounts_of_the_configuration(write: Written, load_text: Load) -> None:
    write("other.yaml")
    assert list(load_text(DIR).accounts) == ["main", "other"]


def test_what_init_writes_names_the_folder_for_who_takes_the_sign_off_its_line(
    write: Written, folder: Path
) -> None:
    file = folder / "config.yaml"
    init_files.write(file, ANSWERS)
    assert load(file).accounts.keys() == {"main"}
    write("desk_one.yaml")
    file.write_text(file.read_text().replace("\n# accounts_dir:", "\naccounts_dir:"))
    assert load(file).accounts.keys() == {"main", "desk_one"}


def test_secrets_and_the_folder_may_come_from_the_environment(
    write: Written, read: Callable[..., Settings]
) -> None:
    write("desk.yaml", "products: [crypto_loan]\n", keyed=False)
    environ = {
        "LTV_GUARD_ACCOUNTS_DIR": "accounts.d",
        "LTV_GUARD_ACCOUNTS__DESK__API_KEY": "k",
        "LTV_GUARD_ACCOUNTS__DESK__API_SECRET": "s",
    }
    settings = read("", environ=environ)
    assert settings.accounts["desk"].products == ("crypto_loan",)


def test_what_is_no_account_is_passed_over(write: Written, read: Callable[..., Settings]) -> None:
    file = write("desk.yaml")
    for name in (
        ".desk.yaml.swp",
        ".hidden.yaml",
        "desk.yaml~",
        "#desk.yaml#",
        "desk.yaml.bak",
        "new.yaml.tmp",
    ):
        file.with_name(name).write_text("{ half a")
    file.with_name(".#desk.yaml").symlink_to("somebody@elsewhere")
    file.with_name("..2026_11_28").mkdir()

    settings = read()

    assert list(settings.accounts) == ["desk"]
    assert settings.odd_accounts == ()


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("odd.yaml", "policy:\n  add:\n    trigger_ltv: 2\n", "line 5: accounts.odd.policy.add.trigger_ltv"),
        ("odd.yaml", "products: [crypto_lend]\n", "line 3: accounts.odd.products.0"),
        ("odd.yaml", "polices: {}\n", "line 3: accounts.odd.polices is not a key"),
        ("odd.yaml", "wallet: {reserve: {btc: x}}\n", "line 3: accounts.odd.wallet.reserve.BTC"),
        ("odd.yaml", "api_secret: Hidden0000\n", "line 3: accounts.odd.api_secret is a secret"),
        ("odd.yaml", "rsa_private_key_file: x\n", "both an api_secret and an rsa_private_key"),
        ("odd.yaml", "policy: [1]\n", "line 3: accounts.odd.policy must hold keys"),
        ("odd.yaml", "api_key_file: twice\n", "line 3 sets the key api_key_file a second time"),
        ("odd.yaml", "policy: {add\n", "is not YAML that can be read: line"),
        ("Odd-One.yaml", "", "the file's name must be an account's name"),
        ("odd copy.yaml", "", "the file's name must be an account's name"),
    ],
)
def test_a_mistake_costs_its_account_alone_and_names_file_line_and_key(
    write: Written, read: Callable[..., Settings], name: str, text: str, words: str
) -> None:
    write("good.yaml")
    file = write(name, text)

    settings = read()

    (odd,) = settings.odd_accounts
    assert list(settings.accounts) == ["good"]
    assert not odd.guarded
    assert odd.why.startswith(str(file))
    assert words in odd.why
    assert "Hidden" not in odd.why


def unreadable(file: Path, kind: str) -> None:
    file.unlink()
    match kind:
        case "folder":
            file.mkdir()
        case "fifo":
            os.mkfifo(file)
        case "dangling":
            file.symlink_to("nothing")
        case "empty":
            file.write_text("# nothing yet\n")
        case "large":
            file.write_text("#" * 300_000)
        case _:
            file.write_bytes(b"\xff\xfe\x00")


@pytest.mark.parametrize("kind", ["folder", "fifo", "dangling", "empty", "large", "bytes"])
def test_a_file_that_is_none_costs_its_account_alone(
    write: Written, read: Callable[..., Settings], kind: str
) -> None:
    write("good.yaml")
    file = write("odd.yaml")
    unreadable(file, kind)

    settings = read()

    assert list(settings.accounts) == ["good"]
    assert [item.name for item in settings.odd_accounts] == ["odd"]
    assert str(file) in settings.odd_accounts[0].why


def test_a_secret_file_that_is_missing_costs_its_account_alone(
    write: Written, read: Callable[..., Settings]
) -> None:
    write("good.yaml")
    write("odd.yaml").with_name("odd.secret").unlink()

    (odd,) = read().odd_accounts

    assert "line 2: accounts.odd.api_secret_file names the file" in odd.why
    assert "does not exist" in odd.why


def test_what_the_environment_adds_to_an_odd_file_makes_no_account(
    write: Written, read: Callable[..., Settings]
) -> None:
    write("good.yaml")
    write("odd.yaml", "policy: {", keyed=False)
    environ = {"LTV_GUARD_ACCOUNTS__ODD__API_KEY": "k", "LTV_GUARD_ACCOUNTS__ODD__API_SECRET": "s"}
    assert list(read(environ=environ).accounts) == ["good"]


def test_of_two_with_one_name_one_counts_and_the_other_is_told(
    write: Written, load_text: Load, folder: Path
) -> None:
    write("main.yaml")
    write("desk.yaml")
    write("desk.yml", "products: [crypto_loan_legacy]\n")

    settings = load_text(DIR)

    assert settings.accounts["main"].api_key_file == folder / "key"
    assert settings.accounts["desk"].products == ("crypto_loan",)
    assert {item.file.name: item.guarded for item in settings.odd_accounts} == {
        "main.yaml": True,
        "desk.yml": True,
    }


def test_two_with_the_same_key_are_one_too_many(write: Written, read: Callable[..., Settings]) -> None:
    write("first.yaml")
    second = write("second.yaml")
    second.with_name("second.key").write_text("key-of-first")

    settings = read()

    assert list(settings.accounts) == ["first"]
    assert "accounts.second has the same API key as accounts.first" in settings.odd_accounts[0].why


def test_an_account_that_is_guarded_goes_on_as_it_was(write: Written, read: Callable[..., Settings]) -> None:
    file = write("desk.yaml", "policy: {add: {trigger_ltv: 0.7}}\n")
    write("other.yaml")
    before = read()
    file.write_text("policy: {add: {trigger_ltv: ")

    after = read(before=before)

    assert after.accounts["desk"] == before.accounts["desk"]
    assert [(item.name, item.guarded) for item in after.odd_accounts] == [("desk", True)]
    write("desk.yaml", "policy: {add: {trigger_ltv: 0.71}}\n")
    mended = read(before=after)
    assert str(mended.accounts["desk"].policy.add.trigger_ltv) == "0.71"
    assert mended.odd_accounts == ()


def test_a_new_account_takes_no_key_from_one_that_is_guarded(
    write: Written, read: Callable[..., Settings]
) -> None:
    write("zulu.yaml")
    before = read()
    write("alpha.yaml").with_name("alpha.key").write_text("key-of-zulu")

    assert list(read(before=before).accounts) == ["zulu"]
    assert list(read().accounts) == ["alpha"]


def test_a_file_that_is_gone_is_an_account_that_is_gone(
    write: Written, read: Callable[..., Settings]
) -> None:
    write("stays.yaml")
    file = write("goes.yaml")
    before = read()
    file.unlink()

    after = read(before=before)

    assert list(after.accounts) == ["stays"]
    assert after.odd_accounts == ()


def test_an_override_may_name_an_account_whose_file_is_odd(
    write: Written, read: Callable[..., Settings]
) -> None:
    write("good.yaml")
    write("odd.yaml", "policy: {")
    settings = read(DIR + "overrides: [{match: {account: odd}, protect: false}]\n")
    assert list(settings.accounts) == ["good"]


def test_an_override_that_fits_one_account_badly_costs_that_one(
    write: Written, read: Callable[..., Settings]
) -> None:
    write("good.yaml")
    write("odd.yaml", "policy: {add: {trigger_ltv: 0.6, target_ltv: 0.5}}\n")
    settings = read(DIR + "overrides: [{match: {loan_coin: USDT}, policy: {add: {target_ltv: 0.65}}}]\n")
    assert list(settings.accounts) == ["good"]
    assert "overrides.0.policy.add" in settings.odd_accounts[0].why


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("accounts_dir: nowhere\n", "accounts_dir names the folder"),
        ("accounts_dir: key\n", "can't be read (Not a directory)"),
        (DIR, "no account can be guarded: "),
    ],
)
def test_where_no_account_can_be_guarded_the_whole_is_refused(
    write: Written, read: Callable[..., Settings], text: str, words: str
) -> None:
    write("odd.yaml", "policy: {")
    with pytest.raises(ConfigError) as refused:
        read(text)
    assert words in str(refused.value)


def test_a_folder_without_files_is_no_account(write: Written, refusal: Refusal) -> None:
    assert "there is nothing to guard" in refusal(DIR + "accounts: {}\n")


def test_a_volume_of_kubernetes_is_read_at_one_moment(
    read: Callable[..., Settings], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = folder / "accounts.d"
    for number, product in (("1", "crypto_loan"), ("2", "crypto_loan_legacy")):
        version = files / f"..{number}"
        version.mkdir(parents=True)
        for kind in ("key", "secret"):
            (version / f"desk.{kind}").write_text(f"{kind}-{number}")
        (version / "desk.yaml").write_text(
            f"products: [{product}]\napi_key_file: desk.key\napi_secret_file: desk.secret\n"
        )
    (files / "..data").symlink_to("..1")
    for name in ("desk.yaml", "desk.key", "desk.secret"):
        (files / name).symlink_to(f"..data/{name}")
    really = account_files.read_account_files

    def changing(at: Path) -> account_files.AccountFiles:
        """The volume changes between what says which account it is, and its secrets."""
        found = really(at)
        (folder / "link").symlink_to("..2")
        (folder / "link").rename(files / "..data")
        return found

    monkeypatch.setattr("ltv_guard.adapters.settings.loading.read_account_files", changing)
    account = read().accounts["desk"]
    assert (account.api_key.get_secret_value(), account.products) == ("key-2", ("crypto_loan_legacy",))


def test_where_each_value_came_from_names_its_file(write: Written, read: Callable[..., Settings]) -> None:
    file = write("desk.yaml")
    found = {item.key: item.where for item in origins(read(), {})}
    assert found["accounts.desk.products"] == str(file)
    assert found["accounts.desk.api_key"] == str(file.with_name("desk.key"))
    assert "secret-of-desk" not in str(found)


def test_the_kill_switch_knows_the_accounts_of_files_whatever_they_hold(write: Written, folder: Path) -> None:
    write("desk.yaml", "policy: {")
    (folder / "config.yaml").write_text(DIR + "accounts: {main: {}}\n")
    assert load_journal(folder / "config.yaml", environ={}).account_names == {"main", "desk"}


def test_rules_without_keys_know_them_too(write: Written, folder: Path) -> None:
    write("desk.yaml", "policy: {add: {trigger_ltv: 0.7}}\n").with_name("desk.key").unlink()
    (folder / "config.yaml").write_text(DIR)
    rules = load_rules(folder / "config.yaml", environ={})
    assert str(rules.accounts["desk"].policy.add.trigger_ltv) == "0.7"


def test_the_example_is_an_account(folder: Path) -> None:
    shipped = Path(__file__).parents[3] / "config/accounts/desk_one.yaml"
    files = folder / "accounts.d"
    files.mkdir()
    (files / shipped.name).write_text(shipped.read_text())
    for kind in ("key", "secret"):
        (files / f"desk_one.{kind}").write_text(f"{kind}-of-it")
    (folder / "config.yaml").write_text(DIR)

    account = load(folder / "config.yaml", environ={}).accounts["desk_one"]

    assert isinstance(account, AccountSection)
    assert str(account.policy.add.trigger_ltv) == "0.72"


def test_a_file_that_changes_while_it_is_read_is_odd(
    write: Written, read: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    write("good.yaml")
    file = write("odd.yaml")
    versions = iter(range(1000))

    def version_of(found: os.stat_result) -> tuple[int, int]:
        return next(versions) if found.st_ino == file.stat().st_ino else 0, 0

    monkeypatch.setattr("ltv_guard.adapters.settings.files._version", version_of)
    settings = read()
    assert list(settings.accounts) == ["good"]
    assert "it was changed while it was read" in settings.odd_accounts[0].why
