"""The two ways through a path of prices: a moment at every point, or only where something may change.

`every_point` is the plain one, and what the other is held against. `only_changes` asks NumPy for the next
point at which anything may change, and gives the core its moment there. Both come to the same events.
"""

from __future__ import annotations

from collections.abc import Callable

from ltv_guard.replay.candle_path import CandlePath
from ltv_guard.replay.next_change import FIRST_CHUNK, NextChange
from ltv_guard.replay.quiet_blocks import BLOCK
from ltv_guard.replay.replay_account import ReplayAccount

Engine = Callable[[ReplayAccount, CandlePath], None]


def every_point(account: ReplayAccount, path: CandlePath) -> None:
    """A moment at each point of the path, and wherever something lands or a turn comes."""
    for point in range(len(path.times)):
        _until(account, path, point, int(path.times[point]))
        account.live(int(path.times[point]), path.at(point))
    _finish(account, path)


def only_changes(
    account: ReplayAccount, path: CandlePath, *, chunk: int = FIRST_CHUNK, block: int = BLOCK
) -> None:
    """The same, without the points at which nothing can change. Points are looked at in chunks and blocks."""
    search = NextChange(account, path, chunk, block)
    point, end = 0, len(path.times)
    while point < end:
        account.live(int(path.times[point]), path.at(point))
        _until(account, path, point + 1, int(path.times[point + 1]) if point + 1 < end else path.ends_ms)
        point = search.after(point)
    _finish(account, path)


def _until(account: ReplayAccount, path: CandlePath, point: int, now_ms: int) -> None:
    """What happens by itself before the price moves on."""
    while (at := account.wakes_at) is not None and at < now_ms:
        account.live(at, path.at(point - 1))


def _finish(account: ReplayAccount, path: CandlePath) -> None:
    _until(account, path, len(path.times), path.ends_ms)
    for position in account.living:
        position.accrue(path.ends_ms)
    for tally in account.tallies.values():
        tally.passed(path.ends_ms)
