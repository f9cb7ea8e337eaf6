"""Cases for the replay: paths of prices, loans, wallets and policies, plain or at random."""

import random
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np

from ltv_guard.core.model.loans import LoanKey, Product
from ltv_guard.core.model.policy import (
    AddRule,
    Limits,
    LoanPolicy,
    Match,
    ReduceRule,
    RepayRule,
    Rulebook,
    WalletRules,
)
from ltv_guard.core.model.tiers import Tier
from ltv_guard.replay.candle_path import CandlePath, candle_path
from ltv_guard.replay.candles import Candles
from ltv_guard.replay.loan_spec import ORDER_LINES, POOL_LINES, LoanSpec
from ltv_guard.replay.one_replay import Case

D = Decimal
START = 1_700_000_000_000 - 1_700_000_000_000 % 3_600_000
MINUTE, HOUR = 60_000, 3_600_000


def candles(rows: Sequence[Sequence[float]], *, coin: str = "BTC", step: int = MINUTE) -> Candles:
    """Rows of open, high, low, close."""
    return Candles(
        coin=coin,
        source=f"{coin.lower()}usdt_test.csv",
        sha256="0" * 64,
        step_ms=step,
        times=START + step * np.arange(len(rows)),
        ohlc=np.array(rows, dtype=np.float64),
    )


def flat(*prices: float, coin: str = "BTC", step: int = MINUTE) -> Candles:
    """A candle for each price, in which nothing moves: it leaps from one to the next."""
    return candles([[price] * 4 for price in prices], coin=coin, step=step)


def path_of(*every: Candles, worst_first: bool = False) -> CandlePath:
    return candle_path(every, worst_first=worst_first)


def order(loan_id: str = "1", **changes: Any) -> LoanSpec:  # noqa: ANN401 - fields of LoanSpec
    """1 BTC against 36,000 USDT."""
    initial, margin_call, liquidation = ORDER_LINES
    values: dict[str, Any] = {
        "collateral": {"BTC": D(1)},
        "debts": {"USDT": D(36_000)},
        "initial_ltv": initial,
        "margin_call_ltv": margin_call,
        "liquidation_ltv": liquidation,
    }
    return LoanSpec(key=LoanKey(Product.LEGACY, loan_id), **values | changes)


def pool(**changes: Any) -> LoanSpec:  # noqa: ANN401 - fields of LoanSpec
    """1 BTC and 10 ETH against 36,000 USDT."""
    initial, margin_call, liquidation = POOL_LINES
    values: dict[str, Any] = {
        "collateral": {"BTC": D(1), "ETH": D(10)},
        "debts": {"USDT": D(36_000)},
        "initial_ltv": initial,
        "margin_call_ltv": margin_call,
        "liquidation_ltv": liquidation,
    }
    return LoanSpec(key=LoanKey(Product.CRYPTO_LOAN, "pool"), **values | changes)


def case(*loans: LoanSpec, wallet: dict[str, Any] | None = None, **changes: Any) -> Case:  # noqa: ANN401
    """Fields of Case; the wallet as numbers or text."""
    coins = {coin: D(amount) for coin, amount in (wallet or {}).items()}
    return Case(loans=loans or (order(),), wallet=coins, **changes)


def random_case(seed: int) -> tuple[Case, CandlePath]:
    """Loans, a wallet, a policy and prices, of every kind that a replay knows."""
    chance = random.Random(seed)
    step = chance.choice([MINUTE, 5 * MINUTE, 30 * MINUTE, HOUR])
    rows = chance.randrange(12, 45)
    drift = chance.choice([-0.024, -0.012, -0.005, 0.0, 0.008, 0.02])
    paths = {
        coin: candles(_walk(chance, rows, start, drift), coin=coin, step=step)
        for coin, start in (("BTC", 60_000.0), ("ETH", 3_000.0))
    }
    loans = [_random_order(chance, str(n), step * rows) for n in range(chance.randrange(3))]
    if not loans or chance.random() < 0.4:
        loans.append(_random_pool(chance))
    wallet = {
        coin: D(str(round(chance.choice([0, 0.05, 0.3, 2]) * most, 6)))
        for coin, most in (("BTC", 1.0), ("ETH", 10.0), ("USDT", 20_000.0))
    }
    found = Case(
        loans=loans,
        wallet=wallet,
        rulebook=_random_rules(chance),
        latency_ms=chance.choice([0, 300, 1_000, 1_000, 30_000, 300_000]),
        seed=chance.randrange(1_000),
    )
    both = found.takes | {coin for loan in loans for coin in loan.collateral}
    path = candle_path([paths[coin] for coin in sorted(both - {"USDT"})], worst_first=chance.random() < 0.3)
    return found, path


