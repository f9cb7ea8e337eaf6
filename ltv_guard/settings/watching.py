"""The sections about being watched: what ends a daemon that hangs, and who hears of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr

from .errors import ConfigError
from .secret_files import absolute, read_secret
from .sections import Section
from .values import File, Interval, Marker

LEAST_STUCK_S = 10


def _long_enough(value: float) -> float:
    if value < LEAST_STUCK_S:
        raise ValueError(
            f"must be at least {LEAST_STUCK_S} seconds, for a busy machine is not a stuck daemon"
        )
    return value


class WatchdogSection(Section):
    stuck_after_s: Annotated[Interval, AfterValidator(_long_enough)] = 60


class DeadmanSection(Section):
    url_file: File = None
    interval_s: Interval = 60
    url: Annotated[SecretStr | None, Marker.RESOLVED] = None
    """What the file holds: who knows it can say that all is well."""


def resolve_deadman(written: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the section with its URL read. Raises ConfigError, which names the file and not the URL."""
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


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    plain = all("!" <= letter <= "~" for letter in text)
    return usable and plain and parts.scheme in ("http", "https") and not (parts.query or parts.fragment)
