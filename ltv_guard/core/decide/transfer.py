"""Coins of the Unified account: which, and how much, is moved to Funding, to be added next. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from ltv_guard.core.amounts.fingerprint import most_above
from ltv_guard.core.amounts.rounding import whole_steps, whole_steps_up
from ltv_guard.core.decide.budget import FundsBudget, tightest
from ltv_guard.core.decide.decision import Cause, Decision
from ltv_guard.core.decide.shortfall import Shortfall
from ltv_guard.core.model.loans import Collateral, Direction

UNREAD = "the Unified account could not be read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Coins to move. With them `usable` can be added, which gains `gain`; `held_back` says why not more."""

    held: Collateral
    amount: Decimal
    usable: Decimal
    gain: Decimal
    is_enough: bool
    held_back: tuple[str, ...]


def decide_transfer(need: Shortfall, budget: FundsBudget, short: Decision) -> Decision:
    """What moving coins here can do where nothing can be added (`short`); `short` with a note if nothing.

    A transfer that is under way is waited for; in an emergency not for one that may never end.
    """
    if not budget.transfers_allowed:
        return short
    coins = [held for held in need.facts.policy.candidates(need.loan) if held.coin not in need.facts.refused]
    for held in coins:
        awaited = budget.on_the_way(held.coin)
        if awaited is not None and not (need.emergency and budget.is_overdue(held.coin)):
            why = f"waiting for {awaited.amount:f} {held.coin} from the Unified account ({awaited.state})"
            return _wait(short, f"{need.reason}, {why}")
    if budget.unified_unread:
        return _unread(need, short, UNREAD)
    moves = [_move(need, held, budget) for held in coins if budget.on_the_way(held.coin) is None]
    useful = [move for move in moves if move.amount > 0 and move.gain >= need.least]
    best = next((move for move in useful if move.is_enough), None)
    best = best or max(useful, key=lambda move: move.gain, default=None)
    if best is None:
        return _nothing_to_move(need, budget, short, moves)
    return _decision(need, budget, short, best)


def _nothing_to_move(
    need: Shortfall, budget: FundsBudget, short: Decision, moves: Iterable[Move]
) -> Decision:
    candidates = need.facts.policy.candidates(need.loan)
    coins = [held.coin for held in candidates if held.coin not in need.facts.refused]
    if any(budget.is_moving(coin) for coin in coins):
        return _wait(short, f"{need.reason}, and the coins to be moved are spoken for")
    unread = next((coin for coin in coins if budget.is_unread_there(coin)), None)
    if unread is not None:
        return _unread(need, short, f"the Unified account's {unread} could not be read")
    notes = tuple(note for move in moves for note in move.held_back)
    return replace(short, held_back=(*short.held_back, *notes))


def _unread(need: Shortfall, short: Decision, note: str) -> Decision:
    """What is paid back is gone: not for a read that failed once."""
    cause = Cause.SHORT if need.emergency else Cause.WALLET_UNREAD
    return replace(short, cause=cause, held_back=(*short.held_back, note))


def _wait(short: Decision, reason: str) -> Decision:
    return replace(short, cause=Cause.TRANSFER, reason=reason, missing=Decimal(0), held_back=())


def _decision(need: Shortfall, budget: FundsBudget, short: Decision, best: Move) -> Decision:
    coin = best.held.coin
    budget.move(coin, best.amount, best.usable)
    missing = Decimal(0) if best.is_enough else max(Decimal(0), short.missing - best.amount)
    return replace(
        short,
        cause=Cause.TRANSFER,
        direction=Direction.TRANSFER,
        reason=f"{need.reason}: moving {best.amount:f} {coin} from the Unified account, to be added next",
        coin=coin,
        amount=best.amount,
        ceiling=best.amount,
        missing=missing,
        held_back=best.held_back,
    )


def _move(need: Shortfall, held: Collateral, budget: FundsBudget) -> Move:
    """As much of the coin as is missing here for it to bring the loan to its target."""
    coin, model = held.coin, need.model
    if budget.is_unread(coin) or budget.is_unread_there(coin):
        return _nothing(held, "")  # how much is missing here, or there is to be moved, is not known
    if not model.measures(held):
        return _nothing(held, f"{coin} has no price or no terms as collateral")
    wanted = model.toward(held, need.value)
    spare = most_above(held.accuracy, max(held.amount, wanted))
    # The day's cap on adding holds for what is moved here, too: more would only lie here.
    goal = min(wanted + spare, tightest(budget.cap_on_adding(coin, emergency=need.emergency)))
    most = need.facts.policy.limits.max_add.get(coin)
    if most is not None and model.gain(held, whole_steps(most, held.step)) < need.least:
        return _nothing(held, "")  # nothing of it would be added
    lacking = budget.lacks(coin, goal, emergency=need.emergency)
    if lacking <= 0:
        return _nothing(held, "")
    limits = budget.limits_on_moving(coin)
    amount = whole_steps(min(whole_steps_up(lacking, held.step), tightest(limits)), held.step)
    held_back = tuple(f"{name} leaves {limit} {coin}" for limit, name in limits if limit < lacking)
    usable = max(Decimal(0), goal - (lacking - amount))
    return Move(
        held=held,
        amount=amount,
        usable=min(usable, goal),
        gain=model.gain(held, min(usable, goal)),
        is_enough=amount >= lacking and goal >= wanted,
        held_back=held_back,
    )


def _nothing(held: Collateral, note: str) -> Move:
    return Move(
        held=held,
        amount=Decimal(0),
        usable=Decimal(0),
        gain=Decimal(0),
        is_enough=False,
        held_back=(note,) if note else (),
    )


def pooled(decisions: Iterable[Decision]) -> tuple[Decision, ...]:
    """The decisions with one transfer a coin: the first that asks moves for all, the others wait for it."""
    every = list(decisions)
    totals: dict[str | None, Decimal] = {}
    for item in every:
        if item.direction is Direction.TRANSFER:
            totals[item.coin] = totals.get(item.coin, Decimal(0)) + item.amount
    merged = []
    for item in every:
        if item.direction is not Direction.TRANSFER:
            merged.append(item)
        elif item.coin in totals:
            total = totals.pop(item.coin)
            merged.append(replace(item, amount=total, ceiling=total))
        else:
            merged.append(replace(item, direction=None, amount=Decimal(0)))
    return tuple(merged)
