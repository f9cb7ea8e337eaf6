"""What a pool's coins are worth: tiers read in coins and in USD, and which of the two the exchange means."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from core_pools import D, cents, tiers, worth
from hypothesis import assume, given
from hypothesis import strategies as st

from ltv_guard.core.amounts.haircuts import (
    Holding,
    Unit,
    coins_at_most,
    coins_toward,
    coins_within,
    coins_worth,
    counted_usd,
    gain_usd,
    most_gain_usd,
    units_told,
)
from ltv_guard.core.model.tiers import UNBOUNDED, Tier

NEARLY = D("1e-12")  # Decimals have 28 digits: divisions leave a trace


def amounts(least: str, most: str, places: int = 8) -> st.SearchStrategy[Decimal]:
    return st.decimals(D(least), D(most), places=places)


RATIOS = st.sampled_from([D("0.95"), D("0.9"), D("0.8"), D("0.5"), D("0.3")])


@st.composite
def ladders(draw: st.DrawFn, *, open_ended: bool = False) -> tuple[Tier, ...]:
    """One to four tiers on end; ratios fall, as the exchange's do. A last one may be worth nothing."""
    ratios = sorted(draw(st.lists(RATIOS, min_size=1, max_size=3, unique=True)), reverse=True)
    if not open_ended and draw(st.booleans()):
        ratios.append(D(0))
    bounds = [D(0)]
    for _ in ratios:
        bounds.append(bounds[-1] + draw(amounts("0.5", "100000", 2)))
    ends: list[Decimal] = list(bounds[1:])
    if open_ended or draw(st.booleans()):
        ends[-1] = UNBOUNDED
    return tuple(
        Tier(ratio=ratio, lower=lower, upper=upper)
        for ratio, lower, upper in zip(ratios, bounds, ends, strict=False)
    )


@st.composite
def holdings(draw: st.DrawFn, *, open_ended: bool = False) -> tuple[Holding, Unit]:
    """Some coins, shown as one of the readings has it, to the cent; or not shown, or none of them held."""
    unit = draw(st.sampled_from(list(Unit)))
    price = draw(st.one_of(amounts("0.5", "5", 4), amounts("100", "90000", 2)))
    ladder = draw(ladders(open_ended=open_ended))
    amount = draw(st.one_of(st.just(D(0)), amounts("0", "2"), amounts("0", "50000")))
    shown = draw(st.sampled_from([None, cents(worth(amount, price, ladder, unit))]))
    return Holding(amount=amount, price_usd=price, tiers=ladder, shown_usd=shown), unit


# The two readings


@pytest.mark.parametrize(
    ("amount", "in_usd", "in_coins"),
    [
        ("0", "0", "0"),
        ("0.5", "22500", "22500"),  # within the first tier, however it is read
        ("1", "45000", "45000"),
        ("1.5", "65000", "67500"),  # beyond 50000 USD, not beyond 50000 coins
        ("3", "100000", "135000"),  # 100000 USD are where the last tier ends
    ],
)
def test_a_tier_counts_its_share_at_its_ratio(amount: str, in_usd: str, in_coins: str) -> None:
    ladder = tiers(
        [("0.9", "0", "50000"), ("0.8", "50000", "100000"), ("0.3", "100000", "116666.6666666666666")]
    )
    held = Holding(amount=D(amount), price_usd=D(50000), tiers=ladder)
    last = D(in_usd) if amount != "3" else D(90000)  # 45000 + 40000 + 16666.67 at 0.3
    assert counted_usd(held, D(amount), Unit.USD) == pytest.approx(last)
    assert counted_usd(held, D(amount), Unit.COINS) == D(in_coins)


@given(holdings(), amounts("0", "100000"))
def test_coins_count_for_what_the_plainest_reckoning_says(
    given_: tuple[Holding, Unit], coins: Decimal
) -> None:
    held, _ = given_
    for unit in Unit:
        expected = worth(coins, held.price_usd, held.tiers, unit)
        assert abs(counted_usd(held, coins, unit) - expected) <= expected * NEARLY


