"""What others would have done with the same loans, on paper. `test_by_hand.py` says how an amount is made."""

from dataclasses import replace
from decimal import Decimal
from functools import partial

import pytest
from replay_cases import MINUTE, START, case, flat, order, path_of, pool, random_case

from ltv_guard.replay.attention import Alerted, AlertLine, Attention
from ltv_guard.replay.baselines import PERSON_MS, baselines
from ltv_guard.replay.engines import Engine, every_point, only_changes
from ltv_guard.replay.foresight import foresight
from ltv_guard.replay.one_replay import account_of, lost, played, played_unguarded
from ltv_guard.replay.replay_account import ReplayAccount

D = Decimal


def adds(account: ReplayAccount) -> list[tuple[int | None, str]]:
    """When each was decided on, in minutes since the start, and how much."""
    return [
        (None if event.decided_ms is None else (event.decided_ms - START) // MINUTE, f"{event.amount:f}")
        for event in account.events
        if event.what.value == "add"
    ]


def test_a_person_comes_half_an_hour_after_the_alert_and_finds_the_price_of_then() -> None:
    # At minute 1 the trigger is crossed; at minute 31 36,000 / 46,000 = 0.7826: 0.7827 / 0.65 - 1 = 0.2041...
    path = path_of(flat(60_000, *[47_000] * 20, *[46_000] * 20))
    person = Alerted(AlertLine.TRIGGER, PERSON_MS)
    account = played(case(wallet={"BTC": 1}), path, attention=person)
    assert adds(account) == [(31, "0.20416001")]


def test_a_person_who_finds_the_loan_well_again_does_nothing_until_the_next_alert() -> None:
    path = path_of(flat(60_000, 47_000, *[60_000] * 40, *[46_000] * 40))
    account = played(case(wallet={"BTC": 1}), path, attention=Alerted(AlertLine.TRIGGER, PERSON_MS))
    assert adds(account) == [(72, "0.20416001")]  # 42 + 30


def test_a_top_up_at_the_margin_call_waits_for_it() -> None:
    # 36,000 / 42,000 = 0.8571; 36,000 / 41,000 = 0.8780, above 0.87: 0.8781 / 0.65 - 1 = 0.350923...
    path = path_of(flat(60_000, 42_000, 42_000, 41_000, 41_000))
    account = played(case(wallet={"BTC": 1}), path, attention=Alerted(AlertLine.MARGIN_CALL, 0))
    assert adds(account) == [(3, "0.35093001")]


def test_a_loop_each_minute_looks_at_the_full_minute_alone() -> None:
    # Candles of 20 s: the leap comes 20 s after the start.
    path = path_of(flat(60_000, *[47_000] * 5, step=20_000))
    account = played(case(wallet={"BTC": 1}), path, attention=Attention(each_ms=MINUTE))
    assert [event.decided_ms for event in account.events] == [START + MINUTE]


def test_perfect_foresight_gives_no_more_than_it_takes_and_to_the_cheapest_first() -> None:
    # 36,000 / 37,000 / 0.95 = 1.024182..: each lacks 0.02419 BTC, the other one with 40,000 USDT 0.13799.
    path = path_of(flat(60_000, 47_000, 37_000, 50_000))
    loans = (order("1", debts={"USDT": D(40_000)}), order("2"))
    found = foresight(case(*loans, wallet={"BTC": "0.1"}), path)
    assert [(key.loan_id, list(coins)) for key, coins in found.given.items()] == [("2", ["BTC"])]
    assert D("0.024182") < found.given[loans[1].key]["BTC"] < D("0.024195")
    assert lost(found.account) == {loans[0].key}
    both = foresight(case(*loans, wallet={"BTC": "0.2"}), path)
    assert lost(both.account) == set()
    # A hair less, and it is lost.
    less = order("2", collateral={"BTC": 1 + found.given[loans[1].key]["BTC"] - D("0.00002")})
    assert lost(played_unguarded(case(less), path)) == {less.key}


def test_foresight_spends_no_coin_twice() -> None:
    # Each lacks 0.0242 BTC, and there are 0.03.
    path = path_of(flat(60_000, 47_000, 37_000, 50_000))
    found = foresight(case(order("1"), order("2"), wallet={"BTC": "0.03"}), path)
    assert [key.loan_id for key in found.given] == ["1"]
    assert len(lost(found.account)) == 1


def test_foresight_tries_a_pools_coins_in_their_order() -> None:
    # 54,000 against 37,000 + 20,000 = 57,000 is 0.9474, above 0.92: 54,000 / 0.92 = 58,695.65, so 1,696 USDT.
    path = path_of(flat(60_000, 37_000), flat(3_000, 2_000, coin="ETH"))
    loan = pool(debts={"USDT": D(54_000)})
    found = foresight(case(loan, wallet={"USDT": 5_000, "BTC": 2}), path)
    assert list(found.given[loan.key]) == ["USDT"]
    assert D(1_695) < found.given[loan.key]["USDT"] < D(1_699)


def test_all_of_them_stand_beside_the_policy() -> None:
    path = path_of(flat(60_000, *[47_000] * 40, *[40_000] * 40, *[37_500] * 10))
    tried = case(wallet={"BTC": 1})
    found = {
        item.name: item for item in baselines(tried, path, played(tried, path), played_unguarded(tried, path))
    }
    assert next(iter(found)) == "this policy"
    assert found["nothing done"].lost == ("1",)
    assert found["nothing done"].fee_usd == 720  # 2 % of 36,000
    assert [name for name, item in found.items() if item.lost] == ["nothing done"]
    cheapest = min(found.values(), key=lambda item: (len(item.lost), item.capital_usd))
    assert cheapest.name == "perfect foresight"


@pytest.mark.parametrize("seed", range(1, 4))
def test_both_engines_come_to_the_same_whoever_looks(seed: int) -> None:
    agree(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(50, 120))
def test_both_engines_come_to_the_same_whoever_looks_on_many_cases(seed: int) -> None:
    agree(seed)


def agree(seed: int) -> None:
    for attention in (
        partial(Alerted, AlertLine.TRIGGER, PERSON_MS),
        partial(Alerted, AlertLine.MARGIN_CALL, 0),
        partial(Attention, each_ms=MINUTE),
    ):
        one, other = (
            outcome(seed, engine, attention())
            for engine in (partial(only_changes, chunk=5, block=8), every_point)
        )
        assert one == other


def outcome(seed: int, engine: Engine, attention: Attention) -> tuple[object, ...]:
    found, path = random_case(seed)
    account = account_of(replace(found), path)
    account.attention = attention
    engine(account, path)
    return account.events, account.wallet, lost(account)
