"""The seal: a small file beside a SQLite journal that tells one in use from one brought back from a copy.

It names the intent that was last marked sent, the database file (device and inode) and the system's boot; a
restored journal disagrees with at least one of them. It is written before the commit that marks an intent
sent, and never synced: whoever is killed in between leaves a seal that does not match, and that costs the
next start a few seconds of waiting, no more. What a power cut does to an unsynced file needs no thought: the
boot is another one afterwards.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Seal:
    """The seal at `path` of the database file `database`. Every method may raise OSError."""

    def __init__(self, path: Path, database: Path) -> None:
        self._path = path
        self._database = database
        self._boot: str | None = None
        self._descriptor: int | None = None

    def matches(self, last_sent: str | None) -> bool:
        """Whether `last_sent`, from the database, is what was sealed, for this very file and this boot."""
        try:
            return self._path.read_text(encoding="utf-8") == self._words(last_sent)
        except (FileNotFoundError, UnicodeDecodeError):
            return False

    def write(self, last_sent: str | None) -> None:
        """Opens the file at the first call only: a send must not fail for want of a file descriptor."""
        words = self._words(last_sent).encode()
        descriptor = self._opened()
        os.pwrite(descriptor, words, 0)
        os.ftruncate(descriptor, len(words))

    def _opened(self) -> int:
        if self._descriptor is None or not self._is_in_place(self._descriptor):
            self.close()
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._descriptor

    def _is_in_place(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(self._path.stat(), os.fstat(descriptor))
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Lets go of the file; the seal stays."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def break_(self) -> None:
        """A journal that is not continuous has no seal until it has waited: dying early must not seal it."""
        self.close()
        self._path.unlink(missing_ok=True)

    def _words(self, last_sent: str | None) -> str:
        file = self._database.stat()
        if self._boot is None:
            self._boot = _boot_id()
        return json.dumps(
            {"device": file.st_dev, "inode": file.st_ino, "boot": self._boot, "last_sent": last_sent}
        )


def _boot_id() -> str | None:
    # A volume brought back from a snapshot keeps its inodes; it hardly comes back within one boot.
    with suppress(OSError):
        return _BOOT_ID.read_text(encoding="ascii").strip()
    return None