def _walk(chance: random.Random, rows: int, price: float, drift: float) -> list[list[float]]:
    """Candles at random, now and then with a leap; for a while nothing moves."""
    found = []
    calm = chance.random() < 0.3
    for row in range(rows):
        price *= 1 + (chance.choice([-0.1, 0.06]) if chance.random() < 0.03 else 0)
        noise = 0.0 if calm and row < rows // 3 else 0.012
        close = price * (1 + drift + chance.gauss(0, noise))
        high = max(price, close) * (1 + abs(chance.gauss(0, noise / 2)))
        low = min(price, close) * (1 - abs(chance.gauss(0, noise / 2)))
        found.append([round(value, 2) for value in (price, high, low, close)])
        price = found[-1][3]
    return [[one, max(row), min(row), last] for row in found for one, _, _, last in [row]]


def _random_order(chance: random.Random, loan_id: str, lasts_ms: int) -> LoanSpec:
    coin, most = chance.choice([("BTC", 2.0), ("ETH", 30.0)])
    return order(
        loan_id,
        collateral={coin: D(str(round(chance.uniform(0.1, 1) * most, 4)))},
        debts={"USDT": D(0)},
        start_ltv=D(str(round(chance.uniform(0.25, 0.9), 2))),
        hourly_rate=D(chance.choice(["0", "0", "0.00001", "0.001"])),
        expires_at_ms=START + chance.randrange(lasts_ms) if chance.random() < 0.2 else None,
        margin_call_ltv=D(chance.choice(["0.87", "0.87", "0.8"])),
    )


def _random_pool(chance: random.Random) -> LoanSpec:
    tiers = (Tier(ratio=D("0.95"), lower=D(0), upper=D(1)), Tier(ratio=D("0.8"), lower=D(1)))
    btc, eth = D(str(round(chance.uniform(0.5, 2), 3))), D(str(round(chance.uniform(1, 20), 2)))
    worth = btc * 60_000 + eth * 3_000
    debt = (worth * D(str(round(chance.uniform(0.25, 0.72), 3)))).quantize(D("0.01"))
    return pool(
        collateral={"BTC": btc, "ETH": eth},
        debts={"USDT": debt * D("0.9"), "ETH": (debt / 30_000).quantize(D("0.0001"))},
        hourly_rate=D(chance.choice(["0", "0.00001"])),
        tiers={"BTC": tiers} if chance.random() < 0.6 else {},
    )


def _random_rules(chance: random.Random) -> Rulebook:
    default = LoanPolicy(
        add=AddRule(
            trigger_ltv=D(chance.choice(["0.75", "0.75", "0.65", "0.8"])),
            target_ltv=D(chance.choice(["0.65", "0.6"])),
        ),
        reduce=ReduceRule(
            enabled=chance.random() < 0.5,
            trigger_ltv=D(chance.choice(["0.4", "0.5"])),
            target_ltv=D("0.55"),
            after_ms=chance.choice([0, 900_000, 7_200_000]),
        ),
        repay=RepayRule(enabled=chance.random() < 0.2, max_repay={"USDT": D(3_000)}),
        limits=Limits(
            cooldown_ms=chance.choice([0, 60_000, 3_600_000]),
            max_add={"BTC": D("0.05")} if chance.random() < 0.2 else {},
            max_reduction_ratio=D(chance.choice(["1", "0.5"])),
            feed_lost=chance.random() < 0.2,
        ),
        collateral_preference=tuple(chance.sample(["USDT", "BTC", "ETH"], 3)),
    )
    spared = replace(default, name="overrides.0", protect=False)
    return Rulebook(
        default=default,
        overrides=((Match(order_id="1"), spared),) if chance.random() < 0.3 else (),
        wallet=WalletRules(
            reserve={"BTC": D("0.02")} if chance.random() < 0.3 else {},
            max_add_24h={"ETH": D(3)} if chance.random() < 0.3 else {},
        ),
    )
