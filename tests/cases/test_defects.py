"""No error of ours costs a loan its help: the next has its turn, and the defect is told with a traceback."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from e2e_world import scenario_of

if TYPE_CHECKING:
    from conftest import OpenWorld

BREACH = Decimal(38000)


def fails(*_: object, **__: object) -> None:
    raise ZeroDivisionError("a defect of ours")


@pytest.mark.parametrize(
    "broken",
    [
        "ltv_guard.guard.decision_reporter.DecisionReporter.tell",
        "ltv_guard.guard.reporter.Reporter.finished",
        "ltv_guard.guard.loan_reporter.LoanReporter.book",
        "ltv_guard.guard.decision_reporter.DecisionReporter.amount",
        "ltv_guard.guard.decision_reporter.DecisionReporter.doubts",
        "ltv_guard.guard.loan_watch.LoanWatch.look",
        "ltv_guard.guard.episodes.Episodes.note",
        "ltv_guard.guard.state.unwritten_episodes.UnwrittenEpisodes.write_rest",
        "ltv_guard.adapters.journal.sql.episode_row",
        "ltv_guard.guard.decision_of_now.DecisionOfNow._of_now",
        "ltv_guard.guard.directions.Directions.sent",
        "ltv_guard.guard.at_rest.AtRest.among",
        "ltv_guard.guard.at_rest._is_looked_closer_at",
        "ltv_guard.core.decide.add.missing_coins",
        "ltv_guard.core.decide.decide.share_out",
        "ltv_guard.guard.contradictions.Contradictions.contradiction",
    ],
)
async def test_a_loan_in_breach_is_saved_whatever_goes_wrong_beside_it(
    open_a_world: OpenWorld, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    monkeypatch.setattr(broken, fails)
    scenario = scenario_of(BREACH)
    scenario["users"]["1"]["funding"]["BTC"] = "0.1" if broken.endswith("missing_coins") else "5"
    async with open_a_world(scenario) as world, world.guarded():
        await world.until(lambda: bool(world.effects()) and bool(world.heard("defect")))
        await world.until(world.none_is_open)
    told = world.heard("defect")
    assert told[0]["exc_info"] is not None
    assert [item["exc_info"] for item in told[1:] if item["what"] == told[0]["what"]] == []
    assert not world.heard("cycle_failed")


async def test_where_adding_itself_goes_wrong_debt_is_repaid(
    open_a_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ltv_guard.core.decide.decide.decide_add", fails)
    scenario = scenario_of(BREACH)
    scenario["users"]["1"]["funding"] = {"BTC": "5", "USDT": "20000"}
    repays = {"policy": {"repay": {"enabled": True}}}
    async with open_a_world(scenario, config=repays) as world, world.guarded():
        await world.until(lambda: bool(world.repayments()))
        assert world.heard("defect")
