"""Where each value of the configuration came from: for people who look for the one that surprises them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from ltv_guard.adapters.settings.accounts import AccountSection
from ltv_guard.adapters.settings.environment import overlooked, read_environment
from ltv_guard.adapters.settings.errors import Path as KeyPath
from ltv_guard.adapters.settings.errors import dotted
from ltv_guard.adapters.settings.keys import Place, fields_of, fit, is_model
from ltv_guard.adapters.settings.model import Settings
from ltv_guard.adapters.settings.yaml_file import read_yaml

HIDDEN = "(hidden)"
INHERITED = ("policy", "wallet", "sources")  # of an account: only what was written there is its own


class Source(StrEnum):
    """Where a value can come from; each wins over those before it."""

    DEFAULT = "default"
    YAML = "YAML file"
    ENVIRONMENT = "environment"
    SECRET_FILE = "secret file"  # noqa: S105 - a word


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueOrigin:
    """`where`: the file, or the variable; nothing for a default. A secret's `value` is hidden."""

    key: str
    value: str
    source: Source
    where: str = ""


def origins(settings: Settings, environ: Mapping[str, str] = os.environ) -> list[ValueOrigin]:
    """Every key with its value, those that were written first. Raises ConfigError, as `load` does."""
    written = {item.key: item for item in _written(settings, environ)}
    secrets = list(_secrets(settings))
    named = {*written, *(item.key for item in secrets)}
    defaults = [item for item in _defaults(settings) if not _is_named(item.key, named)]
    return [*written.values(), *secrets, *defaults]


def overlooked_variables(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """As `overlooked`: what is in the environment, and set for nothing."""
    return overlooked(Settings, environ)


def _is_named(key: str, named: set[str]) -> bool:
    """Whether the key was written, or one below it."""
    return key in named or any(other.startswith(f"{key}.") for other in named)


def _written(settings: Settings, environ: Mapping[str, str]) -> Iterator[ValueOrigin]:
    """The environment last, so that it stays where both say something."""
    if settings.source is not None:
        tree = fit(Settings, read_yaml(settings.source), Place())
        for path, value in _leaves(tree):
            yield _origin(settings, path, value, Source.YAML, str(settings.source))
    for name, file in settings.account_files.items():
        place = Place(path=("accounts", name))
        for path, value in _leaves(fit(AccountSection, read_yaml(file), place), place.path):
            yield _origin(settings, path, value, Source.YAML, str(file))
    tree, variables = read_environment(Settings, environ)
    for path, value in _leaves(tree):
        yield _origin(settings, path, value, Source.ENVIRONMENT, _variable(path, variables))


def _variable(path: KeyPath, variables: Mapping[KeyPath, str]) -> str:
    return next(
        (variables[path[:length]] for length in range(len(path), 0, -1) if path[:length] in variables), ""
    )


def _origin(settings: Settings, path: KeyPath, value: object, source: Source, where: str) -> ValueOrigin:
    shown = settings.journal.shown if path == ("journal", "url") else _shown(value)
    return ValueOrigin(key=dotted(path), value=shown, source=source, where=where)


def _leaves(tree: object, path: KeyPath = ()) -> Iterator[tuple[KeyPath, object]]:
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from _leaves(value, (*path, key))
    elif isinstance(tree, list) and any(isinstance(item, dict) for item in tree):
        for index, value in enumerate(tree):
            yield from _leaves(value, (*path, index))
    elif path:
        yield path, tree


def _secrets(settings: Settings) -> Iterator[ValueOrigin]:
    """What was read from files that the configuration names."""
    for key, path in secret_files(settings):
        if not key.startswith("journal"):
            yield ValueOrigin(
                key=key.removesuffix("_file"), value=HIDDEN, source=Source.SECRET_FILE, where=str(path)
            )
        else:
            shown = settings.journal.shown
            yield ValueOrigin(key="journal.url", value=shown, source=Source.SECRET_FILE, where=str(path))


def secret_files(settings: Settings) -> Iterator[tuple[str, Path]]:
    """The key and the path of every secret file that the configuration names."""
    for name, account in settings.accounts.items():
        for kind in ("api_key_file", "api_secret_file", "rsa_private_key_file"):
            yield from _named(f"accounts.{name}.{kind}", getattr(account, kind))
    yield from _named("journal.url_file", settings.journal.url_file)
    yield from _named("deadman.url_file", settings.deadman.url_file)
    yield from _named("http.token_file", settings.http.token_file)
    for name, target in settings.notify.targets.items():
        yield from _named(f"notify.targets.{name}.url_file", target.url_file)


def _named(key: str, path: Path | None) -> Iterator[tuple[str, Path]]:
    if path is not None:
        yield key, path


def _defaults(settings: Settings) -> Iterator[ValueOrigin]:
    for key in fields_of(Settings):
        if key != "accounts":
            yield from _below(settings, getattr(settings, key), (key,))
    for name, account in settings.accounts.items():
        for key in fields_of(AccountSection):
            if key not in INHERITED:
                yield from _below(settings, getattr(account, key), ("accounts", name, key))


def _below(settings: Settings, value: object, path: KeyPath) -> Iterator[ValueOrigin]:
    if is_model(type(value)) and isinstance(value, BaseModel):
        for key in fields_of(type(value)):
            yield from _below(settings, getattr(value, key), (*path, key))
    elif value is not None or path[-1] not in {"api_secret", "rsa_private_key"}:
        yield _origin(settings, path, value, Source.DEFAULT, "")


def _shown(value: object) -> str:
    """As YAML has it."""
    if isinstance(value, SecretStr):
        return HIDDEN
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_shown(item)}' for key, item in value.items())}}}"
    return _number(value)


def _number(value: Any) -> str:  # noqa: ANN401 - whatever a leaf holds
    return format(value, "g") if isinstance(value, float) else str(value)
