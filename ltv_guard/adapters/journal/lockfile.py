"""A lock file: one daemon at a time holds it, and the kernel lets go of it however that daemon dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Self

from ltv_guard.core.errors import JournalUnavailable


class LockFile:
    """Held from `take` to `release`. The file stays: once removed, two daemons could lock two files."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path) -> Self:
        """Raises JournalUnavailable where it cannot be held, OSError where the file cannot be made."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _lock(descriptor, path.with_suffix(""))
            pid = f"{os.getpid()}\n".encode()
            os.pwrite(descriptor, pid, 0)
            os.ftruncate(descriptor, len(pid))
        except BaseException:
            os.close(descriptor)
            raise
        return cls(path, descriptor)

    @property
    def is_in_place(self) -> bool:
        """Whether the path still names the locked file: what stands there is what a second daemon locks."""
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        os.close(self._descriptor)


def _lock(descriptor: int, journal: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = _holder(descriptor)
        raise JournalUnavailable(
            f"another ltv-guard ({holder}) is using the journal {journal}: one daemon an account, "
            f"so stop {holder} first"
        ) from error
    except OSError as error:
        raise JournalUnavailable(
            f"the journal {journal} cannot be locked ({error.strerror}), so another ltv-guard could send "
            "what this one sends: put it on a local disk"
        ) from error


def _holder(descriptor: int) -> str:
    pid = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
    return f"process {pid}" if pid.isdigit() else "that one"
