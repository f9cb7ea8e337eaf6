"""A pool's fixed loan that nothing repays at its end: repaid in full before, from the wallet. Over the wire.

Whatever becomes of the write: at most one effect, never another loan's coins in an emergency, and the loan
repaid once the fault is over. It is off unless it is switched on.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from e2e_world import A_POOL, KEY, SECRET, USER, Product, Tree, World

if TYPE_CHECKING:
    from conftest import OpenWorld, Timings

D = Decimal
REPAYS: Tree = {
    "policy": {
        "collateral_preference": ["USDT"],
        "reduce": {"enabled": False},
        "repay_fixed": {"enabled": True},
    }
}


@pytest.fixture
def product() -> Product:
    return A_POOL


@pytest.fixture(autouse=True)
def read_often(timings: Timings) -> None:
    """Between two tries a minute passes, which would only take time."""
    timings.change(terms_retried_ms=200)


def contract(loan_id: str = "7", **changes: object) -> Tree:
    told = {"loan_id": loan_id, "coin": "USDT", "principal": "1000", "ends_in": "30m", "repay_type": "0"}
    return told | changes


def owing(*contracts: Tree, funding: str = "5000", flexible: str = "20000") -> Tree:
    """A pool of 1 BTC at 50000 USD, nine tenths of which count, with USDT to add."""
    pool = {"flexible": {"USDT": flexible}, "collateral": {"BTC": "1"}, "contracts": list(contracts)}
    return {
        "name": "contracts",
        "market": {"coins": {"BTC": {"path": [[0, "50000"]]}}},
        "coins": {"BTC": {"tiers": [{"ratio": "0.9"}]}, "USDT": {"accuracy": 4}},
        "keys": [{"key": KEY, "secret": SECRET, "user": USER}],
        "users": {USER: {"funding": {"USDT": funding}, "pool": pool}},
    }


def repaid(world: World) -> list[Decimal]:
    return [row.amount for row in world.repayments() if row.debt.fixed]


async def cycles(world: World, count: int) -> None:
    seen = len(world.heard("cycle_finished"))
    await world.until(lambda: len(world.heard("cycle_finished")) >= seen + count)


async def test_it_is_repaid_in_full_before_its_end(open_a_world: OpenWorld) -> None:
    async with open_a_world(owing(contract(interest="2.5")), config=REPAYS) as world:
        async with world.guarded():
            await world.until(lambda: bool(world.heard("adjustment_confirmed")))
            await world.until_quiet()
        (intent,) = await world.judged()
        assert (intent.state, intent.contract_id, intent.amount) == ("confirmed", "7", D("1002.5"))
        assert repaid(world) == [D("1002.5")]
        assert not [event for event in world.events if event["level"] == "critical"]


async def test_it_stays_off_unless_it_is_switched_on(open_a_world: OpenWorld) -> None:
    config = {"policy": REPAYS["policy"] | {"repay_fixed": {"enabled": False}}}
    async with open_a_world(owing(contract()), config=config) as world, world.guarded():
        await world.until(lambda: bool(world.heard("maturity_near")))
        await cycles(world, 4)
        assert not world.sent("repay_fixed")
        assert not world.heard("fixed_loan_not_repaid")


async def test_only_what_goes_overdue_is_repaid_and_only_in_time(open_a_world: OpenWorld) -> None:
    """Not one that the exchange repays, or turns flexible, nor one that ends later; the soonest first."""
    contracts = [
        contract("1", repay_type="1"),
        contract("2", repay_type="2"),
        contract("3", ends_in="2h"),
        contract("4", principal="400", ends_in="40m"),
        contract("5", principal="500", ends_in="20m"),
    ]
    async with open_a_world(owing(*contracts), config=REPAYS) as world:
        async with world.guarded():
            await world.until(lambda: len(world.heard("adjustment_confirmed")) == 2)
            await cycles(world, 4)
        assert repaid(world) == [D(500), D(400)]
        await world.judge()


async def test_one_that_went_overdue_is_repaid_once_its_coins_come(
    open_a_world: OpenWorld,
) -> None:
    """Also where the exchange was to repay it: it tries once, and takes all or nothing."""
    loan = contract(repay_type="1", ends_in="1s")
    async with open_a_world(owing(loan, funding="400"), config=REPAYS) as world:
        async with world.guarded():
            await world.until(lambda: bool(world.heard("fixed_loan_not_repaid")))
            (told,) = world.heard("fixed_loan_not_repaid")
            assert (told["level"], told["contract"], told["owed"]) == ("critical", "7", {"USDT": "1000"})
            assert told["why"] == "the Funding wallet leaves 400 USDT"
            world.exchange.ledger.deposit(USER, "USDT", D(600), world.exchange.moment())
            await world.until(lambda: bool(repaid(world)))
            await world.until_quiet()
            await cycles(world, 3)
            assert world.heard("cycle_finished")[-1]["critical"] == []
        assert repaid(world) == [D(1000)]
        await world.judge()
