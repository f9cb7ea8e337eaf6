"""What `check` says of files and variables: the configuration, and who may read each secret."""

from __future__ import annotations

import stat
from pathlib import Path

from ltv_guard.adapters.settings import Settings
from ltv_guard.adapters.settings.provenance import overlooked_variables, secret_files
from ltv_guard.service.exposure import exposures
from ltv_guard.service.findings import Finding


def examine_configuration(settings: Settings) -> Finding:
    """Where the configuration was read from."""
    source = str(settings.source) if settings.source else "the environment"
    return Finding(what="configuration", good=True, found=f"{source}, mode {settings.mode}")


def examine_variables() -> list[Finding]:
    """Each variable that looks like one of ours and is not."""
    return [
        Finding(what="environment", good=True, found=f"{name} is not read", mend=f"did you mean {meant}?")
        for name, meant in sorted(overlooked_variables().items())
    ]


def examine_account_files(settings: Settings) -> list[Finding]:
    """Each file of an account that can't be used, and how many can."""
    if settings.accounts_dir is None:
        return []
    found = f"{settings.accounts_dir}, {len(settings.account_files)} that can be used"
    odd = [
        Finding(what=f"accounts.{item.name}", good=False, found=item.why, mend="mend this file, then SIGHUP")
        for item in settings.odd_accounts
    ]
    return [Finding(what="files of accounts", good=True, found=found), *odd]


def examine_files(settings: Settings) -> list[Finding]:
    """What lies open to others, and the mode of every other secret file."""
    exposed = exposures(settings)
    found = [
        Finding(what=item.key, good=True, found=f"{item.why} ({item.path})", mend=item.mend)
        for item in exposed
    ]
    told = {item.key for item in exposed}
    return found + [
        Finding(what=key, good=True, found=f"{path}, mode {_mode(path)}")
        for key, path in secret_files(settings)
        if key not in told
    ]


def _mode(path: Path) -> str:
    try:
        return f"{stat.S_IMODE(path.stat().st_mode):04o}"
    except OSError:
        return "unknown"