@given(holdings(), amounts("0", "1000"), amounts("0", "1000"))
def test_more_coins_never_count_for_less(given_: tuple[Holding, Unit], one: Decimal, two: Decimal) -> None:
    held, _ = given_
    less, more = sorted([one, two])
    assert gain_usd(held, less) <= gain_usd(held, more)
    assert most_gain_usd(held, less) <= most_gain_usd(held, more)
    assert gain_usd(held, more) <= most_gain_usd(held, more)


# There and back


@given(holdings(), amounts("0.01", "500000", 2))
def test_the_coins_for_a_value_are_worth_it(given_: tuple[Holding, Unit], value: Decimal) -> None:
    held, _ = given_
    coins = coins_worth(held, value)
    assert coins >= 0
    if coins.is_finite():
        assert gain_usd(held, coins) >= value * (1 - NEARLY)
    else:
        assert gain_usd(held, coins_toward(held, value)) < value


@given(holdings(), amounts("0.01", "500000", 2), amounts("0.01", "500000", 2))
def test_a_higher_value_never_takes_fewer_coins(
    given_: tuple[Holding, Unit], one: Decimal, two: Decimal
) -> None:
    held, _ = given_
    less, more = sorted([one, two])
    assert coins_worth(held, less) <= coins_worth(held, more)
    assert coins_at_most(held, less) <= coins_worth(held, less)
    assert coins_within(held, less) <= coins_within(held, more)


@given(holdings(open_ended=True), amounts("1", "500000", 2))
def test_a_coin_whose_reading_is_known_is_added_to_the_step(
    given_: tuple[Holding, Unit], value: Decimal
) -> None:
    """Inverse: the coins for a value, less a step, no longer gain it."""
    held, unit = given_
    told = Holding(amount=held.amount, price_usd=held.price_usd, tiers=held.tiers, units=(unit,))
    coins = coins_worth(told, value)
    step = max(D("1e-8"), coins * NEARLY)
    assume(coins > step)
    assert gain_usd(told, coins - step) < value <= gain_usd(told, coins + step)
    assert coins_at_most(told, value) == coins


# Careful where it is not known


@given(holdings(), amounts("0.01", "500000", 2))
def test_an_add_is_never_too_small_however_the_exchange_reads_its_tiers(
    given_: tuple[Holding, Unit], value: Decimal
) -> None:
    held, unit = given_
    coins = coins_worth(held, value)
    assume(coins.is_finite())
    before = worth(held.amount, held.price_usd, held.tiers, unit)
    after = worth(held.amount + coins, held.price_usd, held.tiers, unit)
    assert after - before >= value * (1 - NEARLY) - D("1e-15")


@given(holdings(), amounts("0.01", "500000", 2))
def test_a_release_is_never_too_large_however_the_exchange_reads_its_tiers(
    given_: tuple[Holding, Unit], value: Decimal
) -> None:
    held, unit = given_
    coins = coins_within(held, value)
    assert 0 <= coins <= held.amount
    before = worth(held.amount, held.price_usd, held.tiers, unit)
    after = worth(held.amount - coins, held.price_usd, held.tiers, unit)
    assert before - after <= value * (1 + NEARLY) + D("1e-15")


@given(holdings(), amounts("0.01", "500000", 2))
def test_a_rescue_never_counts_for_more_than_it_may(given_: tuple[Holding, Unit], value: Decimal) -> None:
    held, unit = given_
    coins = coins_at_most(held, value)
    assume(coins.is_finite())
    before = worth(held.amount, held.price_usd, held.tiers, unit)
    after = worth(held.amount + coins, held.price_usd, held.tiers, unit)
    assert after - before <= value * (1 + NEARLY) + D("1e-15")


