"""Whether what is shown of a loan includes what happened to it last.

The loan held 10 BTC at an LTV of 0.75 when an add of 1.54 was planned: it should show 11.54 BTC at 0.6499.
Or it held 10 BTC at 0.33 when a release of 4 was planned: it should show 6 BTC at 0.55.
"""

from dataclasses import replace
from decimal import Decimal

import pytest
from core_builders import ADD, REDUCE, REPAY, SENT, START, D, Number, intent, judge, loan, row
from core_pools import POOL, PRICES, at
from hypothesis import assume, given
from hypothesis import strategies as st

from ltv_guard.core.amounts.composition import composition_of
from ltv_guard.core.model.history import HistoryRow, RowStatus
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Direction
from ltv_guard.core.reconcile.freshness import doubted_ltv, sold_since

LANDED = SENT + 300
ADDED = intent(State.CONFIRMED, amount="1.54", before="10", ltv_before="0.75", adjust_id="own")
RELEASED = intent(
    State.CONFIRMED, direction=REDUCE, amount="4", before="10", ltv_before="0.33", adjust_id="own"
)
OWN_ADD = row("own", "1.54", at=LANDED)
OWN_RELEASE = row("own", "4", direction=REDUCE, at=LANDED)
DEBT = D("450000")  # at 0.75 against 10 BTC, a BTC is worth 60,000 USDT


def is_fresh(
    last: Intent,
    held: Number,
    ltv: Number,
    *rows: HistoryRow,
    price: Number | None = None,
    debt: Number = DEBT,
    accuracy: int = 8,
) -> bool:
    shown = loan(ltv, held=held, debt=debt, accuracy=accuracy)
    prices = None if price is None else {"BTC": D(price), "USDT": D(1)}
    return judge(shown, last, rows, prices).fresh


def price_for(ltv: Number, held: Number, debt: Number = DEBT) -> Decimal:
    return D(debt) / D(held) / D(ltv)


# Collateral.


@pytest.mark.parametrize("price", [None, "60000"])
def test_after_an_add_the_new_collateral_at_the_new_ltv_is_fresh(price: str | None) -> None:
    assert is_fresh(ADDED, "11.54", "0.6499", OWN_ADD, price=price)


@pytest.mark.parametrize("price", [None, "60000"])
@pytest.mark.parametrize("ltv", ["0.75", "0.6499", "0.80", "0.70"])
def test_the_old_collateral_after_an_add_is_old_whatever_the_ltv(ltv: str, price: str | None) -> None:
    assert not is_fresh(ADDED, "10", ltv, OWN_ADD, price=price)


@pytest.mark.parametrize("ltv", ["0.33", "0.55"])
def test_the_old_collateral_after_a_release_is_old(ltv: str) -> None:
    assert not is_fresh(RELEASED, "10", ltv, OWN_RELEASE)


def test_coins_that_count_for_nothing_after_a_release_say_nothing_of_its_ltv() -> None:
    """After an add they do: what was added is not in the LTV."""
    nothing = replace(
        at("0.65", {"BTC": "11.54", "ETH": "100"}, prices={**PRICES, "BTC": D(0)}).shown(), key=POOL
    )
    for last, fresh in (
        (replace(ADDED, key=POOL, ltv_after=None), False),
        (replace(RELEASED, key=POOL), True),
    ):
        assert doubted_ltv(nothing, last, [], None).fresh is fresh


def test_a_displayed_digit_more_or_less_is_the_same_collateral() -> None:
    assert is_fresh(ADDED, "11.53999999", "0.6499", OWN_ADD)
    assert not is_fresh(ADDED, "10.00000001", "0.75", OWN_ADD)


def test_one_step_of_a_coarse_coin_is_told_from_none() -> None:
    """16 of 100 coins, of which the first adjustment brought one: 100 is within a step of 101, and is old."""
    one = intent(State.CONFIRMED, amount="1", before="100", adjust_id="own")
    own = row("own", "1", at=LANDED)
    assert not is_fresh(one, "100", "0.75", own, accuracy=0)
    assert is_fresh(one, "101", "0.7426", own, accuracy=0)


