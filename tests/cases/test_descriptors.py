"""A process without a file descriptor left says exactly that, and saves the loan once it has one."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from e2e_world import NEEDY, command

if TYPE_CHECKING:
    from conftest import OpenWorld


def descriptors_of(pid: int) -> int:
    return max(int(path.name) for path in Path(f"/proc/{pid}/fd").iterdir()) + 1


@pytest.mark.case(9)
async def test_running_out_of_descriptors_is_told_as_that_and_loses_nothing(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world, command("run", "-c", world.config_file) as daemon:
        await world.until(lambda: len(daemon.heard("cycle_finished")) > 2)
        pid = daemon.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        used = descriptors_of(pid)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used, before[1]))
        world.price(NEEDY["add"])
        await world.until(lambda: bool(daemon.heard("out_of_descriptors")))
        await world.until(lambda: bool(daemon.heard("adjustment_withdrawn")))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        await world.until_settled_at_target()
        await world.until(lambda: bool(daemon.heard("descriptors_available")))
        daemon.process.terminate()
        assert await daemon.ends() == 0
        await world.judge()
    (told,) = daemon.heard("out_of_descriptors")
    assert told["level"] == "critical"
    assert "LimitNOFILE" in told["why"]
    assert not daemon.heard("cycle_failed")
    whys = [event.get("why") or "" for event in daemon.events]
    assert any("no file descriptor left" in why for why in whys), "\n".join(daemon.lines)[-9000:]
