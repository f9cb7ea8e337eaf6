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
        """Raises JournalUnavailable while another process holds it, OSError where it cannot be made."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError as error:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise JournalUnavailable(
                f"another ltv-guard{holder} is using the journal {path.with_suffix('')}: "
                "stop it first, or give this one a journal of its own"
            ) from error
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


def _holder(descriptor: int) -> str:
    pid = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
    return f" (process {pid})" if pid.isdigit() else ""
