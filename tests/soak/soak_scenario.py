"""What the soak is made of: an exchange that goes wrong, prices that fall, a guard that keeps up. Pure.

Every account has orders and a pool, which draw on one Funding wallet, and a twin with the same loans and
wallet, whom nobody guards.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain, repeat
from math import exp, log
from pathlib import Path
from typing import Any

from ltv_guard.sandbox.pool import counted_value
from ltv_guard.sandbox.scenario import CoinTerms

Tree = dict[str, Any]

LEGACY, POOL = "crypto_loan_legacy", "crypto_loan"
DEBT = 50_000
PRICES = {"BTC": 60_000.0, "ETH": 3_000.0, "SOL": 180.0}
FIRST_LTVS = ("0.72", "0.73", "0.74", "0.75")  # of an account's orders
FIRST_LTV_OF_POOL = 0.735
# What counts of a pool's collateral. Its first coin crosses the bound of its tiers as it is added to.
TIERS: dict[str, list[Tree]] = {
    "BTC": [{"ratio": "0.9", "min": "0", "max": "45000"}, {"ratio": "0.85", "min": "45000"}],
    "ETH": [{"ratio": "0.85", "min": "0", "max": "50000"}, {"ratio": "0.8", "min": "50000"}],
    "SOL": [{"ratio": "0.8"}],
}
POOL_LIQUIDATION_LTV = "0.92"

ADD_TARGET, ADD_TRIGGER, EMERGENCY = "0.66", "0.665", "0.69"
RELEASE_TARGET, RELEASE_TRIGGER = "0.61", "0.60"

LATEST_S = 3  # how old a read is at most, and how late a row of the history
HISTORY_LAG_S = 4
FAULTY = 0.33  # of the answers; a little more than is asked for, as some strike together

LETHAL = 0.755  # of the first price: there every twin is lost, for 0.72 / 0.755 is above 0.95

# What an adjustment meets, with a weight each. `applied: false` and the two *_before move nothing.
ADJUSTMENT_FAULTS: tuple[tuple[int, Tree], ...] = (
    (3, {"kind": "close_before"}),
    (2, {"kind": "close_before", "reset": True}),
    (4, {"kind": "close_after"}),
    (2, {"kind": "close_after", "reset": True}),
    (2, {"kind": "hang_before", "seconds": "1.5"}),
    (3, {"kind": "hang_after", "seconds": "1.5"}),
    (3, {"kind": "apply_late", "answer": "lost", "delay_s": "0.5"}),
    (2, {"kind": "apply_late", "answer": "hung", "delay_s": "1.1", "seconds": "1.5"}),
    (2, {"kind": "apply_late", "answer": "lost", "delay_s": "1", "check": "application"}),
    (1, {"kind": "apply_late", "answer": "given", "delay_s": "0.4"}),
    (3, {"kind": "http_error", "status": 502}),
    (2, {"kind": "http_error", "status": 504, "applied": False}),
    (2, {"kind": "http_error", "status": 500, "applied": False}),
    (3, {"kind": "empty_body"}),
    (1, {"kind": "empty_body", "applied": False}),
    (3, {"kind": "not_json"}),
    (1, {"kind": "not_json", "applied": False}),
    (1, {"kind": "json_not_object"}),
    (2, {"kind": "ret_code", "code": 10000}),
    (1, {"kind": "ret_code", "code": 10000, "applied": False}),
    (2, {"kind": "ret_code", "code": 10016}),
    (1, {"kind": "ret_code", "code": 10016, "applied": False}),
    (2, {"kind": "ret_code", "code": 177002, "product": LEGACY}),
    (1, {"kind": "ret_code", "code": 177002, "applied": False, "product": LEGACY}),
    (2, {"kind": "ret_code", "code": 148019, "product": POOL}),
    (1, {"kind": "ret_code", "code": 148034, "applied": False, "product": POOL}),
    (1, {"kind": "ret_code", "code": 10006, "applied": False}),
    (3, {"kind": "no_adjust_id"}),
    (1, {"kind": "no_adjust_id", "applied": False}),
)

# What a pool's adjustment meets besides. A coin that is refused makes room for the next one.
POOL_FAULTS: tuple[tuple[int, Tree], ...] = (
    *((3, {"kind": "status_processing", "seconds": str(seconds)}) for seconds in (1, 3, 5)),
    (2, {"kind": "status_failed"}),
    (1, {"kind": "ret_code", "code": 148006, "applied": False, "direction": "add"}),
)
POOL_FAULTY = 0.15

USELESS_READS: tuple[tuple[int, Tree], ...] = (
    (3, {"kind": "http_error", "status": 502}),
    (2, {"kind": "close_before"}),
    (2, {"kind": "close_after"}),
    (2, {"kind": "slow", "seconds": "0.4"}),
    (1, {"kind": "hang_after", "seconds": "1.5"}),
    (1, {"kind": "not_json"}),
    (1, {"kind": "ret_code", "code": 10016}),
)

STALE_READS: tuple[tuple[int, Tree], ...] = tuple(
    (2, {"kind": "stale_reads", "variant": variant, "seconds": str(seconds)})
    for variant in ("whole", "old_collateral", "new_collateral_old_ltv", "new_collateral_old_worth")
    for seconds in range(1, LATEST_S + 1)
)

LATE_ROWS: tuple[tuple[int, Tree], ...] = tuple(
    (8, {"kind": "history_lag", "seconds": str(seconds)}) for seconds in range(1, LATEST_S + 1)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One soak. `fall_per_s` is how fast prices fall: 0.002 is 0.2 % a second.

    (BTC's fastest minute of 2025-10-10 fell by 5 %, which is 0.08 % a second.)
    """

    accounts: int = 10
    seed: int = 1
    fall_per_s: float = 0.002
    seconds: float = 1800

    @property
    def users(self) -> dict[str, str]:
        """The guarded users, and each one's twin."""
        return {str(1001 + number): str(5001 + number) for number in range(self.accounts)}


