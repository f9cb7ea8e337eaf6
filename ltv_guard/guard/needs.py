"""What has to be read, and how far back, for what is open and for what may have to be done. Reads nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ltv_guard.core.amounts.composition import is_one_sized_by_prices
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Channel, Kind, Loan, Moment, Product
from ltv_guard.core.model.policy import Rulebook
from ltv_guard.guard.reads.closer_look import Wanted
from ltv_guard.guard.snapshot import Snapshot
from ltv_guard.guard.state.intent_book import DAY_MS
from ltv_guard.guard.state.memory import Memory

SLACK_MS = DAY_MS // 12
HISTORY_KEPT_MS = 180 * DAY_MS  # the exchange shows six months (v5/crypto-loan/ltv-adjust-history)
ABSENT_LOOK_MS = 60_000  # how often the history is read again for the row of an absent intent


def horizon_ms(rulebook: Rulebook) -> int:
    """How far back the history matters: a day, or as long as an add by hand keeps a release waiting."""
    policies = [rulebook.default, *(policy for _, policy in rulebook.overrides)]
    return max(DAY_MS, *(policy.reduce.after_foreign_add_ms for policy in policies)) + SLACK_MS


class Needs:
    """`channels`: the kinds of writes that the account has; `products`: those whose loans it reads."""

    def __init__(
        self,
        rulebook: Rulebook,
        memory: Memory,
        *,
        channels: Collection[Channel],
        products: Collection[Product],
    ) -> None:
        self._rulebook = rulebook
        self._memory = memory
        self._channels = channels
        self._products = products

    @property
    def own_channels(self) -> set[Channel]:
        """Where our own adjustments, and what else may be done to the loans, would show."""
        return self._channels_of(self._products)

    def to_settle(self, intents: Sequence[Intent], now: Moment, *, trusted: bool) -> dict[Channel, int]:
        """The histories that something open, or just ended, is judged by; all where the journal is new.

        Each back to an exchange time (ms).
        """
        own = self.own_channels
        needed = [
            channel
            for channel in self._channels
            if self._is_judged_by(channel, intents, now) or (channel in own and not trusted)
        ]
        return {channel: self._since_ms(channel, intents, now) for channel in needed}

    def to_decide(self, snapshot: Snapshot, now: Moment, *, emergencies: Sequence[Loan] = ()) -> Wanted:
        """What a quiet cycle does without.

        An emergency goes by the last wallet that is known, where the fresh one does not come at once. Orders
        do without prices where these take longer than all else: an amount of collateral needs none. So one at
        its trigger does not wait for the prices of a pool that is not, or in an emergency of a pool in none.
        """
        held = {item.coin for loan in snapshot.loans for item in loan.collateral if not item.unread}
        owed = (
            {debt.coin for loan in snapshot.loans for debt in loan.debts}
            if self._rulebook.repays or self._rulebook.repays_fixed
            else set()
        )
        histories = self._channels_of(snapshot.books.keys()) - snapshot.asked
        return Wanted(
            coins=frozenset(held | owed),
            unified=frozenset(held) if self._rulebook.transfers.enabled else None,
            histories={channel: self._since_ms(channel, (), now) for channel in histories},
            spare=self._memory.last_known.wallet(self._memory.intents.every) if emergencies else None,
            needs_prices=self._needs_prices(emergencies or snapshot.loans),
            in_emergency=bool(emergencies),
        )

    def _needs_prices(self, loans: Sequence[Loan]) -> bool:
        """Whether one of those at their triggers does; where none is, whether one of all does."""
        if not is_one_sized_by_prices(loans):
            return False
        first, others = [loan for loan in loans if loan.is_pool], [loan for loan in loans if not loan.is_pool]
        return any(map(self._rulebook.is_in_need, first)) or not any(map(self._rulebook.is_in_need, others))

    def of_now(self, channel: Channel, now: Moment) -> dict[Channel, int]:
        """One history, as far back as it matters."""
        return {channel: self._since_ms(channel, (), now)}

    def _channels_of(self, products: Collection[Product]) -> set[Channel]:
        kinds = {Kind.ADJUSTMENT} | ({Kind.REPAYMENT} if self._rulebook.reads_repayments else set())
        if self._rulebook.repays_contracts and self._memory.contracts.fixed:
            kinds.add(Kind.FIXED_REPAYMENT)
        return {Channel(product, kind) for product in products for kind in kinds} & set(self._channels)

    def _is_judged_by(self, channel: Channel, intents: Sequence[Intent], now: Moment) -> bool:
        """Whether something open, or recently ended, can only be judged by this history."""
        if any(item.channel == channel and not is_beyond_history(item, now) for item in intents):
            return True
        if self._memory.freshness.has_landed_in(channel, now):
            return True
        if any(item.channel == channel for item in self._memory.rows.awaited()):
            return True
        if channel.product in self._memory.sales.doubted:
            return True
        last = self._memory.shelf.histories.get(channel)
        look_again = last is None or now.ms_since(last.began) > ABSENT_LOOK_MS
        return look_again and bool(self._memory.intents.absent(channel, now))

    def _since_ms(self, channel: Channel, intents: Sequence[Intent], now: Moment) -> int:
        now_ms = now.exchange_ms
        own = (item.created_at_ms for item in intents if item.channel == channel)
        oldest = min(own, default=now_ms)
        # Of transfers only our own matter, and those are known by their ids.
        back_ms = DAY_MS if channel.kind is Kind.TRANSFER else horizon_ms(self._rulebook)
        return max(min(oldest - DAY_MS, now_ms - back_ms), now_ms - HISTORY_KEPT_MS)


def is_beyond_history(intent: Intent, now: Moment) -> bool:
    """Whether its row, if there ever was one, is no longer shown."""
    return now.exchange_ms - intent.created_at_ms > HISTORY_KEPT_MS
