"""Finds the configuration file, reads it and the environment, and builds the settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import SecretStr, ValidationError

from ltv_guard.adapters.settings.account_files import files_of, passed_over, read_account_files, volume_of
from ltv_guard.adapters.settings.accounts import AccountKey
from ltv_guard.adapters.settings.all_accounts import FROM_FILES, FromFiles
from ltv_guard.adapters.settings.environment import CONFIG, account_names, read_environment
from ltv_guard.adapters.settings.errors import ConfigError, refusal
from ltv_guard.adapters.settings.errors import Path as KeyPath
from ltv_guard.adapters.settings.journal import settle_sources
from ltv_guard.adapters.settings.keys import Place, Tree, fit
from ltv_guard.adapters.settings.model import JournalSettings, Settings, folder_of
from ltv_guard.adapters.settings.secret_files import absolute
from ltv_guard.adapters.settings.yaml_file import read_yaml

DEFAULT_PATH = Path("/etc/ltv-guard/config.yaml")
MOST_TRIES = 3  # where a volume changes while it is read
RULES = ("policy", "wallet", "sources", "overrides", "accounts", "accounts_dir")

S = TypeVar("S", bound=JournalSettings)


def load(
    path: Path | None, *, environ: Mapping[str, str] = os.environ, before: Settings | None = None
) -> Settings:
    """Reads and checks the whole configuration: environment over YAML over defaults.

    `path` is the YAML file; None looks for LTV_GUARD_CONFIG, then for the default path, then does without.
    `before` are the settings in force: an account whose own file is odd by now goes on as it was there.
    Raises ConfigError: one sentence that names the key, the variable or the file.
    """
    source = _find(path, environ)
    for _ in range(MOST_TRIES):
        yaml = fit(Settings, read_yaml(source) if source else {}, Place())
        environment, origins = read_environment(Settings, environ)
        folder = accounts_folder(environment, yaml, source)
        if folder is None:
            return _build(Settings, source, (environment, yaml), origins)
        volume = volume_of(folder)
        settings = _build(
            Settings, source, (environment, yaml), origins, _from_files(folder, environment, yaml, before)
        )
        if volume_of(folder) == volume:
            break
    return settings


def load_journal(path: Path | None, *, environ: Mapping[str, str] = os.environ) -> JournalSettings:
    """Reads and checks journal and logging alone, so that a bad threshold can't disable the kill switch.

    `path` and `environ` are as for `load`. Raises ConfigError as `load` does, for what it reads alone.
    """
    source = _find(path, environ)
    written = read_yaml(source) if source else {}
    yaml = fit(
        JournalSettings,
        {key: written[key] for key in JournalSettings.model_fields if key in written},
        Place(),
    )
    environment, origins = read_environment(
        JournalSettings, environ, wanted=lambda keys: keys[0] in JournalSettings.model_fields
    )
    beside = {
        "exchange": {"base_url": _base_url(written, environ)},
        "account_names": _account_names(source, written, environ),
    }
    return _build(JournalSettings, source, (environment, {**yaml, **beside}), origins)


def load_rules(path: Path, *, environ: Mapping[str, str] = os.environ) -> Settings:
    """Reads and checks what is done for loans, for whoever asks for nothing else: it takes no secret.

    Where the file names no account, there is one, `main`. Raises ConfigError as `load` does.
    """
    written = fit(Settings, read_yaml(path), Place())
    yaml = {key: value for key, value in written.items() if key in RULES}
    environment, origins = read_environment(
        Settings, environ, wanted=lambda keys: keys[0] in RULES and not _is_of_a_key(keys[-1])
    )
    if (folder := accounts_folder(environment, yaml, path.absolute())) is not None:
        _from_files(folder, environment, yaml, None)
    names = {*yaml.get("accounts", {}), *environment.get("accounts", {})} or {"main"}
    accounts = {name: _without_key(name, yaml.get("accounts", {}).get(name, {})) for name in names}
    return _build(Settings, path.absolute(), (environment, {**yaml, "accounts": accounts}), origins)


def _is_of_a_key(name: str) -> bool:
    return name.removesuffix("_file") in AccountKey.__dataclass_fields__


def _without_key(name: str, account: Tree) -> Tree:
    """The account with a key that signs for nothing."""
    kept = {key: value for key, value in account.items() if not _is_of_a_key(key)}
    return {**kept, "api_key": SecretStr(f"{name}-key"), "api_secret": SecretStr(f"{name}-secret")}


def accounts_folder(environment: Tree, yaml: Tree, source: Path | None) -> Path | None:
    """Where accounts have files of their own; None: nowhere."""
    written = environment.get("accounts_dir", yaml.get("accounts_dir"))
    return None if written is None else absolute(written, folder_of({"source": source}))


def _from_files(folder: Path, environment: Tree, yaml: Tree, before: Settings | None) -> FromFiles:
    """Reads the files of accounts, and lays what is in them beside the accounts of the configuration."""
    named = yaml.get("accounts", {})
    read = passed_over(read_account_files(folder), named)
    yaml["accounts"] = {**named, **read.trees}
    # what the environment adds to an account that can't be read makes no account by itself
    nowhere = {item.name for item in read.odd} - yaml["accounts"].keys()
    given = environment.get("accounts", {})
    environment["accounts"] = {name: tree for name, tree in given.items() if name not in nowhere}
    return FromFiles(read=read, before=before.accounts if before is not None else {})


def _find(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    named = next((value.strip() for name, value in environ.items() if name.upper() == CONFIG), "")
    if path or named:
        return (path or Path(named)).absolute()
    try:
        return DEFAULT_PATH if DEFAULT_PATH.exists() else None
    except PermissionError:
        return DEFAULT_PATH  # it may be there: better refused than passed over


def _build(
    model: type[S],
    source: Path | None,
    layers: tuple[Tree, Tree],
    origins: Mapping[KeyPath, str],
    from_files: FromFiles | None = None,
) -> S:
    environment, yaml = layers
    settle_sources(environment, yaml)
    ours: Tree = {"source": source}
    if from_files is not None:
        ours[FROM_FILES] = replace(from_files, origins=origins)
    values: dict[str, Any] = {"layers": (environment, yaml, ours)}
    try:
        return model(**values)
    except ValidationError as error:
        raise refusal(error, origins) from None


def _account_names(
    source: Path | None, written: Mapping[str, Any], environ: Mapping[str, str]
) -> frozenset[str] | None:
    """What the accounts are called, whatever else may be wrong with them; None where that can't be read."""
    names = account_names(written, environ)
    try:
        tree, _ = read_environment(Settings, environ, wanted=lambda keys: keys == ["accounts_dir"])
        folder = accounts_folder(tree, dict(written), source)
        files = () if folder is None else files_of(folder)
    except ConfigError:
        return None
    return None if names is None else names | {file.stem for file in files}


def _base_url(written: Mapping[str, Any], environ: Mapping[str, str]) -> object:
    """Finds the exchange's address, which the default journal depends on, whatever else may be wrong."""
    try:
        tree, _ = read_environment(
            Settings, environ, wanted=lambda keys: keys in (["exchange"], ["exchange", "base_url"])
        )
    except ConfigError:
        tree = {}
    for source in (tree, written):
        exchange = source.get("exchange")
        if isinstance(exchange, dict) and exchange.get("base_url"):
            return exchange["base_url"]
    return None
