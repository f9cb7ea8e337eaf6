"""A journal that an earlier version wrote, by its own code: this one settles what was open, and goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from e2e_world import A_POOL, BOTH_PRODUCTS, Tree, World, merged
from journals_of_before import IN_NEED, NIGHT, REVISIONS, carry_out, cases_of, put_back, scenario_before

from ltv_guard.adapters.journal import open_journal
from ltv_guard.core.model.intents import Intent

if TYPE_CHECKING:
    from conftest import OpenWorld

WRITTEN = ("amount", "coin", "coins_before", "direction", "ltv_before", "reason", "account")


def ends_of(intents: tuple[Intent, ...]) -> dict[str, str]:
    return {intent.intent_id: intent.state.value for intent in intents}


def awaits_row(case: Tree) -> bool:
    return any("awaits_row" in changes for _, changes in case["then"])


def as_written(case: Tree, intent: Intent) -> bool:
    held = {name: getattr(intent, name) for name in WRITTEN}
    return {name: str(value) for name, value in held.items()} == {name: case[name] for name in WRITTEN}


IN_THE_SUITE = [("sqlite", "0001"), ("postgres", "0005")]
PLACES = [(database, revision) for database in ("sqlite", "postgres") for revision in REVISIONS]


@pytest.fixture(
    params=[
        pytest.param(place, id="-".join(place), marks=() if place in IN_THE_SUITE else pytest.mark.slow)
        for place in PLACES
    ]
)
def journal_of_before(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Which schema it has, and where it is to lie."""
    database, revision = request.param
    if database == "postgres":
        return revision, request.getfixturevalue("postgres_url")
    return revision, f"sqlite:///{request.getfixturevalue('tmp_path')}/journal.db"


async def test_its_open_intents_are_settled_over_the_wire_and_its_pause_holds(
    open_a_world: OpenWorld, journal_of_before: tuple[str, str]
) -> None:
    revision, url = journal_of_before
    cases = {case["intent_id"]: case for case in cases_of(revision)}
    later_ms = await put_back(revision, url)
    config = merged(
        BOTH_PRODUCTS,
        {"policy": A_POOL.settings, "journal": {"url": url.replace("postgres:@", "postgres@")}},
    )
    async with open_a_world(scenario_before(revision), config=config, trusted=False) as world:
        world.product = A_POOL  # whose story is told if it fails
        carry_out(world.exchange, revision, later_ms)

        async with world.guarded():
            await world.until(lambda: bool(world.heard("daemon_started")))
            await world.until(lambda: all_ended(world, cases))
            assert not world.sent("adjust", "repay", "transfer"), "a pause must never be passed"
            assert world.ltv(IN_NEED) > world.settings().policy.add.trigger_ltv
            await resumed(world)
            await world.until(lambda: world.is_at_target("add", IN_NEED))
            await world.until(lambda: all_ended(world, cases))

        intents = {intent.intent_id: intent for intent in await world.intents()}
        assert all(as_written(case, intents[name]) for name, case in cases.items())
        assert all(intents[name].awaits_row is awaits_row(case) for name, case in cases.items())
        assert {str(intent.key.loan_id) for name, intent in intents.items() if name not in cases} == {IN_NEED}
        await world.judge(nothing_open=False)
        assert not world.heard("journal_does_not_fit")


async def all_ended(world: World, cases: dict[str, Tree]) -> bool:
    ends = ends_of(await world.intents())
    return all(ends[name] == case["ends"] for name, case in cases.items())


async def resumed(world: World) -> None:
    journal = await open_journal(world.journal_url, writer=False)
    paused = {pause.account: pause.reason for pause in await journal.pauses()}
    assert paused == {pause["account"]: pause["reason"] for pause in NIGHT["pauses"]}
    assert [ban.host for ban in await journal.bans()] == ["api.bybit.com"]
    assert "run-before" in {run.run_id for run in await journal.runs()}
    assert await journal.resume("main")
    await journal.close()
