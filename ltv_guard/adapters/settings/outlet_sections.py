"""The sections about being watched: what ends a daemon that hangs, and who hears of it."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from ltv_guard.adapters.settings.errors import ConfigError
from ltv_guard.adapters.settings.secret_files import absolute, read_secret
from ltv_guard.adapters.settings.sections import Section
from ltv_guard.adapters.settings.values import AccountName, Count, File, Interval, Marker

LEAST_STUCK_S = 10
LEAST_TOKEN = 16
MOST_PORT = 65535


def _long_enough(value: float) -> float:
    if value < LEAST_STUCK_S:
        raise ValueError(
            f"must be at least {LEAST_STUCK_S} seconds, for a busy machine is not a stuck daemon"
        )
    return value


def _listening(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.:-]{1,253}", value):
        raise ValueError("must be an address or a name of this machine, such as 127.0.0.1 or 0.0.0.0")
    return value


def _port(value: int) -> int:
    if not 1 <= value <= MOST_PORT:
        raise ValueError(f"must be from 1 to {MOST_PORT}")
    return value


def _minute(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
        raise ValueError('must be a time of the day in UTC, in quotes, such as "08:00"')
    return value


class WatchdogSection(Section):
    """For how many seconds nothing may move before the daemon ends itself."""

    stuck_after_s: Annotated[Interval, AfterValidator(_long_enough)] = 60


class HttpSection(Section):
    """Where health, metrics and status are served."""

    enabled: bool = True
    host: Annotated[str, AfterValidator(_listening)] = "127.0.0.1"
    port: Annotated[Count, AfterValidator(_port)] = 9464
    token_file: File = None
    token: Annotated[SecretStr | None, Marker.RESOLVED] = None
    """Who knows it may pause and resume."""

    @property
    def asked_at(self) -> str:
        """The host that this machine asks it at: one that listens everywhere is asked here."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - see above


class NotifyTarget(Section):
    """Whom to tell: an Apprise URL in a file, and the least level that it is told of."""

    url_file: Path
    level: Literal["critical", "error", "warning", "info"] = "critical"
    url: Annotated[SecretStr, Marker.RESOLVED]
    """An Apprise URL: it holds keys."""


class NotifySection(Section):
    """Who is told of trouble, again after `repeat_s` seconds, and at which time of the day how all stands."""

    targets: dict[AccountName, NotifyTarget] = Field(default_factory=dict)
    repeat_s: Interval = 300
    digest_at: Annotated[str | None, Marker.NULLABLE, AfterValidator(_minute)] = None

    @property
    def digest_minute(self) -> int | None:
        """Minutes after midnight, UTC."""
        if self.digest_at is None:
            return None
        hours, _, minutes = self.digest_at.partition(":")
        return int(hours) * 60 + int(minutes)


class DeadmanSection(Section):
    """Who hears, every so many seconds, that all is well."""

    url_file: File = None
    interval_s: Interval = 60
    url: Annotated[SecretStr | None, Marker.RESOLVED] = None
    """What the file holds: who knows it can say that all is well."""


def resolve_deadman(written: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The section with its URL read. Raises ConfigError, which names the file and not the URL."""
    file = written.get("url_file")
    if file is None:
        return dict(written)
    key = "deadman.url_file"
    url = read_secret(key, file, folder).strip()
    if not _is_url(url):
        raise ConfigError(
            f"{key} names a file that must hold a URL and nothing else, such as https://hc-ping.com/UUID "
            "(without a ? and what follows it)"
        )
    return {**written, "url": url, "url_file": absolute(file, folder)}


def resolve_http(written: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The section with its token read. Raises ConfigError, which names the file and not the token."""
    file = written.get("token_file")
    if file is None:
        return dict(written)
    key = "http.token_file"
    token = read_secret(key, file, folder).strip()
    if len(token) < LEAST_TOKEN or not re.fullmatch(r"[!-~]+", token):
        raise ConfigError(
            f"{key} names a file that must hold a token of {LEAST_TOKEN} or more letters and digits and "
            "nothing else, such as what `openssl rand -hex 24` prints"
        )
    return {**written, "token": token, "token_file": absolute(file, folder)}


def resolve_notify(written: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The section with its targets' URLs read. Raises ConfigError, which names files and no URL."""
    targets = written.get("targets") or {}
    if targets and importlib.util.find_spec("apprise") is None:
        raise ConfigError("notify.targets needs Apprise: install ltv-guard[notify]")
    return {**written, "targets": {name: _target(name, item, folder) for name, item in targets.items()}}


def _target(name: str, written: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    key = f"notify.targets.{name}.url_file"
    file = written.get("url_file")
    if file is None:
        raise ConfigError(f"{key} is missing: it names the file with the target's Apprise URL")
    url = read_secret(key, file, folder).strip()
    if "://" not in url or not re.fullmatch(r"[!-~]+", url):
        raise ConfigError(
            f"{key} names a file that must hold one Apprise URL and nothing else, such as tgram://TOKEN/CHAT "
            "(github.com/caronc/apprise lists them)"
        )
    return {**written, "url": url, "url_file": absolute(file, folder)}


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    plain = all("!" <= letter <= "~" for letter in text)
    return usable and plain and parts.scheme in ("http", "https") and not (parts.query or parts.fragment)
