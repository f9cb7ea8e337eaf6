"""The daemon as a process of its own, killed at every step of an adjustment, and started again.

SIGKILL leaves nothing to clean up with: what was committed is all that the next start knows. Most second
starts are in this process, for the time that it saves: of the first one nothing is left but the journal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from e2e_killed import WAITED
from e2e_world import (
    A_POOL,
    AN_ORDER,
    DIRECTIONS,
    NEEDY,
    PRODUCTS,
    Product,
    World,
    command,
    crossed,
    is_killed,
    scenario_of,
)

if TYPE_CHECKING:
    from conftest import OpenWorld

WHEN = ["before", "after"]
AGAIN = ("add", "after")  # what is killed twice before each change


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Where the daemon is killed, and a fault of the exchange that leads there.

    `risky`: bytes may or may not have left. `stays`: when it is shown by default, for adds.
    """

    name: str
    fault: dict[str, Any] = field(default_factory=dict)
    risky: bool = False
    stays: str = ""

    def __str__(self) -> str:
        return f"{self.name}, {self.fault['kind']}" if self.fault else self.name


LOST_REQUEST = {"kind": "close_before"}
LOST_ANSWER = {"kind": "close_after"}
PROCESSING = {"kind": "status_processing", "seconds": 4}
FAILED = {"kind": "status_failed"}


def no_balance(code: int) -> dict[str, Any]:
    return {"kind": "ret_code", "code": code, "applied": False}


STEPS = [
    Step(name="write_episodes"),
    Step(name="write_sent", risky=True, stays="after"),
    Step(name="plan"),
    Step(name="mark_sent", risky=True, stays="after"),
    Step(name="send", risky=True, stays="after"),
    Step(name="send", fault=LOST_ANSWER, risky=True),
    Step(name="send", fault=LOST_REQUEST, risky=True),
    Step(name="record:accepted", risky=True, stays="after"),
    Step(name="record:confirmed"),
    Step(name="record:unknown", fault=LOST_ANSWER, risky=True),
    Step(name="record:unknown", fault=LOST_REQUEST, risky=True, stays="after"),
    Step(name="record:confirmed", fault=LOST_ANSWER, stays="before"),
    Step(name="record:absent", fault=LOST_REQUEST),
]
OF_AN_ORDER = [*STEPS, Step(name="record:rejected", fault=no_balance(177011))]
OF_A_POOL = [
    *STEPS,
    Step(name="record:rejected", fault=no_balance(148012)),
    Step(name="record:rejected", fault=FAILED, risky=True),
    Step(name="record:accepted", fault=PROCESSING, risky=True),
]


def stays(product: Product, step: Step, when: str, direction: str) -> bool:
    """By default: the main steps of an order's add; of a pool's those where bytes may have left at once."""
    is_main = direction == "add" and step.stays == when
    return is_main and (product is AN_ORDER or (step.risky and not step.fault and step.name not in WAITED))


def tells(product: Product, step: Step, when: str, direction: str) -> bool:
    """Before each change: an order's add at every step, a pool's and a release after the risky ones."""
    is_whole = product is AN_ORDER and direction == "add"
    return is_whole or (when == "after" and step.risky and (product is A_POOL) is (direction == "add"))


# A release takes the same way as an add: those steps where bytes may or may not have left.
MATRIX = [
    param
    for product, steps in ((AN_ORDER, OF_AN_ORDER), (A_POOL, OF_A_POOL))
    for param in (
        *crossed([product], steps, WHEN, ["add"], stays=stays, tells=tells),
        *crossed(
            [product], [step for step in steps if step.risky], WHEN, ["reduce"], stays=stays, tells=tells
        ),
    )
]


@pytest.mark.parametrize(("product", "step", "when", "direction"), MATRIX)
async def test_killed_at_any_step_it_neither_repeats_nor_forgets(
    open_a_world: OpenWorld, product: Product, step: Step, when: str, direction: str
) -> None:
    async with open_a_world(scenario_of(NEEDY[direction], product)) as world:
        if step.fault:
            world.fault(endpoint="adjust", **step.fault)
        await is_killed(world, when, step.name)
        await goes_on_by_itself(world, direction, refused=step.name == "record:rejected")
        await was_kept_whole(world, direction)


@pytest.mark.parametrize(
    ("product", "direction", "when"),
    crossed(
        PRODUCTS, DIRECTIONS, WHEN, stays=lambda *_: False, tells=lambda _, to, when: (to, when) == AGAIN
    ),
)
async def test_killed_again_while_it_takes_over(
    open_a_world: OpenWorld, product: Product, direction: str, when: str
) -> None:
    async with open_a_world(scenario_of(NEEDY[direction], product)) as world:
        await is_killed(world, "after", "send")
        await is_killed(world, when, "record:unknown")
        await is_killed(world, when, "record:confirmed")
        await goes_on_by_itself(world, direction)
        await was_kept_whole(world, direction)
        assert await world.ends() == ["confirmed"]


@pytest.mark.parametrize(
    ("product", "direction"), crossed(PRODUCTS, DIRECTIONS, stays=lambda *case: case == (A_POOL, "add"))
)
async def test_killed_while_a_request_is_on_its_way_that_lands_after_the_restart(
    open_a_world: OpenWorld, product: Product, direction: str
) -> None:
    async with open_a_world(scenario_of(NEEDY[direction], product)) as world:
        world.fault("apply_late", endpoint="adjust", delay_s="2.5", answer="hung")
        world.configure({"settlement": {"processing_margin_s": 4}})
        async with command("run", "-c", world.config_file) as daemon:
            await world.until(lambda: bool(world.adjustments_sent()))
            daemon.process.kill()
            await daemon.ends()
        async with command("run", "-c", world.config_file) as daemon:
            await world.until_settled_at_target(direction)
            await world.until(lambda: bool(daemon.heard("cycle_finished")))
            daemon.process.terminate()
            assert await daemon.ends() == 0, daemon.output
        await was_kept_whole(world, direction)
        assert await world.ends() == ["confirmed"]


@pytest.mark.slow
@pytest.mark.parametrize("product", PRODUCTS, ids=str)
@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_killed_before_a_new_journal_is_trusted_it_waits_again(
    open_a_world: OpenWorld, product: Product, direction: str
) -> None:
    async with open_a_world(scenario_of(NEEDY[direction], product), trusted=False) as world:
        await is_killed(world, "before", "seal")
        await goes_on_by_itself(world, direction)
        await was_kept_whole(world, direction)


async def goes_on_by_itself(world: World, direction: str, *, refused: bool = False) -> None:
    """The next start finishes what the last one began; nobody is asked for help.

    Where it finds that the exchange has refused, it says so: for a moment nothing is done about the breach.
    """
    async with world.guarded():
        await world.until_settled_at_target(direction)
    cries = {event["event"] for event in world.events if event["level"] == "critical"}
    assert cries <= ({"protection_short"} if refused else set())


async def was_kept_whole(world: World, direction: str) -> None:
    by_state = await world.judge()
    assert len(by_state["confirmed"]) == 1
    assert world.moved_what_was_needed(direction)
