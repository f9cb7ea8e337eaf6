"""What can be wrong with a journal, each as one sentence that says what to do. No URL is ever shown."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from ltv_guard.adapters.journal.session import Violation
from ltv_guard.core.model.errors import JournalMissing, JournalUnavailable

FAILURES = (Violation, sqlite3.Error, OSError, EOFError, UnicodeError)

_FAILED = "{place} failed: {why}"
_FULL = "there is no space left for {place}: free some; nothing is sent until then"
_READ_ONLY = "{place} cannot be written: it, its folder or its server is read-only for this user"
_CORRUPT = (
    "{place} is corrupt; restore it from a copy, or move it away: a new one is then begun, "
    "and waits before it sends"
)
_LOCKED = "{place} is locked by another program: find out which holds it, and end that"
_POOLED = (
    "{place} refused the session ({why}): behind a pooler that pools by transaction a fleet needs "
    "pooler=transaction in the journal's URL, and a daemon by itself can't be there"
)
_UNREACHABLE = "{place} cannot be reached ({why})"
_REPLACED = (
    "{place} was removed or replaced while it was in use: nothing more is written to it; "
    "stop ltv-guard, put the journal back, start it again"
)

# By the name of SQLite's result code, the longest prefix first.
_SQLITE = {
    "SQLITE_READONLY_DBMOVED": _REPLACED,
    "SQLITE_READONLY": _READ_ONLY,
    "SQLITE_FULL": _FULL,
    "SQLITE_BUSY": _LOCKED,
    "SQLITE_LOCKED": _LOCKED,
    "SQLITE_PROTOCOL": _LOCKED,
    "SQLITE_CORRUPT": _CORRUPT,
    "SQLITE_NOTADB": _CORRUPT,
    "SQLITE_CANTOPEN": "{place} cannot be opened: it and its folder must exist and be writable for this user",
    "SQLITE_IOERR": "{place} cannot be read or written ({why}): its disk may be full or failing",
}

# By PostgreSQL's SQLSTATE, or the class that is its first two characters.
_POSTGRES = {
    "25006": _READ_ONLY,
    "28": "{place} refused the user or the password of the journal's URL",
    "3D000": "{place} does not exist: create that database first",
    "42501": "{place} does not let this user do what is needed ({why}): grant it",
    "53100": _FULL,
    "55P03": _LOCKED,
    "57014": _LOCKED,
    "XX001": _CORRUPT,
    "XX002": _CORRUPT,
    "08P01": _POOLED,
    "08": _UNREACHABLE,
    "57P": _UNREACHABLE,
    "53": _UNREACHABLE,
}

_OS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EROFS: _READ_ONLY,
    errno.EACCES: _READ_ONLY,
    errno.EPERM: _READ_ONLY,
}


@contextmanager
def told(place: str, *drivers: type[Exception]) -> Iterator[None]:
    """Turns whatever database, system or `drivers` raise into JournalUnavailable."""
    failures: tuple[type[Exception], ...] = (*FAILURES, *drivers)
    try:
        yield
    except failures as error:
        pattern, words = _sentence(place, error)
        raise (JournalLocked if pattern is _LOCKED else JournalUnavailable)(words) from error


class JournalLocked(JournalUnavailable):
    """Somebody else holds a lock on it: who, the sentence does not know."""


def locked(place: str, holder: str) -> JournalUnavailable:
    """The error for a journal that another program holds."""
    return JournalUnavailable(
        f"{place} is locked by {holder}: end that, if it is not meant to use the journal"
    )


def replaced(place: str) -> JournalUnavailable:
    """The error for a file that is no longer the one that was opened."""
    return JournalUnavailable(_REPLACED.format(place=place))


def missing(place: str) -> JournalMissing:
    """The error for a journal that is not there."""
    return JournalMissing(f"{place} does not exist: no daemon has ever begun one there")


def corrupt(place: str) -> JournalUnavailable:
    """The error for a file that is no sound database."""
    return JournalUnavailable(_CORRUPT.format(place=place))


def _sentence(place: str, error: Exception) -> tuple[str, str]:
    cause: BaseException = error
    if isinstance(error, Violation) and error.__cause__ is not None:
        cause = error.__cause__
    inner: BaseException | None = getattr(cause, "orig", None)  # what SQLAlchemy has wrapped
    if inner is not None:
        cause = inner.__cause__ or inner
    pattern = _pattern(cause)
    return pattern, pattern.format(place=place, why=_why(cause))


def _pattern(cause: BaseException) -> str:
    if name := getattr(cause, "sqlite_errorname", None):
        return _by_prefix(_SQLITE, name)
    if state := getattr(cause, "sqlstate", None):
        return _by_prefix(_POSTGRES, state)
    if isinstance(cause, OSError):
        return _OS.get(cause.errno or 0, _UNREACHABLE)
    if "file is not a database" in str(cause) or "malformed" in str(cause):
        return _CORRUPT
    return _FAILED


def _by_prefix(patterns: dict[str, str], code: str) -> str:
    return next((pattern for prefix, pattern in patterns.items() if code.startswith(prefix)), _FAILED)


def _why(cause: BaseException) -> str:
    lines = str(cause).strip().splitlines()
    return lines[0] if lines else type(cause).__name__
