"""What many replays tell: the least wallet, survival against the wallet, the frontier."""

import random
from dataclasses import replace
from decimal import Decimal
from functools import partial

import pytest
from replay_cases import case, flat, order, path_of

from ltv_guard.replay.candle_path import CandlePath
from ltv_guard.replay.frontier import FrontierPoint, frontier, nearest_better, undominated
from ltv_guard.replay.least_wallet import least_wallet
from ltv_guard.replay.policy_grid import COARSE, FINE, Grid
from ltv_guard.replay.processes import spread
from ltv_guard.replay.survival import survival

D = Decimal


def a_fall() -> CandlePath:
    """In four minutes to 38,000: 36,000 USDT against 1 BTC end at 0.947, against 45,000 at the start."""
    return path_of(flat(60_000, 48_000, 46_000, 42_000, 37_000))


def test_the_least_wallet_is_what_keeps_a_loan_below_its_liquidation() -> None:
    # 36,000 / 37,000 / 0.95 = 1.02418 BTC secure it: 0.02418 have to be added, and 0.1 % may be too much.
    found = least_wallet(case(), a_fall())
    assert found is not None
    assert D("0.02418") < found["BTC"] < D("0.02422")


def test_no_wallet_is_needed_where_nothing_falls_and_none_helps_against_a_leap() -> None:
    assert least_wallet(case(), path_of(flat(60_000, 59_000))) == {}
    assert least_wallet(case(), path_of(flat(60_000, 30_000))) is None


def test_each_coin_has_its_least() -> None:
    both = (order("1"), order("2", collateral={"ETH": D(20)}, debts={"USDT": D(36_000)}))
    path = path_of(flat(60_000, 47_000, 37_000), flat(3_000, 2_400, 1_850, coin="ETH"))
    found = least_wallet(case(*both), path)
    assert found is not None
    assert D("0.02418") < found["BTC"] < D("0.02422")
    assert D("0.4836") < found["ETH"] < D("0.4844")  # 20 x 0.02418


def test_survival_counts_the_starts_from_which_no_loan_is_lost() -> None:
    # With an LTV of 0.60 at each start only the first of five sees a fall of more than 36.8 %.
    loan = order(debts={"USDT": D(0)}, start_ltv=D("0.6"))
    found = survival(case(loan, wallet={"BTC": "0.1"}), a_fall())
    assert (found.starts, found.skipped) == (5, 0)
    shares = {str(item.size): item.share for item in found.shares}
    assert shares["0"] == 0.8
    assert shares["0.25"] == 1.0  # 0.025 BTC
    assert all(item.low <= item.share <= item.high for item in found.shares)


@pytest.mark.parametrize(("most", "played"), [(1, 1), (3, 3), (5, 5), (1_000, 5)])
def test_survival_is_played_from_as_many_starts_as_are_asked_for_and_from_no_candle_twice(
    most: int, played: int
) -> None:
    loan = order(debts={"USDT": D(0)}, start_ltv=D("0.6"))
    assert survival(case(loan, wallet={"BTC": "0.1"}), a_fall(), most=most).starts == played


def test_starts_at_which_a_loan_is_lost_already_are_told_apart() -> None:
    found = survival(case(wallet={"BTC": "0.1"}), a_fall())  # 36,000 against 37,000 is 0.973
    assert (found.starts, found.skipped) == (4, 1)


def point(survivors: int, capital: str, worst: str, **changes: object) -> FrontierPoint:
    values = {"trigger": D("0.75"), "target": D("0.65"), "size": D(1)}
    made = FrontierPoint(**values, survivors=survivors, capital_usd=D(capital), worst_ltv=D(worst))
    return replace(made, **changes)  # type: ignore[arg-type]


def test_a_point_is_beaten_by_one_that_is_no_worse_in_anything_and_better_in_something() -> None:
    own = point(1, "100", "0.80", configured=True)
    cheaper = point(1, "90", "0.80", trigger=D("0.70"))
    nearer = point(2, "100", "0.80", trigger=D("0.74"))
    riskier = point(1, "80", "0.90")
    every = [own, cheaper, nearer, riskier]
    assert cheaper.beats(own)
    assert not own.beats(replace(own, trigger=D("0.60")))
    assert not riskier.beats(own)
    assert undominated(every) == [nearer, riskier, cheaper]
    assert nearest_better(every) == nearer
    assert nearest_better([own, riskier]) is None


def test_the_frontier_holds_the_configured_policy_and_what_each_costs() -> None:
    points = frontier(case(wallet={"BTC": "0.5"}), a_fall())
    own = points[0]
    assert (own.configured, own.survivors) == (True, 1)
    assert sum(item.configured for item in points) == 1
    # At 48,000 0.154 BTC, at 42,000 so many more that 36,000 / 42,000 / 0.65 = 1.3187 secure it, at 37,000
    # 0.1783 more: 0.4969 BTC of 60,000 USD each.
    assert abs(own.capital_usd - 60_000 * D("0.4969")) < 60
    assert all(item.target < item.trigger for item in points)


def test_of_many_points_exactly_those_that_no_other_beats_are_left() -> None:
    chance = random.Random(1)
    some = [
        FrontierPoint(
            trigger=D("0.7"),
            target=D("0.6"),
            size=D(number),
            survivors=chance.randrange(3),
            capital_usd=D(chance.randrange(12)),
            worst_ltv=D(chance.randrange(12)),
        )
        for number in range(300)
    ]
    best = undominated(some)
    assert {point.size for point in best} == {
        point.size for point in some if not any(other.beats(point) for other in some)
    }
    assert best == sorted(best, key=lambda point: (-point.survivors, point.capital_usd))


def test_a_fine_grid_has_ten_thousand_points_and_holds_the_coarse_one() -> None:
    fine = {(rule.trigger_ltv, rule.target_ltv) for rule, _ in FINE.points()}
    assert len(list(FINE.points())) > 10_000
    assert {(rule.trigger_ltv, rule.target_ltv) for rule, _ in COARSE.points()} <= fine


@pytest.mark.slow
def test_two_processes_come_to_the_frontier_of_one() -> None:
    grid = Grid(triggers=(D("0.7"), D("0.75")), targets=(D("0.6"), D("0.65")), sizes=(D(1), D(2)))
    told: list[tuple[int, int]] = []
    one = frontier(case(wallet={"BTC": "0.5"}), a_fall(), grid=grid)
    two = frontier(case(wallet={"BTC": "0.5"}), a_fall(), lambda *of: told.append(of), grid=grid, cores=2)
    assert two == one
    assert told == [(number, 9) for number in range(2, 10)]


@pytest.mark.slow
def test_what_a_process_raises_is_raised_here() -> None:
    with pytest.raises(ZeroDivisionError):
        list(spread(partial(divmod, 1), [1, 0], cores=2))
