"""What NumPy skips could not have changed anything: both engines come to the same, event by event."""

from functools import partial

import pytest
from replay_cases import random_case

from ltv_guard.core.model.loans import LoanKey
from ltv_guard.replay.engines import Engine, every_point, only_changes
from ltv_guard.replay.one_replay import account_of
from ltv_guard.replay.replay_account import ReplayAccount
from ltv_guard.replay.replay_event import Happening

# So short paths have many chunks and blocks as well.
in_small_steps: Engine = partial(only_changes, chunk=5, block=8)


def outcome(seed: int, engine: Engine) -> tuple[ReplayAccount, dict[LoanKey, tuple[object, ...]]]:
    case, path = random_case(seed)
    account = account_of(case, path)
    engine(account, path)
    tallies = {
        key: (tally.worst, tally.above_trigger_ms, tally.above_emergency_ms, tally.above_margin_call_ms)
        for key, tally in account.tallies.items()
    }
    return account, tallies


def hold_against_each_other(seed: int) -> ReplayAccount:
    plain, plain_tallies = outcome(seed, every_point)
    fast, fast_tallies = outcome(seed, in_small_steps)
    assert fast.events == plain.events
    assert fast.wallet == plain.wallet
    assert fast_tallies == plain_tallies
    assert [(item.held, item.owed, item.lost) for item in fast.positions] == [
        (item.held, item.owed, item.lost) for item in plain.positions
    ]
    return plain


@pytest.mark.parametrize("block", range(2))
def test_both_engines_come_to_the_same_events_on_random_cases(block: int) -> None:
    seeds = range(block * 8, block * 8 + 8)
    seen = {event.what for seed in seeds for event in hold_against_each_other(seed).events}
    assert {Happening.ADD, Happening.SHORT} <= seen


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10))
def test_both_engines_come_to_the_same_events_on_hundreds_of_cases(block: int) -> None:
    for seed in range(16 + block * 38, 54 + block * 38):
        hold_against_each_other(seed)


@pytest.mark.nightly
@pytest.mark.parametrize("block", range(20))
def test_both_engines_come_to_the_same_events_on_a_thousand_cases(block: int) -> None:
    for seed in range(1_000 + block * 50, 1_050 + block * 50):
        hold_against_each_other(seed)
