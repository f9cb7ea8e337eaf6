"""The scenario that `sandbox` and `demo` play, and what is wrong with one in a sentence."""

from __future__ import annotations

from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

from ltv_guard import sandbox
from ltv_guard.adapters.settings import ConfigError
from ltv_guard.adapters.settings.shipped import scenario_names, shipped

T = TypeVar("T")


def scenario_file(name: str) -> Path:
    """By path, or by the name of one that ships. Raises ConfigError."""
    if Path(name).exists():
        return Path(name)
    try:
        return shipped(f"scenarios/{name}.yaml")
    except FileNotFoundError:
        known = ", ".join(scenario_names())
        raise ConfigError(
            f"--scenario {name} is neither a file nor one of those that ship: {known}"
        ) from None


async def played(play: Awaitable[T]) -> T:
    """What playing it comes to. Raises ConfigError for a scenario that can't be played."""
    try:
        return await play
    except sandbox.ScenarioError as error:
        raise ConfigError(str(error)) from None
