"""The map in docs/architecture.md leads somewhere: what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"


def test_every_module_that_the_page_of_the_architecture_names_exists() -> None:
    named, missing = 0, []
    for row in re.findall(r"^\| (`[^|]+) \|", PAGE.read_text(), flags=re.MULTILINE):
        folder = Path()
        for name in re.findall(r"`([\w/]+(?:\.py|/))`", row):
            folder = Path(name).parent if "/" in name else folder
            named += 1
            if not any((ROOT / "ltv_guard" / place).exists() for place in (name, folder / name)):
                missing.append(name)

    assert not missing
    assert named > 80
