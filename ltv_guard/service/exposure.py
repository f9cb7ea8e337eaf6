"""Files that more people may read or write than should: secrets, the configuration, the journal's folder."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ltv_guard.adapters.settings import Settings
from ltv_guard.adapters.settings.provenance import secret_files
from ltv_guard.adapters.settings.shipped import shipped

READABLE, WRITABLE, WRITABLE_BY_GROUP = stat.S_IROTH, stat.S_IWOTH, stat.S_IWGRP


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """`key` is the setting that names the path; `account` whose it is, where it is an account's."""

    key: str
    path: Path
    why: str
    mend: str
    account: str | None = None


def exposures(settings: Settings) -> list[Exposure]:
    """What everybody on this machine may read or write. The sandbox's own keys are no secrets."""
    return [item for item in _found(settings) if item.path.parent != shipped("sandbox_key").parent]


def _found(settings: Settings) -> Iterator[Exposure]:
    for key, path in secret_files(settings):
        yield from _secret(key, path, key.split(".")[1] if key.startswith("accounts.") else None)
    yield from _changeable("the configuration", settings.source)
    yield from _changeable("accounts_dir", settings.accounts_dir)
    for name, file in settings.account_files.items():
        yield from _changeable(f"the file of accounts.{name}", file, name)
    if settings.journal.file is not None:
        folder = settings.journal.file.parent
        if _mode(folder) & (WRITABLE | WRITABLE_BY_GROUP):
            who = "everybody on this machine" if _mode(folder) & WRITABLE else "every member of its group"
            yield Exposure(
                key="journal.url",
                path=folder,
                why=f"{who} may remove or replace the journal in this folder",
                mend=f"chmod 700 {folder}, or set journal.url to a folder of its own",
            )


def _secret(key: str, path: Path, account: str | None) -> Iterator[Exposure]:
    mode = _mode(path)
    if mode & (READABLE | WRITABLE):
        deed = "change" if mode & WRITABLE else "read"
        why = f"everybody on this machine may {deed} this secret"
        yield Exposure(key=key, path=path, why=why, mend=f"chmod 400 {path}", account=account)


def _changeable(key: str, path: Path | None, account: str | None = None) -> Iterator[Exposure]:
    if path is not None and _mode(path) & WRITABLE:
        why = "everybody on this machine may change it, and with it when coins are moved"
        yield Exposure(key=key, path=path, why=why, mend=f"chmod o-w {path}", account=account)


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:
        return 0  # what can't be looked at is told where it is used
