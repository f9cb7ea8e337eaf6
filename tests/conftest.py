"""Tests over real sockets and processes may be tried again where a machine stalls; a broken promise never is.

Such a test waits on what is observable, with bounds that a stalled machine can miss. What must never happen
(two effects of one intent, something sent that was not written down, a journal untrue to the ledger) says
so in its message, and fails at once. At night nothing is tried again, and neither is what waits for nothing:
a plain function.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A machine that is slow is no failure.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

# What was made of the asserts is kept: without it each of the workers makes it anew, for seconds.
sys.dont_write_bytecode = False

TESTS = Path(__file__).parent
REAL = {"adapters", "app", "cases", "e2e", "sandbox"}
PROMISES = [
    r"left twice",
    r"not written down before",
    r"two effects",
    r"with the effects",
    r"must never",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if waits_for_sockets(item) and item.get_closest_marker("nightly") is None:
            item.add_marker(pytest.mark.flaky(reruns=2, reruns_delay=3, rerun_except=PROMISES))


def waits_for_sockets(item: pytest.Item) -> bool:
    awaits = isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.function)
    return awaits and item.path.relative_to(TESTS).parts[0] in REAL
