"""Worked cases that a borrower can follow on paper. `docs/replay.md` says how an amount is made.

Each candle of `flat` holds one price for its minute, so the LTV leaps where a price is named. What is added
brings the quoted LTV, plus 0.0001 for its rounding, to the target of 0.65. It is rounded up to 0.00001, and
the n-th adjustment ends in the fingerprint n.
"""

from decimal import Decimal

from replay_cases import HOUR, MINUTE, START, case, flat, order, path_of, pool

from ltv_guard.core.model.policy import AddRule, LoanPolicy, ReduceRule, Rulebook, WalletRules
from ltv_guard.core.model.tiers import Tier
from ltv_guard.replay.one_replay import played, played_unguarded
from ltv_guard.replay.replay_account import ReplayAccount
from ltv_guard.replay.replay_event import Happening

D = Decimal
RELEASES = Rulebook(default=LoanPolicy(reduce=ReduceRule(enabled=True)))


def told(account: ReplayAccount) -> list[tuple[str, str | None, str, str | None]]:
    """What happened: what, how much, LTV before and after."""
    return [
        (
            event.what.value,
            None if event.amount is None else f"{event.amount:f}",
            f"{event.ltv_before:f}",
            None if event.ltv_after is None else f"{event.ltv_after:f}",
        )
        for event in account.events
    ]


def test_one_add_brings_an_order_to_its_target() -> None:
    # 36,000 / 47,000 = 0.76596, quoted 0.7660. 1 BTC x (0.7661 / 0.65 - 1) = 0.1786153...
    # 36,000 / (1.17862001 x 47,000) = 0.64987...
    account = played(case(wallet={"BTC": 1}), path_of(flat(60_000, 47_000)))
    assert told(account) == [("add", "0.17862001", "0.7660", "0.6499")]
    assert account.wallet == {"BTC": D("0.82137999")}
    assert account.events[0].at_ms == START + MINUTE + 1_000  # a second after the price leapt


def test_the_trigger_itself_is_a_breach_and_a_hair_below_it_is_none() -> None:
    # 36,000 / 48,000 = 0.75. 36,000 / 48,004 = 0.749938, quoted 0.7499.
    at = played(case(wallet={"BTC": 1}), path_of(flat(60_000, 48_000)))
    below = played(case(wallet={"BTC": 1}), path_of(flat(60_000, 48_004)))
    # 0.7501 / 0.65 - 1 = 0.1540
    assert told(at) == [("add", "0.15400001", "0.7500", "0.6499")]
    assert told(below) == []


def test_a_wallet_that_is_too_small_gives_all_but_a_fingerprint() -> None:
    # No more than 0.05 may be given, so the amount is the next smaller one that ends in the fingerprint 1.
    # 36,000 / (1.04999001 x 47,000) = 0.72949...; 1.04999001 x (0.7296 / 0.65 - 1) = 0.12858...
    account = played(case(wallet={"BTC": "0.05"}), path_of(flat(60_000, 47_000)))
    added, short = told(account)
    assert added == ("add", "0.04999001", "0.7660", "0.7295")
    assert short[0] == "short"
    assert account.wallet == {"BTC": D("0.00000999")}


def test_without_a_wallet_a_loan_is_sold_for_its_debt_and_the_fee() -> None:
    # 36,000 / 37,800 = 0.95238, above 0.95. 36,000 x 1.02 = 36,720 USD; / 37,800 = 0.971428571...
    account = played(case(), path_of(flat(60_000, 47_000, 37_800)))
    short, end = account.events
    assert short.what is Happening.SHORT
    assert (end.what, end.ltv_before) == (Happening.LIQUIDATED, D("0.9524"))
    assert end.details == {"debt_usd": 36_000, "fee_usd": 720, "sold_BTC": D("0.97142858")}
    assert account.wallet == {"BTC": D("0.02857142")}  # what is left comes back


def test_no_wallet_helps_against_a_leap_beyond_liquidation() -> None:
    account = played(case(wallet={"BTC": 100}), path_of(flat(60_000, 37_000)))
    assert [event.what for event in account.events] == [Happening.LIQUIDATED]


def test_what_lands_too_late_has_failed_and_stays_in_the_wallet() -> None:
    # At 47,000 an add is decided on. It takes 90 s, and the next minute brings liquidation.
    path = path_of(flat(60_000, 47_000, 37_000, 37_000))
    slow = played(case(wallet={"BTC": 1}, latency_ms=90_000), path)
    fast = played(case(wallet={"BTC": 1}, latency_ms=1_000), path)
    assert [event.what for event in slow.events] == [Happening.LIQUIDATED, Happening.FAILED]
    # 36,000 x 1.02 / 37,000 = 0.992432433 sold
    assert slow.wallet == {"BTC": D("1.00756756")}
    assert fast.positions[0].lost is False


