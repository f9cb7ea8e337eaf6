"""Every fault of the exchange against the real daemon, over real sockets, for an add and for a release.

Whatever happens to the first adjustment: at most one effect an intent, a journal that is true to the ledger,
never more added (released) than was needed, and the loan where it belongs once the fault is over.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from e2e_world import NEEDY, ORDER, SLACK, TARGETS, World, scenario_of

if TYPE_CHECKING:
    from conftest import OpenWorld

NOT_APPLIED, APPLIED = {"applied": False}, {"applied": True}
ABSURD = {"X-Bapi-Limit-Status": "0", "X-Bapi-Limit-Reset-Timestamp": "99999999999999999"}
PAST = {"X-Bapi-Limit-Status": "0", "X-Bapi-Limit-Reset-Timestamp": "1"}
GARBLED = {"X-Bapi-Limit-Status": "none", "X-Bapi-Limit-Reset-Timestamp": "soon"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A fault that strikes the first adjustment, and what must become of that adjustment's intent."""

    name: str
    fault: dict[str, Any]
    first: str
    config: dict[str, Any] | None = None

    def __str__(self) -> str:
        return self.name


def case(name: str, first: str, kind: str, **parameters: object) -> Case:
    return Case(name=name, fault={"kind": kind, **parameters}, first=first)


def both(name: str, kind: str, **parameters: object) -> list[Case]:
    """The fault where the request was carried out nevertheless, and where it was not."""
    return [
        case(f"{name}, not applied", "absent", kind, **NOT_APPLIED, **parameters),
        case(f"{name}, applied", "confirmed", kind, **APPLIED, **parameters),
    ]


def limited(name: str, headers: dict[str, str]) -> Case:
    return case(name, "absent", "ret_code", code=10006, headers=headers, **NOT_APPLIED)


CASES = [
    case("closed before it was read", "absent", "close_before"),
    case("reset before it was read", "absent", "close_before", reset=True),
    case("closed after it was applied", "confirmed", "close_after"),
    case("reset after it was applied", "confirmed", "close_after", reset=True),
    case("hung before", "absent", "hang_before"),
    case("hung after", "confirmed", "hang_after"),
    case("answered too late", "confirmed", "slow", seconds="0.95"),
    case("applied late, answer lost", "confirmed", "apply_late", delay_s="0.5"),
    case("applied late, hung", "confirmed", "apply_late", delay_s="0.6", answer="hung"),
    case("applied late, answered", "confirmed", "apply_late", delay_s="0.5", answer="given"),
    case("applied at the window's end", "confirmed", "apply_late", delay_s="0.9", check="application"),
    case("too late for its window", "absent", "apply_late", delay_s="1.1", check="application"),
    Case(
        name="admitted at the window's end, applied a second later",
        fault={"kind": "apply_late", "delay_s": "1.9"},
        first="confirmed",
        config={"settlement": {"processing_margin_s": 1.2}},
    ),
    *both("HTTP 500", "http_error", status=500),
    *both("HTTP 502", "http_error", status=502),
    *both("HTTP 504", "http_error", status=504),
    *both("HTTP 404", "http_error", status=404),
    *both("empty body", "empty_body"),
    *both("not JSON", "not_json"),
    *both("JSON that is no object", "json_not_object"),
    *both("retCode 0 without adjustId", "no_adjust_id"),
    *both("10000", "ret_code", code=10000),
    *both("10016", "ret_code", code=10016),
    *both("10014, a duplicate", "ret_code", code=10014),
    *both("177018, a duplicate", "ret_code", code=177018),
    *both("177002, busy", "ret_code", code=177002),
    *both("a code that nobody knows", "ret_code", code=199999),
    *both("429", "http_error", status=429),
    *both("403, a ban", "http_error", status=403, seconds=1),
    limited("10006", {}),
    limited("10006, its reset absurd", ABSURD),
    limited("10006, its reset past", PAST),
    limited("10006, its reset garbled", GARBLED),
    case("10006, applied", "confirmed", "ret_code", code=10006, **APPLIED),
    case("10002", "rejected", "ret_code", code=10002, **NOT_APPLIED),
    case("10003, a human", "rejected", "ret_code", code=10003, **NOT_APPLIED),
    case("10004, a human", "rejected", "ret_code", code=10004, **NOT_APPLIED),
    case("10005, a human", "rejected", "ret_code", code=10005, **NOT_APPLIED),
    case("10010, a human", "rejected", "ret_code", code=10010, **NOT_APPLIED),
    case("177004, precision", "rejected", "ret_code", code=177004, **NOT_APPLIED),
    case("177005, no such loan", "rejected", "ret_code", code=177005, **NOT_APPLIED),
    case("177011, balance", "rejected", "ret_code", code=177011, **NOT_APPLIED),
    case("177013, over the maximum", "rejected", "ret_code", code=177013, **NOT_APPLIED),
    case("177015, platform", "rejected", "ret_code", code=177015, **NOT_APPLIED),
    case("redirected back", "absent", "redirect", location="/v5/crypto-loan/adjust-ltv"),
    case("redirected as a GET", "absent", "redirect", status=303),
    case("a wild time in the answer", "confirmed", "wild_time", offset_ms=7_200_000),
    case("a second retCode in the answer", "confirmed", "duplicate_key", code=10016),
]


@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize("direction", ["add", "reduce"])
@pytest.mark.parametrize("case", CASES, ids=str)
async def test_one_effect_whatever_becomes_of_the_first_answer(
    open_a_world: OpenWorld, case: Case, direction: str
) -> None:
    async with open_a_world(scenario_of(NEEDY[direction]), config=case.config) as world:
        world.fault(endpoint="adjust", direction=direction, **case.fault)
        async with world.guarded():
            await world.until_settled_at_target(direction)
        await was_kept_whole(world, direction, case.first)


async def was_kept_whole(world: World, direction: str, first: str) -> None:
    """The oracle, and that not more moved than the one need asked for."""
    await world.judge()
    *later, oldest = await world.intents()
    assert oldest.state == first
    # One more was needed where the first came to nothing, and none where it landed.
    assert [intent.state for intent in later] == ([] if first == "confirmed" else ["confirmed"])
    assert all(intent.amount != oldest.amount for intent in later)
    moved = sum((row.amount for row in world.effects()), Decimal(0))
    ltv = Decimal(30000) / NEEDY[direction]
    needed = abs(ltv / TARGETS[direction] - 1)
    assert abs(moved - needed) <= SLACK
    assert json.loads(world.adjustments_sent()[0]["payload"])["orderId"] == ORDER
    assert world.exchange.limits.violations["during_ban"] == 0
