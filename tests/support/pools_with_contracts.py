"""Scenarios of a pool with fixed loans, for real daemons against the sandbox."""

from __future__ import annotations

from e2e_world import KEY, SECRET, USER, Tree, World


def contract(loan_id: str = "7", **changes: object) -> Tree:
    """A fixed loan of 1000 USDT."""
    return {"loan_id": loan_id, "coin": "USDT", "principal": "1000", "ends_in": "1h"} | changes


def owing(*contracts: Tree, funding: str = "5000", flexible: str = "20000", **changes: object) -> Tree:
    """A pool of 1 BTC at 50000 USD, nine tenths of which count, with USDT to add."""
    pool = {"flexible": {"USDT": flexible}, "collateral": {"BTC": "1"}, "contracts": list(contracts)}
    return {
        "name": "contracts",
        "market": {"coins": {"BTC": {"path": [[0, "50000"]]}}},
        "coins": {"BTC": {"tiers": [{"ratio": "0.9"}]}, "USDT": {"accuracy": 4}},
        "keys": [{"key": KEY, "secret": SECRET, "user": USER}],
        "users": {USER: {"funding": {"USDT": funding}, "pool": pool}},
        **changes,
    }


async def cycles(world: World, count: int) -> None:
    """Until so many more have ended."""
    seen = len(world.heard("cycle_finished"))
    await world.until(lambda: len(world.heard("cycle_finished")) >= seen + count)