def test_a_loan_that_is_low_for_a_quarter_of_an_hour_is_given_less_collateral() -> None:
    # 36,000 / 95,000 = 0.37895, quoted 0.3789, below 0.40. 1 BTC x (1 - 0.3790 / 0.55) = 0.31090909...
    # 36,000 / (0.68909999 x 95,000) = 0.54991...
    account = played(case(rulebook=RELEASES), path_of(flat(60_000, *[95_000] * 17)))
    assert told(account) == [("release", "0.31090001", "0.3789", "0.5499")]
    assert account.events[0].decided_ms == START + MINUTE + 900_000
    assert account.wallet == {"BTC": D("0.31090001")}


def test_no_more_is_released_than_the_exchange_allows() -> None:
    # To stay at an initial LTV of 0.50: 1 - 36,000 / 0.50 / 95,000 = 0.242105263...
    tight = order(initial_ltv=D("0.5"))
    account = played(case(tight, rulebook=RELEASES), path_of(flat(60_000, *[95_000] * 17)))
    assert told(account)[0] == ("release", "0.24210001", "0.3789", "0.5000")


def test_interest_alone_can_bring_a_loan_to_its_trigger() -> None:
    # 44.90 USDT an hour: after 2 h 44,989.80 / 60,000 = 0.74983; after 3 h 45,034.70 / 60,000 = 0.750578.
    # 0.7507 / 0.65 - 1 = 0.154923...
    dear = order(debts={"USDT": D(44_900)}, hourly_rate=D("0.001"))
    account = played(case(dear, wallet={"BTC": 1}), path_of(flat(*[60_000] * 5, step=HOUR)))
    assert told(account) == [("add", "0.15493001", "0.7506", "0.6499")]
    assert account.events[0].decided_ms == START + 3 * HOUR
    assert account.positions[0].owed == {"USDT": D("45124.50")}  # after 5 h


def test_a_pool_counts_its_coins_less_the_haircut_and_takes_the_preferred_one() -> None:
    # 0.9 x 47,000 = 42,300 USD; 32,400 / 42,300 = 0.765957. A pool's LTV is quoted to 0.000001:
    # 42,300 x (0.765958 / 0.65 - 1) + 0.02 = 7,546.2098... USDT
    haircut = {"BTC": (Tier(ratio=D("0.9"), lower=D(0)),)}
    loan = pool(collateral={"BTC": D(1)}, debts={"USDT": D(32_400)}, tiers=haircut)
    account = played(case(loan, wallet={"USDT": 10_000, "BTC": 1}), path_of(flat(60_000, 47_000)))
    assert told(account) == [("add", "7546.20985001", "0.765957", "0.649999")]
    assert account.wallet["BTC"] == 1


def test_two_loans_that_one_wallet_cannot_bring_to_target_end_level() -> None:
    # Each wants 0.17862; 0.2 BTC are there, so each gets half of it, a second apart. The first is kept
    # below its half by the fingerprint 1; what that leaves has room for the fingerprint 2 above the half.
    both = (order("1"), order("2"))
    account = played(case(*both, wallet={"BTC": "0.2"}), path_of(flat(60_000, 47_000)))
    adds = [event for event in account.events if event.what is Happening.ADD]
    assert [(event.loan_id, event.amount) for event in adds] == [
        ("1", D("0.09999001")),
        ("2", D("0.10000002")),
    ]
    assert adds[1].at_ms - adds[0].at_ms == 1_000
    # 36,000 / (1.09999 x 47,000) = 0.69633...
    assert {event.ltv_after for event in adds} == {D("0.6963")}


def test_the_reserve_is_there_in_an_emergency_only() -> None:
    # 36,000 / 46,000 = 0.7826: no emergency, and all of 0.1 BTC is the reserve. At 44,500 it is 0.8090.
    kept = Rulebook(default=LoanPolicy(add=AddRule()), wallet=WalletRules(reserve={"BTC": D("0.1")}))
    account = played(case(wallet={"BTC": "0.1"}, rulebook=kept), path_of(flat(60_000, 46_000, 44_500)))
    assert [(event.what, event.ltv_before) for event in account.events] == [
        (Happening.SHORT, D("0.7826")),
        (Happening.ADD, D("0.8090")),
    ]
    assert account.events[1].amount == D("0.09999001")


def test_the_unguarded_twin_is_told_by_the_same_lines() -> None:
    # 36,000 / 42,000 = 0.857: above the trigger for a minute, below the margin call of 0.87.
    twin = played_unguarded(case(wallet={"BTC": 1}), path_of(flat(60_000, 42_000, 41_000, 60_000)))
    (tally,) = twin.tallies.values()
    assert told(twin) == []
    assert tally.worst == D("0.8780")
    assert (tally.above_trigger_ms, tally.above_margin_call_ms) == (2 * MINUTE, MINUTE)
    assert tally.above_emergency_ms == 2 * MINUTE  # at or above 0.80