def test_where_nothing_tells_the_readings_apart_the_careful_one_holds() -> None:
    """Five coins at 1000 USD; the last counts for 0.2, and so do all but four USD if bounds are USD."""
    held = Holding(
        amount=D(5),
        price_usd=D(1000),
        tiers=tiers([("0.9", "0", "1"), ("0.5", "1", "4"), ("0.2", "4", None)]),
    )
    assert coins_within(held, D(100)).quantize(D("0.01")) == D(
        "0.50"
    )  # not the 5 that count for next to nothing
    assert coins_worth(held, D(100)).quantize(D("0.01")) == D("0.50")
    told = [
        replace(held, shown_usd=cents(worth(D(5), D(1000), held.tiers, unit))) for unit in ("usd", "coins")
    ]
    assert [gain_usd(item, D("-5")).quantize(D(1)) for item in told] == [-1002, -2600]
    assert gain_usd(held, D("-5")).quantize(D(1)) == -2600
    assert most_gain_usd(held, D("-5")).quantize(D(1)) == -1002


# What is shown tells


CROSSED = tiers([("0.9", "0", "1"), ("0.5", "1", None)])  # one coin, or one USD


@pytest.mark.parametrize(("unit", "needed"), [("coins", "0.01111111"), ("usd", "0.02")])
def test_what_is_shown_tells_how_tiers_are_read(unit: str, needed: str) -> None:
    shown = cents(worth(D("0.5"), D(50000), CROSSED, unit))
    held = Holding(amount=D("0.5"), price_usd=D(50000), tiers=CROSSED, shown_usd=shown)
    assert coins_worth(held, D(500)).quantize(D("1e-8")) == D(needed)
    assert units_told([held]) == (Unit(unit),)


def test_what_one_coin_tells_holds_for_the_coins_that_are_not_held_yet() -> None:
    shown = cents(worth(D("0.5"), D(50000), CROSSED, "coins"))
    telling = Holding(amount=D("0.5"), price_usd=D(50000), tiers=CROSSED, shown_usd=shown)
    new = Holding(amount=D(0), price_usd=D(2500), tiers=CROSSED, shown_usd=D(0))
    assert units_told([telling, new]) == (Unit.COINS,)
    guessed, told = (
        new,
        Holding(amount=D(0), price_usd=D(2500), tiers=CROSSED, units=units_told([telling, new])),
    )
    assert coins_worth(told, D(450)) == D("0.2")
    assert coins_worth(guessed, D(450)) > D("0.35")  # as if all but the first USD counted for half


def test_coins_that_contradict_each_other_tell_nothing() -> None:
    one, two = (
        Holding(
            amount=D("0.5"),
            price_usd=D(50000),
            tiers=CROSSED,
            shown_usd=cents(worth(D("0.5"), D(50000), CROSSED, unit)),
        )
        for unit in ("usd", "coins")
    )
    assert units_told([one, two]) == tuple(Unit)
    assert units_told([]) == tuple(Unit)


def test_what_a_coin_shows_of_itself_weighs_more_than_what_others_tell() -> None:
    shown = cents(worth(D("0.5"), D(50000), CROSSED, "usd"))
    held = Holding(amount=D("0.5"), price_usd=D(50000), tiers=CROSSED, shown_usd=shown, units=(Unit.COINS,))
    assert coins_worth(held, D(500)) == pytest.approx(D("0.02"))


def test_a_ratio_that_no_reading_explains_is_learned_from_what_is_shown() -> None:
    """The platform cut the ratio and its terms do not say so yet: 0.6 of the value counts, not 0.9."""
    held = Holding(amount=D(1), price_usd=D(50000), tiers=tiers([("0.9", "0", None)]), shown_usd=D(30000))
    assert coins_worth(held, D(3000)) == pytest.approx(D("0.1"))


