"""A lock file: one daemon at a time holds it, and the kernel lets go of it however that daemon dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Self

from ltv_guard.adapters.journal.files import holder_of, name_of
from ltv_guard.core.model.errors import JournalUnavailable


class LockFile:
    """Held from `take` to `release`. The file stays: once removed, two daemons could lock two files."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path) -> Self:
        """Raises JournalUnavailable where it cannot be held, and OSError where it cannot be written."""
        descriptor = _opened(path)
        try:
            _lock(descriptor, path)
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
        """Lets go of the lock."""
        os.close(self._descriptor)


def _opened(path: Path) -> int:
    try:
        # Others must not be able to open it: whoever can, can lock it, and keep this daemon from starting.
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if not path.exists():
            raise  # of the folder, not of this file
        raise JournalUnavailable(
            f"the lock file {path} cannot be opened ({error.strerror}){_whose(path)}: give it to the user "
            "that ltv-guard runs as, or remove it while no ltv-guard runs"
        ) from error


def _whose(path: Path) -> str:
    try:
        owner = path.stat().st_uid
    except OSError:
        return ""
    return f"; it belongs to the user {owner}, and this is {os.geteuid()}" if owner != os.geteuid() else ""


def _lock(descriptor: int, path: Path) -> None:
    journal = path.with_suffix("")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        written, holder = _written(descriptor), holder_of([path])
        if holder is not None and holder != written:
            raise JournalUnavailable(
                f"{name_of(holder)} holds the journal's lock file {path}: end that process first"
            ) from error
        known, stop = ("", "it") if written is None else (f" (process {written})", f"process {written}")
        raise JournalUnavailable(
            f"another ltv-guard{known} is using the journal {journal}: one daemon an account, "
            f"so stop {stop} first"
        ) from error
    except OSError as error:
        raise JournalUnavailable(
            f"the journal {journal} cannot be locked ({error.strerror}), so another ltv-guard could send "
            "what this one sends: put it on a local disk"
        ) from error


def _written(descriptor: int) -> int | None:
    """The process that has written its number there: the last daemon that took it."""
    pid = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
    return int(pid) if pid.isascii() and pid.isdigit() else None
