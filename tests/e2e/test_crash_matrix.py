"""The daemon as a process of its own, killed at every step of an adjustment, and started again.

SIGKILL leaves nothing to clean up with: what was committed is all that the next start knows. Most second
starts are in this process, for the time that it saves: of the first one nothing is left but the journal.
"""

from __future__ import annotations

import signal
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from e2e_world import NEEDY, SLACK, TARGETS, World, command, scenario_of

if TYPE_CHECKING:
    from conftest import OpenWorld

KILLED = Path(__file__).parent / "e2e_killed.py"

LOST_REQUEST = {"kind": "close_before"}
LOST_ANSWER = {"kind": "close_after"}
REFUSED = {"kind": "ret_code", "code": 177011, "applied": False}

# What is killed, and a fault of the exchange that leads there.
STEPS: list[tuple[str, dict[str, Any] | None]] = [
    ("write_episode", None),
    ("plan", None),
    ("mark_sent", None),
    ("send", None),
    ("send", LOST_ANSWER),
    ("send", LOST_REQUEST),
    ("record:accepted", None),
    ("record:confirmed", None),
    ("record:unknown", LOST_ANSWER),
    ("record:unknown", LOST_REQUEST),
    ("record:confirmed", LOST_ANSWER),
    ("record:absent", LOST_REQUEST),
    ("record:rejected", REFUSED),
]


RISKY = {"mark_sent", "send", "record:accepted", "record:unknown"}


def named(direction: str, step: str, fault: dict[str, Any] | None) -> str:
    return f"{direction}, {step}" if fault is None else f"{direction}, {step}, {fault['kind']}"


# A release takes the same way as an add: those steps where bytes may or may not have left.
CASES = [("add", *item) for item in STEPS] + [("reduce", *item) for item in STEPS if item[0] in RISKY]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("direction", "step", "fault"), CASES, ids=[named(*item) for item in CASES])
async def test_killed_at_any_step_it_neither_repeats_nor_forgets(
    open_a_world: OpenWorld, step: str, fault: dict[str, Any] | None, when: str, direction: str
) -> None:
    async with open_a_world(scenario_of(NEEDY[direction])) as world:
        if fault is not None:
            world.fault(endpoint="adjust", **fault)
        await is_killed(world, when, step)
        await goes_on_by_itself(world, direction)
        await was_kept_whole(world, direction)


@pytest.mark.parametrize("direction", ["add", "reduce"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_killed_again_while_it_takes_over(open_a_world: OpenWorld, when: str, direction: str) -> None:
    async with open_a_world(scenario_of(NEEDY[direction])) as world:
        await is_killed(world, "after", "send")
        await is_killed(world, when, "record:unknown")
        await is_killed(world, when, "record:confirmed")
        await goes_on_by_itself(world, direction)
        await was_kept_whole(world, direction)
        assert len(await world.intents()) == 1


@pytest.mark.parametrize("direction", ["add", "reduce"])
async def test_killed_while_a_request_is_on_its_way_that_lands_after_the_restart(
    open_a_world: OpenWorld, direction: str
) -> None:
    async with open_a_world(scenario_of(NEEDY[direction])) as world:
        world.fault("apply_late", endpoint="adjust", delay_s="2.5", answer="hung")
        world.configure({"settlement": {"processing_margin_s": 2}})
        async with command("run", "-c", world.config_file) as daemon:
            await world.until(lambda: bool(world.adjustments_sent()))
            daemon.process.kill()
            await daemon.ends()
        assert not world.effects()
        async with command("run", "-c", world.config_file) as daemon:
            await world.until_settled_at_target(direction)
            await world.until(lambda: bool(daemon.heard("cycle_finished")))
            daemon.process.terminate()
            assert await daemon.ends() == 0, daemon.output
        await was_kept_whole(world, direction)
        assert len(await world.intents()) == 1


@pytest.mark.parametrize("direction", ["add", "reduce"])
async def test_killed_before_a_new_journal_is_trusted_it_waits_again(
    open_a_world: OpenWorld, direction: str
) -> None:
    async with open_a_world(scenario_of(NEEDY[direction]), trusted=False) as world:
        await is_killed(world, "before", "seal")
        await goes_on_by_itself(world, direction)
        await was_kept_whole(world, direction)


async def is_killed(world: World, when: str, step: str) -> None:
    async with command(when, step, "run", "-c", world.config_file, program=(KILLED,)) as daemon:
        assert await daemon.ends() == -signal.SIGKILL, daemon.output


async def goes_on_by_itself(world: World, direction: str) -> None:
    """The next start finishes what the last one began; nobody is asked for help."""
    async with world.guarded():
        await world.until_settled_at_target(direction)
    assert not [event for event in world.events if event["level"] == "critical"]


async def was_kept_whole(world: World, direction: str) -> None:
    by_state = await world.judge()
    assert len(by_state["confirmed"]) == 1
    moved = sum((row.amount for row in world.effects()), Decimal(0))
    ltv = Decimal(30000) / NEEDY[direction]
    assert abs(moved - abs(ltv / TARGETS[direction] - 1)) <= SLACK
