"""PgBouncer in transaction mode before a server of the tests; what needs it is skipped where there is none.

At its strictest: after each transaction all that a session holds is thrown away.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from http_world import a_free_port

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
SESSIONS = 3


@contextmanager
def pgbouncer(dsn: str, folder: Path) -> Iterator[str]:
    """The URL of the same database through it, without what a journal's URL says of poolers."""
    if PROGRAM is None:
        pytest.skip("PgBouncer is not installed")
    place, port = urlsplit(dsn), a_free_port()
    (socket_dir,) = parse_qs(place.query)["host"]
    folder.chmod(0o755)
    config = folder / "pgbouncer.ini"
    config.write_text(
        f"[databases]\n* = host={socket_dir} port=5432 user=postgres\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        f"pool_mode = transaction\ndefault_pool_size = {SESSIONS}\nserver_reset_query_always = 1\n"
        "server_reset_query = DISCARD ALL\nserver_login_retry = 1\nquery_wait_timeout = 10\n"
        "max_client_conn = 500\nidle_transaction_timeout = 3\n"
    )
    as_user = ["-u", Path(socket_dir).owner()] if os.geteuid() == 0 else []  # root it refuses to be
    with (folder / "pgbouncer.log").open("wb") as log:
        process = subprocess.Popen([PROGRAM, *as_user, str(config)], stdout=log, stderr=log)
    try:
        _wait_until_it_listens(folder / "pgbouncer.log", process)
        yield f"postgresql://postgres@127.0.0.1:{port}{place.path}"
    finally:
        process.kill()
        process.wait()


def _wait_until_it_listens(log: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while "process up" not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)
