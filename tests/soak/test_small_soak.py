"""The small soak: a minute of what `make soak` does for longer, as the same program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).with_name("soak.py")
SMALL = (
    *("--adjustments", "60", "--accounts", "4", "--minutes", "6"),
    *("--fall", "0.0055", "--kill-after", "8", "15"),
)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_is_doubled_lost_or_liquidated_in_a_small_soak(tmp_path: Path) -> None:
    # It ends when all has been seen. Six minutes are what a machine may take that does much else.
    soak = subprocess.run(
        [sys.executable, str(SOAK), *SMALL, "--folder", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert soak.returncode == 0, soak.stderr + soak.stdout
