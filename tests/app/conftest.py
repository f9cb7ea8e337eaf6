"""Gives each test the world of the end-to-end tests, with the daemon in this process."""

import sys
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest
import structlog

sys.path.insert(0, str(Path(__file__).parents[1] / "guard"))
sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

from e2e_world import Event, World, open_world

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
def open_a_world(tmp_path: Path, events: list[Event]) -> OpenWorld:
    """Serves a sandbox and writes a configuration for it, in `tmp_path`."""
    return partial(open_world, tmp_path, events)
