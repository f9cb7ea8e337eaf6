"""The soak's judge: what the exchange's ledger did against what the guard's journal says. Pure.

It knows nothing of how the guard decides. An effect is traced to its intent by the loan and the timestamp
that was signed; whether it was needed is judged by the exchange's own books and prices.

An effect was *needed* unless it leads past its target at every price that the guard may have decided on: from
`latest_s` before its read began to the moment of the effect. While prices fall the last of these is the
lowest, so an add is judged by the LTV that it left behind, without any slack; made twice, it would end below
the target by the whole of what it moved. The same holds for releases while prices rise.

One slack is the guard's own (core/freshness.py): it believes an LTV beside new collateral that differs from
what prices imply by no more than half of what the adjustment moved. The LTV of before gets so near only where
the market itself moved about as far in the seconds between. So the slack is the smaller of the two, and only
within `REMEMBERED_S` of the adjustment: one that is made twice, which is twice that half, is never within it.
Whatever went over rounding is told, though it be accepted.
"""

from __future__ import annotations

import copy
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Direction
from ltv_guard.sandbox.accounts import Loan
from ltv_guard.sandbox.records import Adjustment
from ltv_guard.sandbox.refusals import LEGACY, POOL

KINDS = {LEGACY: "order", POOL: "pool"}
UNMOVED = {State.WITHDRAWN, State.REJECTED, State.ABSENT}
ROUNDED = Decimal("0.001")  # of the collateral: the LTV's fourth digit, and the mark
NOTHING_BEFORE = (0, Decimal("-Infinity"), Decimal(0))
REMEMBERED_S = 12  # so long an adjustment may still be missing from what is shown, or from its LTV

# A user and one of the user's loans: every user's pool has the same id.
Name = tuple[str, str]
# Lowest and highest LTV of a loan, as it stands, at the prices between two times in real seconds.
Extremes = Callable[[Loan, Decimal, Decimal], tuple[Decimal, Decimal]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """An adjustment as it reached the exchange."""

    name: Name
    timestamp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Where adjustments lead. A rescue may lead past the add's target, but not below `rescue_floor`."""

    add: Decimal
    release: Decimal
    rescue_floor: Decimal
    latest_s: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What the exchange has written down. `first` holds the loans as they were at the start."""

    effects: Sequence[Adjustment]
    sent: Sequence[Sent]
    first: Mapping[Name, Loan]
    extremes: Extremes


@dataclass(slots=True, kw_only=True)
class Judgement:
    """`wrong` holds a sentence for everything that must not be; an empty one is a pass."""

    doubled: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    beyond: list[str] = field(default_factory=list)
    farthest: dict[str, Decimal] = field(default_factory=dict)
    over_rounding: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def wrong(self) -> list[str]:
        return [*self.doubled, *self.lost, *self.beyond]


def judge(intents: Iterable[Intent], books: Books, targets: Targets) -> Judgement:
    """Compares journal, wire and ledger, effect by effect."""
    found = Judgement()
    of_signature = {(name_of(item), str(item.signed_at_ms)): item for item in intents if item.signed_at_ms}
    _judge_wire(of_signature, books, found)
    of_intent: defaultdict[str, list[Adjustment]] = defaultdict(list)
    for row in books.effects:
        owner = of_signature.get((name_of_row(row), row.signed_at))
        if owner is None or (row.direction, row.coin, row.amount) != (
            owner.direction.value,
            owner.coin,
            owner.amount,
        ):
            found.lost.append(f"no intent is behind {told_row(row)}")
        else:
            of_intent[owner.intent_id].append(row)
    for intent in intents:
        _judge_intent(intent, of_intent[intent.intent_id], found)
    _judge_needs(of_signature, books, targets, found)
    return found


def _judge_wire(of_signature: Mapping[tuple[Name, str], Intent], books: Books, found: Judgement) -> None:
    left = Counter((item.name, item.timestamp) for item in books.sent)
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
    of_signature: Mapping[tuple[Name, str], Intent], books: Books, targets: Targets, found: Judgement
) -> None:
    """Replays every loan's effects in the order in which they landed."""
    loans = copy.deepcopy(dict(books.first))
    last: dict[Name, tuple[int, Decimal, Decimal]] = {}  # the one signed last: when, landed when, moved what
    rescued = {item.rescue_of for item in of_signature.values() if item.rescue_of is not None}
    for row in sorted(books.effects, key=lambda row: (row.applied_s or 0, row.adjust_id)):
        name = name_of_row(row)
        loan, intent = loans[name], of_signature.get((name, row.signed_at))
        loan.move(row.coin, row.amount if row.direction == "add" else -row.amount)
        if intent is None or row.applied_s is None or row.applied_ms is None:
            continue
        read_s = row.applied_s - Decimal(row.applied_ms - intent.observed_at_ms) / 1000
        lowest, highest = books.extremes(loan, read_s - targets.latest_s, row.applied_s)
        in_rescue = intent.rescue_of is not None or intent.intent_id in rescued
        if intent.direction is Direction.ADD:
            past = 1 - highest / (targets.rescue_floor if in_rescue else targets.add)
        else:
            past = lowest / targets.release - 1
        _, landed_s, move = last.get(name, NOTHING_BEFORE)
        recent = move if landed_s > read_s - REMEMBERED_S else Decimal(0)
        accepted = ROUNDED + min(recent / 2, highest / lowest - 1)
        this = (intent.signed_at_ms or 0, row.applied_s, abs(row.ltv_before / row.ltv_after - 1))
        last[name] = max(this, last.get(name, NOTHING_BEFORE))
        kind = f"{'rescue' if in_rescue else intent.direction.value}, {KINDS[row.product]}"
        found.farthest[kind] = max(past, found.farthest.get(kind, past))
        story = f"{past:.3%} past its target, {accepted:.3%} accepted: {told_intent(intent)}: {told_row(row)}"
        if past > ROUNDED:
            found.over_rounding[kind].append(story)
        if past > accepted:
            found.beyond.append(story)


def name_of(intent: Intent) -> Name:
    return intent.owner.user_id, intent.key.loan_id


def name_of_row(row: Adjustment) -> Name:
    return row.user, row.loan_id


def told_intent(intent: Intent) -> str:
    return (
        f"intent {intent.intent_id[:8]} {intent.state} of {'/'.join(name_of(intent))}: {intent.direction} "
        f"{intent.amount} {intent.coin} on {intent.coins_before} at LTV {intent.ltv_before}, "
        f"read {intent.observed_at_ms}, signed {intent.signed_at_ms}, rescue of {intent.rescue_of}"
    )


def told_row(row: Adjustment) -> str:
    return (
        f"row {row.adjust_id} of {'/'.join(name_of_row(row))}: {row.direction} {row.amount} {row.coin}, "
        f"signed {row.signed_at}, applied {row.applied_ms} LTV {row.ltv_before:.4f} -> {row.ltv_after:.4f}"
    )
