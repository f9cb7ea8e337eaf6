"""The send path under attack: faults, crashes, clocks, the user's own hand and liquidations, in any order.

Only collateral is moved here; `test_state_machine_more_ways.py` has transfers and repayments as well.
"""

from __future__ import annotations

import pytest
from exchange_model import a_world
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize
from send_path import WRITES, Weather, events

ANSWERS = (
    *("ok", "ok", "lost_answer", "lost_request", "refused", "not_sent"),
    *("late:500", "late:3000", "late:4900", "late:5900"),
)
WEATHER = st.builds(
    Weather,
    answers=st.lists(st.sampled_from(ANSWERS), max_size=2).map(tuple),
    stale_ms=st.sampled_from([0, 0, 2_000, 5_000]),
    old_ltv_ms=st.sampled_from([0, 0, 2_000, 5_000]),
    row_lag_ms=st.sampled_from([0, 0, 1_000, 4_500]),
    down=st.sampled_from([(), (), (), ("history_down",), ("prices_down",), ("orders_down",)]),
    crash=st.sampled_from(["", "", "", "", "before_send", "after_send", *WRITES]),
)


class SendPath(events(WEATHER)):  # type: ignore[misc]
    @initialize(first=st.sampled_from(["0.30", "0.80"]), second=st.sampled_from(["0.35", "0.70"]))
    def begin(self, first: str, second: str) -> None:
        self.begin_with(a_world(first, pool=second, wallet="50"))


TestSendPath = SendPath.TestCase
TestSendPath.settings = settings(max_examples=50, stateful_step_count=12)


@pytest.mark.slow
class TestManyLives(SendPath.TestCase):  # type: ignore[misc] # made by hypothesis
    """The same for longer."""

    settings = settings(max_examples=300, stateful_step_count=12)
