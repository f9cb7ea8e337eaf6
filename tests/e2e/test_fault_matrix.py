"""Every fault of the exchange against the real daemon, over real sockets: order and pool, add and release.

Whatever happens to the first adjustment: at most one effect an intent, a journal that is true to the ledger,
never more added (released) than was needed, and the loan where it belongs once the fault is over.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from e2e_world import (
    A_POOL,
    AN_ORDER,
    DIRECTIONS,
    NEEDY,
    PRODUCTS,
    REFUSED_AS_LATE,
    Product,
    World,
    crossed,
    scenario_of,
)

if TYPE_CHECKING:
    from conftest import OpenWorld

CLOCKS_AGREE_MS = 200
NOT_APPLIED, APPLIED = {"applied": False}, {"applied": True}
ABSURD = {"X-Bapi-Limit-Status": "0", "X-Bapi-Limit-Reset-Timestamp": "99999999999999999"}
PAST = {"X-Bapi-Limit-Status": "0", "X-Bapi-Limit-Reset-Timestamp": "1"}
GARBLED = {"X-Bapi-Limit-Status": "none", "X-Bapi-Limit-Reset-Timestamp": "soon"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What strikes the first adjustment, and what must become of that adjustment's intent.

    `telling`: different enough from all others to be shown for a release and for a pool by default, too;
    `varies` another one, and is run at night.
    """

    name: str
    faults: tuple[dict[str, Any], ...]
    first: str
    config: dict[str, Any] = field(default_factory=dict)
    telling: bool = False
    varies: bool = False

    def __str__(self) -> str:
        return self.name


def case(name: str, first: str, kind: str, **parameters: object) -> Case:
    return Case(name=name, faults=({"kind": kind, **parameters},), first=first)


def telling(shown: Case) -> Case:
    return replace(shown, telling=True)


def variations(*cases: Case) -> list[Case]:
    return [replace(item, varies=True) for item in cases]


def both(name: str, kind: str, **parameters: object) -> list[Case]:
    """The fault where the request was carried out nevertheless, and where it was not."""
    return [
        case(f"{name}, not applied", "absent", kind, **NOT_APPLIED, **parameters),
        case(f"{name}, applied", "confirmed", kind, **APPLIED, **parameters),
    ]


def coded(code: int, words: str) -> list[Case]:
    """A code that leaves open whether the request was carried out."""
    return both(f"{code}, {words}", "ret_code", code=code)


def applied_late(name: str, **parameters: object) -> Case:
    """Admitted within its window, and carried out later.

    The margin is for machines that stall: one that is wide costs no time where the effect lands after all.
    """
    late = case(name, "confirmed", "apply_late", **parameters)
    return replace(late, config={"settlement": {"processing_margin_s": 3}})


def refused(code: int, words: str) -> Case:
    return case(f"{code}, {words}", "rejected", "ret_code", code=code, **NOT_APPLIED)


def limited(name: str, headers: dict[str, str]) -> Case:
    return case(name, "absent", "ret_code", code=10006, headers=headers, **NOT_APPLIED)


CASES = [
    Case(name="answered", faults=(), first="confirmed"),
    telling(case("closed before it was read", "absent", "close_before")),
    *variations(case("reset before it was read", "absent", "close_before", reset=True)),
    telling(case("closed after it was applied", "confirmed", "close_after")),
    *variations(case("reset after it was applied", "confirmed", "close_after", reset=True)),
    case("hung before", "absent", "hang_before"),
    telling(case("hung after", "confirmed", "hang_after")),
    case("answered too late", "confirmed", "slow", seconds="0.95"),
    applied_late("applied late, answer lost", delay_s="0.5"),
    telling(applied_late("applied late, hung", delay_s="0.6", answer="hung")),
    applied_late("applied late, answered", delay_s="0.5", answer="given"),
    telling(
        case("applied at the window's end", "confirmed", "apply_late", delay_s="0.9", check="application")
    ),
    telling(case("too late for its window", "absent", "apply_late", delay_s="1.1", check="application")),
    telling(applied_late("applied a second after its window", delay_s="1.9")),
    *both("HTTP 500", "http_error", status=500),
    *variations(
        *both("HTTP 502", "http_error", status=502),
        *both("HTTP 504", "http_error", status=504),
        *both("HTTP 404", "http_error", status=404),
    ),
    *variations(*both("empty body", "empty_body")),
    *variations(*both("not JSON", "not_json"), *both("JSON that is no object", "json_not_object")),
    *map(telling, both("retCode 0 without adjustId", "no_adjust_id")),
    *variations(
        *coded(10016, "an error inside"),
        *coded(10000, "a timeout inside"),
        *coded(10014, "a duplicate"),
        *coded(199999, "which nobody knows"),
    ),
    *both("429", "http_error", status=429),
    telling(case("403, a ban, not applied", "absent", "http_error", status=403, seconds=1, **NOT_APPLIED)),
    case("403, a ban, applied", "confirmed", "http_error", status=403, seconds=1, **APPLIED),
    limited("10006", {}),
    telling(limited("10006, its reset absurd", ABSURD)),
    *variations(
        limited("10006, its reset past", PAST),
        limited("10006, its reset garbled", GARBLED),
        case("10006, applied", "confirmed", "ret_code", code=10006, **APPLIED),
    ),
    telling(refused(10002, "the clock")),
    telling(refused(10003, "a human")),
    *variations(refused(10004, "a human"), refused(10005, "a human"), refused(10010, "a human")),
    case("redirected back", "absent", "redirect", location="its own path"),
    *variations(case("redirected as a GET", "absent", "redirect", status=303)),
    case("a wild time in the answer", "confirmed", "wild_time", offset_ms=7_200_000),
    case("a second retCode in the answer", "confirmed", "duplicate_key", code=10016),
]

