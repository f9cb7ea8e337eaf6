"""What a repayment with collateral took, by what the loan holds before and after. Reckoned by hand.

10000 USDT were repaid with BTC, of which there were 2, at 50000 USD: 0.201 BTC are 10050 USD, a fee of 0.005.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from core_builders import ADD, REDUCE, REPAY, START, D, intent, row
from core_pools import POOL, at

from ltv_guard.core.model.history import HistoryRow, RowStatus
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Debt, Direction, Loan
from ltv_guard.core.reconcile.charged_fee import Charge, charge_of

PRICES = {"BTC": D(50000), "USDT": D(1)}
OWN = "repay-1"


def sale(**changes: object) -> Intent:
    about = intent(State.CONFIRMED, direction=REPAY, coin="USDT", amount="10000", before="67500")
    of_btc = replace(about, key=POOL, collateral_coin="BTC", collateral_before=D(2), adjust_id=OWN)
    return replace(of_btc, **changes)  # type: ignore[arg-type]


def listed(name: str, amount: str, direction: Direction, coin: str = "BTC", **changes: object) -> HistoryRow:
    found = replace(row(name, amount, direction=direction, coin=coin), key=POOL, at_ms=START + 60_000)
    return replace(found, **changes)  # type: ignore[arg-type]


OURS = listed(OWN, "10000", REPAY, "USDT", with_collateral=True)


def charged(
    left: str, *rows: HistoryRow, prices: tuple[dict[str, Decimal], ...] = (PRICES,)
) -> Charge | None:
    return charge_of(sale(), shown(left), rows, prices)


def shown(held: str, owed: str = "62500") -> Loan:
    found = at("0.7", {"BTC": held}).shown()
    return replace(found, debts=(replace(found.debts[0], amount=D(owed)),))


@pytest.mark.parametrize(
    ("what", "left", "rows", "sold", "fee", "cost"),
    [
        ("half a hundredth", "1.799", [OURS], "0.201", "0.005", "50"),
        ("nothing at all", "1.8", [OURS], "0.2", "0", "0"),
        ("less than nothing is none", "1.801", [OURS], "0.199", "0", "0"),
        ("before its row is there", "1.799", [], "0.201", "0.005", "50"),
        ("of less than was asked for", "1.8995", [replace(OURS, amount=D(5000))], "0.1005", "0.005", "25"),
        (
            "what was added since is no part of it",
            "1.899",
            [OURS, listed("7", "0.1", ADD)],
            "0.201",
            "0.005",
            "50",
        ),
        ("nor what was released", "1.699", [OURS, listed("7", "0.1", REDUCE)], "0.201", "0.005", "50"),
        ("nor of another coin", "1.799", [OURS, listed("7", "5", ADD, "ETH")], "0.201", "0.005", "50"),
        (
            "nor what failed",
            "1.799",
            [OURS, listed("7", "5", ADD, status=RowStatus.FAILED)],
            "0.201",
            "0.005",
            "50",
        ),
        (
            "nor what the plan knew of and was not shown",
            "1.699",
            [OURS, listed("7", "0.1", REDUCE, at_ms=START - 1_000)],
            "0.201",
            "0.005",
            "50",
        ),
        (
            "which a release of a minute before was",
            "1.699",
            [OURS, listed("7", "0.1", REDUCE, at_ms=START - 60_000)],
            "0.301",
            "0.505",
            "5050",
        ),
        (
            "nor what was there before",
            "1.799",
            [OURS, listed("7", "1", ADD, at_ms=START - 1)],
            "0.201",
            "0.005",
            "50",
        ),
    ],
)
def test_it_is_what_the_collateral_lost(
    what: str, left: str, rows: list[HistoryRow], sold: str, fee: str, cost: str
) -> None:
    found = charged(left, *rows)
    assert found is not None, what
    assert (found.sold, found.fee, found.cost_usd) == (D(sold), D(fee), D(cost))


def test_of_prices_before_and_after_those_count_that_leave_the_least_fee() -> None:
    """0.206 BTC are 10300 USD at 50000, and 10094 at 49000: it may have been sold at either."""
    fallen = PRICES | {"BTC": D(49000)}
    for prices in ((PRICES, fallen), (fallen, PRICES), ({}, fallen)):
        found = charged("1.794", OURS, prices=prices)
        assert found is not None
        assert found.fee == D("0.0094")


@pytest.mark.parametrize(
    ("left", "rows", "prices"),
    [
        ("1.799", [OURS], ()),
        ("1.799", [OURS], ({"BTC": D(50000)},)),
        ("1.799", [OURS], ({"BTC": D(0), "USDT": D(1)},)),
        ("2.1", [OURS], (PRICES,)),  # the collateral has grown
        ("1.5", [OURS, listed("repay-2", "9", REPAY, "USDT", with_collateral=True)], (PRICES,)),
        ("1.5", [OURS, listed("repay-2", "9", REPAY, "USDT", with_collateral=None)], (PRICES,)),
    ],
)
def test_it_can_not_be_told_without_prices_or_beside_another_of_them(
    left: str, rows: list[HistoryRow], prices: tuple[dict[str, Decimal], ...]
) -> None:
    assert charged(left, *rows, prices=prices) is None


@pytest.mark.parametrize("rows", [[OURS], []])
def test_nor_where_more_was_repaid_than_any_row_tells(rows: list[HistoryRow]) -> None:
    """Of 67500 that were owed 10000 are repaid. A liquidation, or a row that comes late, has repaid more."""
    for owed, told in (("57500", True), ("57498", True), ("57000", False)):
        assert (charge_of(sale(), shown("1.7", owed), rows, [PRICES]) is not None) is told


def test_nor_of_a_coin_that_is_not_shown_or_where_nobody_knows_what_there_was() -> None:
    assert charge_of(sale(collateral_coin="DOGE"), shown("1.799"), [OURS], [PRICES]) is None
    assert charge_of(sale(collateral_before=None), shown("1.799"), [OURS], [PRICES]) is None


OWED = Debt(coin="USDT", amount=D(97500), fixed=D(30000))  # 67500 of it flexibly, before 10000 were repaid
AFTER = Debt(coin="USDT", amount=D(87500), fixed=D(30000))
OTHER = Debt(coin="ETH", amount=D(2))


@pytest.mark.parametrize(
    ("what", "after", "rows", "told"),
    [
        ("all else is owed as before", (AFTER, OTHER), (), True),
        ("with its interest", (replace(AFTER, amount=D(87501), fixed=D(30001)), OTHER), (), True),
        (
            "shown as it was seconds before",
            (replace(AFTER, amount=D(87499), fixed=D(29999)), OTHER),
            (),
            True,
        ),
        ("less is owed in a fixed loan", (replace(AFTER, amount=D(87400), fixed=D(29900)), OTHER), (), False),
        ("in another coin", (AFTER, replace(OTHER, amount=D("1.99"))), (), False),
        ("nothing in another coin", (AFTER,), (), False),
        ("which can't be read", (AFTER, replace(OTHER, amount=D(0), unread=True)), (), True),
        (
            "by a row that says that no collateral paid",
            (AFTER, replace(OTHER, amount=D("1.5"))),
            (listed("repay-2", "0.5", REPAY, "ETH"),),
            True,
        ),
        (
            "as of a fixed loan",
            (replace(AFTER, amount=D(86500), fixed=D(29000)), OTHER),
            (listed("repay-fixed-2", "1000", REPAY, "USDT", fixed=True),),
            True,
        ),
        (
            "but more than that row tells",
            (replace(AFTER, amount=D(85500), fixed=D(28000)), OTHER),
            (listed("repay-fixed-2", "1000", REPAY, "USDT", fixed=True),),
            False,
        ),
    ],
)
def test_nor_where_less_is_owed_of_another_debt_than_rows_tell(
    what: str, after: tuple[Debt, ...], rows: tuple[HistoryRow, ...], *, told: bool
) -> None:
    """A hand may have sold collateral for it, and its row be late."""
    loan = replace(shown("1.799"), debts=after)
    found = charge_of(sale(), loan, (OURS, *rows), [PRICES], (OWED, OTHER))
    assert (found is not None) is told, what
