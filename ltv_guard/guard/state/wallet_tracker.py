"""What our adjustments took from the Funding wallet, and which transfers do not show in it yet."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import accumulate

from ltv_guard.core.model.intents import SPENT, Intent, State
from ltv_guard.core.model.loans import Direction, Moment
from ltv_guard.guard.state.intent_book import SETTLING_DOWN_MS, IntentBook


@dataclass(slots=True)
class WalletTracker:
    """Mutable, owned by one guard. Wallets are coin -> amount."""

    _book: IntentBook
    _before: dict[str, Decimal] = field(default_factory=dict)
    _shown: dict[str, tuple[Decimal, int, int]] = field(default_factory=dict)
    _believed: dict[str, Decimal] = field(default_factory=dict)

    def forget(self, intent_ids: Collection[str]) -> None:
        """Drops what is known of these intents."""
        for intent_id in intent_ids:
            self._before.pop(intent_id, None)
            self._shown.pop(intent_id, None)
            self._believed.pop(intent_id, None)

    def note_before(self, intent: Intent, source: Mapping[str, Decimal] | None) -> None:
        """What the wallet that it takes from held before it was sent; None: a wallet that proves nothing."""
        if source is not None and intent.coin in source:
            self._before[intent.intent_id] = source[intent.coin]

    def has_left(self, intent: Intent, source: Mapping[str, Decimal] | None) -> bool:
        """Whether that wallet shows that its coins are gone from it; not known after a restart."""
        before = self._before.get(intent.intent_id)
        if before is None or source is None or intent.coin not in source:
            return False
        return source[intent.coin] <= before - intent.amount

    def has_come(self, transfer: Intent, wallet: Mapping[str, Decimal] | None) -> bool:
        """Whether the Funding wallet shows exactly its coins, but for what was spent since."""
        return (
            wallet is not None
            and transfer.coin in wallet
            and self._has_arrived(transfer, wallet[transfer.coin])
        )

    def saw(self, wallet: Mapping[str, Decimal], read_at: Moment, *, longest_ms: int) -> None:
        """Notes since when the wallet has shown as much as now of the coins that landed transfers moved.

        What it has shown for longer than old facts can be is believed, whoever else moved coins meanwhile.
        """
        now_ms = read_at.monotonic_ms
        for transfer in self._landed():
            age_ms = read_at.exchange_ms - transfer.updated_at_ms
            if age_ms >= SETTLING_DOWN_MS or transfer.coin not in wallet:
                continue
            shown = wallet[transfer.coin]
            last, since_ms, looked_ms = self._shown.get(transfer.intent_id, (shown, now_ms, now_ms))
            if last != shown or now_ms - looked_ms > 2 * longest_ms:
                since_ms = now_ms
            self._shown[transfer.intent_id] = (shown, since_ms, now_ms)
            is_steady = age_ms >= longest_ms and now_ms - since_ms >= longest_ms
            if is_steady and not self._has_arrived(transfer, shown):
                self._believed[transfer.intent_id] = shown + sum(_amounts(self._taken_since(transfer)))

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

        A wallet that showed it, and then does not, is old for as long: then the coins went somewhere. Coins
        that somebody else moved meanwhile are not taken for it.
        """
        awaited = [item for item in self._landed() if not self._shows(item, wallet, read_at, longest_ms)]
        still_open = [
            item for item in self._book.every if item.direction is Direction.TRANSFER and item.is_open
        ]
        return {item.coin: item for item in (*awaited, *still_open)}

    def _shows(
        self, transfer: Intent, wallet: Mapping[str, Decimal] | None, read_at: Moment, longest_ms: int
    ) -> bool:
        age_ms = read_at.exchange_ms - transfer.updated_at_ms
        if wallet is None or age_ms >= SETTLING_DOWN_MS:
            return age_ms >= longest_ms
        return self._has_arrived(transfer, wallet.get(transfer.coin, Decimal(0)))

    def _has_arrived(self, transfer: Intent, shown: Decimal) -> bool:
        """Whether exactly its coins came, but for what was spent since; what is open may be spent, or not.

        More or less than that is somebody else's doing, until it has been believed. What was there before,
        to the last digit, is more likely old than spent again.
        """
        believed = self._believed.get(transfer.intent_id)
        if believed is None and shown == transfer.coins_before:
            return False
        took = self._taken_since(transfer)
        settled, maybe = _amounts(took)
        if believed is not None:
            return 0 <= believed - settled - shown <= maybe
        spent_of_open = transfer.coins_before + transfer.amount - settled - shown
        # Where an open one explains it, so may a wallet from before the transfer.
        return spent_of_open == 0 or (0 < spent_of_open <= maybe and not _is_of_before(transfer, took, shown))

    def _taken_since(self, transfer: Intent) -> list[Intent]:
        """Adds and repayments that took its coin since it was planned, or may have; the first one first."""
        took = [
            item
            for item in self._book.every
            if item.coin == transfer.coin
            and item.takes_from_wallet
            and item.state in SPENT
            and item.created_at_ms >= transfer.observed_at_ms
        ]
        return sorted(took, key=lambda item: item.created_at_ms)


def _amounts(took: Collection[Intent]) -> tuple[Decimal, Decimal]:
    """Coins that they took: those that ended, those that are open."""
    maybe = sum((item.amount for item in took if item.is_open), Decimal(0))
    return sum((item.amount for item in took), -maybe), maybe


def _is_of_before(transfer: Intent, took: Collection[Intent], shown: Decimal) -> bool:
    """Whether the wallet may be one that its coins had not come to, whatever had been spent by then."""
    maybe = [item.amount for item in took if item.is_open]
    settled = accumulate((item.amount for item in took if not item.is_open), initial=Decimal(0))
    spent = transfer.coins_before - shown
    return any(spent - ended in {Decimal(0), sum(maybe), *maybe} for ended in settled)