def scenario_of(plan: Plan) -> Tree:
    """The exchange, as the sandbox reads it."""
    coins = list(PRICES)
    users: Tree = {}
    for number, pair in enumerate(plan.users.items()):
        two = coins[number % len(coins)], coins[(number + 1) % len(coins)]
        users |= {user: _user(user, *two) for user in pair}
    return {
        "name": "soak",
        "seed": plan.seed,
        "market": {
            "start": "first_request",
            "coins": {
                coin: {"path": _path(plan, price, late_s=2.0 * number)}
                for number, (coin, price) in enumerate(PRICES.items())
            },
        },
        "coins": {coin: {"tiers": tiers} for coin, tiers in TIERS.items()},
        "pool_terms": {"liquidation_ltv": POOL_LIQUIDATION_LTV},
        "keys": [{"key": f"key-{user}", "secret": f"secret-{user}", "user": user} for user in plan.users],
        "users": users,
        # A user's limits are the real ones. An address's would be met only because time runs faster here.
        "limits": {"ip_requests": 1_000_000},
        "faults": faults(),
    }


def _user(user: str, coin: str, other: str) -> Tree:
    """Orders in one coin; a pool in two."""
    orders = [
        {
            "order_id": f"{user}{number:03}",
            "loan_coin": "USDT",
            "debt": str(DEBT),
            "collateral_coin": coin,
            "collateral": f"{DEBT / float(ltv) / PRICES[coin]:.8f}",
        }
        for number, ltv in enumerate(FIRST_LTVS)
    ]
    value = _value_of_each(DEBT / FIRST_LTV_OF_POOL, (coin, other))
    pool = {
        "flexible": {"USDT": str(DEBT)},
        "collateral": {name: f"{value / PRICES[name]:.8f}" for name in (coin, other)},
    }
    return {"funding": {coin: "10000000", other: "10000000"}, "orders": orders, "pool": pool}


def _value_of_each(counted: float, coins: tuple[str, ...]) -> float:
    """USD of every coin, the same of each, so that all together count for `counted`."""
    terms = [CoinTerms.model_validate({"tiers": TIERS[coin]}) for coin in coins]
    least, most = 0.0, 10 * counted
    for _ in range(60):
        value = (least + most) / 2
        counts = sum(counted_value(item, Decimal(value), Decimal(1)) for item in terms)
        least, most = (value, most) if counts < counted else (least, value)
    return most


