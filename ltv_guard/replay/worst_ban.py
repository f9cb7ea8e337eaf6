"""When a ban of a given length hurts most: tried at each decision that the guard makes without it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from ltv_guard.replay.candle_path import CandlePath
from ltv_guard.replay.one_replay import Case, lost, played
from ltv_guard.replay.replay_event import Happening

HELPS = {Happening.ADD, Happening.REPAY, Happening.FAILED, Happening.REFUSED, Happening.ABSENT}
MOST_TRIES = 100  # of more decisions those at the highest LTVs are tried


def worst_ban(
    case: Case, path: CandlePath, span_ms: int, tell: Callable[[int, int], None] = lambda *_: None
) -> tuple[int, int] | None:
    """From when until when; None where the guard never helps, so that no ban can hold it up.

    A ban changes nothing before the first decision that it holds up, and holds that one up longest where it
    begins just there. Raises ConfigError for a loan that is lost before it begins.
    """
    unhindered = played(case, path)
    decided = [
        (event.ltv_before, event.decided_ms)
        for event in unhindered.events
        if event.what in HELPS and event.decided_ms is not None
    ]
    starts = sorted({at for _, at in sorted(decided, reverse=True)[:MOST_TRIES]})
    found: list[tuple[int, Decimal, int]] = []
    for number, start in enumerate(starts, 1):
        tell(number, len(starts))
        account = played(replace(case, stress=replace(case.stress, ban=(start, start + span_ms))), path)
        worst = max(tally.worst for tally in account.tallies.values())
        found.append((len(lost(account)), worst, -start))
    return (-max(found)[2], -max(found)[2] + span_ms) if found else None
