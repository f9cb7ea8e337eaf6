"""What the project was asked to stand on, it stands on: no gain of memory or time is worth one of them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
ASKED_FOR = {"aiohttp", "aioresponses", "apscheduler", "pydantic-settings", "pytest-asyncio", "structlog"}


def test_the_packages_that_were_asked_for_are_stood_on() -> None:
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    names = {re.split(r"[\[<>=~ ]", need)[0] for group in groups for need in group}
    assert names >= ASKED_FOR
