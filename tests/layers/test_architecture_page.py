"""The map in docs/architecture.md leads somewhere, and everywhere: it names what exists, and all of it."""

from __future__ import annotations

import re
from pathlib import Path

from ltv_guard.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"
NAME = re.compile(r"`([\w/]+(?:\.py|/))`")
# Of these the map has a line each: their modules stand in no other folder's story.
AS_A_WHOLE = {"adapters/bybit", "adapters/http", "adapters/journal"}
AS_A_WHOLE |= {"log/events", "sandbox", "service/notify", "adapters/settings"}


def mapped(row: str) -> set[str]:
    """The modules and folders that a row names, from the package on: a bare name is beside the last one."""
    found, folder = set(), Path()
    for name in NAME.findall(row):
        path = Path(name)
        if "/" in name:
            folder = path if name.endswith("/") else path.parent
        found.add((path if "/" in name else folder / path).as_posix())
    return found


def is_in_a_whole(module: Path, named: set[str]) -> bool:
    return any(folder.as_posix() in AS_A_WHOLE & named for folder in module.parents)


def test_every_module_that_the_page_of_the_architecture_names_exists() -> None:
    named, missing = 0, []
    for row in re.findall(r"^\| (`[^|]+) \|", PAGE.read_text(), flags=re.MULTILINE):
        folder = Path()
        for name in NAME.findall(row):
            folder = Path(name).parent if "/" in name else folder
            named += 1
            if not any((ROOT / "ltv_guard" / place).exists() for place in (name, folder / name)):
                missing.append(name)

    assert not missing
    assert named > 80


def test_the_page_of_the_architecture_names_every_module() -> None:
    rows = re.findall(r"^\| `.+", PAGE.read_text(), flags=re.MULTILINE)
    named = {name for row in rows for name in mapped(row)} | {f"cli/{command}.py" for command in COMMANDS}

    modules = [path.relative_to(ROOT / "ltv_guard") for path in sorted((ROOT / "ltv_guard").rglob("*.py"))]
    unmapped = [
        module.as_posix()
        for module in modules
        if not (module.stem.startswith("__") or module.as_posix() in named or is_in_a_whole(module, named))
    ]

    assert not unmapped
