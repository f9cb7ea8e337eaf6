"""The sections about the Funding wallet, and about where its coins come from. Pure."""

from __future__ import annotations

from pydantic import Field

from ltv_guard.adapters.settings.sections import Section
from ltv_guard.adapters.settings.values import Amount, Coin
from ltv_guard.core.model.policy import TransferRules

TRANSFERS = TransferRules()
"""Where the defaults are: the core is the one place for them."""


class Wallet(Section):
    """For each account on its own; by coin, in coins."""

    reserve: dict[Coin, Amount] = Field(
        default_factory=dict, description="What stays in the Funding wallet, such as `{USDT: 500}`."
    )
    max_add_24h: dict[Coin, Amount] = Field(
        default_factory=dict, description="The most to add in any 24 hours."
    )
    max_repay_24h: dict[Coin, Amount] = Field(
        default_factory=dict, description="The most to repay in any 24 hours. Holds in an emergency too."
    )
    max_repay_with_collateral_24h: dict[Coin, Amount] = Field(
        default_factory=dict,
        description="The most to repay with collateral in any 24 hours, by coin that is owed. Holds in an "
        "emergency too.",
    )


class UnifiedTransfer(Section):
    """Whether missing coins are moved from the Unified account, and the most of them, in coins."""

    enabled: bool = Field(
        TRANSFERS.enabled,
        description="Whether missing coins are [moved from the Unified account](#more-ways-to-be-safe) to "
        'the Funding wallet, to be added next. The key then also needs "Account Transfer"; your positions '
        "there lose the coins as margin.",
    )
    max_transfer: dict[Coin, Amount] = Field(
        default_factory=dict,
        description="The most to move at a time, such as `{BTC: 0.5}`. Holds in an emergency too.",
    )
    max_transfer_24h: dict[Coin, Amount] = Field(
        default_factory=dict, description="The most to move in any 24 hours. Holds in an emergency too."
    )


class Sources(Section):
    """Where coins come from that the Funding wallet lacks. For each account on its own."""

    unified_transfer: UnifiedTransfer = UnifiedTransfer()
