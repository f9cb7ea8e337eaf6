"""Fixed loans that end, and terms that change, told by the real daemon as the exchange shows them."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from e2e_world import (
    AN_ORDER,
    KEY,
    ORDER,
    SECOND_ORDER,
    USER,
    Tree,
    World,
    also_an_order,
    ran,
    scenario_of,
)

from ltv_guard.adapters.journal import open_journal
from ltv_guard.sandbox import public_payloads

if TYPE_CHECKING:
    from conftest import OpenWorld, Timings

SOON = {"policy": {"maturity_notice_s": [5, 2]}}


def ending_in(seconds: str, **changes: object) -> Tree:
    scenario = scenario_of(**changes)
    scenario["users"][USER]["orders"][0] |= {"expires_in": seconds, "term": "30"}
    return scenario


def ends(world: World) -> list[tuple[str, str]]:
    """What was said of ends, in order, and of which loans."""
    told = ("maturity_near", "loan_overdue", "loan_gone", "loan_liquidated")
    return [(event["event"], event["loan_id"]) for event in world.events if event["event"] in told]


@pytest.mark.parametrize("mode", ["live", pytest.param("dry_run", marks=pytest.mark.slow)])
async def test_a_loan_that_ends_is_told_at_each_distance_and_when_it_is_overdue(
    open_a_world: OpenWorld, mode: str
) -> None:
    scenario = also_an_order(ending_in("4"))  # the other order is a flexible loan
    async with open_a_world(scenario, config={**SOON, "mode": mode}) as world, world.guarded():
        await world.until(lambda: bool(world.heard("loan_overdue")))
        cycles = len(world.heard("cycle_finished"))
        await world.until(lambda: len(world.heard("cycle_finished")) > cycles + 3)
        assert ends(world) == [("maturity_near", ORDER)] * 2 + [("loan_overdue", ORDER)]
        first, second = world.heard("maturity_near")
        assert 2 <= first["seconds_left"] < 4
        assert second["seconds_left"] < 2
        assert (first["level"], first["account"], first["product"]) == ("warning", "main", AN_ORDER.name)
        assert first["owed"] == {"USDT": "30000"}
        overdue = world.heard("loan_overdue")[0]
        assert overdue["level"] == "critical"
        assert overdue["expires_at"] == first["expires_at"] == second["expires_at"]
        assert overdue["liquidated_at"] > overdue["expires_at"]
        assert not world.effects()


async def test_it_is_told_while_paused_and_anew_after_a_restart(open_a_world: OpenWorld) -> None:
    async with open_a_world(ending_in("1h"), config={"policy": {"maturity_notice_s": [7200, 3601]}}) as world:
        journal = await open_journal(world.journal_url, writer=False)
        await journal.pause(None, "a test", 1)
        await journal.close()
        for times in (1, 2):
            async with world.guarded():
                cycles = len(world.heard("cycle_finished"))
                await world.until(lambda seen=cycles: len(world.heard("cycle_finished")) > seen + 3)
            assert ends(world) == [("maturity_near", ORDER)] * times  # the nearest alone
        assert world.heard("guard_paused")


async def test_a_loan_that_is_not_protected_is_told_of_by_its_own_distances(open_a_world: OpenWorld) -> None:
    scenario = also_an_order(ending_in("1h"), expires_in="1h")
    own = {"match": {"order_id": ORDER}, "protect": False, "policy": {"maturity_notice_s": [3601]}}
    config = {"policy": {"maturity_notice_s": []}, "overrides": [own]}
    async with open_a_world(scenario, config=config) as world, world.guarded():
        await world.until(lambda: len(world.heard("cycle_finished")) > 3)
        assert ends(world) == [("maturity_near", ORDER)]


async def test_a_loan_that_was_repaid_is_told_of_no_more(open_a_world: OpenWorld) -> None:
    async with open_a_world(ending_in("-5"), config=SOON) as world, world.guarded():
        await world.until(lambda: bool(world.heard("loan_overdue")))
        world.exchange.partial_repayment(USER, ORDER, Decimal(30000))
        await world.until(lambda: bool(world.heard("loan_gone")))
        assert ends(world) == [("loan_overdue", ORDER), ("loan_gone", ORDER)]


@pytest.mark.slow
async def test_an_overdue_loan_that_the_exchange_sold_was_liquidated_whatever_its_ltv(
    open_a_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ltv_guard.core.model.maturity.GRACE_MS", 5000)
    async with open_a_world(ending_in("-1", overdue_grace="5s"), config=SOON) as world, world.guarded():
        await world.until(lambda: bool(world.heard("loan_liquidated")))
        assert ends(world) == [("loan_overdue", ORDER), ("loan_liquidated", ORDER)]
        told = world.heard("loan_liquidated")[0]
        assert (told["level"], told["why"]) == ("critical", "the exchange lists it as liquidated")
        assert [item.reason for item in world.exchange.ledger.liquidations] == ["overdue"]


async def test_plan_shows_when_a_loan_ends(open_a_world: OpenWorld) -> None:
    scenario = also_an_order(ending_in("1h"))
    async with open_a_world(scenario) as world:
        status, as_json = await ran("plan", "--json", "-c", world.config_file)
        assert status == 0, as_json.output
        rows = {row["loan_id"]: row["expires_at"] for row in json.loads("".join(as_json.lines))}
        assert rows[SECOND_ORDER] is None
        status, table = await ran("plan", "-c", world.config_file)
        assert status == 0, table.output
        assert any("ends" in line.split() for line in table.lines)
        assert f"{rows[ORDER][:10]} {rows[ORDER][11:16]} UTC" in table.output
        assert not as_json.events  # what is told goes to standard error


@pytest.mark.slow
async def test_plan_says_nothing_of_ends_where_no_loan_has_one(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world:
        status, table = await ran("plan", "-c", world.config_file)
        assert status == 0, table.output
        assert not any("ends" in line.split() for line in table.lines)


# Terms


@pytest.fixture
def no_hour(timings: Timings) -> None:
    """The terms, and the key's VIP level, are looked at again in no time."""
    timings.change(terms_kept_ms=300, terms_retried_ms=300, key_look_ms=300)


