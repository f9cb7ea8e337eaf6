"""One class name, one idea: what shares one is the same on two sides of a border."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import ltv_guard

PACKAGE = Path(ltv_guard.__file__).parent

# The sandbox imports nothing of the package, so that it checks it: what both speak of has a class in each.
SHARED = {
    "Ban": "a host's ban: in force (adapters/bybit), and as it is written down (adapters/journal)",
    "Clock": "the exchange's time: the port that the guard asks (core), and what the sandbox goes by",
    "Moment": "one instant: on the guard's two clocks (core), and with its prices (sandbox)",
    "Tier": "a tier of a coin's collateral ratio: as the guard reads it (core), and as the sandbox sets it",
}


def test_no_other_two_classes_have_the_same_name() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(str(path.relative_to(PACKAGE)))
    twice = {name: found for name, found in homes.items() if len(found) > 1}
    assert {name: found for name, found in twice.items() if name not in SHARED} == {}
    assert {name for name in SHARED if name not in twice} == set()
    assert {name: found for name, found in twice.items() if len(found) > 2} == {}
