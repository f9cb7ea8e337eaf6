"""The collector passes over what lasts, and all the same finds the guards that have left."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from ltv_guard.guard.defects import Defects
from ltv_guard.log.alert_repeater import AlertRepeater
from ltv_guard.service import lasting_objects
from ltv_guard.service.lasting_objects import LONGEST_S, SETTLED_S, GuardsSeen, LastingObjects


class Garbage:
    """Holds itself, so that only the collector ends it."""

    def __init__(self) -> None:
        self.itself = self


class Collector:
    """Stands for `gc`: the whole of this process is no business of a test's. Notes what it is told."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def freeze(self) -> None:
        self.done.append("freeze")

    def unfreeze(self) -> None:
        self.done.append("unfreeze")

    def collect(self) -> None:
        self.done.append("collect")


class Looks:
    """Looks at a daemon that is as it says here, at times that it says."""

    def __init__(self) -> None:
        self.now = 0.0
        self.seen = GuardsSeen(which=None, is_calm=True)
        defects = Defects(AlertRepeater(lambda: 0))
        self._objects = LastingObjects(lambda: self.seen, defects, monotonic=lambda: self.now)

    async def at(self, now: float, which: object = 1, *, is_calm: bool = True) -> None:
        self.now, self.seen = now, GuardsSeen(which=which, is_calm=is_calm)  # type: ignore[arg-type]
        await self._objects.look()


WHOLE = ["unfreeze", "collect", "freeze"]


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Collector:
    found = Collector()
    monkeypatch.setattr(lasting_objects, "gc", found)
    return found


async def test_what_is_there_is_set_aside_once_after_all_guards_have_begun(collector: Collector) -> None:
    looks = Looks()
    await looks.at(0, None)
    await looks.at(100, None)
    await looks.at(101)
    await looks.at(101 + SETTLED_S - 1)
    assert collector.done == []
    for later in range(5):
        await looks.at(101 + SETTLED_S + later)
    assert collector.done == WHOLE


async def test_after_a_reload_it_is_looked_through_once_more(collector: Collector) -> None:
    looks = Looks()
    await looks.at(0, 1)
    await looks.at(SETTLED_S, 1)
    await looks.at(1000, None)  # guards are changing hands
    await looks.at(1001, 2)
    await looks.at(1001 + SETTLED_S, 2)
    await looks.at(5000, 2)
    assert collector.done == WHOLE * 2


async def test_near_a_trigger_nothing_is_looked_through_for_an_hour(collector: Collector) -> None:
    looks = Looks()
    await looks.at(0, is_calm=False)
    await looks.at(SETTLED_S, is_calm=False)
    await looks.at(LONGEST_S, is_calm=False)
    assert collector.done == ["freeze"]
    await looks.at(LONGEST_S + 1, is_calm=False)
    await looks.at(LONGEST_S * 2, is_calm=False)
    assert collector.done == ["freeze", *WHOLE]


async def test_what_was_kept_near_a_trigger_is_found_once_all_is_calm(collector: Collector) -> None:
    looks = Looks()
    await looks.at(0, is_calm=False)
    await looks.at(SETTLED_S, is_calm=False)
    await looks.at(SETTLED_S + 1)
    await looks.at(SETTLED_S + 2)
    assert collector.done == ["freeze", *WHOLE]


@pytest.fixture
def thawed_afterwards() -> Iterator[None]:
    yield
    gc.unfreeze()


async def test_guards_that_have_left_are_garbage_that_is_found(thawed_afterwards: None) -> None:
    before, looks = Garbage(), Looks()
    held = weakref.ref(before)
    await looks.at(0, 1)
    await looks.at(SETTLED_S, 1)
    assert gc.get_freeze_count() > 0
    del before
    gc.collect()
    assert held() is not None  # the collector passes over it
    await looks.at(SETTLED_S + 1, 2)
    await looks.at(SETTLED_S * 2 + 1, 2)
    assert held() is None
