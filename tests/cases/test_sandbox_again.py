"""The sandbox is a new exchange at each start: a journal from before knows none of its loans."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from e2e_world import KEY, NEEDY, ORDER, SECRET, Command, Tree, command, ran, scenario_of, until

QUICK = {
    "LTV_GUARD_MODE": "live",
    "LTV_GUARD_ACCOUNTS__MAIN__API_KEY": KEY,
    "LTV_GUARD_ACCOUNTS__MAIN__API_SECRET": SECRET,
    "LTV_GUARD_EXCHANGE__RECV_WINDOW_MS": "1000",
    "LTV_GUARD_EXCHANGE__REQUEST_TIMEOUT_S": "0.8",
    "LTV_GUARD_SETTLEMENT__PROCESSING_MARGIN_S": "0.2",
    "LTV_GUARD_SETTLEMENT__HISTORY_LAG_S": "0.3",
}


@asynccontextmanager
async def sandbox(folder: Path, scenario: Tree) -> AsyncIterator[str]:
    """The command as the README gives it; its address."""
    path = folder / "scenario.yaml"
    path.write_text(json.dumps(scenario))
    async with command("sandbox", "--port", 0, "--scenario", path) as running:
        await until(lambda: any(" at http" in line for line in running.errors))
        yield running.errors[0].split(" at ")[1].strip()


async def saved(folder: Path, scenario: Tree) -> Command:
    async with sandbox(folder, scenario) as url:
        journal = f"sqlite:///{folder / 'journal.db'}"
        environ = QUICK | {"LTV_GUARD_EXCHANGE__BASE_URL": url, "LTV_GUARD_JOURNAL__URL": journal}
        status, once = await ran("run", "--once", environ=environ)
        assert status == 0, once.output
        return once


@pytest.mark.slow
@pytest.mark.case(24)
async def test_a_second_sandbox_with_the_journal_of_the_first_is_guarded_like_the_first(
    tmp_path: Path,
) -> None:
    first = await saved(tmp_path, scenario_of(NEEDY["add"]))
    second = await saved(tmp_path, scenario_of(Decimal(36500)))
    (one,) = first.heard("adjustment_confirmed")
    (other,) = second.heard("adjustment_confirmed")
    assert len({one["loan_id"], other["loan_id"], ORDER}) == 3
    assert not second.heard("loan_not_believed")


@pytest.mark.slow
@pytest.mark.case(24)
async def test_a_scenario_may_ask_for_the_ids_that_it_writes(tmp_path: Path) -> None:
    once = await saved(tmp_path, scenario_of(NEEDY["add"], ids="fixed"))
    assert [item["loan_id"] for item in once.heard("adjustment_confirmed")] == [ORDER]
