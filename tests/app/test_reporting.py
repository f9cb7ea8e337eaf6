"""What operators read: one word for how a cycle went, a fault's end beside its beginning, no false calm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from e2e_world import NEEDY, Event, scenario_of

from ltv_guard.adapters.journal import open_journal
from ltv_guard.cli.plan_table import print_plans
from ltv_guard.service import run as app
from ltv_guard.service.findings import AccountPlan

if TYPE_CHECKING:
    from conftest import OpenWorld


def outcomes(events: list[Event]) -> set[str]:
    return {event["outcome"] for event in events if event["event"] == "cycle_finished"}


async def test_a_cycle_that_saw_everything_is_ok(open_a_world: OpenWorld, events: list[Event]) -> None:
    async with open_a_world() as world, world.guarded():
        await world.until(lambda: bool(world.heard("cycle_finished")))
    assert outcomes(events) == {"ok"}


async def test_a_cycle_that_saw_nothing_is_blind(open_a_world: OpenWorld, events: list[Event]) -> None:
    async with open_a_world() as world:
        world.fault("http_error", endpoint="orders", times=None)
        assert await app.run_once(world.settings()) == 1
    assert outcomes(events) == {"blind"}


async def test_a_cycle_that_saw_one_product_of_two_is_partial(
    open_a_world: OpenWorld, events: list[Event]
) -> None:
    both = {"accounts": {"main": {"products": ["crypto_loan_legacy", "crypto_loan"]}}}
    async with open_a_world(config=both) as world:
        world.fault("http_error", endpoint="position", times=None)
        assert await app.run_once(world.settings()) == 1
    assert outcomes(events) == {"partial"}


async def test_a_paused_cycle_is_paused(open_a_world: OpenWorld, events: list[Event]) -> None:
    async with open_a_world() as world:
        journal = await open_journal(world.journal_url, writer=False)
        await journal.pause(None, "because: reasons", 1)
        await journal.close()
        await app.run_once(world.settings())
    assert outcomes(events) == {"paused"}


async def test_a_dry_run_is_a_dry_run(open_a_world: OpenWorld, events: list[Event]) -> None:
    async with open_a_world(config={"mode": "dry_run"}) as world:
        await app.run_once(world.settings())
    assert outcomes(events) == {"dry_run"}


async def test_a_new_journal_is_waiting_and_then_ok(open_a_world: OpenWorld, events: list[Event]) -> None:
    async with open_a_world(scenario_of(NEEDY["add"]), trusted=False) as world:
        assert await app.run_once(world.settings()) == 0
    assert outcomes(events) == {"waiting", "ok"}


async def test_a_key_that_may_not_write_needs_a_human(open_a_world: OpenWorld, events: list[Event]) -> None:
    async with open_a_world(scenario_of(NEEDY["add"])) as world:
        world.fault("ret_code", endpoint="adjust", code=10005, times=None)
        async with world.guarded():
            await world.until(lambda: "needs_human" in outcomes(events))
    assert outcomes(events) == {"ok", "needs_human"}


async def test_a_read_that_fails_once_is_told_when_it_fails_and_when_it_works(
    open_a_world: OpenWorld,
) -> None:
    patient = {"schedule": {"blind_after_cycles": 1000}}
    async with open_a_world(config=patient) as world:
        world.fault("http_error", endpoint="orders", times=None)
        async with world.guarded():
            await world.until(lambda: bool(world.heard("read_failed")))
            world.exchange.clear_faults()
            await world.until(lambda: bool(world.heard("read_works_again")))
        assert [event["what"] for event in world.heard("read_works_again")] == ["crypto_loan_legacy"]
        assert not world.heard("guard_recovered")


async def test_the_end_of_blindness_is_told_once(open_a_world: OpenWorld) -> None:
    async with open_a_world(config={"schedule": {"blind_after_cycles": 1}}) as world:
        world.fault("http_error", endpoint="orders", times=None)
        async with world.guarded():
            await world.until(lambda: bool(world.heard("guard_blind")))
            world.exchange.clear_faults()
            await world.until(lambda: bool(world.heard("guard_recovered")))
            seen = len(world.heard("cycle_finished"))
            await world.until(lambda: len(world.heard("cycle_finished")) > seen + 2)
        assert len(world.heard("guard_recovered")) == 1
        assert not world.heard("read_works_again")


def test_a_blind_plan_does_not_say_that_there_are_no_loans(capsys: pytest.CaptureFixture[str]) -> None:
    print_plans([AccountPlan(account="main", decisions=(), blind=True, why_blind="HTTP 500")])
    assert "No loans" not in capsys.readouterr().out
    aside = (("crypto_loan_legacy", "1", "its LTV is NaN"),)
    print_plans([AccountPlan(account="main", decisions=(), set_aside=aside)])
    assert "No loans" not in capsys.readouterr().out
    print_plans([AccountPlan(account="main", decisions=())])
    assert "No loans" in capsys.readouterr().out
