"""Whether what is shown of a loan includes what we did to it. Reads what is remembered, and notes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from ltv_guard.core.amounts.composition import composition_of
from ltv_guard.core.model.history import HistoryRow
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Direction, Loan, Moment
from ltv_guard.core.reconcile.balance_match import planned_since
from ltv_guard.core.reconcile.expected_ltv import NOISE, expected_ltv
from ltv_guard.core.reconcile.freshness import (
    FRESH,
    Doubt,
    Freshness,
    doubted_coins,
    doubted_ltv,
    shows_before,
    sold_since,
)
from ltv_guard.core.reconcile.settlement import SettlementTimeouts
from ltv_guard.guard.snapshot import Snapshot
from ltv_guard.guard.state.memory import Memory

COARSE = 1000  # steps of a coin: another amount of so few may be equal to it by chance
EXPLAINS = Decimal("0.5")  # of what an adjustment moved: a price that did less has not brought the LTV back
LONGEST_PROCESSING_MS = 30_000  # an adjustment that takes the exchange longer is as good as lost
MEASURED_BY = 4  # of the adjustments that landed lately: a coarse coin may have had a hundred


@dataclass(frozen=True, slots=True)
class Comparison:
    """A read of a loan, held against what landed. `let_go`: it can't be measured by these any more."""

    shown: Freshness
    let_go: tuple[Intent, ...] = ()