def margin_calls(world: World) -> list[tuple[str, Decimal, Decimal]]:
    return [
        (event["coin"], event["margin_call_ltv_before"], event["margin_call_ltv"])
        for event in world.heard("terms_changed")
    ]


async def test_new_terms_are_told_once_and_obeyed(open_a_world: OpenWorld, no_hour: None) -> None:
    both = (ORDER, SECOND_ORDER)
    scenario = also_an_order(scenario_of(Decimal(45000)))  # both at 0.6667
    async with open_a_world(scenario) as world, world.guarded():
        await world.until(lambda: len(world.heard("cycle_finished")) > 3)
        assert not world.effects()
        world.exchange.set_terms("BTC", margin_call_ltv=Decimal("0.67"))
        await world.until(lambda: all(Decimal("0.58") < world.ltv(it) <= Decimal("0.59") for it in both))
        await world.until_quiet()
        assert margin_calls(world) == [("BTC", Decimal("0.87"), Decimal("0.67"))]
        assert world.heard("terms_changed")[0]["loans"] == 2
        pulled = [(event["loan_id"], event["trigger"]) for event in world.heard("threshold_pulled_in")]
        assert sorted(pulled) == [(loan_id, Decimal("0.64")) for loan_id in both]
        await world.judge()


async def test_a_vip_level_that_changes_while_it_runs_brings_its_terms(
    open_a_world: OpenWorld, no_hour: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    alike = public_payloads.legacy_terms

    def by_level(*arguments: Any) -> Tree:  # noqa: ANN401 - passed on
        found = alike(*arguments)
        for group in found["vipCoinList"]:
            if group["vipLevel"] == "VIP1":
                group["list"] = [{**row, "marginCallLTV": "0.90"} for row in group["list"]]
        return found

    monkeypatch.setattr(public_payloads, "legacy_terms", by_level)
    async with open_a_world() as world, world.guarded():
        await world.until(lambda: len(world.heard("cycle_finished")) > 3)
        assert not world.heard("terms_changed")
        key = world.exchange.keys[KEY]
        world.exchange.keys[KEY] = key.model_copy(update={"vip_level": "VIP1"})
        await world.until(lambda: bool(world.heard("terms_changed")))
        assert margin_calls(world) == [("BTC", Decimal("0.87"), Decimal("0.90"))]


@pytest.mark.slow
async def test_a_key_that_cannot_be_asked_about_again_fails_no_cycle(
    open_a_world: OpenWorld, no_hour: None
) -> None:
    async with open_a_world() as world, world.guarded():
        await world.until(lambda: len(world.heard("cycle_finished")) > 1)
        world.fault("http_error", endpoint="key", times=None)
        await world.until(lambda: bool(world.heard("key_not_asked_again")))
        cycles = len(world.heard("cycle_finished"))
        await world.until(lambda: len(world.heard("cycle_finished")) > cycles + 2)
        assert {event["outcome"] for event in world.heard("cycle_finished")} == {"ok"}
        assert not world.heard("guard_blind")
