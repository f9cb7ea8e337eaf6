"""What our adjustments took from the Funding wallet, and which transfers do not show in it yet."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from ltv_guard.core.model.intents import SPENT, Intent, State
from ltv_guard.core.model.loans import Direction, Moment
from ltv_guard.guard.state.intent_book import SETTLING_DOWN_MS, IntentBook

UNSEEN = Decimal("0.01")  # of a transfer: so much may be missing where it has arrived


@dataclass(slots=True)
class WalletTracker:
    """Mutable, owned by one guard. Wallets are coin -> amount."""

    _book: IntentBook
    _before: dict[str, Decimal] = field(default_factory=dict)
    _lacking: dict[str, tuple[Decimal, int, int]] = field(default_factory=dict)

    def forget(self, intent_ids: Collection[str]) -> None:
        for intent_id in intent_ids:
            self._before.pop(intent_id, None)
            self._lacking.pop(intent_id, None)

    def note_before(self, intent: Intent, wallet: Mapping[str, Decimal] | None) -> None:
        """What the wallet held of its coin before it was sent; None: a wallet that proves nothing."""
        if wallet is not None and intent.coin in wallet:
            self._before[intent.intent_id] = wallet[intent.coin]

    def has_left(self, intent: Intent, wallet: Mapping[str, Decimal] | None) -> bool:
        """Whether the wallet shows that an add's coins are gone from it; not known after a restart."""
        before = self._before.get(intent.intent_id)
        if before is None or wallet is None or intent.coin not in wallet:
            return False
        return wallet[intent.coin] <= before - intent.amount

    def saw(self, wallet: Mapping[str, Decimal], read_at: Moment, *, longest_ms: int) -> None:
        """Notes since when the wallet has shown as much as now of the coins that landed transfers moved."""
        now_ms = read_at.monotonic_ms
        for transfer in self._landed():
            if read_at.exchange_ms - transfer.updated_at_ms >= SETTLING_DOWN_MS:
                continue
            shown = wallet.get(transfer.coin, Decimal(0))
            last, since_ms, looked_ms = self._lacking.get(transfer.intent_id, (shown, now_ms, now_ms))
            if last != shown or now_ms - looked_ms > 2 * longest_ms:
                since_ms = now_ms
            self._lacking[transfer.intent_id] = (shown, since_ms, now_ms)

    def _landed(self) -> list[Intent]:
        return [
            item
            for item in self._book.every
            if item.direction is Direction.TRANSFER and item.state is State.CONFIRMED
        ]

    def on_the_way(
        self, wallet: Mapping[str, Decimal] | None, read_at: Moment, *, longest_ms: int
    ) -> dict[str, Intent]:
        """Coin -> the transfer of it that is open; or that landed, and does not show so soon after.

        A wallet that showed it, and then does not, is old for as long: then the coins went somewhere.
        """
        awaited = [
            item
            for item in self._landed()
            if self._may_not_show(item, wallet, read_at, longest_ms)
            and not self._has_arrived(item, wallet or {})
        ]
        still_open = [
            item for item in self._book.every if item.direction is Direction.TRANSFER and item.is_open
        ]
        return {item.coin: item for item in (*awaited, *still_open)}

    def _may_not_show(
        self, transfer: Intent, wallet: Mapping[str, Decimal] | None, read_at: Moment, longest_ms: int
    ) -> bool:
        age_ms = read_at.exchange_ms - transfer.updated_at_ms
        if wallet is None or age_ms >= SETTLING_DOWN_MS:
            return age_ms < longest_ms
        _, since_ms, _ = self._lacking.get(transfer.intent_id, (Decimal(0), read_at.monotonic_ms, 0))
        return age_ms < longest_ms or read_at.monotonic_ms - since_ms < longest_ms

    def _has_arrived(self, transfer: Intent, wallet: Mapping[str, Decimal]) -> bool:
        """Whether the Funding wallet shows all of the coins, but for what was spent since it was read."""
        spent = sum(
            (
                item.amount
                for item in self._book.every
                if item.coin == transfer.coin
                and item.direction in {Direction.ADD, Direction.REPAY}
                and item.state in SPENT
                and item.created_at_ms >= transfer.observed_at_ms
            ),
            Decimal(0),
        )
        missing = transfer.coins_before + transfer.amount - spent - wallet.get(transfer.coin, Decimal(0))
        return missing <= transfer.amount * UNSEEN
