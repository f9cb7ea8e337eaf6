"""Holds each confirmed adjustment against the history's LTVs: one that did the opposite stops its product."""

from __future__ import annotations

import structlog

from ltv_guard.core.model.history import HistoryRow
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Channel, Kind, Moment, Product
from ltv_guard.core.model.withheld import Why, Withheld
from ltv_guard.core.reconcile.polarity import Polarity, contradiction, polarity_of_all
from ltv_guard.guard.snapshot import Snapshot
from ltv_guard.guard.state.intent_book import IntentBook
from ltv_guard.log.alert_repeater import AlertRepeater

MEND = (
    "look at this adjustment in the exchange's app, and put right by hand what it did; then report it: the "
    "exchange takes `direction` the other way round than its documentation says. Watch these loans by hand"
)

MEND_REFUSED = (
    "add by hand, in the exchange's app: its history then tells what the directions mean, and where they are "
    "as meant, the guard goes on by itself. Run `ltv-guard check`"
)
REFUSED_OFTEN = 2  # once may be an odd answer
PROOF_MS = 10_000  # so long after the first adjustment its row is waited for before many leave at once

log = structlog.stdlib.get_logger()


class Directions:
    """Whether adds add and releases release, for each product, by what the exchange's own history says."""

    def __init__(self, intents: IntentBook, alerts: AlertRepeater) -> None:
        self._intents = intents
        self._alerts = alerts
        self._proven: set[Product] = set()
        self._first_sent_ms: dict[Product, int] = {}
        self._wrong: dict[Product, str] = {}
        self._refused: dict[Product, str] = {}
        self._refusals: dict[Product, int] = {}

    def sent(self, product: Product, now: Moment) -> None:
        """Notes when the first adjustment of a product left."""
        self._first_sent_ms.setdefault(product, now.monotonic_ms)

    def allow_another(self, product: Product, now: Moment) -> bool:
        """Whether a further adjustment may leave in the same cycle as one before.

        Not until a row has borne the directions out; but a history that fails must not slow a rescue long.
        """
        first_ms = self._first_sent_ms.get(product, now.monotonic_ms)
        return product in self._proven or now.monotonic_ms - first_ms >= PROOF_MS

    def are_proven(self, product: Product) -> bool:
        """Whether a row has borne them out."""
        return product in self._proven

    def why_not(self, product: Product) -> Withheld | None:
        """Why nothing may be written for this product, if so."""
        why = self._wrong.get(product) or self._refused.get(product)
        return None if why is None else Withheld(kind=Why.NEEDS_HUMAN, detail=why)

    def refused_as_release(self, intent: Intent, why: str) -> None:
        """An add was refused as too large a release. Twice is grave, where no row bears the directions out.

        The next row that does (the user's own hand makes one) ends it.
        """
        product = intent.key.product
        if product in self._proven:
            return
        self._refusals[product] = self._refusals.get(product, 0) + 1
        if self._refusals[product] >= REFUSED_OFTEN:
            self._refused[product] = (
                f"adds to {product} are refused as if they were releases ({why}): `direction` may mean the "
                f"opposite. Nothing more is sent for {product} until its history shows an adjustment that "
                "bears the directions out"
            )

    def look(self, snapshot: Snapshot) -> None:
        """At every history of adjustments that was read."""
        for channel, history in snapshot.histories.items():
            if channel.kind is Kind.ADJUSTMENT and channel.product in snapshot.books:
                self._look_at(channel, history.rows, snapshot)
        self.tell()

    def tell(self) -> None:
        """An alarm for each product whose directions are wrong, or refused as such."""
        for product, why in {**self._refused, **self._wrong}.items():
            mend = MEND if product in self._wrong else MEND_REFUSED
            self._alerts.grave(
                ("direction", product), why, "needs_human", why=why, mend=mend, ret_code=None, product=product
            )

    def _look_at(self, channel: Channel, rows: tuple[HistoryRow, ...], snapshot: Snapshot) -> None:
        product = channel.product
        ours = self._intents.of(channel)
        found = contradiction(ours, rows, snapshot.books[product].loans)
        if found is not None:
            intent, row = found
            self._wrong[product] = (
                f"an adjustment of {product} did the opposite of what was meant: {intent.direction} "
                f"{intent.amount:f} {intent.coin} took the LTV of {intent.key.loan_id} "
                f"from {row.ltv_before:f} to {row.ltv_after:f} (row {row.adjust_id}). "
                f"Nothing more is sent for {product}"
            )
            return
        was_wrong = self._wrong.pop(product, None) is not None
        if polarity_of_all(rows) is Polarity.AS_MEANT:
            self._proven.add(product)
            was_wrong = self._refused.pop(product, None) is not None or was_wrong
        if was_wrong and product not in self._refused:
            self._alerts.ended(("direction", product))
            log.warning("human_not_needed", product=product, why="the directions are borne out after all")