def test_what_the_journal_knows_counts_though_the_history_could_not_be_read() -> None:
    """After a restart no row is known: the old collateral must not pass for the whole story."""
    assert not is_fresh(ADDED, "10", "0.75")
    assert not is_fresh(RELEASED, "10", "0.33")
    assert is_fresh(ADDED, "11.54", "0.6499")


def test_an_intent_that_a_person_confirmed_has_no_id_and_counts_all_the_same() -> None:
    by_human = intent(State.CONFIRMED, amount="1.54", before="10", ltv_before="0.75", adjust_id=None)
    assert not is_fresh(by_human, "10", "0.75")
    assert not is_fresh(by_human, "10", "0.75", OWN_ADD)
    assert is_fresh(by_human, "11.54", "0.6499")
    assert is_fresh(by_human, "11.54", "0.6499", OWN_ADD)


def test_a_coin_that_is_not_shown_yet_was_not_added_yet() -> None:
    """A pool that has never held BTC shows none of it until the add is seen."""
    first = intent(State.CONFIRMED, amount="1.54", before="0", adjust_id="own")
    shown = loan("0.75", coin="USDT", held="1000")
    assert not judge(shown, first, [OWN_ADD], None).fresh


def test_a_coin_that_was_released_altogether_is_shown_no_more() -> None:
    everything = intent(State.CONFIRMED, direction=REDUCE, amount="10", before="10", adjust_id="own")
    own = row("own", "10", direction=REDUCE, at=LANDED)
    shown = loan("0.4", coin="USDT", held="1000")
    assert judge(shown, everything, [own], None).fresh


def test_our_own_row_is_never_taken_for_one_from_before_the_read() -> None:
    """The exchange's clock may be up to a second behind: the row is stamped before we looked."""
    assert not is_fresh(ADDED, "10", "0.75", row("own", "1.54", at=START - 400))


# The user's hand, and others'.


def test_the_user_takes_out_exactly_what_was_just_added() -> None:
    """Before and after look the same: the collateral that is shown is true either way."""
    back = row("u1", "1.54", direction=REDUCE, at=LANDED + 500)
    assert is_fresh(ADDED, "10", "0.75", OWN_ADD, back)
    assert not is_fresh(ADDED, "11.54", "0.6499", OWN_ADD, back)


def test_the_user_puts_back_exactly_what_was_just_released() -> None:
    back = row("u1", "4", at=LANDED + 500)
    assert is_fresh(RELEASED, "10", "0.33", OWN_RELEASE, back)
    assert not is_fresh(RELEASED, "6", "0.55", OWN_RELEASE, back)


def test_a_hand_beside_the_plan_that_is_undone_later_does_not_look_like_old_collateral() -> None:
    """Found by the state machine: the plan knew of the first row, and was made from coins of before it."""
    first = row("u1", "0.5", direction=REDUCE, at=START + 100)
    undone = row("u2", "0.5", at=LANDED + 500)
    last = replace(RELEASED, seen_ids=frozenset({"u1"}), observed_at_ms=START)
    for before in ("10", "9.5"):  # with and without the first row
        held = D(before) - 4 + (0 if before == "10" else D("0.5"))
        planned = replace(last, coins_before=D(before))
        assert is_fresh(planned, held, "0.55", first, OWN_RELEASE, undone)


@pytest.mark.parametrize(
    ("held", "fresh"), [("10", False), ("11.54", False), ("10.5", False), ("12.04", True)]
)
def test_the_users_later_add_has_to_show_as_well(held: str, fresh: bool) -> None:  # noqa: FBT001
    by_hand = row("u1", "0.5", at=LANDED + 500)
    ltv = D("7.5") / D(held)
    # 10.5 is no state that the loan was ever in, but who knows in which order the exchange shows things.
    assert is_fresh(ADDED, held, ltv.quantize(D("0.0001")), OWN_ADD, by_hand) is (fresh or held == "10.5")


@pytest.mark.parametrize("at", [START - 3000, START, START + 100])
@pytest.mark.parametrize("included", [True, False])
def test_the_users_row_around_the_read_may_be_in_the_coins_before_or_not(
    at: int,
    included: bool,  # noqa: FBT001 - parametrized
) -> None:
    last = intent(
        State.CONFIRMED,
        amount="1.54",
        before="10",
        ltv_before="0.75",
        adjust_id="own",
        signed_at_ms=START + 4000,
    )
    rows = (row("u1", "0.5", at=at), row("own", "1.54", at=START + 4300))
    held = D("11.54") if included else D("12.04")
    assert is_fresh(last, held, (D("7.5") / held).quantize(D("0.0001")), *rows)
    assert not is_fresh(last, held - D("1.54"), "0.75", *rows)


