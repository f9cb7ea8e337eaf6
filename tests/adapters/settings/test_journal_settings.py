"""Where the journal is kept, and what the kill switch needs to find it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ltv_guard.adapters.settings import ConfigError, Settings, load, load_journal

Load = Callable[..., Settings]
Refusal = Callable[..., str]

SECRET = "ApiSecretThatNobodyMaySee002"


def url(settings: Settings) -> str:
    return settings.journal.url.get_secret_value()


def test_the_default_is_a_file_in_the_state_folder(load_text: Load, folder: Path) -> None:
    assert url(load_text()) == f"sqlite+aiosqlite:///{folder}/state/ltv-guard/journal.db"
    assert (folder / "state/ltv-guard").is_dir()


def test_the_sandbox_has_a_journal_of_its_own(load_text: Load) -> None:
    settings = load_text("exchange: {base_url: 'http://127.0.0.1:8765'}")

    assert url(settings).endswith("/journal-sandbox.db")


@pytest.mark.parametrize(
    ("written", "normalised"),
    [
        ("sqlite:///own.db", "sqlite+aiosqlite:///{folder}/own.db"),
        ("sqlite+aiosqlite:///{folder}/own.db", "sqlite+aiosqlite:///{folder}/own.db"),
        ("postgresql://db.example.com/x", "postgresql+asyncpg://db.example.com/x"),
        ("postgres://user@db:5433/x", "postgresql+asyncpg://user@db:5433/x"),
        ("postgresql+asyncpg:///x?host=/run/pg", "postgresql+asyncpg:///x?host=%2Frun%2Fpg"),
        ("postgresql://db/x?sslmode=require", "postgresql+asyncpg://db/x?sslmode=require"),
    ],
)
def test_a_url_is_made_fit_for_the_async_drivers(
    load_text: Load, folder: Path, written: str, normalised: str
) -> None:
    settings = load_text(f"journal: {{url: '{written.format(folder=folder)}'}}")

    assert url(settings) == normalised.format(folder=folder)


@pytest.mark.parametrize("written", ["sqlite:///own.db", "sqlite+aiosqlite:///own.db"])
def test_people_are_shown_a_url_as_they_write_it(load_text: Load, folder: Path, written: str) -> None:
    assert load_text(f"journal: {{url: '{written}'}}").journal.shown == f"sqlite:///{folder}/own.db"


def test_a_url_with_a_password_comes_from_a_file_or_a_variable(load_text: Load, folder: Path) -> None:
    text = f"postgresql://user:{SECRET}@db/x"
    (folder / "url").write_text(text + "\n")
    expected = f"postgresql+asyncpg://user:{SECRET}@db/x"

    assert url(load_text("journal: {url_file: url}")) == expected
    assert url(load_text("journal: {url: 'sqlite:///x.db'}", {"LTV_GUARD_JOURNAL__URL": text})) == expected
    over_the_yaml = {"LTV_GUARD_JOURNAL__URL_FILE": "url"}
    assert url(load_text("journal: {url: 'sqlite:///x.db'}", over_the_yaml)) == expected
    assert load_text("journal: {url_file: url}").journal.shown == "postgresql://user:***@db/x"


@pytest.mark.parametrize("key", ["password", "sslpassword"])
def test_a_password_among_the_parameters_of_a_url_is_not_shown(load_text: Load, key: str) -> None:
    text = f"postgresql://user@db/x?{key}={SECRET}&sslmode=require"

    settings = load_text("", {"LTV_GUARD_JOURNAL__URL": text})

    assert SECRET in url(settings)
    assert SECRET not in settings.journal.shown
    assert "sslmode=require" in settings.journal.shown


def test_the_rest_of_a_password_with_an_at_sign_is_not_taken_for_the_host(refusal: Refusal) -> None:
    said = refusal("", {"LTV_GUARD_JOURNAL__URL": f"postgresql://user:a@{SECRET}@db/x"})

    assert "%40" in said


@pytest.mark.parametrize(
    ("journal", "named", "said"),
    [
        ("url: nonsense", "journal.url", "not a URL"),
        ("url: 'mysql://db/x'", "journal.url", "sqlite:///"),
        ("url: 'postgresql+psycopg://db/x'", "journal.url", "postgresql://"),
        ("url: 'postgresql://db'", "journal.url", "a database"),
        ("url: 'postgresql://db:port/x'", "journal.url", "not a URL"),
        ("url: 'sqlite://'", "journal.url", "a file"),
        ("url: 'sqlite:///:memory:'", "journal.url", "a file"),
        ("url: 'sqlite:///file:x?uri=true'", "journal.url", "a file"),
        ("url: 'sqlite://host/x.db'", "journal.url", "a file"),
        ("url: 'sqlite:///absent/x.db'", "journal.url", "/absent, which does not exist"),
        (f"url: 'sqlite:///{'x' * 5000}/x.db'", "journal.url", "xx, which can't be looked into"),
        ("url: 'sqlite:///.'", "journal.url", "a folder"),
        (f"url: 'postgresql://u:{SECRET}@db/x'", "journal.url", "url_file"),
        (f"url: 'postgresql://db/x?password={SECRET}'", "journal.url", "url_file"),
        (f"url: 'postgresql://u:{SECRET}@db:port/x'", "journal.url", "not a URL"),
        (f"url: 'postgresql://db/x?sslpassword={SECRET}'", "journal.url", "url_file"),
        (f"url_file: 'postgresql://u:{SECRET}@db/x'", "journal.url_file", "looks like the secret itself"),
        ("url_file: absent", "journal.url_file", "/absent, which does not exist"),
        ("url_file: key", "journal.url_file", "not a URL"),
        ("url: 'sqlite:///x.db', url_file: key", "journal.url_file", "keep one"),
    ],
)
def test_an_unusable_journal_is_named(refusal: Refusal, journal: str, named: str, said: str) -> None:
    sentence = refusal(f"journal: {{{journal}}}")

    assert named in sentence
    assert said in sentence


def test_a_folder_or_a_file_that_can_not_be_written_to_is_named(
    refusal: Refusal, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "old.db").touch()
    # root may write anywhere, so the answer is made up
    monkeypatch.setattr("os.access", lambda path, _: path == folder)
    assert f"the file {folder}/old.db, which can't be written to" in refusal(
        "journal: {url: 'sqlite:///old.db'}"
    )

    monkeypatch.setattr("os.access", lambda *_: False)
    assert f"the folder {folder}, which can't be written to" in refusal("journal: {url: 'sqlite:///x.db'}")


def test_a_state_folder_that_can_not_be_made_is_named(refusal: Refusal, folder: Path) -> None:
    (folder / "state").write_text("in the way")

    assert "journal.url is not set, and its default folder" in refusal()


def test_a_postgresql_journal_needs_its_driver(refusal: Refusal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    assert "ltv-guard[postgres]" in refusal("journal: {url: 'postgresql://db/x'}")


@pytest.mark.parametrize(
    "elsewhere",
    [
        "policy: {add: {trigger_ltv: abc}}",
        "polcy: {}",
        "accounts: {main: {api_key_file: absent}}",
        "accounts: 17",
        "exchange: {request_timeout_s: 0}",
        "exchange: []",
        "mode: perhaps",
    ],
)
def test_the_kill_switch_finds_its_journal_whatever_else_is_wrong(folder: Path, elsewhere: str) -> None:
    path = folder / "config.yaml"
    path.write_text(f"journal: {{url: 'sqlite:///own.db'}}\nlogging: {{level: debug}}\n{elsewhere}")
    environ = {"LTV_GUARD_POLICY__X": "1", "LTV_GUARD_ACCOUNTS": "{", "LTV_GUARD_EXCHANGE__X": "1"}

    with pytest.raises(ConfigError):
        load(path, environ={})
    settings = load_journal(path, environ=environ)

    assert settings.journal.url.get_secret_value() == f"sqlite+aiosqlite:///{folder}/own.db"
    assert settings.logging.level == "DEBUG"
    assert settings.source == path


@pytest.mark.parametrize("key", ["base_url: 'http://127.0.0.1:8765'", ""])
@pytest.mark.parametrize(
    "environ",
    [{}, {"LTV_GUARD_EXCHANGE__BASE_URL": "http://localhost:1"}, {"LTV_GUARD_EXCHANGE__BASE_URL": ""}],
)
def test_daemon_and_kill_switch_agree_on_the_default_journal(
    load_text: Load, folder: Path, key: str, environ: dict[str, str]
) -> None:
    settings = load_text(f"exchange: {{{key}}}", environ)

    assert load_journal(folder / "config.yaml", environ=environ).journal == settings.journal


@pytest.mark.parametrize(
    "text", ["journal: [", "journal: {uri: x}", "journal: {url: x}", "logging: {level: x}"]
)
def test_the_kill_switch_says_what_it_can_not_read(folder: Path, text: str) -> None:
    path = folder / "config.yaml"
    path.write_text(text)

    with pytest.raises(ConfigError):
        load_journal(path, environ={})
