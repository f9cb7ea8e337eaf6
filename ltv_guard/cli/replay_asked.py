"""The options of `ltv-guard replay`, and how one of them is read."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from ltv_guard.adapters.settings import ConfigError
from ltv_guard.replay.loan_spec import LoanSpec

T = TypeVar("T")
MS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options of the command."""

    loans: Path | None
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
    poll_s: str | None
    seed: int
    least_wallet: bool
    survival: bool
    starts: int
    frontier: bool
    compare: Path | None
    html: Path | None
    in_json: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveStart:
    """Loans and Funding wallet (coins) as they were read. `said`: the same, for whoever can't read them."""

    loans: list[LoanSpec]
    wallet: dict[str, Decimal]
    said: dict[str, Any]


def parsed(option: str, text: str, parse: Callable[[object], T]) -> T:
    """What an option says. Raises ConfigError, which names it."""
    try:
        return parse(text)
    except ValueError as error:
        raise ConfigError(f"{option} {error}") from None


def account_name(asked: Asked, config: Path, accounts: Collection[str]) -> str:
    """Which account of a configuration is meant. Raises ConfigError."""
    either = " or ".join(sorted(accounts))
    if asked.account is None and len(accounts) > 1:
        raise ConfigError(f"{config} has several accounts: say which with --account, {either}")
    name = asked.account or next(iter(accounts))
    if name not in accounts:
        raise ConfigError(f"{config} has no account {name}: --account must be {either}")
    return name
