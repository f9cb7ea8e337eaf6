"""The facts a cycle gathers: what is shown must include all that landed lately, not only the last of it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from exchange_model import START_MS, key_of

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.history import History, HistoryRow
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import (
    Channel,
    Collateral,
    Debt,
    Direction,
    Kind,
    Loan,
    Moment,
    Owner,
    Product,
)
from ltv_guard.core.model.policy import Rulebook, thresholds
from ltv_guard.core.reconcile.settlement import SettlementTimeouts
from ltv_guard.guard.appraisal import Appraisal
from ltv_guard.guard.appraised import Appraised
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.freshness_judge import FreshnessJudge
from ltv_guard.guard.snapshot import Snapshot
from ltv_guard.guard.state.memory import Memory
from ltv_guard.log.alert_repeater import AlertRepeater

ONE = key_of(1)
FIRST, RESCUE = Decimal("0.06953211"), Decimal("0.09945102")
BEFORE = Decimal("0.71473813")


def landed(name: str, amount: Decimal, at_ms: int, rescue_of: str | None = None) -> Intent:
    return Intent(
        intent_id=name,
        owner=Owner("testnet", "7"),
        account="main",
        key=ONE,
        direction=Direction.ADD,
        coin="BTC",
        amount=amount,
        state=State.CONFIRMED,
        reason="",
        coins_before=BEFORE,
        ltv_before=Decimal("0.76"),
        observed_at_ms=at_ms - 200,
        seen_ids=frozenset(),
        created_at_ms=at_ms,
        updated_at_ms=at_ms + 4_000,
        signed_at_ms=at_ms,
        recv_window_ms=1_000,
        adjust_id=name,
        rescue_of=rescue_of,
        ltv_after=Decimal("0.66"),
    )


def row(name: str, amount: Decimal, at_ms: int) -> HistoryRow:
    return HistoryRow(
        adjust_id=name,
        key=ONE,
        coin="BTC",
        direction=Direction.ADD,
        amount=amount,
        at_ms=at_ms,
        ltv_before=Decimal("0.76"),
        ltv_after=Decimal("0.66"),
    )


@pytest.mark.parametrize(
    ("shown", "fresh"),
    [(BEFORE + FIRST + RESCUE, True), (BEFORE + RESCUE, False), (BEFORE + FIRST, False), (BEFORE, False)],
)
def test_after_an_add_and_its_rescue_both_must_be_there(shown: Decimal, fresh: bool) -> None:  # noqa: FBT001
    """Found by the soak: the add landed after its rescue, and a read showed the rescue alone."""
    memory = Memory(MemoryJournal())
    memory.intents.remember(
        [landed("add", FIRST, START_MS), landed("rescue", RESCUE, START_MS + 3_000, "add")]
    )
    now = Moment(exchange_ms=START_MS + 7_500, monotonic_ms=7_500)
    memory.shelf.histories[Channel(Product.LEGACY, Kind.ADJUSTMENT)] = History(
        rows=(row("add", FIRST, START_MS), row("rescue", RESCUE, START_MS + 3_000)), began=now
    )
    total = BEFORE + FIRST + RESCUE
    loan = Loan(
        key=ONE,
        ltv=(Decimal("0.65") * total / shown).quantize(Decimal("0.0001")),
        collateral=(Collateral(coin="BTC", amount=shown, accuracy=8),),
        debts=(Debt(coin="USDT", amount=Decimal("0.65") * total * 50_000),),
        margin_call_ltv=Decimal("0.87"),
        liquidation_ltv=Decimal("0.95"),
    )
    snapshot = Snapshot(
        books={Product.LEGACY: LoanBook(product=Product.LEGACY, loans=(loan,), began=now)},
        prices={"BTC": Decimal(50_000), "USDT": Decimal(1)},
    )
    appraisal = Appraisal(
        Rulebook(),
        memory,
        FreshnessJudge(memory, SettlementTimeouts()),
        Defects(AlertRepeater(lambda: now.monotonic_ms)),
        longest_gap_ms=0,
    )
    appraisal.appraise(snapshot, now)
    found = snapshot.appraised[ONE]
    assert isinstance(found, Appraised)
    assert found.freshness.fresh is fresh


def test_loans_share_their_thresholds_where_policy_and_margin_call_are_the_same() -> None:
    """Of a thousand loans they are one object, and not worked out anew in each cycle."""
    now = Moment(exchange_ms=START_MS, monotonic_ms=0)
    loans = tuple(
        Loan(
            key=key_of(number),
            ltv=Decimal("0.5"),
            collateral=(Collateral(coin="BTC", amount=Decimal(1), accuracy=8),),
            debts=(),
            margin_call_ltv=Decimal(margin_call),
            liquidation_ltv=Decimal("0.95"),
        )
        for number, margin_call in ((1, "0.87"), (2, "0.87"), (3, "0.7"))
    )
    snapshot = Snapshot(books={Product.LEGACY: LoanBook(product=Product.LEGACY, loans=loans, began=now)})
    memory, alerts = Memory(MemoryJournal()), AlertRepeater(lambda: now.monotonic_ms)
    judge = FreshnessJudge(memory, SettlementTimeouts())
    Appraisal(Rulebook(), memory, judge, Defects(alerts), longest_gap_ms=0).appraise(snapshot, now)
    found = [item.limits for item in snapshot.appraised.values() if isinstance(item, Appraised)]
    assert found == [thresholds(Rulebook().policy_for(loan), loan) for loan in loans]
    assert found[0] is found[1]
