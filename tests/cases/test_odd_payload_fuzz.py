"""One odd field after the other, of every list that a guard reads: the order in breach beside it is saved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from itertools import product as every_combination
from typing import TYPE_CHECKING, Any

import pytest
from e2e_world import BOTH_PRODUCTS, ORDER, SECOND_ORDER, USER, World, also_an_order, merged, scenario_of

if TYPE_CHECKING:
    from conftest import OpenWorld

D = Decimal
ODD: dict[str, object] = {
    "null": None,
    "empty": "",
    "wrong type": {"a": []},
    "not a number": "NaN",
    "infinite": "Infinity",
    "huge": "1e999999",
    "negative": "-1",
    "other case": "bTc",
    "foreign letters": "\u0661\u0412\u0422\u0421",
    "markup": "\u202e\x1b[2J[/b]",
    "half a character": "\ud800",
}
# Of a row beside the order in breach: another order, the calm pool, a coin that is not needed, an older row.
ORDER_FIELDS = [
    *("collateralAmount", "collateralCurrency", "currentLTV", "expirationTime", "hourlyInterestRate"),
    *("loanCurrency", "loanTerm", "orderId", "residualInterest", "residualPenaltyInterest", "totalDebt"),
]
ROW_FIELDS = [
    *("adjustId", "adjustTime", "afterLTV", "amount", "collateralCurrency", "direction", "orderId", "preLTV"),
]
POOL_FIELDS = ["borrowList", "collateralList", "supplyList", "ltv", "totalCollateral", "totalDebt", "colRes"]
FIELDS = [
    *(("orders", ORDER, name) for name in ORDER_FIELDS),
    *(("history", "by hand", name) for name in ROW_FIELDS),
    *(("position", "pool", name) for name in POOL_FIELDS),
    *(("wallet", "ETH", name) for name in ("coin", "transferBalance", "walletBalance", "bonus")),
    *(("tickers", "ETHUSDT", name) for name in ("symbol", "lastPrice", "usdIndexPrice")),
]


def breach(world: World, loan_id: str) -> None:
    """The order owes as much as makes an LTV of 0.77."""
    order: Any = world.exchange.ledger.accounts[USER].orders[loan_id]
    price = world.exchange.moment().prices["BTC"]
    order.debt = (order.collateral * price * D("0.77")).quantize(D("0.000001"))


async def saves_the_other(world: World, fields: Sequence[tuple[str, str, str, str]]) -> Counter[str]:
    row = world.exchange.user_adjust(USER, ORDER, "add", D("0.5"))
    counts: Counter[str] = Counter()
    async with world.guarded():
        await world.until(lambda: len(world.heard("cycle_finished")) > 1)
        for endpoint, named, name, kind in fields:
            loan_id = str(row.adjust_id) if named == "by hand" else named
            world.exchange.clear_faults()
            world.fault(
                "nonsense", endpoint=endpoint, loan_id=loan_id, field=name, value=ODD[kind], times=None
            )
            breach(world, SECOND_ORDER)
            await world.until(lambda: world.ltv(SECOND_ORDER) <= D("0.65"), within_s=20)
            counts[kind] += 1
        world.exchange.clear_faults()
        await world.until_quiet()
    assert not world.heard("cycle_failed")
    await world.judge()
    return counts


def scenario() -> dict[str, Any]:
    tree = also_an_order(scenario_of(D(52000)))
    tree["market"]["coins"]["ETH"] = {"path": [[0, "2500"]]}
    tree["users"][USER] |= {
        "funding": {"BTC": "100000000", "ETH": "5"},
        "pool": {"flexible": {"USDT": "20000"}, "collateral": {"BTC": "1", "ETH": "1"}},
    }
    return tree


CONFIG = merged(
    BOTH_PRODUCTS, {"policy": {"collateral_preference": ["ETH", "BTC"], "reduce": {"enabled": False}}}
)


async def test_an_odd_field_beside_it_keeps_no_order_from_being_saved(open_a_world: OpenWorld) -> None:
    chosen = [(*FIELDS[(5 * number) % len(FIELDS)], kind) for number, kind in enumerate(list(ODD)[::3])]
    async with open_a_world(scenario(), config=CONFIG) as world:
        counts = await saves_the_other(world, chosen)
    assert counts.total() == len(chosen)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("half", [0, 1])
async def test_every_odd_field_beside_it_keeps_no_order_from_being_saved(
    open_a_world: OpenWorld, half: int
) -> None:
    every = [(*where, kind) for where, kind in every_combination(FIELDS, ODD)]
    async with open_a_world(scenario(), config=CONFIG) as world:
        counts = await saves_the_other(world, every[half::4])
    print(f"\nover the wire: {sum(counts.values())} odd answers: {dict(counts)}")  # noqa: T201 - what it is run for
