"""The dead man's switch hears that all is well for as long as it is, and no cycle waits for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from e2e_world import World, until
from secret_files import write_secret
from watch_targets import ALIVE, a_switch

from ltv_guard.core.model.status import Health
from ltv_guard.core.model.withheld import Why, Withheld
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.snapshot import CycleResult
from ltv_guard.log.alert_repeater import AlertRepeater
from ltv_guard.service.deadman import Deadman, Post
from ltv_guard.service.latest import Latest

if TYPE_CHECKING:
    from conftest import OpenWorld

WELL, UNSEEN = Health(troubles={}), Health(troubles={}, unseen=["main"])
ILL = Health(troubles={"main": "its loans were not read for 70 s"})


@asynccontextmanager
async def watched(
    health: Callable[[], Health], url: Callable[[], str | None], interval_s: float = 60
) -> AsyncIterator[None]:
    deadman = Deadman(
        lambda: Post(url=url(), interval_s=interval_s), health, Defects(AlertRepeater(lambda: 0)), look_s=0.01
    )
    watching = asyncio.create_task(deadman.watch())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def test_a_start_is_told_then_that_all_is_well_then_trouble_at_once_and_its_end() -> None:
    health = [UNSEEN]
    async with a_switch() as heard, watched(lambda: health[0], lambda: heard.url):
        for number, now in enumerate((UNSEEN, WELL, ILL, WELL), start=1):
            health[0] = now
            await until(lambda number=number: len(heard.heard) == number)
        await asyncio.sleep(0.1)  # and nothing twice within the interval
        assert heard.words == ["start", ALIVE, "fail", ALIVE]
        assert heard.heard[2] == ("fail", "main: its loans were not read for 70 s")


@pytest.mark.parametrize("health", [WELL, ILL])
async def test_what_lasts_is_told_again_each_interval(health: Health) -> None:
    async with a_switch() as heard, watched(lambda: health, lambda: heard.url, interval_s=0.1):
        await until(lambda: len(heard.heard) >= 3)
        assert len(set(heard.words)) == 1


async def test_one_that_does_not_answer_is_told_once_and_so_is_its_end(events: list[dict[str, Any]]) -> None:
    async with a_switch() as heard:
        heard.status = 503
        async with watched(lambda: WELL, lambda: heard.url, interval_s=0.05):
            await until(lambda: len(heard.heard) >= 3)
            heard.status = 200
            await until(lambda: any(item["event"] == "deadman_reachable" for item in events))
    told = [item for item in events if item["event"].startswith("deadman")]
    assert [item["event"] for item in told] == ["deadman_unreachable", "deadman_reachable"]
    assert told[0]["why"] == "it answered with HTTP 503"


async def test_nothing_that_is_told_holds_the_url(events: list[dict[str, Any]]) -> None:
    for url in ("http://127.0.0.1:1/nobody-may-see", "http://nobody.invalid/nobody-may-see"):
        async with watched(lambda: WELL, lambda url=url: url, interval_s=0.05):
            await until(lambda: any(item["event"] == "deadman_unreachable" for item in events))
        assert "may-see" not in repr(events)
        events.clear()


async def test_another_url_is_told_from_the_beginning() -> None:
    async with a_switch() as first, a_switch() as second:
        where = [first.url]
        async with watched(lambda: WELL, lambda: where[0]):
            await until(lambda: len(first.heard) == 1)
            where[0] = second.url
            await until(lambda: len(second.heard) == 1)


async def test_a_look_that_fails_is_told_once_says_nothing_and_ends_nothing(
    events: list[dict[str, Any]],
) -> None:
    looks: list[Health | Exception] = [KeyError("odd")] * 3

    def health() -> Health:
        now = looks.pop(0) if looks else WELL
        if isinstance(now, Exception):
            raise now
        return now

    async with a_switch() as heard, watched(health, lambda: heard.url):
        await until(lambda: bool(heard.heard))
        assert not looks
        assert heard.words == [ALIVE]
    assert [item["what"] for item in events if item["event"] == "defect"] == ["the dead man's switch"]


# What is well.


def health_of(*results: CycleResult, age_s: float = 0, sound: bool = True) -> Health:
    now = [100.0]
    latest = Latest(lambda: now[0])
    for result in results:
        latest.hear("main", result)
    now[0] += age_s
    return latest.health(["main"], within_s=60, journal_is_sound=sound)


SEEN, BLIND = CycleResult(), CycleResult(blind=True)


@pytest.mark.parametrize(
    ("health", "trouble"),
    [
        (health_of(SEEN), None),
        (health_of(SEEN, BLIND, age_s=60), None),
        (health_of(SEEN, BLIND, age_s=61), "not read for 61 s"),
        (health_of(BLIND, age_s=61), "not read for 61 s"),
        (health_of(age_s=61), "not read for 61 s"),
        (health_of(CycleResult(withheld=Withheld(kind=Why.DRY_RUN))), None),
        (health_of(CycleResult(withheld=Withheld(kind=Why.PAUSED))), None),
        (health_of(CycleResult(withheld=Withheld(kind=Why.WAITING))), None),
        (health_of(CycleResult(withheld=Withheld(kind=Why.NEEDS_HUMAN))), "needs a human"),
        (health_of(SEEN, sound=False), "nothing can be sent"),
    ],
)
def test_what_is_well_and_what_is_not(health: Health, trouble: str | None) -> None:
    assert health.is_well == (trouble is None)
    assert trouble is None or trouble in next(iter(health.troubles.values()))


def test_an_account_without_a_cycle_is_neither_well_nor_in_trouble() -> None:
    assert health_of(age_s=5) == Health(troubles={}, unseen=["main"])


# The real daemon.


def pointed_at(world: World, url: str, folder: Path) -> None:
    write_secret(folder / "deadman.url", url + "\n")
    world.configure({"deadman": {"url_file": "deadman.url", "interval_s": 1}})


async def test_a_daemon_that_guards_says_so_and_one_that_is_slow_to_hear_delays_no_cycle(
    open_a_world: OpenWorld, tmp_path: Path
) -> None:
    async with a_switch() as heard, open_a_world() as world:
        pointed_at(world, heard.url, tmp_path)
        async with world.guarded():
            await world.until(lambda: heard.words[-1:] == [ALIVE])
            heard.slow_s = 30
            await asyncio.sleep(1.2)  # until a signal hangs in it
            began, seen = time.monotonic(), len(world.heard("cycle_finished"))
            await world.until(lambda: len(world.heard("cycle_finished")) >= seen + 5)
            assert time.monotonic() - began < 20
            heard.slow_s = 0
    assert heard.words[0] in {"start", ALIVE}
    assert "may-see" not in repr(world.events)


@pytest.mark.slow
async def test_an_account_whose_journal_can_not_be_written_fails_at_once(
    open_a_world: OpenWorld, tmp_path: Path
) -> None:
    async with a_switch() as heard, open_a_world() as world:
        pointed_at(world, heard.url, tmp_path)
        stop = asyncio.Event()
        from ltv_guard.service import run as app  # noqa: PLC0415 - only here

        daemon = asyncio.create_task(app.run_daemon(world.settings(), stop))
        await world.until(lambda: heard.words[-1:] == [ALIVE])
        (tmp_path / "journal.db").rename(tmp_path / "elsewhere.db")
        await world.until(lambda: heard.words[-1:] == ["fail"])
        stop.set()
        assert await daemon == 1
