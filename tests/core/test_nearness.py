"""Who is armed: the widest gap of the last ten seconds, found without looking at each of them again."""

from __future__ import annotations

import random
from decimal import Decimal

from ltv_guard.core.watch.nearness import HELD_MS, NEAR, SPEED_OVER_MS, TIMES, Nearness


def test_how_fast_a_price_comes_is_told_by_the_widest_gap_of_ten_seconds() -> None:
    chance, now_ms, gap = random.Random(7), 0, Decimal("0.30")
    seen: list[tuple[int, Decimal]] = []
    armed_until_ms = None
    nearness, said = Nearness(), set()
    for _ in range(3_000):
        now_ms += chance.choice([10, 500, 500, 3_000])
        gap = max(Decimal("0.031"), gap + Decimal(chance.randint(-20, 20)) / 1000)
        seen.append((now_ms, gap))
        widest = max(before for at_ms, before in seen if now_ms - at_ms <= SPEED_OVER_MS)
        if gap <= NEAR or gap <= TIMES * (widest - gap):
            armed_until_ms = now_ms + HELD_MS
        expected = armed_until_ms is not None and now_ms < armed_until_ms
        assert nearness.is_armed(gap, now_ms) is expected
        said.add(expected)
    assert said == {True, False}
