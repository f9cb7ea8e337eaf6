"""What the tests of adding, moving and repaying share: who may do what, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from exchange_model import POLICY, Crash, World, key_of

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.intents import State
from ltv_guard.core.model.loans import Direction, LoanKey
from ltv_guard.core.model.policy import RepayRule, TransferRules
from ltv_guard.guard.cycle import Guard

ONE, TWO = key_of(1), key_of(2)
TARGET = Decimal("0.65")
MOVES = TransferRules(enabled=True)
PAYS = replace(POLICY, repay=RepayRule(enabled=True))
WAITED = ("write:plan:1", "write:mark_sent:1", "write:plan:2", "write:mark_sent:2")  # where the signing waits
CRASHES = [
    *("write:write_sent:1", "before_send", "after_send", "write:record:1"),
    *("write:record:2", "write:write_sent:2", "write:record:3", "write:write_episodes:1"),
    *WAITED,
]
ADD, REPAY, TRANSFER = Direction.ADD, Direction.REPAY, Direction.TRANSFER


def sent(world: World) -> list[Direction]:
    return [item.direction for item in world.sent]


def landed(world: World) -> list[Direction]:
    directions = {item.intent_id: item.direction for item in world.sent}
    return [directions[intent_id] for intent_id in world.applied]


def states(journal: MemoryJournal, direction: Direction) -> list[State]:
    held = sorted(journal.snapshot().intents.values(), key=lambda item: (item.created_at_ms, item.intent_id))
    return [item.state for item in held if item.direction is direction]


def at_target(world: World, key: LoanKey = ONE) -> bool:
    return TARGET - Decimal("0.001") <= world.ltv(key) <= TARGET


async def cycles(guard: Guard, world: World, count: int = 30, ms: int = 2_000) -> None:
    for _ in range(count):
        await guard.cycle()
        world.advance(ms)


def crossed_with_answers(places: Iterable[str], answers: Sequence[str]) -> list[tuple[str, str]]:
    """Each place of a crash with each answer; where nothing has left yet, with the first two."""
    return [(place, answer) for place in places for answer in answers[: 2 if place in WAITED else None]]


def crashing(world: World, journal: MemoryJournal, where: str) -> None:
    """Lets the process die at that write of the journal, or around the send."""
    if not where.startswith("write:"):
        world.crash_at = where
        return
    _, wanted, number = where.split(":")
    left = [int(number)]
    world.slow_signings = left[0] if wanted in {"plan", "mark_sent"} else 0

    def crash(name: str) -> None:
        left[0] -= name == wanted
        if name == wanted and left[0] == 0:
            raise Crash

    journal.on_write = crash