def test_rows_from_days_ago_change_nothing_even_if_none_were_known_at_planning() -> None:
    old = [row(f"o{n}", "0.77", at=START - 86_400_000 - n) for n in range(9)]
    assert is_fresh(ADDED, "11.54", "0.6499", OWN_ADD, *old)
    assert not is_fresh(ADDED, "10", "0.75", OWN_ADD, *old)


def test_a_pool_row_that_failed_or_is_processed_moves_nothing() -> None:
    for status in (RowStatus.FAILED, RowStatus.PROCESSING):
        assert is_fresh(ADDED, "11.54", "0.6499", OWN_ADD, row("u1", "2", at=LANDED + 5, status=status))


def test_a_partial_liquidation_is_new_not_old() -> None:
    """A fifth of collateral and debt is gone; no row tells of it, prices do."""
    assert is_fresh(ADDED, "9.232", "0.6499", OWN_ADD, price="60000", debt=D("0.8") * DEBT)
    # After a worse price, so that the LTV is continuous with nothing.
    ltv, debt = D("0.72"), D("0.7") * DEBT
    assert is_fresh(ADDED, "8", ltv, OWN_ADD, price=price_for(ltv, 8, debt), debt=debt)


def test_an_amount_that_no_row_explains_is_believed_once_it_has_stayed() -> None:
    """It may be older than the plan itself: what was shown from elsewhere, before a partial liquidation."""
    shown = loan("0.6499", held="9.9", debt=DEBT)
    prices = {"BTC": D("60000"), "USDT": D(1)}
    assert not judge(shown, ADDED, [OWN_ADD], prices, steady=False).fresh
    whole = loan("0.6499", held="11.54", debt=DEBT)
    assert judge(whole, ADDED, [OWN_ADD], prices, steady=False).fresh


def test_without_prices_a_partial_liquidation_does_not_leave_the_loan_alone() -> None:
    assert is_fresh(ADDED, "9.232", "0.6499", OWN_ADD)


def test_the_same_amount_in_the_other_direction_is_not_its_own() -> None:
    by_human = intent(State.CONFIRMED, amount="1.54", before="10", ltv_before="0.75", adjust_id=None)
    by_hand = row("u1", "1.54", direction=REDUCE, at=LANDED)
    assert not is_fresh(by_human, "11.54", "0.6499", by_hand)
    assert is_fresh(by_human, "10", "0.75", by_hand)


# LTV.


@pytest.mark.parametrize("price", [None, "60000"])
def test_the_new_collateral_beside_the_old_ltv_is_not_fresh_after_an_add(price: str | None) -> None:
    assert not is_fresh(ADDED, "11.54", "0.75", OWN_ADD, price=price)


@pytest.mark.parametrize("price", [None, "60000"])
def test_the_new_collateral_beside_the_old_ltv_is_not_fresh_after_a_release(price: str | None) -> None:
    """It must not release again."""
    assert not is_fresh(RELEASED, "6", "0.33", OWN_RELEASE, price=price, debt="198000")


@pytest.mark.parametrize("fall", ["0.30", "0.15", "0.09", "0.05", "0.02", "-0.05", "-0.20"])
def test_a_price_that_moved_is_fresh_where_prices_say_the_same(fall: str) -> None:
    price = 60000 * (1 - D(fall))
    added = DEBT / (D("11.54") * price)
    assert is_fresh(ADDED, "11.54", added, OWN_ADD, price=price)
    released = D(198000) / (6 * price)
    assert is_fresh(RELEASED, "6", released, OWN_RELEASE, price=price, debt="198000")


@pytest.mark.parametrize("fall", ["0.30", "0.15", "0.05", "0.02"])
def test_an_old_ltv_that_moves_with_the_price_is_still_old(fall: str) -> None:
    """The price falls, the LTV is computed anew, but from the collateral of before."""
    price = 60000 * (1 - D(fall))
    assert not is_fresh(ADDED, "11.54", DEBT / (10 * price), OWN_ADD, price=price)
    assert not is_fresh(ADDED, "11.54", DEBT / (10 * price), OWN_ADD)


