"""The files of a SQLite journal: made for one user, closed to others, and whoever locks them is named."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ltv_guard.adapters.journal import open_journal
from ltv_guard.adapters.journal.files import JournalFiles, holder_of, name_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_all_are_made_for_this_user_alone_whatever_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        journal = await open_journal(f"sqlite:///{path}")
        await journal.seal()
        made = {file.name: mode_of(file) for file in path.parent.iterdir()}
        await journal.close()
    finally:
        os.umask(before)
    assert made == dict.fromkeys(made, 0o600)
    assert len(made) == 5


@pytest.mark.parametrize(
    ("before", "after"), [(0o644, 0o600), (0o666, 0o660), (0o660, 0o660), (0o640, 0o600), (0o600, 0o600)]
)
def test_what_was_open_is_closed_but_to_a_group_that_may_write(path: Path, before: int, after: int) -> None:
    path.touch()
    path.chmod(before)
    JournalFiles(path).close_to_others()
    assert mode_of(path) == after


def test_a_file_that_is_another_is_found(path: Path) -> None:
    files = JournalFiles(path)
    files.make()
    files.remember("", "-wal")
    assert files.first_that_is_gone() is None
    path.rename(path.with_name("away"))
    files.make()
    assert files.first_that_is_gone() == path


def test_a_process_that_holds_a_lock_is_named_and_this_one_is_not(path: Path) -> None:
    path.touch()
    assert holder_of([path]) is None
    locking = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print(1); input()"
    with subprocess.Popen(
        [sys.executable, "-u", "-c", locking, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert holder_of([path.with_name("none"), path]) == holder.pid
        assert name_of(holder.pid).startswith(f"process {holder.pid} (python")
        holder.kill()
    assert name_of(2**30) == f"process {2**30}"