def test_a_price_that_has_moved_since_does_not_make_an_add_too_small() -> None:
    """Shown at 49500, priced at 50000: it is the exchange's value that makes the LTV."""
    held = Holding(amount=D(1), price_usd=D(50000), tiers=tiers([("0.9", "0", None)]), shown_usd=D(44550))
    assert coins_worth(held, D(4455)) == pytest.approx(D("0.1"))


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0.00000001", "0.00"),  # 0.00045 USD
        ("0.00000013", "0.01"),  # 0.00585 USD
        ("0.00001234", "0.56"),  # 0.5553 USD, and one that was rounded up before
    ],
)
def test_dust_that_is_shown_in_cents_is_no_reason_to_misjudge_its_coin(amount: str, shown: str) -> None:
    dust = Holding(
        amount=D(amount), price_usd=D(50000), tiers=tiers([("0.9", "0", None)]), shown_usd=D(shown)
    )
    assert coins_worth(dust, D(4500)) == pytest.approx(D("0.1"))


# Ends, zeros and infinities


def test_beyond_its_last_tier_a_coin_counts_for_nothing() -> None:
    full = Holding(amount=D(3), price_usd=D(50000), tiers=tiers([("0.9", "0", "100000")]), shown_usd=D(90000))
    assert coins_worth(full, D(1)) == UNBOUNDED
    assert coins_toward(full, D(1)) == 0
    assert gain_usd(full, D(5)) == 0
    assert coins_within(full, D(45000)) == 2  # the one that counts for nothing, and one that does


def test_what_fits_below_the_last_tiers_end_is_all_that_is_worth_adding() -> None:
    nearly = Holding(
        amount=D("1.5"), price_usd=D(50000), tiers=tiers([("0.9", "0", "100000")]), shown_usd=D(67500)
    )
    assert coins_worth(nearly, D(22500)) == D("0.5")
    assert coins_worth(nearly, D(22501)) == UNBOUNDED
    assert coins_toward(nearly, D(30000)).quantize(D("0.0001")) == D("0.6667")  # if bounds are coins
    told = replace(nearly, units=(Unit.USD,))
    assert coins_toward(told, D(30000)) == D("0.5")
    assert coins_toward(told, D(9000)) == D("0.2")


@pytest.mark.parametrize(
    "ladder",
    [
        tiers([("0", "0", None)]),
        tiers([("0", "0", "10")]),
        tiers([("0.9", "0", "10"), ("0", "10", None)]),
        (),
    ],
)
def test_ratios_of_nothing_end_and_take_no_coins(ladder: tuple[Tier, ...]) -> None:
    for shown in (None, D(0), D(100)):
        held = Holding(amount=D(20), price_usd=D(50000), tiers=ladder, shown_usd=shown)
        assert coins_worth(held, D(100)) == UNBOUNDED
        assert gain_usd(held, D(1)) == 0
        assert coins_within(held, D(0)) <= D(20)
        assert coins_toward(held, D(100)) == 0


def test_a_coin_that_the_exchange_counts_for_nothing_is_not_relied_on() -> None:
    held = Holding(amount=D(1), price_usd=D(50000), tiers=tiers([("0.9", "0", None)]), shown_usd=D(0))
    assert coins_worth(held, D(100)) == UNBOUNDED
    assert gain_usd(held, D(1)) == 0


def test_tiers_with_a_hole_are_crossed() -> None:
    held = Holding(amount=D(0), price_usd=D(1), tiers=tiers([("0.5", "0", "100"), ("0.5", "200", None)]))
    assert coins_worth(held, D(75)) == D(250)
    assert gain_usd(held, D(250)) == D(75)


@pytest.mark.parametrize(
    ("ratio", "lower", "upper"),
    [("1.1", "0", "1"), ("-0.1", "0", "1"), ("0.5", "1", "1"), ("0.5", "2", "1"), ("0.5", "-1", "1")],
)
def test_a_tier_that_makes_no_sense_does_not_construct(ratio: str, lower: str, upper: str) -> None:
    with pytest.raises(ValueError, match="not plausible"):
        Tier(ratio=D(ratio), lower=D(lower), upper=D(upper))
