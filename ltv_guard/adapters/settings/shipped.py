"""The files that ship with the program: found in a wheel and in a checkout alike."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parents[2]


def shipped(name: str) -> Path:
    """The path of `config/<name>`. Raises FileNotFoundError naming it."""
    for folder in (PACKAGE / "shipped", PACKAGE.parent / "config"):
        if (folder / name).exists():
            return folder / name
    raise FileNotFoundError(f"{name} is not among the files that ship with ltv-guard")


def scenario_names() -> list[str]:
    """The scenarios that ship, by name."""
    return sorted(path.stem for path in shipped("scenarios").glob("*.yaml"))
