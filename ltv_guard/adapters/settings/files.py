"""Reads a whole file without ever waiting for one: regular files only, up to a size."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read_file(path: Path, most: int) -> bytes:
    """Up to `most` bytes and one more, so that a longer file can be told.

    Raises OSError where it can't be read, or is no file (its `strerror` says why), and ValueError where
    `path` is none.
    """
    # Looked at before it is opened: to open a device may do something, to open a FIFO may wait.
    _check_is_file(path, path.stat())
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        _check_is_file(path, found)
        data = file.read(most + 1) or b""
        if _version(os.fstat(descriptor)) != _version(found):
            raise OSError(0, "it was changed while it was read", str(path))
        return data


def _version(found: os.stat_result) -> tuple[int, int]:
    return found.st_mtime_ns, found.st_size


def _check_is_file(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "something else")
        raise OSError(0, f"it is {kind}, not a file", str(path))
