"""Accounts in files of their own: each a YAML file of a folder, whose name is the account's.

One odd file costs only itself: it is told, and all others count.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ltv_guard.adapters.settings.accounts import AccountSection
from ltv_guard.adapters.settings.errors import ConfigError
from ltv_guard.adapters.settings.errors import Path as KeyPath
from ltv_guard.adapters.settings.keys import Place, Tree, fit
from ltv_guard.adapters.settings.values import account_name
from ltv_guard.adapters.settings.yaml_file import line_of, read_yaml

ENDINGS = (".yaml", ".yml")
MOST_FILES = 10_000
KUBERNETES = "..data"
"""A link in each volume made of a ConfigMap or a Secret: it changes in one step when the volume does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OddAccount:
    """A file that can't be used. `guarded`: its account is, as it was before or by what another file says."""

    name: str
    file: Path
    why: str
    guarded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFiles:
    """What a folder holds: each account's file and what stands in it, and the files that are odd."""

    files: dict[str, Path] = field(default_factory=dict)
    trees: dict[str, Tree] = field(default_factory=dict)
    odd: tuple[OddAccount, ...] = ()


def files_of(folder: Path) -> Iterator[Path]:
    """The files that are meant to be accounts. Raises ConfigError where the folder can't be read.

    Hidden ones are none, and neither is what an editor leaves behind (`main.yaml~`, `main.yaml.bak`) or a
    program has not renamed yet (`main.yaml.tmp`).
    """
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        reason = error.strerror or "not a folder"
        raise ConfigError(f"accounts_dir names the folder {folder}, which can't be read ({reason})") from None
    found = [name for name in names if name.endswith(ENDINGS) and not name.startswith(".")]
    if len(found) > MOST_FILES:
        raise ConfigError(f"accounts_dir names {folder}, which has more than {MOST_FILES} files of accounts")
    return (folder / name for name in found)


def read_account_files(folder: Path) -> AccountFiles:
    """All of them, as they were written. Raises ConfigError where the folder can't be read."""
    files: dict[str, Path] = {}
    trees: dict[str, Tree] = {}
    odd = []
    for file in files_of(folder):
        try:
            name = _name_of(file, files)
            files[name] = file
            trees[name] = _tree_of(name, file)
        except ConfigError as error:
            odd.append(OddAccount(name=file.stem, file=file, why=str(error), guarded=file.stem in trees))
    return AccountFiles(files={name: files[name] for name in trees}, trees=trees, odd=tuple(odd))


def passed_over(read: AccountFiles, names: Collection[str]) -> AccountFiles:
    """Without the accounts that the configuration itself names: those count, and their files are odd."""
    clashing = [name for name in read.files if name in names]
    odd = [
        OddAccount(
            name=name,
            file=read.files[name],
            why=f"{read.files[name]}: accounts.{name} stands in the configuration too: keep one of the two",
        )
        for name in clashing
    ]
    return AccountFiles(
        files={name: file for name, file in read.files.items() if name not in names},
        trees={name: tree for name, tree in read.trees.items() if name not in names},
        odd=(*read.odd, *odd),
    )


def volume_of(folder: Path) -> Path | None:
    """Which version of a Kubernetes volume this is; None for other folders."""
    try:
        return (folder / KUBERNETES).readlink()
    except OSError:
        return None


def told_of(file: Path, name: str, error: ConfigError) -> str:
    """What is wrong with an account, after its file, and the line where there is one."""
    keys = error.path[2:] if error.path[:2] == ("accounts", name) else ()
    line = line_of(file, keys) if keys else None
    return f"{file}{f' line {line}' if line else ''}: {error}"


def _name_of(file: Path, known: dict[str, Path]) -> str:
    try:
        name = account_name(file.stem)
    except ValueError as error:
        raise ConfigError(f"{file}: the file's name {error}") from None
    if name in known:
        raise ConfigError(f"{file}: accounts.{name} stands in {known[name].name} too: keep one of the two")
    return name


def _tree_of(name: str, file: Path) -> Tree:
    tree = read_yaml(file, what="account's file")
    if not tree:
        raise ConfigError(f"{file}: accounts.{name} has nothing in its file; is it still being written?")
    path: KeyPath = ("accounts", name)
    try:
        fitted: Tree = fit(AccountSection, tree, Place(path=path))
    except ConfigError as error:
        raise ConfigError(told_of(file, name, error)) from None
    return fitted