@pytest.mark.parametrize("ltv", ["0.6499", "0.66", "0.60", "0.30"])
def test_without_prices_an_ltv_at_or_below_where_the_add_leads_is_fresh(ltv: str) -> None:
    assert is_fresh(ADDED, "11.54", ltv, OWN_ADD)


@pytest.mark.parametrize("ltv", ["0.55", "0.54", "0.60", "0.80", "0.95"])
def test_without_prices_an_ltv_at_or_above_where_the_release_leads_is_fresh(ltv: str) -> None:
    assert is_fresh(RELEASED, "6", ltv, OWN_RELEASE)


def test_prices_that_part_from_the_loans_own_never_hold_up_what_a_crash_needs_after_a_release() -> None:
    """Index and last price are 5 % apart. The LTV is above the trigger: it cannot be that of before."""
    assert is_fresh(RELEASED, "6", "0.80", OWN_RELEASE, price=price_for("0.76", 6, 198000), debt="198000")


def test_an_ltv_that_asks_to_add_what_was_just_released_has_to_be_borne_out_by_prices() -> None:
    """Found by the state machine: after a restart, an LTV of before the release and of other prices."""
    assert not is_fresh(
        RELEASED, "6", "0.9065", OWN_RELEASE, price=price_for("0.55", 6, 198000), debt="198000"
    )
    assert is_fresh(RELEASED, "6", "0.9065", OWN_RELEASE, price=price_for("0.85", 6, 198000), debt="198000")


def test_prices_that_part_from_the_loans_own_never_hold_up_an_ltv_below_where_the_add_leads() -> None:
    assert is_fresh(ADDED, "11.54", "0.60", OWN_ADD, price=price_for("0.66", "11.54"))


@pytest.mark.parametrize(("price_says", "fresh"), [("0.50", False), ("0.60", True)])
def test_an_ltv_near_where_the_add_leads_waits_where_prices_contradict_it_beyond_any_crash(
    price_says: str,
    fresh: bool,  # noqa: FBT001
) -> None:
    """The add was planned on an LTV of minutes ago: by chance it leads near the LTV of seconds ago."""
    shown = loan("0.6899", held="11.54", debt=DEBT)
    prices = {"BTC": price_for(price_says, "11.54"), "USDT": D(1)}
    found = judge(shown, ADDED, [OWN_ADD], prices)
    assert (found.fresh, found.as_led) == (fresh, not fresh)


def test_an_ltv_near_where_the_release_leads_waits_where_prices_contradict_it_beyond_any_crash() -> None:
    for price_says, fresh in (("0.70", False), ("0.60", True)):
        price = price_for(price_says, 6, 198000)
        assert is_fresh(RELEASED, "6", "0.5399", OWN_RELEASE, price=price, debt="198000") is fresh


@pytest.mark.parametrize(("added", "harmless"), [("0.07", True), ("0.3", True), ("0.31", False)])
def test_after_a_small_add_a_spread_of_prices_makes_a_doubt_that_need_not_last(
    added: str, *, harmless: bool
) -> None:
    """A market that goes on falling, where USDT is not quite worth a USD."""
    small = intent(State.CONFIRMED, amount=added, before="10", ltv_before="0.655", adjust_id="own")
    held = D(10) + D(added)
    prices = {"BTC": price_for("0.76", held) * D("1.02"), "USDT": D(1)}
    found = judge(loan("0.76", held=held, debt=DEBT), small, [], prices)
    assert (found.fresh, found.collateral_is_new, found.harmless) == (False, True, harmless)


