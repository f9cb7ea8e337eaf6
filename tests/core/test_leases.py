"""Leases: who may send, who takes what; and a fleet in virtual time, where anything may be late or lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lease_world import FAIR_DELAY_MS, LEASE_MS, LOOK_MS, LeaseWorld

from ltv_guard.core.decide.shares import Moves, moves, quotas
from ltv_guard.core.model.leases import FleetView, Lease, Tenure

LEASE = Lease(account="main", egress="e")
# Expiry, the slowest clock's look at it, taking it; and once more, for one that two have reached for.
BOUND_MS = LEASE_MS + 4 * int(LOOK_MS / 0.8) + 8 * FAIR_DELAY_MS


def test_a_lease_is_its_holders_until_it_expires_and_may_be_written_for_until_another_has_it() -> None:
    held = LEASE.taken("w1", 0, 1_000, 15_000)
    assert held is not None
    tenure = Tenure(account="main", worker="w1", epoch=1)

    assert held.allows_sending(tenure, 15_999)
    assert not held.allows_sending(tenure, 16_000)
    assert held.allows(tenure)
    assert held.taken("w2", 1, 15_999, 15_000) is None
    other = held.taken("w2", 1, 16_000, 15_000)
    assert other is not None
    assert other.epoch == 2
    assert not other.allows(tenure)
    assert other.renewed(tenure, 16_001, 15_000) is None
    assert other.given_back(tenure) is None


def test_who_has_given_it_back_writes_renews_and_gives_back_nothing_more() -> None:
    held = LEASE.taken("w1", 0, 1_000, 15_000)
    assert held is not None
    tenure = Tenure(account="main", worker="w1", epoch=1)
    free = held.given_back(tenure)
    assert free is not None
    assert free.is_free(1_000)
    assert free.epoch == 1
    assert not free.allows(tenure)
    assert free.renewed(tenure, 1_001, 15_000) is None
    assert free.given_back(tenure) is None


def test_one_that_expired_and_that_nobody_took_is_renewed() -> None:
    held = LEASE.taken("w1", 0, 0, 10)
    assert held is not None
    assert held.renewed(Tenure(account="main", worker="w1", epoch=1), 99, 10) is not None


def test_who_saw_it_at_an_earlier_epoch_takes_nothing() -> None:
    given_back = Lease(account="main", egress="e", epoch=7)
    assert given_back.taken("w1", 6, 0, 10) is None
    taken = given_back.taken("w1", 7, 0, 10)
    assert taken is not None
    assert taken.epoch == 8


def view(held: Sequence[int], free: int = 0) -> FleetView:
    """So many accounts held by each of w0, w1 ..., and so many by nobody."""
    leases = [
        Lease(account=f"w{w}-{n}", egress="e", worker=f"w{w}", epoch=1, expires_at_ms=10, since_ms=n)
        for w, many in enumerate(held)
        for n in range(many)
    ]
    leases += [Lease(account=f"free-{n}", egress="e") for n in range(free)]
    return FleetView(now_ms=0, leases=leases, workers=[f"w{w}" for w in range(len(held))])


def accounts_of(seen: FleetView) -> list[str]:
    return [lease.account for lease in seen.leases]


@pytest.mark.parametrize(
    ("held", "free", "expected"),
    [
        ((0,), 5, (5,)),
        ((3, 3), 1, (4, 3)),
        ((4, 3, 0), 0, (3, 2, 2)),
        ((8, 8, 8, 6), 0, (8, 8, 7, 7)),
        ((1, 2, 2), 0, (1, 2, 2)),
        ((0, 0, 0), 2, (1, 1, 0)),
        ((0, 5), 0, (2, 3)),
    ],
)
def test_shares_are_even_within_one_and_whoever_holds_most_has_the_one_more(
    held: tuple[int, ...], free: int, expected: tuple[int, ...]
) -> None:
    seen = view(held, free)
    found = quotas(seen, accounts_of(seen))
    assert tuple(found[f"w{number}"] for number in range(len(held))) == expected


def test_what_came_last_is_given_back_first() -> None:
    seen = view((4, 0))
    assert moves(seen, "w0", accounts_of(seen), may_take=True) == Moves(give_back=("w0-2", "w0-3"))
    assert moves(seen, "w1", accounts_of(seen), may_take=True) == Moves()


def test_nothing_is_taken_by_a_first_view() -> None:
    seen = view((0,), 3)
    assert moves(seen, "w0", accounts_of(seen), may_take=False) == Moves()


def test_two_who_look_at_once_reach_for_different_accounts() -> None:
    seen = view((0, 0), 6)
    each = [
        {item.account for item in moves(seen, name, accounts_of(seen), may_take=True).take}
        for name in seen.workers
    ]
    assert [len(names) for names in each] == [3, 3]
    assert each[0].isdisjoint(each[1])


def test_accounts_of_another_configuration_are_left_alone() -> None:
    seen = view((0,), 3)
    assert [item.account for item in moves(seen, "w0", ["free-1"], may_take=True).take] == ["free-1"]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.integers(0, 30))
def test_all_act_on_one_view_and_nothing_moves_that_need_not(held: list[int], free: int) -> None:
    seen = view(held, free)
    found = [moves(seen, name, accounts_of(seen), may_take=True) for name in seen.workers]

    least, over = divmod(sum(held) + free, len(held))
    needed = sum(max(0, many - least) for many in held) - min(over, sum(many > least for many in held))
    assert sum(len(item.give_back) for item in found) == needed
    assert not any(item.give_back and item.take for item in found)
    after = [many - len(m.give_back) + len(m.take) for many, m in zip(held, found, strict=True)]
    assert max(after) <= least + bool(over)


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(2, 3), st.integers(1, 12))
def test_no_two_workers_mark_sent_under_valid_epochs_and_each_account_is_held_again_within_the_bound(
    seed: int, workers: int, accounts: int
) -> None:
    world = LeaseWorld(Random(seed), accounts)
    names = [f"w{number}" for number in range(workers)]
    for name in names:
        world.run(world.random.randrange(8_000))
        world.join(name)
    world.run(120_000)

    # One dies for good, and from then on the network is well.
    world.is_foul = False
    world.run(20_000 + LEASE_MS)  # what was late has come, and what it prolonged is known
    dead = world.workers[names[0]]
    dead.is_dead = True
    world.run(BOUND_MS)

    held = Counter(world.holders().values())
    assert sum(held.values()) == accounts
    assert max(held.values()) - min(held[name] for name in names[1:]) <= 1
    changes = world.changes
    world.run(60_000)
    assert world.changes == changes, "something moved though nobody came or went"
    check_marks(world)


def check_marks(world: LeaseWorld) -> None:
    """Each epoch is one worker's, and once a later one has been used an earlier one never is again."""
    for account in world.accounts:
        marks = [mark for mark in world.marks if mark.tenure.account == account]
        epochs = [mark.tenure.epoch for mark in marks]
        assert epochs == sorted(epochs)
        assert len({(mark.tenure.epoch, mark.tenure.worker) for mark in marks}) == len(set(epochs))


def test_a_worker_that_stood_still_finds_its_marks_refused() -> None:
    world = LeaseWorld(Random(1), 1)
    world.is_foul = False
    frozen = world.join("w0")
    world.run(10_000)
    world.join("w1")
    (tenure,) = frozen.tenures.values()
    frozen.is_dead = True  # SIGSTOP: nothing of it moves
    world.run(BOUND_MS)
    assert world.holders() == {"a00": "w1"}

    marked = len(world.marks)
    world._mark(tenure)
    assert len(world.marks) == marked


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.integers(3, 20))
def test_one_who_joins_gets_its_share_and_the_others_keep_theirs(seed: int, accounts: int) -> None:
    world = LeaseWorld(Random(seed), accounts)
    world.is_foul = False
    world.join("w0")
    world.join("w1")
    world.run(30_000)
    before, changes = world.holders(), world.changes
    world.join("w2")
    world.run(30_000)

    after = world.holders()
    held = Counter(after.values())
    assert max(held.values()) - min(held[name] for name in world.workers) <= 1
    moved = [name for name in after if after[name] != before[name]]
    assert {after[name] for name in moved} <= {"w2"}
    assert len(moved) == world.changes - changes == held["w2"]
