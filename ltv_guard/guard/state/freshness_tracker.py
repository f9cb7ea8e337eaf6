"""What was shown of the loans after our adjustments: since when it is fresh, doubted, or the same."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Channel, Debt, Direction, Loan, LoanKey, Moment
from ltv_guard.core.reconcile.coin_changes import DEBT_DRIFT, shown_coins
from ltv_guard.core.reconcile.expected_ltv import NOISE
from ltv_guard.core.reconcile.freshness import GROWTH
from ltv_guard.guard.state.intent_book import SETTLING_DOWN_MS, IntentBook, landed_lately

NONE = Decimal(0)


@dataclass(frozen=True, slots=True)
class OnceOwed:
    """What a loan owed when it was believed, the last time at `last_ms` (monotonic)."""

    debts: tuple[Debt, ...]
    last_ms: int

    def is_as(self, debts: tuple[Debt, ...]) -> bool:
        """Whether as much is owed, but for the interest of ten minutes."""
        was, now = amounts(self.debts), amounts(debts)
        return was.keys() == now.keys() and all(
            abs(now[coin] - amount) <= amount * GROWTH for coin, amount in was.items()
        )


@dataclass(slots=True)
class FreshnessTracker:
    """Mutable, owned by one guard. Times of day are exchange time, lengths of time monotonic, both ms.

    The echoes of an adjustment are over once facts were fresh for long enough; one is *let go* where what is
    shown can't be measured by it any more.
    """

    _book: IntentBook
    _fresh_since: dict[str, int] = field(default_factory=dict)
    _doubted_since: dict[str, int] = field(default_factory=dict)
    _echoes_over: set[str] = field(default_factory=set)
    _let_go: set[str] = field(default_factory=set)
    _shown: dict[Hashable, tuple[Decimal, int]] = field(default_factory=dict)
    _shown_as_before: set[LoanKey] = field(default_factory=set)
    _prices: dict[str, Decimal] = field(default_factory=dict)
    _owed: dict[LoanKey, tuple[OnceOwed, ...]] = field(default_factory=dict)

    def forget(self, intent_ids: Collection[str]) -> None:
        """Drops what is known of these intents."""
        self._echoes_over.difference_update(intent_ids)
        self._let_go.difference_update(intent_ids)
        for intent_id in intent_ids:
            self._fresh_since.pop(intent_id, None)
            self._doubted_since.pop(intent_id, None)
            self._prices.pop(intent_id, None)

    # The adjustments that what is shown is compared with.

    def landed(self, key: LoanKey, now: Moment) -> list[Intent]:
        """The loan's adjustments that landed and whose time before may still be shown, the latest last."""
        return [item for item in self.landed_lately(key, now) if item.intent_id not in self._echoes_over]

    def landed_lately(self, key: LoanKey, now: Moment) -> list[Intent]:
        """All that landed within ten minutes: old facts may turn up for as long, though fresh ones did."""
        ours = self._book.of_loan(key)
        if not ours:
            return []
        found = [item for item in ours if not self.is_let_go(item) and landed_lately(item, now)]
        return sorted(found, key=lambda item: item.signed_at_ms or 0)

    def under_way(self, key: LoanKey, now: Moment) -> list[Intent]:
        """The loan's adjustments that were accepted or landed lately: the loan shows them, or will."""
        accepted = (item for item in self._book.of_loan(key) if _is_accepted(item))
        return [*self.landed_lately(key, now), *accepted]

    def has_landed_in(self, channel: Channel, now: Moment) -> bool:
        """Whether an adjustment of that kind landed whose time before may still be shown."""
        return any(
            item.intent_id not in self._echoes_over and landed_lately(item, now)
            for item in self._book.of(channel)
        )

    def let_go(self, intents: Iterable[Intent]) -> None:
        """What is shown can't be measured by these any more."""
        self._let_go |= {item.intent_id for item in intents}

    def is_let_go(self, intent: Intent) -> bool:
        """Whether what is shown is no longer compared with this intent."""
        return intent.intent_id in self._let_go

    # Whether what was shown was believed.

    def saw(self, last: Intent, *, fresh: bool, at: Moment, long_enough_ms: int) -> None:
        """Notes a read of the loan after `last`; once they were fresh for long enough, none is doubted."""
        if not fresh:
            self._fresh_since.pop(last.intent_id, None)
            self._doubted_since.setdefault(last.intent_id, at.monotonic_ms)
            return
        self._doubted_since.pop(last.intent_id, None)
        since = self._fresh_since.setdefault(last.intent_id, at.monotonic_ms)
        if at.monotonic_ms - since >= long_enough_ms:
            self._fresh_since.pop(last.intent_id)
            self._echoes_over.add(last.intent_id)

    def believed(self, loan: Loan, at: Moment) -> None:
        """What is shown of it now is as fresh as can be told."""
        self._shown_as_before.discard(loan.key)
        once = self._owed.get(loan.key, ())
        lately = (item for item in once if at.monotonic_ms - item.last_ms < SETTLING_DOWN_MS)
        others = (item for item in lately if item.debts != loan.debts and not item.is_as(loan.debts))
        self._owed[loan.key] = (*others, OnceOwed(loan.debts, at.monotonic_ms))

    def doubt_again(self, key: LoanKey, intents: Iterable[Intent]) -> None:
        """The loan was shown as it was before them, after fresh facts were: their echoes are not over."""
        self._echoes_over -= {item.intent_id for item in intents}
        self._shown_as_before.add(key)

    def is_shown_as_before(self, key: LoanKey) -> bool:
        """Whether it is shown as it was before an adjustment that had been shown already."""
        return key in self._shown_as_before

    def doubted_for_ms(self, key: LoanKey, now: Moment) -> int:
        """How long what is shown of the loan has not been believed without a break."""
        since = [self._doubted_since.get(item.intent_id) for item in self.landed(key, now)]
        known = [item for item in since if item is not None]
        return now.monotonic_ms - min(known) if known else 0

    def each_doubted_for_ms(self, landed: Iterable[Intent], now: Moment) -> int:
        """How long each of `landed` has been doubted at least: the latest begins the wait anew."""
        since = [self._doubted_since.get(item.intent_id, now.monotonic_ms) for item in landed]
        return now.monotonic_ms - max(since, default=now.monotonic_ms)

    # What was shown.

    def saw_coins(self, intent: Intent, loan: Loan, at: Moment) -> None:
        """Notes how many of the coins that an adjustment moved the loan holds (owes, for a repayment)."""
        if self._since_ms(intent, loan) is None:
            coins, _ = shown_coins(intent, loan)
            self._shown[_coins_of(intent)] = (coins, at.monotonic_ms)

    def shown_for_ms(self, intent: Intent, loan: Loan, at: Moment) -> int:
        """How long as many of these coins, or nearly, had been shown by then without a break."""
        since_ms = self._since_ms(intent, loan)
        return 0 if since_ms is None else at.monotonic_ms - since_ms

    def _since_ms(self, intent: Intent, loan: Loan) -> int | None:
        coins, drift = shown_coins(intent, loan)
        within = drift if intent.direction is Direction.REPAY else Decimal(0)
        noted = self._shown.get(_coins_of(intent))
        return None if noted is None or abs(noted[0] - coins) > within else noted[1]

    def note_price(self, intent: Intent, prices: Mapping[str, Decimal] | None) -> None:
        """What its coin was worth (USD) when it was planned; None: no price was read."""
        if prices is not None and intent.coin in prices:
            self._prices[intent.intent_id] = prices[intent.coin]

    def price_has_moved(self, intent: Intent, prices: Mapping[str, Decimal] | None, by: Decimal) -> bool:
        """Whether its coin is known to be worth so much less or more than then; of 1, at least noise."""
        before, now = self._prices.get(intent.intent_id), (prices or {}).get(intent.coin)
        return before is not None and now is not None and abs(now - before) > max(by, NOISE) * before

    def was_believed(self, key: LoanKey) -> bool:
        """Whether the loan was believed once, so that what it owed then is known."""
        return key in self._owed

    def owes_less(self, loan: Loan) -> bool:
        """Whether less is owed of a coin, by more than interest moves, than whenever it was believed lately.

        Less than the last time it may be of before what was borrowed since.
        """
        now = amounts(loan.debts)
        once = [amounts(item.debts) for item in self._owed.get(loan.key, ())]
        return any(
            now.get(coin, NONE) < min(owed.get(coin, NONE) for owed in once) * (1 - DEBT_DRIFT)
            for coin in (once[-1] if once else ())
        )


def amounts(debts: Iterable[Debt]) -> dict[str, Decimal]:
    """By coin."""
    return {debt.coin: debt.amount for debt in debts}


def _coins_of(intent: Intent) -> Hashable:
    return intent.key, intent.channel.kind, intent.coin


def _is_accepted(item: Intent) -> bool:
    return item.state is State.ACCEPTED and item.direction is not Direction.TRANSFER
