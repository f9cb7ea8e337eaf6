"""Where the journal is kept: a URL for the async drivers, checked as far as that goes unopened."""

from __future__ import annotations

import getpass
import importlib.util
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, unquote

import platformdirs
from pydantic import SecretStr

from ltv_guard.adapters.settings.errors import ConfigError
from ltv_guard.adapters.settings.secret_files import absolute, read_secret
from ltv_guard.adapters.settings.sections import Section
from ltv_guard.adapters.settings.values import File, Marker

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

_FILE = re.compile(r"sqlite(?:\+aiosqlite)?:///([^?]*)")
_DRIVER = re.compile(r"\A(\w+)\+\w+:")
_AS_IT_IS = " +/"  # in a path within a URL, as SQLAlchemy writes it
_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}
_DEFAULT = "the default of journal.url"
_MUST_NAME_A_FILE = "{key} must name a file, as sqlite:////var/lib/ltv-guard/journal.db does"


class JournalSection(Section):
    """Where the journal is: a URL, or the file that holds one."""

    url: Annotated[SecretStr, Marker.NULLABLE] = SecretStr("")
    """For SQLAlchemy's async drivers; never empty once it is loaded. Secret, for it may hold a password."""
    url_file: File = None

    @property
    def shown(self) -> str:
        """The URL without its password and the name of a driver, to be shown to people."""
        text = _DRIVER.sub(r"\1:", self.url.get_secret_value())
        if self.file is not None:
            return text
        url = _parsed(text)
        hidden = url.update_query_dict({key: "***" for key in url.query if _is_secret(key)})
        return hidden.render_as_string(hide_password=True)

    @property
    def file(self) -> Path | None:
        """The SQLite file; None: it is kept on a server."""
        name = _file_named(self.url.get_secret_value())
        return Path(name) if name else None


def settle_sources(environment: Mapping[str, Any], yaml: Mapping[str, Any]) -> None:
    """Lets a file named in the environment win over a URL in the YAML, which may hold no password.

    Raises ConfigError where the YAML sets both, or holds a password.
    """
    above, section = environment.get("journal", {}), yaml.get("journal", {})
    if "url" in section and "url_file" in section:
        raise ConfigError("journal.url and journal.url_file are both set: keep one of the two")
    if "url" in section and _holds_password(section["url"].get_secret_value()):
        raise ConfigError(
            "journal.url holds a password, which must not stand in the configuration file: "
            "use journal.url_file, or the variable LTV_GUARD_JOURNAL__URL"
        )
    if "url_file" in above and "url" not in above:
        section.pop("url", None)


def _file_named(text: str) -> str | None:
    """What a URL of SQLite says beyond its three slashes; None: it is another, or says more than that."""
    found = _FILE.fullmatch(text)
    return None if found is None else unquote(found[1])


def _parsed(text: str) -> URL:
    """Raises ValueError."""
    from sqlalchemy.engine import make_url  # noqa: PLC0415 - slow, and not needed for a file
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415 - the same

    try:
        return make_url(text)
    except ArgumentError as error:
        raise ValueError(str(error)) from None


def _holds_password(text: str) -> bool:
    if _file_named(text) is not None:
        return False
    try:
        url = _parsed(text)
    except ValueError:
        return False  # it can't be read at all, which is said when it is used
    return url.password is not None or any(map(_is_secret, url.query))


def _is_secret(key: str) -> bool:
    """Whether a parameter of a URL holds what nobody may see: `password`, `sslpassword`."""
    return "password" in key.lower()


def resolve_journal(written: Mapping[str, Any], folder: Path, *, local_exchange: bool) -> dict[str, Any]:
    """The journal with a URL that can be used.

    `written` is the section as it was written; relative paths start in `folder`. With `local_exchange` the
    exchange is the sandbox, whose adjustments must not mix with real ones. Raises ConfigError, which names
    journal.url or journal.url_file, and what can't be used about it.
    """
    if (url := written.get("url")) is not None:
        return {**written, "url": _usable("journal.url", url.get_secret_value(), folder)}
    if (file := written.get("url_file")) is not None:
        text = read_secret("journal.url_file", file, folder)
        url_file = absolute(file, folder)
        return {**written, "url": _usable("journal.url_file", text, folder), "url_file": url_file}
    return {**written, "url": _sqlite(_default_file(local_exchange=local_exchange), _DEFAULT)}


def _usable(key: str, text: str, folder: Path) -> str:
    name = _file_named(text)
    if name is None:
        return _server(key, text)
    if not name or name.startswith((":", "file:")):
        raise ConfigError(_MUST_NAME_A_FILE.format(key=key))
    return _sqlite(absolute(name, folder), key)


def _server(key: str, text: str) -> str:
    try:
        url = _parsed(text)
    except ValueError:
        raise ConfigError(
            f"{key} is not a URL that can be read; sqlite:////var/lib/ltv-guard/journal.db is one"
        ) from None
    if "@" in (url.host or ""):  # the rest of the password would be taken, and shown, for the host
        raise ConfigError(f"{key} holds an @ too many: in a password it is written %40")
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        raise ConfigError(f"{key} must begin with sqlite:/// or postgresql://")
    if driver.startswith("sqlite"):
        raise ConfigError(_MUST_NAME_A_FILE.format(key=key))
    return _postgresql(url.set(drivername=driver), key)


def _postgresql(url: URL, key: str) -> str:
    if not url.database:
        raise ConfigError(f"{key} must name a database, as postgresql://db.example.com/ltv_guard does")
    if not (url.username or "user" in url.query or os.environ.get("PGUSER") or _has_a_name()):
        raise ConfigError(
            f"{key} must name a user, as postgresql://user@host/database does, for the one that this process "
            "runs as has no name"
        )
    if importlib.util.find_spec("asyncpg") is None:
        raise ConfigError(f"{key} needs the driver for PostgreSQL: install ltv-guard[postgres]")
    return url.render_as_string(hide_password=False)


def _has_a_name() -> bool:
    """Whether the driver can find out who we are, where the URL does not say it."""
    try:
        getpass.getuser()
    except (KeyError, OSError, ImportError):
        return False
    return True


def _sqlite(path: Path, key: str) -> str:
    try:
        _check_file(path, key)
    except (OSError, ValueError):
        raise ConfigError(
            f"{key} names a file in the folder {path.parent}, which can't be looked into"
        ) from None
    return f"sqlite+aiosqlite:///{quote(str(path), safe=_AS_IT_IS)}"


def _check_file(path: Path, key: str) -> None:
    if not path.parent.is_dir():
        raise ConfigError(f"{key} names a file in the folder {path.parent}, which does not exist")
    if path.is_dir():
        raise ConfigError(f"{key} names {path}, which is a folder; it must be a file")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise ConfigError(f"{key} names a file in the folder {path.parent}, which can't be written to")
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        raise ConfigError(f"{key} names the file {path}, which can't be written to")


def _default_file(*, local_exchange: bool) -> Path:
    try:
        folder = platformdirs.user_state_path("ltv-guard")
    except (RuntimeError, KeyError):  # neither HOME nor an entry among the users
        folder = Path()
    if not folder.is_absolute():
        raise ConfigError(
            "journal.url is not set, and its default needs a home folder, which this user lacks: "
            "set journal.url, or XDG_STATE_HOME"
        )
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror
        raise ConfigError(
            f"journal.url is not set, and its default folder {folder} can't be made ({reason}): set it"
        ) from None
    return folder / ("journal-sandbox.db" if local_exchange else "journal.db")