def _path(plan: Plan, price: float, *, late_s: float) -> list[list[str]]:
    """A fall that loses every twin; then up and down for good, and more down than up."""
    at, level = 0.0, log(price)
    points = [["0", f"{price:.2f}"]]
    for seconds, change in chain([(4 + late_s, 0.0)], _legs(plan, late_s)):
        at, level = at + seconds, level + change
        points.append([f"{at:.1f}", f"{exp(level):.2f}"])
        if at > plan.seconds:
            break
    return points


def _legs(plan: Plan, late_s: float) -> Iterator[tuple[float, float]]:
    """Seconds, and the change of the price's logarithm in them."""
    slope = plan.fall_per_s
    yield -log(LETHAL) / slope, log(LETHAL)
    # Quickly through where there is nothing to do, slowly where there is.
    for fall_s in repeat(100 + late_s):
        yield 12, 0.095
        yield 24, 24 * slope
        yield 8, -0.085
        yield fall_s, -fall_s * slope


def faults() -> list[Tree]:
    """Every fault of the soak, for the whole time."""
    lasting = {"times": None}
    late_rows = [{**fault, **lasting, "endpoint": "adjust", "probability": "0.2"} for _, fault in LATE_ROWS]
    struck = [
        ("adjust", ADJUSTMENT_FAULTS, FAULTY),
        ("orders", (*USELESS_READS, *STALE_READS), FAULTY),
        ("position", (*USELESS_READS, *STALE_READS), FAULTY),
        ("history", (*USELESS_READS, *LATE_ROWS), FAULTY),
        ("wallet", (*USELESS_READS, *STALE_READS[:LATEST_S]), FAULTY),
        *((name, USELESS_READS, FAULTY * 2 / 3) for name in ("maximum", "terms", "key", "tickers", "time")),
    ]
    of_pools = [
        {**fault, **lasting, "endpoint": "adjust", "product": POOL, "probability": f"{probability:.5f}"}
        for fault, probability in _spread(POOL_FAULTS, POOL_FAULTY)
    ]
    return [*late_rows, *of_pools] + [
        {**fault, **lasting, "endpoint": endpoint, "probability": f"{probability:.5f}"}
        for endpoint, weighted, share in struck
        for fault, probability in _spread(weighted, share)
    ]


def _spread(weighted: tuple[tuple[int, Tree], ...], share: float) -> Iterator[tuple[Tree, float]]:
    """Chances by weight, so that at least one strikes in `share` of the requests."""
    whole = sum(weight for weight, _ in weighted)
    for weight, fault in weighted:
        yield fault, 1 - (1 - share) ** (weight / whole)


def config_of(plan: Plan, url: str, folder: Path) -> Tree:
    """The guard's configuration; its patience covers what the exchange does, and no more."""
    return {
        "mode": "live",
        "exchange": {"base_url": url, "recv_window_ms": 1200, "request_timeout_s": 1.0},
        "accounts": {
            f"account_{user}": {
                "products": [POOL, LEGACY],
                "api_key_file": f"{user}.key",
                "api_secret_file": f"{user}.secret",
            }
            for user in plan.users
        },
        "schedule": {
            "poll_interval_s": 1,
            "settle_interval_s": 0.6,
            "max_snapshot_age_s": 4,
            "shutdown_timeout_s": 4,
        },
        "settlement": {"processing_margin_s": 1.2, "history_lag_s": HISTORY_LAG_S},
        "policy": {
            "collateral_preference": list(PRICES),
            "add": {"trigger_ltv": ADD_TRIGGER, "target_ltv": ADD_TARGET},
            "reduce": {
                "enabled": True,
                "trigger_ltv": RELEASE_TRIGGER,
                "target_ltv": RELEASE_TARGET,
                "after_s": 1,
                "after_foreign_add_s": 0,
            },
            "limits": {"cooldown_s": 0, "emergency_ltv": EMERGENCY},
        },
        "journal": {"url": f"sqlite:///{folder / 'journal.db'}"},
        "logging": {"format": "json"},
    }


def moments_of_death(seed: int, between_s: tuple[float, float]) -> Iterator[float]:
    """How many seconds each daemon lives until it is killed."""
    chance = random.Random(seed)
    while True:
        yield chance.uniform(*between_s)
