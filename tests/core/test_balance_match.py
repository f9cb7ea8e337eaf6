"""Measured by an adjustment of before, what is shown after a partial liquidation and the adds after it.

The loan held 20 BTC; one was added (21). Four were sold (17): no row tells. Planned on that, another was
added (18), and then it should show 18.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from core_builders import REDUCE, REPAY, SENT, START, D, intent, loan, row

from ltv_guard.core.model.history import HistoryRow
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.reconcile.balance_match import planned_since
from ltv_guard.core.reconcile.coin_changes import unexplained_change
from ltv_guard.core.reconcile.freshness import Freshness, doubted_coins, shows_before

MINUTE = 60_000
FIRST = intent(State.CONFIRMED, intent_id="first", amount="1", before="20", adjust_id="r1")
LATER = intent(
    State.CONFIRMED,
    intent_id="later",
    amount="1",
    before="17",
    adjust_id="r2",
    observed_at_ms=START + MINUTE,
    created_at_ms=START + MINUTE + 100,
    signed_at_ms=SENT + MINUTE,
    updated_at_ms=SENT + MINUTE + 200,
    seen_ids=frozenset({"r1"}),
)
ROWS = [row("r1", "1"), row("r2", "1", at=SENT + MINUTE + 100)]


def doubt(held: str, later: Intent | None = LATER, rows: list[HistoryRow] = ROWS) -> Freshness | None:
    return doubted_coins(loan("0.7", held=held, accuracy=2), FIRST, rows, steady=False, later=later)


def test_what_the_next_add_was_planned_on_counts_where_no_row_tells_of_it() -> None:
    assert doubt("18", later=None) is not None
    assert doubt("18") is None


@pytest.mark.parametrize("old", ["20", "17", "16"])
def test_what_was_there_before_either_of_the_adds_is_still_not_believed(old: str) -> None:
    shown = loan("0.7", held=old, accuracy=2)
    by_either = [
        doubted_coins(shown, item, ROWS, steady=False, later=later)
        for item, later in ((FIRST, LATER), (LATER, None))
    ]
    assert any(by_either)
    assert old == "16" or any(found.is_old for found in by_either if found)


def test_coins_as_many_as_before_the_first_add_are_new_where_the_adds_since_explain_them() -> None:
    """17, and three adds of one: 20 is no longer what was there before the first."""
    third = replace(LATER, intent_id="third", coins_before=D(19), adjust_id="r4")
    third = replace(third, signed_at_ms=SENT + 3 * MINUTE, created_at_ms=START + 3 * MINUTE)
    third = replace(third, observed_at_ms=START + 3 * MINUTE, updated_at_ms=SENT + 3 * MINUTE + 200)
    rows = [*ROWS, row("r3", "1", at=SENT + 2 * MINUTE), row("r4", "1", at=SENT + 3 * MINUTE + 100)]
    shown = loan("0.7", held="20", accuracy=2)
    assert shows_before(shown, FIRST, rows)
    assert not shows_before(shown, FIRST, rows, third)


def test_the_users_hand_has_a_row_and_is_not_counted_twice() -> None:
    """Four were taken out by hand: that is what the row says, and no more."""
    by_hand = row("u1", "4", direction=REDUCE, at=SENT + MINUTE // 2)
    rows = [ROWS[0], by_hand, ROWS[1]]
    assert doubt("18", rows=rows) is None
    assert doubt("14", rows=rows) is not None


@pytest.mark.parametrize(("earlier_ms", "believed"), [(4_000, True), (29_000, True), (31_000, False)])
def test_what_the_next_add_was_planned_on_may_have_been_shown_late(
    earlier_ms: int, *, believed: bool
) -> None:
    """A hand's add of 0.2 was not in it, though its row was: nothing was sold. Then a hand takes out one.

    So many are shown as were there before the next add. What a plan was made from is no older than that.
    """
    planned = replace(LATER, coins_before=D(21), seen_ids=frozenset({"r1", "u1"}))
    added = row("u1", "0.2", at=planned.observed_at_ms - earlier_ms)
    taken = row("u2", "1", direction=REDUCE, at=SENT + 2 * MINUTE)
    found = doubt("21.2", planned, [ROWS[0], added, ROWS[1], taken])
    assert (found is None) is believed


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"rescue_of": "first"}, id="a rescue is planned on what is not believed"),
        pytest.param(
            {"created_at_ms": FIRST.updated_at_ms - 1}, id="before the first was known to have landed"
        ),
        pytest.param({"coin": "ETH"}, id="another coin"),
        pytest.param({"direction": REPAY}, id="another kind"),
    ],
)
def test_what_was_not_planned_on_believed_coins_tells_nothing(changes: dict[str, object]) -> None:
    assert planned_since(FIRST, [FIRST, LATER]) is LATER
    assert planned_since(FIRST, [FIRST, replace(LATER, **changes)]) is None  # type: ignore[arg-type]
    assert planned_since(LATER, [FIRST, LATER]) is None


@pytest.mark.parametrize("held", ["20.8", "20.2", "21.8"])
def test_a_part_of_a_coarse_coin_is_not_as_good_as_none_of_it(held: str) -> None:
    """Of a coin without decimals an add moves one: a liquidation left a part of one more, or less."""
    shown = loan("0.8", held=held, accuracy=0)
    assert not shows_before(shown, FIRST, [ROWS[0]])
    moved = unexplained_change(replace(FIRST, state=State.UNKNOWN, adjust_id=None), [], shown)
    assert moved == Decimal(held) - 20


PAID = intent(
    State.CONFIRMED,
    direction=REPAY,
    coin="USDT",
    amount="3000",
    before="8000",
    ltv_before="0.8",
    adjust_id="r1",
)
PAID_BY_OTHERS = [
    row("r1", "3000", direction=REPAY, coin="USDT"),
    row("u1", "2000", direction=REPAY, coin="USDT", at=SENT + MINUTE),
]


@pytest.mark.parametrize(
    ("owed", "believed"),
    [
        pytest.param("3000", [True, True], id="all that is known"),
        pytest.param("5000", [False, True], id="as much was borrowed as was repaid after ours"),
        pytest.param("8000", [False, False], id="from before ours"),
    ],
)
def test_a_debt_that_stays_may_lack_what_others_repaid_after_ours(owed: str, believed: list[bool]) -> None:
    """What is borrowed has no row. But one that lacks our own repayment is never believed."""
    shown = loan("0.8", debt=owed)
    found = [doubted_coins(shown, PAID, PAID_BY_OTHERS, steady=stays) for stays in (False, True)]
    assert [item is None for item in found] == believed
    assert all(item.is_old for item in found if item)
    assert shows_before(replace(shown, ltv=D("0.8")), PAID, PAID_BY_OTHERS) == (owed == "8000")


def test_collateral_that_lacks_what_a_hand_added_after_ours_is_old_for_as_long_as_it_stays() -> None:
    """Coins come and go with a row."""
    rows = [ROWS[0], row("u1", "4", at=SENT + MINUTE)]
    found = doubted_coins(loan("0.7", held="21", accuracy=2), FIRST, rows, steady=True)
    assert found is not None
    assert found.is_old


SOLD = replace(PAID, state=State.AMBIGUOUS, adjust_id=None, collateral_coin="BTC")
TOOK_LESS = replace(row("s1", "2500", direction=REPAY, coin="USDT", at=SENT - 1), with_collateral=True)


@pytest.mark.parametrize(
    ("owed", "rows", "believed"),
    [
        pytest.param("5500", [TOOK_LESS], True, id="it took less than was asked for"),
        pytest.param("8000", [TOOK_LESS], False, id="from before it"),
        pytest.param("5500", [replace(TOOK_LESS, with_collateral=False)], False, id="the wallet paid"),
        pytest.param("5500", [replace(TOOK_LESS, by_exchange=True)], False, id="the exchange sold"),
        pytest.param("5500", [replace(TOOK_LESS, contract_id="7")], False, id="for a contract"),
        pytest.param(
            "5500", [TOOK_LESS, replace(TOOK_LESS, adjust_id="s2")], False, id="another may be it as well"
        ),
    ],
)
def test_a_sale_of_unknown_end_is_in_a_debt_that_shows_the_last_row_that_may_be_it_and_stays(
    owed: str, rows: list[HistoryRow], *, believed: bool
) -> None:
    """Nothing tells that it took all: no answer came, and no row of its amount."""
    shown = loan("0.8", debt=owed)
    assert (doubted_coins(shown, SOLD, rows, steady=True) is None) is believed
    assert doubted_coins(shown, SOLD, rows, steady=False) is not None
