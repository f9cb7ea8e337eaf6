"""What was last read of wallet and prices: enough for an emergency, and what a new read is held against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from ltv_guard.core.decide.quotes import LastPrice, Quotes, learnt
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Direction, Moment
from ltv_guard.guard.state.intent_book import LANDED


@dataclass(slots=True)
class LastKnown:
    """Mutable, owned by one guard. A restart loses it without harm."""

    prices: dict[str, LastPrice] = field(default_factory=dict)
    _wallet: dict[str, tuple[Decimal, Moment]] = field(default_factory=dict)

    def saw_wallet(self, wallet: Mapping[str, Decimal], at: Moment) -> None:
        """Notes balances (coins) that were read, by a request that left at that moment."""
        self._wallet |= {coin: (amount, at) for coin, amount in wallet.items()}

    def saw_prices(self, quotes: Quotes, now: Moment) -> None:
        """Notes prices (USD per coin); a doubted one does not take the place of the last."""
        self.prices = learnt(self.prices, quotes, now.monotonic_ms)

    def wallet_age_ms(self, now: Moment) -> int | None:
        """Age (ms) of the oldest of what is known of it; None: nothing is."""
        return max((now.monotonic_ms - at.monotonic_ms for _, at in self._wallet.values()), default=None)

    def wallet(self, intents: Iterable[Intent]) -> dict[str, Decimal] | None:
        """The last balances, less what left since, and with what came there. None where none is known.

        What open intents take is not taken off: whoever decides does that.
        """
        if not self._wallet:
            return None
        found = {}
        ended = [item for item in intents if item.state in LANDED]
        for coin, (amount, at) in self._wallet.items():
            since = [item for item in ended if item.coin == coin and item.created_at_ms >= at.exchange_ms]
            spent = sum((_effect(item) for item in since), Decimal(0))
            found[coin] = max(Decimal(0), amount + spent)
        return found


def _effect(intent: Intent) -> Decimal:
    if intent.collateral_coin is not None:
        return Decimal(0)
    match intent.direction:
        case Direction.ADD | Direction.REPAY:
            return -intent.amount
        case Direction.TRANSFER | Direction.REDUCE:
            return intent.amount if intent.state is State.CONFIRMED else Decimal(0)
