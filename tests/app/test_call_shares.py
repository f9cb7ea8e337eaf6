"""Workers behind one address: together they ask for no more than it may, however they come, go and hang."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from random import Random

import pytest
from calls_world import LEASE_MS, CallsWorld
from hypothesis import given, settings
from hypothesis import strategies as st

from ltv_guard.core.decide.calls import LEAST_CALLS, even_part, most_calls
from ltv_guard.core.model.leases import Worker

LIMIT = 480


@pytest.fixture
def world() -> Iterator[CallsWorld]:
    with closing(CallsWorld(Random(1), LIMIT)) as made:
        yield made


def row(name: str, calls: int, *, left_ms: int = 1_000) -> Worker:
    """`left_ms` of its lease; negative: over for so long; None of it is at ms 10,000."""
    expires_at_ms = 10_000 + left_ms
    return Worker(
        name=name, egress="e", expires_at_ms=expires_at_ms, calls=calls, calls_until_ms=expires_at_ms + 5_000
    )


@pytest.mark.parametrize(("workers", "part"), [(1, 460), (2, 230), (3, 153), (23, 20), (40, 20)])
def test_each_worker_has_an_even_part_and_one_more_could_begin(workers: int, part: int) -> None:
    assert even_part([row(f"w{number}", 0) for number in range(workers)], LIMIT, 10_000) == part


@pytest.mark.parametrize(("limit", "part"), [(20, 20), (40, 30), (599, 579)])
def test_a_small_address_is_not_all_kept_free(limit: int, part: int) -> None:
    assert even_part([row("w1", 0)], limit, 10_000) == part


def test_what_others_have_is_theirs_until_their_lease_is_over_and_their_requests_count_no_more() -> None:
    assert most_calls([row("w1", 20), row("w2", 460)], "w1", LIMIT, 10_000) == 20
    over = [row("w1", 20), row("w2", 460, left_ms=-1)]
    assert most_calls(over, "w1", LIMIT, 10_000) == 0
    assert most_calls(over, "w1", LIMIT, 14_999) == LIMIT - LEAST_CALLS
    assert even_part(over, LIMIT, 10_000) == LIMIT - 2 * LEAST_CALLS


def test_one_that_has_left_takes_nothing_with_it_and_many_dead_take_no_more_than_a_quarter() -> None:
    left = Worker(name="w2", egress="e", expires_at_ms=0, calls=60, calls_until_ms=10_001)
    assert most_calls([row("w1", 20), left], "w1", LIMIT, 10_000) == 420
    assert most_calls([row("w1", 20), left], "w1", LIMIT, 10_001) == LIMIT
    dead = [row(f"d{number}", 100, left_ms=-6_000) for number in range(50)]
    assert most_calls([row("w1", 20), *dead], "w1", LIMIT, 10_000) == LIMIT * 3 // 4


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 4), st.sampled_from([480, 599]))
def test_no_five_seconds_hold_more_than_the_address_may(seed: int, workers: int, limit: int) -> None:
    with closing(CallsWorld(Random(seed), limit)) as world:
        for number in range(workers):
            world.join(f"w{number}")
            world.run(world.random.choice([10, 3_000]))
        for number in range(6):
            happens(world, f"n{number}")
            world.run(world.random.randrange(1_000, 20_000))
        assert world.most() <= limit


def happens(world: CallsWorld, newcomer: str) -> None:
    there = [item for item in world.callers.values() if item.is_there]
    struck = world.random.choice(there) if there else None
    what = world.random.choice(["join", "leave", "die", "stand still", "be cut off"])
    if struck is None or what == "join":
        world.join(newcomer)
    elif what == "leave" and struck.frozen_until <= world.now_ms:
        world.leave(struck.name)
    elif what == "die":
        world.die(struck.name)
    elif what == "stand still":
        struck.frozen_until = world.now_ms + world.random.choice([4_000, LEASE_MS + 3_000])
    else:
        struck.cut_off_until = world.now_ms + world.random.choice([4_000, 3 * LEASE_MS])


def test_parts_are_even_a_few_seconds_after_somebody_came_or_went(world: CallsWorld) -> None:
    world.join("w0")
    world.run(10_000)
    world.join("w1")
    world.run(12_000)
    since = world.now_ms
    world.run(30_000)
    assert [world.most_of(name, since) for name in ("w0", "w1")] == [230, 230]
    world.leave("w0")
    world.run(12_000)
    since = world.now_ms
    world.run(20_000)
    assert world.most_of("w1", since) == 460


def test_one_that_is_cut_off_from_the_database_asks_for_the_least_once_its_lease_is_over(
    world: CallsWorld,
) -> None:
    for name in ("w0", "w1"):
        world.join(name)
    world.run(20_000)
    world.callers["w0"].cut_off_until = world.now_ms + 100_000
    world.run(LEASE_MS + 12_000)
    since = world.now_ms
    world.run(30_000)
    assert world.most_of("w0", since) == LEAST_CALLS
    assert world.most_of("w1", since) == LIMIT - 2 * LEAST_CALLS
    assert world.most() <= LIMIT
