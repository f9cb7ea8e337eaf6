"""Events are read by machines: a field has one type in all of them, a time is ISO, a number is plain."""

from __future__ import annotations

import json
import re
import traceback
from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from catalogue_misfits import misfits
from e2e_world import A_POOL, BOTH_PRODUCTS, LEGACY, NEEDY, USER, Event, Tree, World, merged, ran, scenario_of

from ltv_guard.log import format as logs

if TYPE_CHECKING:
    from conftest import OpenWorld

EXPONENT = re.compile(r"\d[eE][+-]?\d+\b")
ENDS = {"term": "7", "expires_in": "1h"}
OVERDUE = {"term": "7", "expires_in": "-1h"}


def fixed(ends: Tree, price: Decimal = NEEDY["add"], **changes: object) -> Tree:
    (order,) = scenario_of()["users"][USER]["orders"]
    users = {USER: {"funding": {"BTC": "5"}, "orders": [{**order, **ends}], **A_POOL.borrowed}}
    return scenario_of(price, users=users, **changes)


async def saved(world: World) -> None:
    await world.until(lambda: bool(world.heard("adjustment_confirmed")))


async def short(world: World) -> None:
    await world.until(lambda: bool(world.heard("protection_short")))


async def seen_twice(world: World) -> None:
    await world.until(lambda: len(world.heard("cycle_finished")) > 2)


async def blind(world: World) -> None:
    await world.until(lambda: bool(world.heard("guard_blind")))


async def banned(world: World) -> None:
    await world.until(lambda: bool(world.heard("exchange_banned")))


async def paused(world: World) -> None:
    await seen_twice(world)
    await ran("pause", "--reason", "look", "-c", world.config_file)
    await world.until(lambda: bool(world.heard("breach_unanswered")))


# A scenario, what else is configured, what is wrong, and when it has been seen.
NIGHTS: dict[str, tuple[Tree, Tree, list[Tree], Any]] = {
    "it ends soon": (fixed(ENDS), {}, [], saved),
    "it is overdue": (fixed(OVERDUE), {}, [], saved),
    "an answer is lost": (fixed(ENDS), {}, [{"kind": "close_after", "endpoint": "adjust"}], saved),
    "it is refused": (
        fixed(ENDS),
        {},
        [{"kind": "ret_code", "endpoint": "adjust", "code": 148012, "message": "no"}],
        saved,
    ),
    "it is too fine": (
        fixed(ENDS),
        {},
        [{"kind": "ret_code", "endpoint": "adjust", "code": 177004, "message": "no"}],
        saved,
    ),
    "there is little": (fixed(ENDS), {"wallet": {"reserve": {"BTC": "4.99999998"}}}, [], short),
    "nothing can be read": (
        fixed(ENDS),
        {},
        [{"kind": "http_error", "endpoint": name, "times": None} for name in ("orders", "position")],
        blind,
    ),
    "shut out": (
        fixed(ENDS),
        {},
        [{"kind": "http_error", "endpoint": "orders", "status": 403, "body": "no"}],
        banned,
    ),
    "a loan makes no sense": (
        fixed(ENDS, Decimal(52000)),
        {},
        [{"kind": "nonsense", "endpoint": "orders", "field": "currentLTV", "value": "many", "times": None}],
        seen_twice,
    ),
    "closed": (fixed(ENDS, Decimal(52000), col_res="2"), {"wallet": {"reserve": {"XBT": 1}}}, [], seen_twice),
}


def kind_of(value: object) -> str:
    if isinstance(value, list):
        return f"list of {', '.join(sorted({kind_of(item) for item in value}))}" if value else "list"
    return type(value).__name__


def as_logged(event: Event) -> Event:
    """As it leaves in a line of JSON."""
    error = event.get("exc_info")
    assert error is None, "".join(traceback.format_exception(error))
    plain = logs._plain(dict(event))
    return dict(json.loads(json.dumps(plain)))


@pytest.mark.slow
@pytest.mark.case(33, 20)
async def test_a_field_has_one_type_in_all_events_of_many_nights(
    open_a_world: OpenWorld, events: list[Event]
) -> None:
    told: list[Event] = []
    unlisted: list[str] = []
    for name, (scenario, config, faults, over) in NIGHTS.items():
        async with open_a_world(scenario, config=merged(BOTH_PRODUCTS, config)) as world:
            for fault in faults:
                world.fault(**fault)
            async with world.guarded():
                await over(world)
            (world.folder / "journal.db").unlink()
        lines = [as_logged(item) for item in events]
        unlisted += misfits(lines)
        told += [{**line, "night": name} for line in lines]
        events.clear()
    kinds: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for event in told:
        for field, value in event.items():
            kinds[field][kind_of(value)].add(event["event"])
            if field.endswith("_at"):
                assert datetime.fromisoformat(str(value)), event
        assert not EXPONENT.search(str(event.get("reason"))), event
        assert not any(EXPONENT.search(note) for note in event.get("held_back", [])), event
    several = {field: found for field, found in kinds.items() if len(found.keys() - {"list"}) > 1}
    assert not several
    assert not unlisted
    assert {"decision_made", "protection_short", "loan_overdue", "maturity_near", "amount_bounded"} <= {
        event["event"] for event in told
    }


@pytest.mark.case(20)
async def test_the_smallest_amounts_are_shown_in_plain_notation(open_a_world: OpenWorld) -> None:
    tiny = {"debt": "0.003", "collateral": "0.0000001", "order_id": "1001"}
    users = {
        USER: {
            "funding": {"BTC": "0.00000002"},
            "orders": [{**scenario_of()["users"][USER]["orders"][0], **tiny}],
        }
    }
    config = {"accounts": {"main": {"products": [LEGACY]}}}
    async with open_a_world(scenario_of(NEEDY["add"], users=users), config=config) as world:
        status, plan = await ran("plan", "-c", world.config_file)
        assert status == 0, plan.output
        assert "0.00000002" in plan.output
        assert not EXPONENT.search(plan.output.replace(str(world.folder), "")), plan.output
        status, check = await ran("check", "-c", world.config_file)
        assert "0.00000002 BTC" in check.output
