"""A run that ends before its first cycle leaves no trace of being alive."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from e2e_world import KEY, SECRET, USER, scenario_of

from ltv_guard.adapters.journal import open_journal
from ltv_guard.adapters.settings import ConfigError
from ltv_guard.service import run as app

if TYPE_CHECKING:
    from conftest import OpenWorld

OTHER = {"products": ["crypto_loan_legacy"], "api_key_file": "other.key", "api_secret_file": "other.secret"}


async def test_a_run_that_is_refused_at_its_start_has_ended(open_a_world: OpenWorld) -> None:
    keys = [{"key": KEY, "secret": SECRET, "user": USER}, {"key": "other", "secret": "s", "user": USER}]
    async with open_a_world(scenario_of(keys=keys), config={"accounts": {"other": OTHER}}) as world:
        with pytest.raises(ConfigError, match="same user"):
            await app.run_daemon(world.settings())
        assert world.heard("daemon_stopped")
        journal = await open_journal(world.journal_url, writer=False)
        runs = [run for run in await journal.runs() if run.run_id != "an earlier run"]
        await journal.close()
        assert [run.ended_at_ms is not None for run in runs] == [True]


async def test_a_clock_whose_answers_disagree_is_told(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world:
        for number, offset_ms in enumerate((100_000, 200_000, 300_000)):
            world.fault("wild_time", endpoint="time", offset_ms=offset_ms, after=number)
        async with world.guarded():
            await world.until(lambda: bool(world.heard("clock_not_measured")))
        (told,) = world.heard("clock_not_measured")
        assert told["level"] == "warning"
        assert "disagree" in told["why"]
