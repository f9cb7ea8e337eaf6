"""What somebody would do who knows the prices to come: no more than it takes, for whom it saves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_UP, Decimal

import numpy as np

from ltv_guard.core.model.loans import LoanKey
from ltv_guard.replay.candle_path import CandlePath
from ltv_guard.replay.candles import Floats
from ltv_guard.replay.least_wallet import smallest
from ltv_guard.replay.loan_spec import LoanSpec
from ltv_guard.replay.ltv_curve import debt_along, value_along
from ltv_guard.replay.one_replay import Case, lost, played_unguarded
from ltv_guard.replay.position import ZERO, Prices, opened
from ltv_guard.replay.replay_account import ReplayAccount

Coins = Mapping[str, Decimal]
FLOAT = Decimal("1.00001")  # more than floats and rounded interest err by


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """`given`: what each loan gets at the start; none for one that it does not save."""

    account: ReplayAccount
    given: Mapping[LoanKey, Coins]


def foresight(case: Case, path: CandlePath) -> Foresight:
    """The loans with what they need from the start; the cheapest first, as long as there is a wallet.

    Raises ConfigError for a loan that is lost before it begins.
    """
    prices, wallet, given = path.at(0), dict(case.wallet), dict[LoanKey, Coins]()
    specs = {spec.key: _as_opened(spec, path) for spec in case.loans}
    wanted = {key: _need(case, spec, path, wallet) for key, spec in specs.items()}
    by_cost = sorted((_usd(coins, prices), key.loan_id, key) for key, coins in wanted.items() if coins)
    for _, _, key in by_cost:
        coins = _need(case, specs[key], path, wallet) if specs[key].is_pool else wanted[key]
        if coins and all(amount <= wallet.get(coin, ZERO) for coin, amount in coins.items()):
            given[key] = coins
            for coin, amount in coins.items():
                wallet[coin] -= amount
    loans = [_with(spec, given.get(key, {})) for key, spec in specs.items()]
    return Foresight(account=played_unguarded(replace(case, loans=loans, wallet=wallet), path), given=given)


def _as_opened(spec: LoanSpec, path: CandlePath) -> LoanSpec:
    """The loan with its debt as a fixed number of coins, so that more collateral lowers its LTV."""
    owed = opened(spec, int(path.times[0]), path.at(0)).owed
    return replace(spec, debts=owed, start_ltv=None)


def _need(case: Case, spec: LoanSpec, path: CandlePath, wallet: Coins) -> Coins | None:
    """The coins that save the loan; None: it needs none, or the wallet holds none that would."""
    if _survives(case, spec, {}, path):
        return None
    found = _of_order(spec, path) if not spec.is_pool else _of_pool(case, spec, path, wallet)
    return found if found and _survives(case, spec, found, path) else None


def _of_order(spec: LoanSpec, path: CandlePath) -> Coins:
    """By the worst LTV that it would come to, were it never liquidated."""
    prices = path.at(0)
    position = opened(spec, int(path.times[0]), prices)

    def price(of: str) -> Floats | float:
        return path.prices[path.coins.index(of)] if of in path.coins else 1.0

    ltvs = debt_along(position, path.times, price) / value_along(position, prices, price)
    ((coin, amount),) = spec.collateral.items()
    times = Decimal(float(np.max(ltvs))) * FLOAT / spec.liquidation_ltv - 1
    step = Decimal(1).scaleb(-spec.accuracy_of(coin))
    return {coin: (amount * max(times, ZERO)).quantize(step, ROUND_UP)}


def _of_pool(case: Case, spec: LoanSpec, path: CandlePath, wallet: Coins) -> Coins:
    """Coins in the order in which the policy wants them."""
    given: dict[str, Decimal] = {}
    wanted = case.rulebook.default.collateral_preference
    for coin in (coin for coin in wanted if wallet.get(coin, ZERO) > 0 and coin in path.at(0)):
        given[coin] = wallet[coin]
        if _survives(case, spec, given, path):
            given[coin] = smallest(coin, given, lambda tried: _survives(case, spec, tried, path))
            return given
    return {}


def _with(spec: LoanSpec, coins: Coins) -> LoanSpec:
    both = {**dict.fromkeys(coins, ZERO), **spec.collateral}
    return replace(spec, collateral={coin: held + coins.get(coin, ZERO) for coin, held in both.items()})


def _survives(case: Case, spec: LoanSpec, coins: Coins, path: CandlePath) -> bool:
    return not lost(played_unguarded(replace(case, loans=[_with(spec, coins)]), path))


def _usd(coins: Coins | None, prices: Prices) -> Decimal:
    return sum((amount * prices[coin] for coin, amount in (coins or {}).items()), ZERO)
