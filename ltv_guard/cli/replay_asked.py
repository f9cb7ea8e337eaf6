"""The options of `ltv-guard replay`, and how one of them is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ltv_guard.adapters.settings import ConfigError

T = TypeVar("T")
MS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options of the command."""

    loans: Path
    wallet: str
    prices: tuple[Path, ...]
    pair: str | None
    synthetic: str | None
    config: Path | None
    account: str | None
    start: str | None
    end: str | None
    worst_first: bool
    latency_s: str
    ban: str | None
    lost_answers: str | None
    platform_limit: tuple[str, ...]
    index_lag_s: str
    seed: int
    least_wallet: bool
    survival: bool
    frontier: bool
    compare: Path | None
    html: Path | None
    in_json: bool


def parsed(option: str, text: str, parse: Callable[[object], T]) -> T:
    """What an option says. Raises ConfigError, which names it."""
    try:
        return parse(text)
    except ValueError as error:
        raise ConfigError(f"{option} {error}") from None