@pytest.mark.parametrize(("ltv", "fresh"), [("0.79", False), ("0.75", True)])
def test_without_prices_an_old_ltv_of_a_pool_after_a_repayment_is_old(ltv: str, *, fresh: bool) -> None:
    """Without its price what was repaid must not count for nothing: the LTV would not have had to move."""
    paid = at("0.75", {"BTC": "1"})
    shown = replace(paid.shown(), ltv=D(ltv))
    before = paid.debt_usd * D("0.79") / D("0.75")
    last = intent(
        State.CONFIRMED,
        direction=REPAY,
        coin="USDT",
        amount=before - paid.debt_usd,
        before=before,
        ltv_before="0.79",
        adjust_id="own",
    )
    assert judge(shown, replace(last, key=POOL), [], None).fresh is fresh


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (RowStatus.SUCCESS, (None, None)),
        (RowStatus.SUCCESS, ("0.75", None)),
        (RowStatus.FAILED, ("0.75", "0.75")),
    ],
)
@pytest.mark.parametrize(("ltv", "fresh"), [("0.76", False), ("0.65", True)])
@pytest.mark.parametrize("prices", [None, {"USDT": D(1)}])
def test_where_its_row_tells_of_no_ltvs_a_pool_is_held_against_what_its_coins_count_for(
    status: RowStatus,
    told: tuple[str | None, str | None],
    ltv: str,
    *,
    fresh: bool,
    prices: dict[str, Decimal],
) -> None:
    """Nor does a row tell any that says it failed, though the coins are there."""
    last = intent(State.CONFIRMED, amount="1.54", before="10", ltv_before="0.75", adjust_id="own")
    before, after = (None if item is None else D(item) for item in told)
    own = replace(row("own", "1.54", status=status), key=POOL, ltv_before=before, ltv_after=after)
    shown = replace(at("0.65", {"BTC": "11.54"}).shown(), ltv=D(ltv))
    assert judge(shown, replace(last, key=POOL), [own], prices).fresh is fresh


@pytest.mark.parametrize(("repaid", "harmless"), [("870", True), ("880", False)])
def test_so_does_a_small_repayment(repaid: str, *, harmless: bool) -> None:
    small = intent(
        State.CONFIRMED,
        direction=REPAY,
        coin="USDT",
        amount=repaid,
        before="30000",
        ltv_before="0.655",
        adjust_id="own",
    )
    owed = D(30000) - D(repaid)
    prices = {"BTC": owed / D("0.76") * D("1.02"), "USDT": D(1)}
    found = judge(loan("0.76", debt=owed), small, [], prices)
    assert (found.fresh, found.collateral_is_new, found.harmless) == (False, True, harmless)


def test_after_a_small_add_an_old_ltv_beyond_the_spread_is_old() -> None:
    small = intent(State.CONFIRMED, amount="0.4", before="10", ltv_before="0.675", adjust_id="own")
    own = row("own", "0.4", at=LANDED)
    assert not is_fresh(small, "10.4", "0.675", own, price=price_for("0.649", "10.4"))


@pytest.mark.parametrize("repaid", ["0.1", "0.5", "0.9"])
def test_a_partial_repayment_moves_the_ltv_and_prices_explain_it(repaid: str) -> None:
    left = 1 - D(repaid)
    assert is_fresh(ADDED, "11.54", D("0.6499") * left, OWN_ADD, price="60000", debt=DEBT * left)
    debt = 198000 * left
    assert is_fresh(RELEASED, "6", debt / 360000, OWN_RELEASE, price="60000", debt=debt)


def test_a_change_too_small_to_matter_is_not_doubted() -> None:
    tiny = intent(State.CONFIRMED, amount="0.02", before="10", ltv_before="0.75", adjust_id="own")
    assert is_fresh(tiny, "10.02", "0.75", row("own", "0.02", at=LANDED))


@pytest.mark.parametrize(
    ("amount", "price", "by"),
    [
        ("1.54", price_for("0.75", "11.54"), "0.154"),  # it fell just so far
        ("1.54", "60000", None),  # an old LTV: nothing bears it out
        ("0.02", "60000", None),  # too small an add to move it
    ],
)
def test_an_ltv_that_prices_bear_out_and_that_is_the_one_of_before_is_told(
    amount: str, price: Number, by: str | None
) -> None:
    last, held = replace(ADDED, amount=D(amount)), 10 + D(amount)
    prices = {"BTC": D(price), "USDT": D(1)}
    found = judge(loan("0.75", held=held, debt=DEBT), last, [row("own", amount, at=LANDED)], prices)
    assert found.as_before == (None if by is None else pytest.approx(D(by)))


# The implied LTV.


def test_the_implied_ltv_is_debt_over_collateral_in_usd() -> None:
    prices = {"BTC": D(50000), "USDT": D(1)}
    assert composition_of(loan(held="2", debt="60000")).implied_ltvs("BTC", prices) == [D("0.6")]


