"""What goes wrong where somebody asks for it, on paper. `test_by_hand.py` says how an amount is made."""

import random
from dataclasses import replace
from decimal import Decimal
from functools import partial

import pytest
from replay_cases import HOUR, MINUTE, START, case, flat, path_of, pool, random_case

from ltv_guard.core.model.policy import LoanPolicy, Rulebook
from ltv_guard.replay.engines import Engine, every_point, only_changes
from ltv_guard.replay.one_replay import account_of, played
from ltv_guard.replay.replay_account import ReplayAccount
from ltv_guard.replay.replay_event import Happening
from ltv_guard.replay.stress import Stress
from ltv_guard.replay.worst_ban import worst_ban

D = Decimal
SECOND = 1_000
ALL_LOST = Stress(lost_answers=D(1))


def told(account: ReplayAccount) -> list[tuple[Happening, int | None, int, str | None]]:
    """What happened, when it was decided on and when it came about (ms since the start), and how much."""
    return [
        (
            event.what,
            None if event.decided_ms is None else event.decided_ms - START,
            event.at_ms - START,
            None if event.amount is None else f"{event.amount:f}",
        )
        for event in account.events
    ]


def seed_where(*, arrives: bool) -> int:
    """The first whose first adjustment does, or does not."""
    return next(seed for seed in range(20) if ALL_LOST.fate(seed, 1).arrives == arrives)


def test_a_banned_guard_decides_at_the_end_of_the_ban_on_the_prices_of_then() -> None:
    # At minute 1 36,000 / 47,000 = 0.7660. At minute 4 36,000 / 45,000 = 0.80: 0.8001 / 0.65 - 1 = 0.2309...
    path = path_of(flat(60_000, 47_000, 46_000, 46_000, 45_000, 45_000))
    banned = Stress(ban=(START + MINUTE, START + 4 * MINUTE))
    account = played(case(wallet={"BTC": 1}, stress=banned), path)
    assert told(account) == [(Happening.ADD, 4 * MINUTE, 4 * MINUTE + SECOND, "0.23093001")]


def test_what_was_sent_before_a_ban_takes_effect_in_it() -> None:
    path = path_of(flat(60_000, 47_000, 47_000))
    banned = Stress(ban=(START + MINUTE + 1, START + 2 * MINUTE))
    account = played(case(wallet={"BTC": 1}, stress=banned), path)
    assert told(account) == [(Happening.ADD, MINUTE, MINUTE + SECOND, "0.17862001")]


def test_the_worst_ban_begins_where_it_costs_most() -> None:
    # Begun with the first add it is over before the leap; begun with the second it covers the leap to 0.95.
    path = path_of(flat(60_000, 47_000, 47_000, 47_000, 40_000, 32_500, 31_500))
    tried = case(wallet={"BTC": 1})
    assert [event.decided_ms for event in played(tried, path).events][:2] == [
        START + MINUTE,
        START + 4 * MINUTE,
    ]
    found = worst_ban(tried, path, 150 * SECOND)
    assert found == (START + 4 * MINUTE, START + 4 * MINUTE + 150 * SECOND)
    assert worst_ban(tried, path_of(flat(60_000, 59_000)), MINUTE) is None


def test_an_add_whose_answer_is_lost_lands_and_blocks_its_loan_until_it_is_found() -> None:
    # Sent at 1 s, it lands at 2 s; no answer in 4 s, then the history shows it. At 40,000 the LTV is
    # 36,000 / (1.178620.. x 40,000) = 0.7636: with an answer the second add is decided on at 2 s.
    path = path_of(flat(60_000, 47_000, *[40_000] * 6, step=SECOND))
    seed = seed_where(arrives=True)
    heard = played(case(wallet={"BTC": 1}, seed=seed), path)
    lost = played(case(wallet={"BTC": 1}, seed=seed, stress=ALL_LOST), path)
    assert [(what, decided) for what, decided, _, _ in told(heard)] == [
        (Happening.ADD, SECOND),
        (Happening.ADD, 2 * SECOND),
    ]
    first, second = told(lost)[:2]
    assert first[:3] == (Happening.ADD, SECOND, 2 * SECOND)
    assert second[1] == 5 * SECOND


def test_one_that_never_arrived_is_proven_absent_and_made_anew() -> None:
    # 5 s of receive window, 2 s of margin, 5 s of lag of the history: at 1 + 12 s it is known.
    path = path_of(flat(60_000, *[47_000] * 40, step=SECOND))
    account = played(case(wallet={"BTC": 1}, seed=seed_where(arrives=False), stress=ALL_LOST), path)
    first, second = told(account)[:2]
    assert first[:3] == (Happening.ABSENT, SECOND, 13 * SECOND)
    assert second[1] == 13 * SECOND


