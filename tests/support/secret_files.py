"""Files that nobody else may read."""

from __future__ import annotations

from pathlib import Path


def write_secret(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)
