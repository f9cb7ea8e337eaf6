"""What a guard is given of the world: one account of an exchange, and what its process lends it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from ltv_guard.core.model.loans import Channel, Product
from ltv_guard.core.ports import (
    AccountExchange,
    Clock,
    ContractExchange,
    Identity,
    LoanExchange,
    Oddity,
    WritePath,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPorts:
    """One account of an exchange: `products` list loans and adjust their collateral, `others` repay and move.

    `contracts`: the fixed loans of its pool; None: it has none. `oddities`: what it answers at the moment
    that no reader understands.
    """

    account: AccountExchange
    products: Sequence[LoanExchange]
    others: Sequence[WritePath] = ()
    contracts: ContractExchange | None = None
    oddities: Callable[[], Iterable[Oddity]] = tuple

    @property
    def by_product(self) -> dict[Product, LoanExchange]:
        """Each product, by its name."""
        return {exchange.product: exchange for exchange in self.products}

    @property
    def paths(self) -> dict[Channel, WritePath]:
        """Every way to write, by what it writes."""
        return {path.channel: path for path in (*self.products, *self.others)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """`new_id` and `seed` are a guard's only randomness; `stopping` says that nothing new may leave.

    `claim` hears whose the key is, and may refuse it (NeedsHuman). `prices`: as a stream tells them, USD a
    coin: a hint whom to look at, and no more. `has_room`: whether a few requests would leave at once.
    """

    clock: Clock
    new_id: Callable[[], str]
    seed: Callable[[], int]
    stopping: Callable[[], bool] = lambda: False
    claim: Callable[[Identity], Awaitable[None]] | None = None
    prices: Callable[[], Mapping[str, Decimal]] = dict
    has_room: Callable[[], bool] = lambda: True