class FreshnessJudge:
    """Holds each loan against the adjustments that landed. `assumed` are the configured margins."""

    def __init__(self, memory: Memory, assumed: SettlementTimeouts) -> None:
        self._seen = memory.freshness
        self._intents = memory.intents
        self._rows = memory.rows
        self._shelf = memory.shelf
        self._contracts = memory.contracts
        self._lateness = memory.lateness
        self._assumed = assumed

    def shown_before(self, loan: Loan, now: Moment) -> Sequence[Intent]:
        """Adjustments whose time before is shown again, though what was shown since was fresh.

        Exchanges answer from several places, and one of them may be a minute behind the others.
        """
        echoing = {item.intent_id for item in self._seen.landed(loan.key, now)}
        lately = self._seen.landed_lately(loan.key, now)
        over = [item for item in lately if item.intent_id not in echoing]
        rows = self._rows_of(loan) if over else ()
        back = [
            item
            for item in _that_measure(over)
            if shows_before(loan, item, rows, planned_since(item, lately))
        ]
        # What is older than one of them is older than all that followed it.
        return over[over.index(back[0]) :] if back else ()

    def compare(
        self, loan: Loan, landed: Sequence[Intent], snapshot: Snapshot, *, emergency: bool
    ) -> Comparison:
        """Whether the loan shows all of `landed`, the latest last: an add, and its rescue."""
        began = snapshot.asked_at(loan.key)
        rows = self._rows_of(loan)
        lately = self._seen.landed_lately(loan.key, began)
        measuring = _that_measure(landed)
        for item in measuring:
            steady = self._is_steady(loan, item, began)
            doubt = doubted_coins(loan, item, rows, steady=steady, later=planned_since(item, lately))
            if doubt is None or (doubt.doubt is Doubt.UNTOLD_COLLATERAL and sold_since(loan, item, lately)):
                continue  # whether it shows a repayment that took collateral, its debt tells
            sold_ms = self._seen.each_doubted_for_ms(landed, began)
            if doubt.is_old and self._is_true_now(loan, item, sold_ms, emergency=emergency):
                return Comparison(FRESH, let_go=tuple(landed))
            return Comparison(doubt)
        *earlier, last = measuring
        found = doubted_ltv(loan, last, rows, snapshot.prices, beside=self._intents.beside(last))
        back = found.as_before
        if back is not None and not self._seen.price_has_moved(last, snapshot.prices, back * EXPLAINS):
            found = found.as_lagging()
        if found.fresh and snapshot.prices is not None:
            # It may have moved little, or prices undone it: an LTV of before a larger one is old, too.
            ltvs = (
                doubted_ltv(loan, item, rows, snapshot.prices, beside=self._intents.beside(item))
                for item in earlier
            )
            found = next((doubt for doubt in ltvs if not (doubt.fresh or doubt.harmless)), found)
        return Comparison(found)

    def does_not_fit(self, loan: Loan, landed: Sequence[Intent], began: Moment) -> bool:
        """Whether the journal is of another exchange, or another time: in an emergency nobody waits for it.

        It says that an adjustment was confirmed, and no history shows its row, nor did the loan ever show its
        coins to this process: old replicas of both may answer for half a minute.
        """
        if self._seen.was_believed(loan.key):
            return False
        steady = all(self._is_steady(loan, item, began) for item in landed)
        return steady and bool(self._shelf.lacked_throughout(landed, self.misfit_ms))

    def may_not_wait(
        self, landed: Sequence[Intent], found: Freshness, now: Moment, *, emergency: bool
    ) -> bool:
        """Whether an LTV that prices do not confirm is believed all the same: it was doubted for long enough.

        In an emergency, for spot prices and the exchange's own part most when it matters most; and where
        being wrong would add next to nothing. Adding too much can be undone, and in an emergency
        nothing is released. An LTV near where the adjustment leads waits for prices below an emergency only.
        While the exchange says that it is still at an adjustment, it has moved no LTV.
        """
        if found.as_led and emergency:
            return True
        is_enough = emergency or found.harmless or found.as_led or found.as_before is not None
        return (
            found.collateral_is_new
            and (is_enough or found.is_uncounted)
            and self._seen.each_doubted_for_ms(landed, now) > self.echo_ms
            and not any(self._is_processed(item, now) for item in landed)
        )

    def may_precede_repayment(self, loan: Loan, snapshot: Snapshot, now: Moment) -> bool:
        """Whether a repayment landed lately, the LTV is below where that led, and no prices bear it out.

        The market has risen, and there is time; or an LTV of before lies there by chance.
        """
        since_ms = snapshot.asked_at(loan.key).exchange_ms - self.echo_ms
        landed = self._seen.landed_lately(loan.key, now)
        ended_ms = [item.updated_at_ms for item in landed if item.direction is Direction.REPAY]
        if not any(since_ms < ms <= now.exchange_ms for ms in ended_ms):
            return False
        last, prices = landed[-1], snapshot.prices
        led = expected_ltv(loan, last, self._rows_of(loan), prices or {})
        is_below = led is not None and loan.ltv < led.ltv * (1 - NOISE)
        return is_below and not composition_of(loan).implied_ltvs(last.coin, prices)

    def _is_processed(self, item: Intent, now: Moment) -> bool:
        waited_ms = now.exchange_ms - (item.signed_at_ms or 0)
        return waited_ms < LONGEST_PROCESSING_MS and self._rows.is_processed(item)

    def _is_true_now(self, loan: Loan, item: Intent, doubted_ms: int, *, emergency: bool) -> bool:
        """Whether coins are as few as before the adjustment for a liquidation took as many: it pays debt too.

        A debt is as large as before a repayment where as much was borrowed since, of which no row tells: in
        an emergency that is believed once it was shown for much longer than old facts can be.
        Of a coarse coin that is no rare chance. It has to be shown for longer than old facts can be; where
        this process never believed the loan, so that what was owed is not known, for much longer. What landed
        last begins the wait anew: of its own coins an old read knows nothing.
        """
        if item.direction is Direction.REPAY:
            return doubted_ms > 2 * self.misfit_ms and emergency
        if self._seen.was_believed(loan.key):
            return doubted_ms > self.echo_ms and self._seen.owes_less(loan)
        return doubted_ms > 2 * self.misfit_ms and emergency and _is_coarse(item, loan)

    def _rows_of(self, loan: Loan) -> Sequence[HistoryRow]:
        """All that is known to have moved its coins."""
        return (*self._rows.of(loan.key), *self._contracts.turned_flexible(loan.key))

    def _is_steady(self, loan: Loan, item: Intent, began: Moment) -> bool:
        return self._seen.shown_for_ms(item, loan, began) > self.echo_ms

    @property
    def echo_ms(self) -> int:
        """How long facts from before an adjustment may go on being shown."""
        return self._lateness.timeouts(self._assumed).echo_ms

    @property
    def misfit_ms(self) -> int:
        """After how long a loan that does not fit its adjustments is told."""
        return self._lateness.timeouts(self._assumed).misfit_ms


def _that_measure(landed: Sequence[Intent]) -> Sequence[Intent]:
    """Those that tell old facts: what was there before any was there before the first, or the last ones."""
    return landed if len(landed) <= MEASURED_BY else [landed[0], *landed[1 - MEASURED_BY :]]


def _is_coarse(item: Intent, loan: Loan) -> bool:
    held = loan.collateral_in(item.coin)
    return held is not None and item.amount <= COARSE * held.step