def test_the_debt_is_valued_at_its_price_too() -> None:
    prices = {"BTC": D(50000), "USDT": D("0.9")}
    assert composition_of(loan(held="2", debt="60000")).implied_ltvs("BTC", prices) == [D("0.54")]


@pytest.mark.parametrize("prices", [None, {}, {"BTC": D(50000)}, {"USDT": D(1)}, {"BTC": D(0), "USDT": D(1)}])
def test_there_is_no_implied_ltv_without_every_price(prices: dict[str, Decimal] | None) -> None:
    assert composition_of(loan(held="2", debt="60000")).implied_ltvs("BTC", prices) == []


def test_there_is_no_implied_ltv_without_a_debt() -> None:
    assert composition_of(loan(debt="0")).implied_ltvs("BTC", {"BTC": D(50000), "USDT": D(1)}) == []


# Properties: what is shown after one adjustment, at any price.

shares = st.decimals("0.02", "0.6", places=4)
price_moves = st.decimals("0.6", "1.5", places=4)
befores = st.decimals("0.2", "0.85", places=4)


def after_one(direction: Direction, share: Decimal, ltv: Decimal) -> tuple[Intent, HistoryRow]:
    last = intent(
        State.CONFIRMED, direction=direction, amount=10 * share, before=10, ltv_before=ltv, adjust_id="own"
    )
    return last, row("own", 10 * share, direction=direction, at=LANDED)


@given(st.sampled_from([ADD, REDUCE]), shares, befores, price_moves, st.decimals("0.995", "1.005", places=4))
def test_the_truth_is_fresh_at_any_price(
    direction: Direction, share: Decimal, ltv: Decimal, moved: Decimal, spread: Decimal
) -> None:
    last, own = after_one(direction, share, ltv)
    held = 10 + last.change
    debt = ltv * 10 * 60000
    true = (debt / (held * 60000 * moved)).quantize(D("0.0001"))
    assume(true < 2)
    assert is_fresh(last, held, true, own, price=60000 * moved * spread, debt=debt)


@given(st.sampled_from([ADD, REDUCE]), shares, befores, price_moves)
def test_old_collateral_is_never_fresh(
    direction: Direction, share: Decimal, ltv: Decimal, moved: Decimal
) -> None:
    last, own = after_one(direction, share, ltv)
    debt = ltv * 10 * 60000
    for shown in (ltv, min(ltv / moved, D(2))):
        for price in (None, 60000 * moved):
            assert not is_fresh(last, 10, shown, own, price=price, debt=debt)


@given(st.sampled_from([ADD, REDUCE]), shares, befores, st.decimals("0.99", "1.01", places=4))
def test_new_collateral_beside_an_old_ltv_is_never_fresh(
    direction: Direction, share: Decimal, ltv: Decimal, moved: Decimal
) -> None:
    """Within the seconds that an old LTV is shown for, the price moves by a percent at most."""
    assume(share > D("0.035"))
    last, own = after_one(direction, share, ltv)
    debt = ltv * 10 * 60000
    assert not is_fresh(last, 10 + last.change, ltv / moved, own, price=60000 * moved, debt=debt)


@pytest.mark.parametrize(
    ("held", "changes", "sold"),
    [
        ("1.2", {}, True),
        ("1.25", {}, False),  # as many as it was planned on: they are of before
        ("1.3", {}, False),
        ("1.2", {"collateral_coin": "ETH"}, False),
        ("1.2", {"collateral_coin": None}, False),  # it was paid from the wallet
        ("1.2", {"created_at_ms": START - 1}, False),  # it was planned before the add had landed
    ],
)
def test_what_our_own_repayment_took_of_the_collateral_explains_that_it_shrank(
    held: str, changes: dict[str, object], *, sold: bool
) -> None:
    added = replace(intent(State.CONFIRMED, amount="0.25", before="1"), updated_at_ms=START)
    about = intent(State.CONFIRMED, direction=REPAY, coin="USDT", amount="10000", before="67500")
    of_btc = {"collateral_coin": "BTC", "collateral_before": D("1.25"), "created_at_ms": START}
    repayment = replace(about, **{**of_btc, **changes})
    assert sold_since(at("0.7", {"BTC": held}).shown(), added, [added, repayment]) is sold
