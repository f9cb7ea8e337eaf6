"""Reads a secret from the file that a key names; an error names the key and the path, never the secret."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from ltv_guard.adapters.settings.errors import ConfigError
from ltv_guard.adapters.settings.files import read_file

QUOTES = "'\"`\u2018\u2019\u201c\u201d"  # around a value they are a slip
_MOST_BYTES = 16 * 1024

# an API key or a secret, pasted where a path belongs, must not be printed as a path that does not exist
_PASTED = re.compile(
    r"(?=.*\d)[A-Za-z0-9+=]{16,}|(?=.*\d)(?=.*[a-z])(?=.*[A-Z])[A-Za-z0-9+/_-]{16,}"
    r"|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|.*=.*|[\"'].*|-----BEGIN.*|.*://.*",
    re.DOTALL,
)


def absolute(written: object, folder: Path) -> Path:
    """Where a written path points: relative ones start from the configuration file's folder."""
    path = Path(str(written))
    with contextlib.suppress(RuntimeError):  # nobody's home
        path = path.expanduser()
    return folder / path


def read_secret(key: str, written: object, folder: Path) -> str:
    """The text of the file that `key` names, without its trailing newline. Raises ConfigError."""
    place = tuple(key.split("."))
    path = absolute(written, folder)
    try:
        data = read_file(path, _MOST_BYTES)
        text = data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ConfigError(f"{key} names the file {path}, which is not text", place) from None
    except (OSError, ValueError) as error:
        if _PASTED.fullmatch(str(written)):
            complaint = "looks like the secret itself; it must be the path of a file that holds it"
        elif isinstance(error, FileNotFoundError):
            complaint = f"names the file {path}, which does not exist"
        else:
            reason = error.strerror if isinstance(error, OSError) else "not a path"
            complaint = f"names the file {path}, which can't be read ({reason})"
        raise ConfigError(f"{key} {complaint}", place) from None
    if not text.strip():
        raise ConfigError(f"{key} names the file {path}, which is empty", place)
    if len(data) > _MOST_BYTES:
        raise ConfigError(f"{key} names the file {path}, which is too large for a secret", place)
    return text
