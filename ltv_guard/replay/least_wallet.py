"""The smallest Funding wallet with which no loan is lost, coin by coin: found by trying."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import ROUND_UP, Decimal

from ltv_guard.replay.candle_path import CandlePath
from ltv_guard.replay.loan_spec import LoanSpec
from ltv_guard.replay.one_replay import Case, lost, played, with_wallet
from ltv_guard.replay.position import Prices

EXACT = Decimal("0.001")  # of what is found
PLENTY = 100  # times a loan's collateral: no policy asks for more
PLACES = Decimal("1e-8")
ZERO = Decimal(0)


def least_wallet(
    case: Case, path: CandlePath, tell: Callable[[int], None] = lambda _: None
) -> dict[str, Decimal] | None:
    """Coin -> what it takes, to 0.1 %, the other coins being what they were found to be; None: none survives.

    An order takes its own coin; a pool those of the wallet that it may be given, or else its own most
    preferred one. `tell` hears of each try.
    """
    tries = 0

    def survives(wallet: Mapping[str, Decimal]) -> bool:
        nonlocal tries
        tries += 1
        tell(tries)
        return not lost(played(with_wallet(case, wallet), path))

    if survives({}):
        return {}
    wallet = _plenty(case, path.at(0))
    if not survives(wallet):
        return None
    for coin in sorted(wallet):
        wallet[coin] = smallest(coin, wallet, survives)
    return {coin: amount for coin, amount in wallet.items() if amount > 0}


def smallest(
    coin: str, wallet: Mapping[str, Decimal], survives: Callable[[Mapping[str, Decimal]], bool]
) -> Decimal:
    """So much of the coin, to 0.1 %, that `wallet` survives: halves between too little and enough."""
    low, high = ZERO, wallet[coin]
    if survives({**wallet, coin: ZERO}):
        return ZERO
    while high - low > high * EXACT:
        # Far apart they are halved by their ratio: the first wallet is a hundred times too large.
        middle = (low * high).sqrt() if low > 0 and high > 4 * low else (low + high) / 2
        middle = middle.quantize(PLACES, ROUND_UP)
        if middle in {low, high}:
            break
        if survives({**wallet, coin: middle}):
            high = middle
        else:
            low = middle
    return high


def _plenty(case: Case, prices: Prices) -> dict[str, Decimal]:
    """A wallet that no policy empties."""
    found: dict[str, Decimal] = {}
    for loan in case.loans:
        worth = sum((amount * prices[coin] for coin, amount in loan.collateral.items()), ZERO)
        coins = set(loan.collateral) if not loan.is_pool else case.takes or _preferred(case, loan)
        for coin in coins:
            found[coin] = found.get(coin, ZERO) + PLENTY * (worth / prices[coin]).quantize(PLACES)
    return found


def _preferred(case: Case, loan: LoanSpec) -> set[str]:
    wanted = case.rulebook.default.collateral_preference
    return set([coin for coin in wanted if coin in loan.collateral][:1])
