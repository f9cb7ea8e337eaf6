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
# Whether a need was exceeded is judged by prices at the times of stale reads, which a stalled machine blurs:
# that may be looked at once more. What was doubled, lost or liquidated never is.
BROKEN = [r"(doubled|lost|guarded loans liquidated)\s+│\s+[1-9]"]


@pytest.mark.slow
@pytest.mark.flaky(reruns=1, rerun_except=BROKEN)
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
