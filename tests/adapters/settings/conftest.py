"""A folder with key files, and ways to load a configuration from it."""

import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from ltv_guard.adapters.settings import ConfigError, Settings, load

API_KEY = "ApiKeyThatNobodyMaySee001"
API_SECRET = "ApiSecretThatNobodyMaySee002"
SECRETS = (API_KEY, API_SECRET)

ACCOUNT = """
accounts:
  main:
    api_key_file: key
    api_secret_file: secret
"""

Load = Callable[..., Settings]
Refusal = Callable[..., str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("ltv_guard.adapters.settings.loading.DEFAULT_PATH", tmp_path / "etc.yaml")
    (tmp_path / "key").write_text(f"{API_KEY}\n")
    (tmp_path / "secret").write_text(f"{API_SECRET}\n")
    return tmp_path


@pytest.fixture
def load_text(folder: Path) -> Load:
    """Load a YAML text, with the account `main` unless it has accounts of its own."""

    def load_it(text: str | bytes = "", environ: Mapping[str, str] | None = None) -> Settings:
        path = folder / "config.yaml"
        if isinstance(text, bytes):
            path.write_bytes(text)
        else:
            path.write_text(text if "accounts:" in text else text + ACCOUNT)
        return load(path, environ=environ or {})

    return load_it


@pytest.fixture
def refusal(load_text: Load) -> Refusal:
    """Return the sentence that refuses a configuration; it is one, and holds no secret."""

    def refuse(text: str | bytes = "", environ: Mapping[str, str] | None = None) -> str:
        with pytest.raises(ConfigError) as caught:
            load_text(text, environ)
        sentence = str(caught.value)
        assert sentence
        assert "\n" not in sentence
        shown = sentence + repr(caught.value) + "".join(traceback.format_exception(caught.value))
        assert not [secret for secret in SECRETS if secret in shown]
        return sentence

    return refuse
