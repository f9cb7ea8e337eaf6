"""The files of a SQLite journal: closed to others, still those that were opened, and who locks them.

Everything here may wait for a disk: a running daemon calls it from a thread.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

BESIDE = ("", "-wal", "-shm", ".lock", ".seal")
SQLITES = BESIDE[:3]  # the files that SQLite itself keeps open
_LOCKS = Path("/proc/locks")


def beside(path: Path, suffix: str) -> Path:
    """The file of that suffix beside the journal's own."""
    return path.with_name(path.name + suffix)


class JournalFiles:
    """The files of the journal at `path`. Every method may raise OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: dict[Path, os.stat_result] = {}

    def make(self) -> None:
        """Makes the database file where there is none, for nobody but this user."""
        # Never opened once it exists: closing it again would drop the locks that SQLite holds for us.
        with suppress(FileExistsError):
            os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))

    def close_to_others(self) -> None:
        """An earlier version let every user open them, and so hold up this one with a lock.

        A group that may write was let in on purpose, and stays.
        """
        for path in (beside(self._path, suffix) for suffix in BESIDE):
            with suppress(OSError):
                found = path.stat()
                open_to = 0o007 if found.st_mode & stat.S_IWGRP else 0o077
                if found.st_uid == os.geteuid() and found.st_mode & open_to:
                    path.chmod(stat.S_IMODE(found.st_mode) & ~open_to)

    def remember(self, *suffixes: str) -> None:
        """Those that are there now are the ones that were opened."""
        for path in (beside(self._path, suffix) for suffix in suffixes):
            with suppress(FileNotFoundError):
                self._opened[path] = path.stat()

    def first_that_is_gone(self) -> Path | None:
        """A file whose name no longer leads to the one that was opened."""
        return next((path for path, opened in self._opened.items() if not _is(path, opened)), None)

    def who_locks(self) -> str | None:
        """Which other process holds a lock on what SQLite uses; None where the kernel does not tell."""
        holder = holder_of([beside(self._path, suffix) for suffix in SQLITES])
        return None if holder is None else name_of(holder)


def holder_of(paths: Sequence[Path]) -> int | None:
    """Another process that holds a lock on one of the files, where the kernel tells (Linux)."""
    wanted = set()
    for path in paths:
        with suppress(OSError):
            found = path.stat()
            device = found.st_dev
            wanted.add(f"{os.major(device):02x}:{os.minor(device):02x}:{found.st_ino}")
    holders = []
    with suppress(OSError, UnicodeDecodeError):
        for line in _LOCKS.read_text(encoding="ascii").splitlines():
            # "1: FLOCK  ADVISORY  WRITE 4711 fe:00:2170895 0 EOF"; one that waits has "->" after its number.
            words = line.split()
            if len(words) > 5 and words[5] in wanted and words[4].isdigit():  # noqa: PLR2004 - as above
                holders.append((words[3] == "WRITE", int(words[4])))
    others = [pid for _, pid in sorted(holders, reverse=True) if pid not in {0, os.getpid()}]
    return next(iter(others), None)


def name_of(pid: int) -> str:
    """The process, with the name of its program where that can be read."""
    with suppress(OSError, UnicodeDecodeError):
        return f"process {pid} ({Path(f'/proc/{pid}/comm').read_text(encoding='utf-8').strip()})"
    return f"process {pid}"


def _is(path: Path, opened: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.stat(), opened)
    except FileNotFoundError:
        return False
