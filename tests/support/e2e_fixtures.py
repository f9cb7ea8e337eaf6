"""Fixtures of the tests that run the real daemon against a sandbox; imported by their conftests."""

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest
import structlog
from e2e_world import AN_ORDER, Event, Product, World, open_world

from ltv_guard.core.model.timing import TIMING, Backoff

OpenWorld = Callable[..., AbstractAsyncContextManager[World]]


@pytest.fixture
def events() -> Iterator[list[Event]]:
    """Every event that is logged in this process, in order, with all that was bound to it."""
    heard: list[Event] = []

    def hear(_logger: object, level: str, event: MutableMapping[str, Any]) -> NoReturn:
        heard.append({**event, "level": level})
        raise structlog.DropEvent

    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, hear],
        wrapper_class=structlog.make_filtering_bound_logger(0),
        cache_logger_on_first_use=False,
    )
    yield heard
    structlog.reset_defaults()


@pytest.fixture
def product() -> Product:
    """An order, where a test does not say (by a parameter of this name) that it is about a pool as well."""
    return AN_ORDER


class Timings:
    """What daemons that begin from now on are timed by, where no key sets it."""

    now = TIMING

    def change(self, **spans: object) -> None:
        self.now = replace(self.now, **spans)  # type: ignore[arg-type]


@pytest.fixture
def timings() -> Timings:
    return Timings()


@pytest.fixture
def open_a_world(tmp_path: Path, events: list[Event], product: Product, timings: Timings) -> OpenWorld:
    """Serves a sandbox and writes a configuration for it, in `tmp_path`."""
    return partial(open_world, tmp_path, events, product=product, timing=lambda: timings.now)


@pytest.fixture
def short_pauses(timings: Timings) -> None:
    """A ban of ten minutes, and a minute between two looks at a refused key, would only take time.

    So would ten seconds before a coin that was refused is tried again.
    """
    timings.change(ban_ms=1500, key_probe_ms=500, backoff=Backoff(first_ms=500, lasting_ms=1500))
