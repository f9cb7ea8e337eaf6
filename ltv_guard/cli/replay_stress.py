"""The stress switches of a replay: text in, values out."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from ltv_guard.adapters.settings import ConfigError, values
from ltv_guard.cli.replay_asked import MS, Asked, parsed
from ltv_guard.log.utc import iso
from ltv_guard.replay.candle_path import CandlePath
from ltv_guard.replay.loans_file import time_ms
from ltv_guard.replay.one_replay import Case
from ltv_guard.replay.replay_report import Tree, plain
from ltv_guard.replay.stress import Stress
from ltv_guard.replay.worst_ban import worst_ban

UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
BAN = re.compile(r"(\d{1,6})([smhd])@(.+)")
WORST = "worst"


def stressed(
    asked: Asked, case: Case, path: CandlePath, tell: Callable[[int, int], None] = lambda *_: None
) -> Case:
    """The case with all that is to go wrong in it. Raises ConfigError."""
    stress = Stress(
        lost_answers=_share(asked.lost_answers),
        full=frozenset(parsed("--platform-limit", coin, values.coin) for coin in asked.platform_limit),
        index_lag_ms=int(parsed("--index-lag-s", asked.index_lag_s, values.duration) * MS),
        poll_ms=_poll_ms(asked.poll_s),
    )
    found = replace(case, stress=stress)
    if asked.ban is None:
        return found
    return replace(found, stress=replace(stress, ban=_ban(asked.ban, found, path, tell)))


def stress_tree(asked: Asked, stress: Stress) -> Tree:
    """What was asked to go wrong, for the report."""
    if stress == Stress() and asked.ban is None:
        return {}
    ban = None if stress.ban is None else [iso(at) for at in stress.ban]
    return {
        "ban": ban if ban is not None or asked.ban is None else "none: the guard never helps",
        "lost_answers": plain(stress.lost_answers),
        "platform_limit": sorted(stress.full),
        "poll_s": asked.poll_s,
        "index_lag_s": plain(values.amount(asked.index_lag_s)),
    }


def _poll_ms(text: str | None) -> int:
    return Stress().poll_ms if text is None else int(parsed("--poll-s", text, values.interval) * MS) or 1


def _share(text: str | None) -> Decimal:
    return Decimal(0) if text is None else parsed("--lost-answers", text, values.ratio)


def _ban(text: str, case: Case, path: CandlePath, tell: Callable[[int, int], None]) -> tuple[int, int] | None:
    found = BAN.fullmatch(text.strip())
    if found is None:
        raise ConfigError(
            f"--ban {text} can't be read: say how long and when, 10m@worst or 10m@2020-03-12T10:00"
        )
    span_ms = int(found[1]) * UNITS[found[2]] * MS
    if span_ms == 0:
        raise ConfigError(f"--ban {text} must last for at least 1s")
    if found[3] == WORST:
        return worst_ban(case, path, span_ms, tell)
    start_ms = parsed("--ban", found[3], time_ms)
    if not int(path.times[0]) <= start_ms < path.ends_ms:
        there = f"{iso(int(path.times[0]))} to {iso(path.ends_ms)}"
        raise ConfigError(f"--ban {text} begins outside of the prices, {there}")
    return start_ms, start_ms + span_ms