OF_AN_ORDER = [
    *coded(177002, "busy"),
    *variations(*coded(177018, "a duplicate"), refused(177003, "a parameter")),
    *variations(refused(177004, "precision"), refused(177005, "no such loan")),
    refused(177011, "balance"),
    refused(177013, "over the maximum"),
    *variations(refused(177015, "platform"), refused(177016, "over the limit")),
]

# Codes after which the next try differs by more than its fingerprint (too fine, not taken at all, too large)
# have tests of their own: tests/cases/test_answers.py.
OF_A_POOL = [
    *coded(148019, "busy"),
    *variations(
        *coded(148021, "try again"),
        *coded(148034, "a conflict"),
        *coded(148035, "a conflict"),
        *coded(148036, "a conflict"),
        refused(148006, "platform"),
        refused(148013, "no such loan"),
        refused(148023, "no such loan"),
        refused(148027, "no such loan"),
        refused(148029, "balance or maximum"),
        refused(148031, "being liquidated"),
        refused(148037, "balance or maximum"),
    ),
    telling(refused(148012, "balance")),
    refused(148009, "over the maximum"),
    refused(148048, "platform"),
]


def status(name: str, first: str, *faults: dict[str, Any]) -> Case:
    return Case(name=name, faults=faults, first=first)


PROCESSING = {"kind": "status_processing", "seconds": 2}
FAILED = {"kind": "status_failed"}
LOST = {"kind": "close_after"}
HIDDEN = {"kind": "history_lag", "seconds": "0.2"}

# An order's adjustment is final with its answer; a pool's is not.
OF_A_STATUS = [
    telling(status("processing for two seconds", "confirmed", PROCESSING)),
    telling(status("failed at once", "rejected", FAILED)),
    telling(status("processing, then failed", "rejected", PROCESSING, FAILED)),
    telling(status("processing, its answer lost", "confirmed", PROCESSING, LOST)),
    status("failed, its answer lost", "rejected", FAILED, LOST),
    *variations(
        status("processing, then failed, its answer lost", "rejected", PROCESSING, FAILED, LOST),
        status("processing, its row late, its answer lost", "confirmed", PROCESSING, HIDDEN, LOST),
        status("failed, its row late", "rejected", FAILED, HIDDEN),
        status("processing for a moment", "confirmed", {**PROCESSING, "seconds": "0.3"}),
    ),
]


def stays(product: Product, case: Case, direction: str) -> bool:
    """In the default suite: what tells most, each kind of refusal of an add, and releases that landed."""
    if product is AN_ORDER and direction == "add":
        return case.telling or (case.first == "rejected" and not case.varies)
    if product is AN_ORDER:
        return case.telling and case.first == "confirmed"
    return case.telling and direction == "add"


def tells(product: Product, case: Case, direction: str) -> bool:
    """Before each change: each class of outcome (accepted, refused, lost, landed, late), everywhere."""
    return case.telling or not case.faults or (case.first == "rejected" and not case.varies)


MATRIX = [
    *crossed(PRODUCTS, CASES, DIRECTIONS, stays=stays, tells=tells),
    *crossed([AN_ORDER], OF_AN_ORDER, DIRECTIONS, stays=stays, tells=tells),
    *crossed([A_POOL], [*OF_A_POOL, *OF_A_STATUS], DIRECTIONS, stays=stays, tells=tells),
]


@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize(("product", "case", "direction"), MATRIX)
async def test_one_effect_whatever_becomes_of_the_first_answer(
    open_a_world: OpenWorld, product: Product, case: Case, direction: str
) -> None:
    async with open_a_world(scenario_of(NEEDY[direction], product), config=case.config) as world:
        for fault in case.faults:
            back = {"location": product.adjust_path} if "location" in fault else {}
            world.fault(endpoint="adjust", direction=direction, **{**fault, **back})
        async with world.guarded():
            await world.until_settled_at_target(direction)
        await was_kept_whole(world, direction, case.first)


async def was_kept_whole(world: World, direction: str, first: str) -> None:
    """The oracle, and that not more moved than the one need asked for."""
    oldest, *later = await world.judged()
    ended = oldest.state.value
    assert ended in may_end(world, oldest.intent_id, first)
    # One more was needed where the first came to nothing, and none where it landed.
    assert [intent.state for intent in later] == ([] if ended == "confirmed" else ["confirmed"])
    assert all(intent.amount != oldest.amount for intent in later)
    assert world.moved_what_was_needed(direction)
    (row,) = world.effects()
    landed = oldest if not later else later[0]
    assert landed.updated_at_ms >= (row.applied_ms or 0) - CLOCKS_AGREE_MS, "confirmed before it happened"
    sent = json.loads(world.adjustments_sent()[0]["payload"])
    assert sent.items() >= world.product.adjust_body.items()
    assert world.exchange.limits.violations["during_ban"] == 0


def may_end(world: World, intent_id: str, first: str) -> set[str]:
    """How the first intent may end: as the case says, unless the machine stalled and made another case of it.

    The exchange's log tells whether the request came after its window; the guard's, whether an answer that
    was given came after its timeout.
    """
    sent = world.adjustments_sent()[0]
    if sent["ret_code"] in REFUSED_AS_LATE:
        return {"absent"} if first == "absent" else {"absent", "rejected"}
    has_a_row = sent["timestamp"] in {row.signed_at for row in world.exchange.ledger.adjustments}
    is_unknown = intent_id in {event["intent_id"] for event in world.heard("adjustment_unknown")}
    return {"absent"} if first == "rejected" and is_unknown and not has_a_row else {first}
