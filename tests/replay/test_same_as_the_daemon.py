"""The real daemon against the sandbox, and a replay of the same prices: the same loans lost, the same help.

Prices move by about half a per cent a second: a hundred times faster than in a crash, and slow enough for the
daemon's reaction of a fraction of a second not to blur where it acts.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from replay_cases import flat, order, path_of, pool

from ltv_guard.adapters.settings import Settings, load
from ltv_guard.replay.loan_spec import LoanSpec
from ltv_guard.replay.one_replay import Case, played
from ltv_guard.replay.replay_account import ReplayAccount
from ltv_guard.sandbox import Exchange, Sandbox, parse_scenario
from ltv_guard.service import run as app
from ltv_guard.service.rules import rulebook_of

D = Decimal
Moved = tuple[str, str, Decimal]
USER, STEP_MS = "1", 100
LATENCY_MS = 20  # from a decision to its effect, on one machine
AFTER_S = 4  # for what is under way at the end
POLICY: dict[str, Any] = {
    "reduce": {
        "enabled": True,
        "trigger_ltv": 0.5,
        "target_ltv": 0.58,
        "after_s": 1,
        "after_foreign_add_s": 0,
    },
    # What the price falls by during one reaction is not worth an add of its own.
    "limits": {"cooldown_s": 1, "min_adjustment_ratio": 0.01},
    "collateral_preference": ["USDT", "BTC", "ETH"],
}
CALM = [[0, 1.0], [4, 1.0]]
FALL = [*CALM, [84, 0.62], [86, 0.62]]
REBOUND = [*CALM, [54, 0.74], [104, 1.25], [109, 1.25]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """Loans, a wallet, and by what factor of 60,000 (BTC) and 3,000 (ETH) prices move, by the second."""

    loans: tuple[LoanSpec, ...]
    wallet: dict[str, str]
    factors: list[list[float]]
    lost: frozenset[str] = frozenset()
    coins: dict[str, int] = field(default_factory=lambda: {"BTC": 60_000, "ETH": 3_000})


PLAYS = {
    "an order through a fall": Play(loans=(order("1"),), wallet={"BTC": "2"}, factors=FALL),
    "an order through a fall and a rise": Play(loans=(order("1"),), wallet={"BTC": "2"}, factors=REBOUND),
    "a pool of two coins": Play(loans=(pool(debts={"USDT": D(54_000)}),), wallet={"BTC": "2"}, factors=FALL),
    "two orders and one small wallet": Play(
        loans=(order("1"), order("2", debts={"USDT": D(30_000)})), wallet={"BTC": "0.4"}, factors=FALL
    ),
    "an order and no coins": Play(
        loans=(order("1"), order("2", debts={"USDT": D(33_000)})),
        wallet={"BTC": "0.01"},
        factors=FALL,
        lost=frozenset({"1"}),
    ),
}


def scenario(play: Play) -> dict[str, Any]:
    user: dict[str, Any] = {"funding": play.wallet, "orders": []}
    for loan in play.loans:
        debts = {coin: str(amount) for coin, amount in loan.debts.items()}
        held = {coin: str(amount) for coin, amount in loan.collateral.items()}
        if loan.is_pool:
            user["pool"] = {"flexible": debts, "collateral": held}
            continue
        (owed,), (coin,) = debts.items(), held
        one = {"order_id": loan.key.loan_id, "loan_coin": owed[0], "debt": owed[1]}
        user["orders"].append({**one, "collateral_coin": coin, "collateral": held[coin]})
    paths = {
        coin: {"path": [[at, str(price * factor)] for at, factor in play.factors]}
        for coin, price in play.coins.items()
    }
    return {
        "name": "a replay",
        "market": {"coins": paths, "start": "first_request"},
        "pool_terms": {"initial_ltv": "0.8", "liquidation_ltv": "0.92"},
        "coins": {coin: {"tiers": [{"ratio": "1"}]} for coin in ("BTC", "ETH", "USDT")},
        "keys": [{"key": "a-key", "secret": "a-secret", "user": USER}],
        "users": {USER: user},
    }


def settings_for(url: str, folder: Path) -> Settings:
    tree = {
        "mode": "live",
        "exchange": {"base_url": url, "recv_window_ms": 1000, "request_timeout_s": 0.8},
        "settlement": {"processing_margin_s": 0.2, "history_lag_s": 0.3},
        "schedule": {"poll_interval_s": 0.2, "settle_interval_s": 0.1},
        "policy": POLICY,
        "journal": {"url": f"sqlite:///{folder / 'journal.db'}"},
        "http": {"enabled": False},
    }
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(tree))
    keys = {"LTV_GUARD_ACCOUNTS__MAIN__API_KEY": "a-key", "LTV_GUARD_ACCOUNTS__MAIN__API_SECRET": "a-secret"}
    return load(file, environ=keys)


async def by_the_daemon(play: Play, folder: Path) -> tuple[Exchange, Settings]:
    async with Sandbox(parse_scenario(scenario(play))).serve() as exchange:
        settings = settings_for(exchange.url, folder)
        stop = asyncio.Event()
        daemon = asyncio.create_task(app.run_daemon(settings, stop))
        await asyncio.sleep(play.factors[-1][0] + AFTER_S)
        stop.set()
        await daemon
        return exchange, settings


def by_replay(play: Play, settings: Settings) -> ReplayAccount:
    at, factors = zip(*play.factors, strict=True)
    when = np.arange(0, at[-1] + AFTER_S, STEP_MS / 1000)
    along = np.interp(when, at, factors)
    coins = {coin for loan in play.loans for coin in loan.collateral}
    every = [
        flat(*np.round(price * along, 2), coin=coin, step=STEP_MS)
        for coin, price in play.coins.items()
        if coin in coins
    ]
    wallet = {coin: D(amount) for coin, amount in play.wallet.items()}
    rules = rulebook_of(settings.accounts["main"])
    case = Case(loans=play.loans, wallet=wallet, rulebook=rules, latency_ms=LATENCY_MS)
    return played(case, path_of(*every))


def counts(moved: list[Moved]) -> Counter[tuple[str, str]]:
    """By loan and direction: how often."""
    return Counter((loan_id, direction) for loan_id, direction, _ in moved)


def coins(moved: list[Moved]) -> dict[str, Decimal]:
    """By direction: how many BTC. What one loan was spared, another has."""
    return {
        direction: sum((amount for _, other, amount in moved if other == direction), D(0))
        for _, direction, _ in moved
    }


@pytest.mark.nightly
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", PLAYS)
async def test_a_replay_comes_to_what_the_daemon_came_to(name: str, tmp_path: Path) -> None:
    play = PLAYS[name]
    exchange, settings = await by_the_daemon(play, tmp_path)
    account = by_replay(play, settings)

    ledger = exchange.ledger
    seen = [(row.loan_id, row.direction, row.amount) for row in ledger.effects]
    told = [(item.key.loan_id, item.direction.value, item.amount) for _, item in account.flights.landed]

    assert {item.loan_id for item in ledger.liquidations} == play.lost
    assert {item.spec.key.loan_id for item in account.positions if item.lost} == play.lost
    assert counts(seen)
    for key in counts(seen) | counts(told):
        assert abs(counts(seen)[key] - counts(told)[key]) <= 1
    assert coins(told) == {
        direction: pytest.approx(amount, rel=D("0.02")) for direction, amount in coins(seen).items()
    }
