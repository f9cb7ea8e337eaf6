"""What the exchange's refusals have taught of the amounts that it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Channel, Kind, Loan

FEWER_DECIMALS = (4, 2)  # where the exchange takes no finer amounts, and does not say how fine


@dataclass(slots=True)
class Bounds:
    """What the exchange's refusals have taught of the amounts that it takes of a coin."""

    decimals: int | None = None
    least: Decimal | None = None
    most: Decimal | None = None


NO_BOUNDS = Bounds()
NO_LEAST: Mapping[str, Decimal] = {}


@dataclass(slots=True)
class AmountBounds:
    """Mutable, owned by one guard. Amounts are in coins."""

    _bounds: dict[tuple[Channel, str, bool], Bounds] = field(default_factory=dict)

    def of(self, channel: Channel, coin: str, *, with_collateral: bool = False) -> Bounds:
        """What refusals have taught of amounts of this coin, to be changed by whoever learns more.

        A repayment that is paid `with_collateral` has limits of its own.
        """
        return self._bounds.setdefault((channel, coin, with_collateral), Bounds())

    def of_intent(self, intent: Intent) -> Bounds:
        """The same for what the intent asked."""
        paid = intent.collateral_coin is not None
        return self.of(intent.channel, intent.coin, with_collateral=paid)

    @property
    def least(self) -> Mapping[object, Decimal]:
        """The amounts less than which were refused as below a minimum, of whatever that holds for."""
        return {what: item.least for what, item in self._bounds.items() if item.least is not None}

    def at_least(self, loan: Loan) -> Mapping[str, Decimal]:
        """Coin -> less of it was refused as below the exchange's minimum for adding."""
        if not self._bounds:
            return NO_LEAST
        channel = Channel(loan.key.product, Kind.ADJUSTMENT)
        found = {
            held.coin: self._bounds.get((channel, held.coin, False), NO_BOUNDS).least
            for held in loan.collateral
        }
        return {coin: least for coin, least in found.items() if least is not None}

    def coarser(self, intent: Intent, documented: int | None) -> int | None:
        """Notes that its amount was too fine. How many decimals the next may have; None: no fewer will do.

        An amount has as many decimals as were sent, a last 0 among them.
        """
        exponent = intent.amount.as_tuple().exponent
        decimals = -exponent if isinstance(exponent, int) else 0
        known = FEWER_DECIMALS if documented is None else (documented, *FEWER_DECIMALS)
        fewer = max((item for item in known if item < decimals), default=None)
        if fewer is not None:
            self.of_intent(intent).decimals = fewer
        return fewer
