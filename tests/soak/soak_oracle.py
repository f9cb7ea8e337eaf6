"""The soak's judge: what the exchange's ledger did against what the guard's journal says. Pure.

It knows nothing of how the guard decides. An effect is traced to its intent by the loan and the timestamp
that was signed; whether it was needed is judged by the exchange's own books and prices.

An effect was *needed* unless it leads past its target at every price that the guard may have decided on: from
`latest_s` before its read began to the moment of the effect. While prices fall the last of these is the
lowest, so an add is judged by the LTV that it left behind, without any slack; made twice, it would end below
the target by the whole of what it moved. The same holds for releases while prices rise.

Two slacks are the guard's own (core/freshness.py). New collateral shown beside an LTV of before can't be told
from a market that moved by up to half of the last adjustment; and an add that moved the LTV by less than 3 %
is not told from the spread of prices at all. So much, and no more, may be adjusted twice within
`REMEMBERED_S` of an adjustment. The table counts what went over rounding, though it be within them.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ltv_guard.core.intents import Intent, State
from ltv_guard.core.loans import Direction
from ltv_guard.sandbox.records import Adjustment

UNMOVED = {State.WITHDRAWN, State.REJECTED, State.ABSENT}
ROUNDED = Decimal("0.001")  # of the collateral: the LTV's fourth digit, and the mark
SPREAD = {Direction.ADD: Decimal("0.03"), Direction.REDUCE: Decimal("0.002")}
CONTINUOUS = {Direction.ADD: Decimal("0.08"), Direction.REDUCE: Decimal("0.03")}
REMEMBERED_S = 12  # so long an adjustment may still be missing from what is shown, or from its LTV

# Lowest and highest USD price of a coin between two times in real seconds of the exchange.
Extremes = Callable[[str, Decimal, Decimal], tuple[Decimal, Decimal]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Where adjustments lead. A rescue may lead past the add's target, but not below `rescue_floor`."""

    add: Decimal
    release: Decimal
    rescue_floor: Decimal
    latest_s: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What the exchange has written down. `first` is what each loan held and owed (USD) at the start."""

    effects: Sequence[Adjustment]
    sent: Sequence[Mapping[str, Any]]
    first: Mapping[str, tuple[Decimal, Decimal]]
    extremes: Extremes


@dataclass(slots=True, kw_only=True)
class Judgement:
    """`wrong` holds a sentence for everything that must not be; an empty one is a pass."""

    doubled: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    beyond: list[str] = field(default_factory=list)
    farthest: dict[str, Decimal] = field(default_factory=dict)
    over_rounding: Counter[str] = field(default_factory=Counter)

    @property
    def wrong(self) -> list[str]:
        return [*self.doubled, *self.lost, *self.beyond]


def judge(intents: Iterable[Intent], books: Books, targets: Targets) -> Judgement:
    """Compares journal, wire and ledger, effect by effect."""
    found = Judgement()
    of_signature = {(item.key.loan_id, str(item.signed_at_ms)): item for item in intents if item.signed_at_ms}
    _judge_wire(of_signature, books, found)
    of_intent: defaultdict[str, list[Adjustment]] = defaultdict(list)
    for row in books.effects:
        owner = of_signature.get((row.loan_id, row.signed_at))
        if owner is None or (row.direction, row.amount) != (owner.direction.value, owner.amount):
            found.lost.append(f"no intent is behind {told_row(row)}")
        else:
            of_intent[owner.intent_id].append(row)
    for intent in intents:
        _judge_intent(intent, of_intent[intent.intent_id], found)
    _judge_needs(of_signature, books, targets, found)
    return found


def _judge_wire(of_signature: Mapping[tuple[str, str], Intent], books: Books, found: Judgement) -> None:
    left = Counter((json.loads(item["payload"])["orderId"], item["timestamp"]) for item in books.sent)
    found.doubled += [f"sent {times} times: {key}" for key, times in left.items() if times > 1]
    found.lost += [f"sent, and not written down: {key}" for key in left if key not in of_signature]


def _judge_intent(intent: Intent, rows: Sequence[Adjustment], found: Judgement) -> None:
    story = f"{told_intent(intent)}: {[told_row(row) for row in rows]}"
    if len(rows) > 1:
        found.doubled.append(f"{len(rows)} effects of {story}")
    if intent.state is State.CONFIRMED and [str(row.adjust_id) for row in rows] != [intent.adjust_id]:
        found.lost.append(f"confirmed is not what happened to {story}")
    if intent.state in UNMOVED and rows:
        found.lost.append(f"an effect that the journal denies: {story}")
    if intent.is_open or intent.state is State.AMBIGUOUS:
        found.lost.append(f"never settled: {story}")


def _judge_needs(
    of_signature: Mapping[tuple[str, str], Intent], books: Books, targets: Targets, found: Judgement
) -> None:
    """Replays every loan's effects in the order in which they landed."""
    held = {loan_id: collateral for loan_id, (collateral, _) in books.first.items()}
    moved: dict[str, list[tuple[Decimal, Decimal]]] = defaultdict(list)
    rescued = {item.rescue_of for item in of_signature.values() if item.rescue_of is not None}
    for row in sorted(books.effects, key=lambda row: (row.applied_s or 0, row.adjust_id)):
        before = held[row.loan_id]
        held[row.loan_id] += row.amount if row.direction == "add" else -row.amount
        intent = of_signature.get((row.loan_id, row.signed_at))
        if intent is None or row.applied_s is None or row.applied_ms is None:
            continue
        read_s = row.applied_s - Decimal(row.applied_ms - intent.observed_at_ms) / 1000
        lowest, highest = books.extremes(row.coin, read_s - targets.latest_s, row.applied_s)
        debt = books.first[row.loan_id][1]
        in_rescue = intent.rescue_of is not None or intent.intent_id in rescued
        if intent.direction is Direction.ADD:
            floor = targets.rescue_floor if in_rescue else targets.add
            past = 1 - debt / (held[row.loan_id] * lowest) / floor
        else:
            past = debt / (held[row.loan_id] * highest) / targets.release - 1
        recent = [share for at_s, share in moved[row.loan_id] if at_s > read_s - REMEMBERED_S]
        moved[row.loan_id].append((row.applied_s, row.amount / before))
        kind = "rescue" if in_rescue else intent.direction.value
        found.farthest[kind] = max(past, found.farthest.get(kind, past))
        found.over_rounding[kind] += past > ROUNDED
        if past > ROUNDED + _accepted(intent.direction, max(recent, default=Decimal(0))):
            found.beyond.append(f"{past:.3%} past its target: {told_intent(intent)}: {told_row(row)}")


def _accepted(direction: Direction, last: Decimal) -> Decimal:
    """How far facts may mislead after an adjustment by `last` of the collateral, by the guard's own rules."""
    return max(SPREAD[direction], min(CONTINUOUS[direction], last / 2)) if last else Decimal(0)


def told_intent(intent: Intent) -> str:
    return (
        f"intent {intent.intent_id[:8]} {intent.state} loan {intent.key.loan_id} {intent.direction} "
        f"{intent.amount} {intent.coin} on {intent.collateral_before} at LTV {intent.ltv_before}, "
        f"read {intent.observed_at_ms}, signed {intent.signed_at_ms}, rescue of {intent.rescue_of}"
    )


def told_row(row: Adjustment) -> str:
    return (
        f"row {row.adjust_id} loan {row.loan_id} {row.direction} {row.amount} signed {row.signed_at} "
        f"applied {row.applied_ms} LTV {row.ltv_before:.4f} -> {row.ltv_after:.4f}"
    )
