"""A real Prometheus scrapes a running guard in a crash: rules and dashboard find their figures."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from deploy_files import RULES, queries, rules, tool
from e2e_world import NEEDY, until
from http_world import a_free_port, served

if TYPE_CHECKING:
    from conftest import OpenWorld

# What has nothing to show while nobody is paused, nothing waits and nothing fails.
QUIET = {
    "What is wrong A",
    "Nothing is sent for A",
    "Open adjustments, and the age of the oldest A",
    "Notifications waiting, journal A",
}


class Prometheus:
    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session

    async def has(self, query: str) -> bool:
        return bool(await self.found(query))

    async def found(self, query: str) -> list[Any]:
        """What it answers; fails where the query makes no sense to it."""
        async with self._session.get(f"{self._url}/api/v1/query", params={"query": query}) as answer:
            tree = await answer.json()
        assert tree["status"] == "success", f"{query}: {tree}"
        result: list[Any] = tree["data"]["result"]
        return result

    async def rules(self) -> list[Any]:
        async with self._session.get(f"{self._url}/api/v1/rules") as answer:
            (group,) = (await answer.json())["data"]["groups"]
        found: list[Any] = group["rules"]
        return found

    async def answers(self) -> bool:
        try:
            async with self._session.get(f"{self._url}/-/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False


@asynccontextmanager
async def prometheus(folder: Path, target: str) -> AsyncIterator[Prometheus]:
    port, config = a_free_port(), folder / "prometheus.yml"
    config.write_text(
        json.dumps(
            {
                "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                "rule_files": [str(RULES)],
                "scrape_configs": [{"job_name": "ltv-guard", "static_configs": [{"targets": [target]}]}],
            }
        )
    )
    process = await asyncio.create_subprocess_exec(
        tool("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with aiohttp.ClientSession() as session:
            seen = Prometheus(f"http://127.0.0.1:{port}", session)
            await until(seen.answers, within_s=60)
            yield seen
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.slow
async def test_every_query_of_rules_and_dashboard_finds_its_figures(
    open_a_world: OpenWorld, tmp_path: Path
) -> None:
    tool("prometheus")
    async with open_a_world() as world:
        config = {"exchange": {"stream_url": world.stream_url}, "wallet": {"reserve": {"BTC": "0.1"}}}
        async with (
            served(world, config) as asked,
            prometheus(tmp_path, asked.url.removeprefix("http://")) as seen,
        ):
            await until(lambda: seen.has("ltv_guard_loan_ltv"), within_s=30)
            world.price(NEEDY["add"])
            await world.until_settled_at_target()
            answered = "ltv_guard_breach_to_wire_seconds_count > 0"
            await until(lambda: seen.has(answered), within_s=30)
            await asyncio.sleep(2)  # rates need two scrapes
            alarms = {rule["alert"] for rule in rules()}
            for who, query in queries().items():
                figures = await seen.found(query.replace("$account", ".*"))
                assert figures or who in alarms | QUIET, f"{who} has nothing to show: {query}"
            assert {rule["health"] for rule in await seen.rules()} == {"ok"}
            assert len(await seen.rules()) == len(alarms)


@pytest.mark.slow
async def test_a_breach_that_nobody_answers_fires(open_a_world: OpenWorld, tmp_path: Path) -> None:
    tool("prometheus")
    async with (
        open_a_world() as world,
        served(world, {"mode": "dry_run"}) as asked,
        prometheus(tmp_path, asked.url.removeprefix("http://")) as seen,
    ):
        await until(lambda: seen.has("ltv_guard_loan_ltv"), within_s=30)
        world.price(NEEDY["add"])
        firing = 'ALERTS{alertname="LtvGuardCritical",event="breach_unanswered",alertstate="firing"}'
        await until(lambda: seen.has(firing), within_s=60)
        await until(lambda: seen.has('ALERTS{alertname="LtvGuardAboveTrigger"}'), within_s=30)
