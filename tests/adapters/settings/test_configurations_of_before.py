"""A configuration of before means what it meant: the settings and rules that its own version made of it."""

from __future__ import annotations

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "fixtures" / "configs"
KEPT = sorted(FOLDER.glob("*/*.yaml"))


def dumped(path: Path) -> Any:  # noqa: ANN401 - JSON
    """By the very script that the earlier versions ran."""
    spec = spec_from_file_location("dump", FOLDER / "dump.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.dumped(path)


def differences(before: Any, now: Any, place: str = "") -> list[str]:  # noqa: ANN401 - JSON
    """Where `now` lacks, or says otherwise, what stands in `before`; what is new is no difference."""
    if isinstance(before, dict) and isinstance(now, dict):
        missing = [f"{place}.{name} is gone" for name in before.keys() - now.keys()]
        return missing + [
            found
            for name in before.keys() & now.keys()
            for found in differences(before[name], now[name], f"{place}.{name}")
        ]
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        return [
            found
            for number, pair in enumerate(zip(before, now, strict=True))
            for found in differences(*pair, f"{place}.{number}")
        ]
    return [] if before == now else [f"{place} was {before}, and is {now}"]


def test_configurations_of_three_versions_are_kept() -> None:
    assert len(KEPT) == 9


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_it_loads_to_the_same_rules(path: Path) -> None:
    before = json.loads(path.with_suffix(".json").read_text())

    assert differences(before, dumped(path)) == []