def test_in_an_emergency_one_more_add_is_made_once_the_window_is_over() -> None:
    # 36,000 / 44,000 = 0.8182. At 1 + 7 s the first can't land any more, and is not proven absent.
    path = path_of(flat(60_000, *[44_000] * 40, step=SECOND))
    account = played(case(wallet={"BTC": 1}, seed=seed_where(arrives=False), stress=ALL_LOST), path)
    decided = [at for _, at, _, _ in told(account)]
    assert 8 * SECOND in decided
    assert account.flights.rescued.keys() == {"1"}


def test_a_coin_of_which_the_platform_takes_no_more_leaves_the_others() -> None:
    # The pool wants USDT first. An order knows its own coin alone, and 37,800 is the end of it.
    full = Stress(full=frozenset({"USDT"}))
    path = path_of(flat(60_000, 47_000), flat(3_000, 2_000, coin="ETH"))
    both = case(pool(debts={"USDT": D(54_000)}), wallet={"USDT": 100_000, "BTC": 2}, stress=full)
    events = played(both, path).events
    assert [(event.what, event.coin) for event in events] == [
        (Happening.REFUSED, "USDT"),
        (Happening.ADD, "BTC"),
    ]
    own = case(wallet={"BTC": 1}, stress=Stress(full=frozenset({"BTC"})))
    account = played(own, path_of(flat(60_000, 47_000, 37_800)))
    assert {event.what for event in account.events} == {
        Happening.REFUSED,
        Happening.SHORT,
        Happening.LIQUIDATED,
    }
    assert [event.what for event in account.events].count(Happening.REFUSED) == 1
    assert account.wallet["BTC"] > 1


def test_a_late_index_shows_a_fall_late_and_liquidates_at_once() -> None:
    late = Stress(index_lag_ms=90_000)
    account = played(case(wallet={"BTC": 1}, stress=late), path_of(flat(60_000, *[47_000] * 4)))
    assert told(account) == [(Happening.ADD, MINUTE + 90_000, MINUTE + 91_000, "0.17862001")]
    # At minute 2 the price is that of liquidation, and the guard still sees 60,000.
    gone = played(case(wallet={"BTC": 1}, stress=late), path_of(flat(60_000, 47_000, 37_800, 37_800)))
    assert [event.what for event in gone.events] == [Happening.LIQUIDATED]


def test_a_guard_that_polls_sees_no_price_in_between() -> None:
    # Candles of 20 s: the leap comes 20 s after the start, the next look at 45 s is at a price that is well.
    path = path_of(flat(60_000, 47_000, 60_000, 60_000, 60_000, 46_000, 46_000, step=20_000))
    account = played(case(wallet={"BTC": 1}, stress=Stress(poll_ms=45_000)), path)
    # START is a multiple of an hour: looks at 45, 90 and 135 s.
    assert told(account) == [(Happening.ADD, 135_000, 136_000, "0.20416001")]


def any_stress(chance: random.Random, length_ms: int) -> Stress:
    begins = START + chance.randrange(length_ms)
    return Stress(
        ban=(begins, begins + chance.choice([60_000, 600_000, HOUR])) if chance.random() < 0.5 else None,
        lost_answers=D(chance.choice(["0", "0.3", "1"])),
        full=frozenset(chance.sample(["BTC", "ETH", "USDT"], chance.randrange(2))),
        poll_ms=chance.choice([1, 1, 15_000]),
    )


def outcome(seed: int, engine: Engine) -> tuple[object, ...]:
    plain, path = random_case(seed)
    stress = any_stress(random.Random(seed), path.ends_ms - START)
    account = account_of(replace(plain, stress=stress), path)
    engine(account, path)
    return account.events, account.wallet, [(item.held, item.owed, item.lost) for item in account.positions]


def agree(seeds: range) -> None:
    for seed in seeds:
        assert outcome(seed, partial(only_changes, chunk=5, block=8)) == outcome(seed, every_point), seed


def test_both_engines_come_to_the_same_under_stress() -> None:
    agree(range(3, 5))


@pytest.mark.slow
@pytest.mark.parametrize("block", range(6))
def test_both_engines_come_to_the_same_under_stress_on_hundreds_of_cases(block: int) -> None:
    agree(range(100 + 40 * block, 140 + 40 * block))


def test_a_rulebook_that_protects_nothing_is_not_stressed() -> None:
    spared = Rulebook(default=LoanPolicy(protect=False))
    account = played(case(wallet={"BTC": 1}, rulebook=spared, stress=ALL_LOST), path_of(flat(60_000, 47_000)))
    assert account.events == []
