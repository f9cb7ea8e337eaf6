"""A daemon's sign of life: a file that its watchdog touches while it gets on, and `health` looks at.

Imports next to nothing: a container asks every half minute, and settings alone take longer than all of this.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import platformdirs

CONFIG = "LTV_GUARD_CONFIG"
DEFAULT_PATH = Path("/etc/ltv-guard/config.yaml")
OWN, OWN_FOLDER = 0o600, 0o700


def source_of(path: Path | None, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The YAML file that `settings.load` would read: a test holds the two together. None: there is none."""
    named = next((value.strip() for name, value in environ.items() if name.upper() == CONFIG), "")
    if path or named:
        return (path or Path(named)).absolute()
    try:
        return DEFAULT_PATH if DEFAULT_PATH.exists() else None
    except PermissionError:
        return DEFAULT_PATH


def file_of(source: Path | None) -> Path:
    """In the user's state folder, by the configuration: so that it needs not be read."""
    name = hashlib.sha256(os.fsencode(source or "environment")).hexdigest()[:16]
    return platformdirs.user_state_path("ltv-guard") / f"alive-{name}"


def age_s(source: Path | None) -> float | None:
    """Since the last sign of a daemon with this configuration; None: there is no such daemon."""
    try:
        return max(0.0, time.time() - file_of(source).stat().st_mtime)
    except (OSError, RuntimeError, KeyError):
        return None


class SignOfLife:
    """Given by the watchdog's thread. Where it can't be, `health` says so; nothing else is the worse."""

    def __init__(self, source: Path | None) -> None:
        self._file: Path | None = None
        with suppress(RuntimeError, KeyError):  # neither HOME nor an entry among the users
            self._file = file_of(source)

    def tell(self) -> None:
        if self._file is None:
            return
        try:
            os.utime(self._file)
        except FileNotFoundError:
            self._make(self._file)
        except OSError:
            return

    def close(self) -> None:
        """Takes the file away: a daemon that ended is not healthy. Never raises."""
        if self._file is not None:
            with suppress(OSError):
                self._file.unlink()

    def _make(self, file: Path) -> None:
        with suppress(OSError):
            file.parent.mkdir(mode=OWN_FOLDER, parents=True, exist_ok=True)
            os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, OWN))
