"""All accounts of a configuration: those that it names itself, and those of files of their own.

What is wrong with an account of the configuration refuses the whole. What is wrong with one of a file costs
that account alone: it goes on as it was before, where it was, and is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ltv_guard.adapters.settings.account_files import AccountFiles, OddAccount, told_of
from ltv_guard.adapters.settings.accounts import AccountSection, resolve_account, section_of
from ltv_guard.adapters.settings.errors import Clash, ConfigError, Origins
from ltv_guard.adapters.settings.keys import Tree

FROM_FILES = "from_files"  # where `written` holds what was read
MOST_RULES = 10_000
"""Accounts times overrides: each is worked out, and no file may keep a running daemon busy for minutes."""

Accounts = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class FromFiles:
    """What was read of the files of accounts, and the accounts `before`: those in force, if there are any."""

    read: AccountFiles = field(default_factory=AccountFiles)
    before: Mapping[str, AccountSection] = field(default_factory=dict)
    origins: Origins = field(default_factory=dict)


def resolve_accounts(written: Tree, folder: Path) -> tuple[Accounts, dict[str, Path], tuple[OddAccount, ...]]:
    """Every account with its secrets and all that it inherits; the files of some; the files that are odd.

    Raises ConfigError and Clash, where an account of the configuration itself can't be used, or none can.
    """
    given: FromFiles = written.get(FROM_FILES, FromFiles())
    trees = written.get("accounts", {})
    _check_number(trees, written.get("overrides", ()))
    found: Accounts = {
        name: resolve_account(name, tree, written, folder)
        for name, tree in trees.items()
        if name not in given.read.files
    }
    keys = {account["api_key"]: name for name, account in found.items()}
    odd = list(given.read.odd)
    for item in odd:
        if item.name not in given.read.files:
            _keep(item.name, found, given, keys)
    for name, file in _in_order(given):
        try:
            account = section_of(name, trees[name], written, file.parent, given.origins)
            _check_key(name, account, keys)
            found[name] = account
        except ConfigError as error:
            odd.append(OddAccount(name=name, file=file, why=told_of(file, name, error)))
            _keep(name, found, given, keys)
    if odd and not found:
        more = f" (and {len(odd) - 1} more)" if len(odd) > 1 else ""
        raise ConfigError(f"no account can be guarded: {odd[0].why}{more}")
    files = {name: file for name, file in given.read.files.items() if name in found}
    return found, files, tuple(replace(item, guarded=item.name in found) for item in odd)


def _in_order(given: FromFiles) -> Iterator[tuple[str, Path]]:
    """Those in force first: of two with the same key the one that is guarded stays."""
    files = given.read.files
    return ((name, files[name]) for name in sorted(files, key=lambda name: (name not in given.before, name)))


def _keep(name: str, found: Accounts, given: FromFiles, keys: dict[str, str]) -> None:
    """It goes on as it was before, if it was there and nobody else has its key by now."""
    before = given.before.get(name)
    if before is None or name in found:
        return
    if keys.setdefault(before.api_key.get_secret_value(), name) == name:
        found[name] = before


def _check_key(name: str, account: AccountSection, keys: dict[str, str]) -> None:
    """No two accounts have one key."""
    other = keys.setdefault(account.api_key.get_secret_value(), name)
    if other != name:
        raise ConfigError(f"accounts.{name} has the same API key as accounts.{other}: keep one of the two")


def _check_number(trees: Tree, overrides: Any) -> None:  # noqa: ANN401 - as it was written
    """Counts an override where it may fit."""
    general = sum(override.get("match", {}).get("account") is None for override in overrides)
    if len(trees) * (1 + general) + len(overrides) - general > MOST_RULES:
        raise Clash(
            "accounts", f"times overrides come to more than {MOST_RULES} rules; is it the right file?"
        )
