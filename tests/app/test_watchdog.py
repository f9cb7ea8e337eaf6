"""A daemon that hangs is ended from a thread of its own; one that waits, is slow or stops is left alone."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from e2e_world import command, until

from ltv_guard.guard.defects import Defects
from ltv_guard.log.alert_repeater import AlertRepeater
from ltv_guard.service import stacks
from ltv_guard.service.systemd import Systemd
from ltv_guard.service.watchdog import Signs, Stillness, Watchdog

if TYPE_CHECKING:
    from conftest import OpenWorld

STUCK = Path(__file__).parents[1] / "support/stuck_daemon.py"
LOOK_S = 0.02


def signs(loop_s: float = 60, account_s: float = 60, **progress: object) -> Signs:
    return Signs(progress=progress, account_s=account_s, loop_s=loop_s)  # type: ignore[arg-type]


# What counts as stuck: a table of looks, a second each.


def looked(looks: list[tuple[int, Signs]], since_s: float = 1) -> list[str | None]:
    stillness = Stillness()
    return [stillness.why_stuck(turn, seen, since_s) for turn, seen in looks]


def test_a_loop_that_does_not_turn_is_stuck_after_its_bound_and_not_before() -> None:
    seen = signs(loop_s=3, main=0)

    assert looked([(1, seen)] * 3) == [None] * 3
    assert looked([(1, seen)] * 4)[-1] == "the event loop has been blocked for 3 s"


def test_an_account_that_gets_on_with_nothing_is_stuck_and_named() -> None:
    looks = [(turn, signs(account_s=3, main=turn, other=7)) for turn in range(5)]

    said = looked(looks)

    assert said[:3] == [None] * 3
    assert "no cycle of other has ended for 3 s" in str(said[3])


def test_any_change_is_progress_however_slow() -> None:
    looks = [(turn, signs(account_s=3, main=turn // 3)) for turn in range(60)]

    assert looked(looks) == [None] * 60


def test_what_was_still_under_a_longer_bound_is_not_stuck_once_a_reload_shortens_it() -> None:
    before = [(turn, signs(account_s=600, main=0)) for turn in range(50)]
    after = [(turn, signs(account_s=30, main=0)) for turn in range(50, 81)]

    said = looked(before + after)

    assert said[:-1] == [None] * 80
    assert "no cycle of main has ended for 30 s" in str(said[-1])


def test_an_account_that_is_new_begins_with_its_own_time() -> None:
    before = [(turn, signs(account_s=3, main=turn)) for turn in range(50)]
    after = [(turn, signs(account_s=3, main=turn, new=0)) for turn in range(50, 53)]

    assert looked(before + after) == [None] * 53


def test_time_in_which_the_whole_process_was_frozen_does_not_count() -> None:
    assert looked([(1, signs(loop_s=10, main=0))] * 5, since_s=3600) == [None] * 5


# The thread and the loop.


class Ends:
    def __init__(self) -> None:
        self.status: int | None = None

    def __call__(self, status: int) -> None:
        self.status = status


async def test_a_blocked_loop_is_told_with_every_stack_and_ends_with_status_3(
    events: list[dict[str, object]],
) -> None:
    ends = Ends()
    watchdog = Watchdog(
        lambda: signs(loop_s=0.1, main=0), Defects(AlertRepeater(lambda: 0)), look_s=LOOK_S, end=ends
    )
    watching = asyncio.create_task(watchdog.watch(asyncio.Event()), name="the watched one")
    await asyncio.sleep(0)

    blocked_since = time.monotonic()
    while ends.status is None and time.monotonic() - blocked_since < 20:
        time.sleep(0.01)  # noqa: ASYNC251 - this is what it is about

    watching.cancel()
    assert ends.status == 3
    (told,) = [item for item in events if item["event"] == "daemon_stuck"]
    stacks = "\n".join(map(str, told["stacks"]))  # type: ignore[call-overload]
    assert "event loop has been blocked" in str(told["why"])
    assert "task the watched one: " in stacks
    assert "service/watchdog.py" in stacks
    assert f"{Path(__file__).name}:" in stacks  # where the loop's own thread is held up


async def test_a_task_is_shown_down_to_what_it_awaits(events: list[dict[str, object]]) -> None:
    async def innermost() -> None:
        await asyncio.Event().wait()

    async def outermost() -> None:
        await innermost()

    ends, deep = Ends(), asyncio.create_task(outermost(), name="deep")
    watchdog = Watchdog(
        lambda: signs(account_s=0.1, main=0), Defects(AlertRepeater(lambda: 0)), look_s=LOOK_S, end=ends
    )
    watching = asyncio.create_task(watchdog.watch(asyncio.Event()))
    await until(lambda: ends.status == 3)

    for task in (watching, deep):
        task.cancel()
    (told,) = [item for item in events if item["event"] == "daemon_stuck"]
    (shown,) = [item for item in told["stacks"] if item.startswith("task deep: ")]  # type: ignore[attr-defined]
    assert shown.index("outermost") < shown.index("innermost") < shown.index("Event.wait")


async def test_after_a_stop_nothing_fires_however_long_it_takes() -> None:
    ends, stop = Ends(), asyncio.Event()
    watchdog = Watchdog(
        lambda: signs(loop_s=0.05, account_s=0.05, main=0),
        Defects(AlertRepeater(lambda: 0)),
        look_s=LOOK_S,
        end=ends,
    )
    stop.set()
    await watchdog.watch(stop)

    await asyncio.sleep(0.3)

    watchdog.close()
    assert ends.status is None


async def test_a_defect_in_the_signs_is_told_and_ends_nothing(events: list[dict[str, object]]) -> None:
    calls = iter([signs(main=0)])
    ends = Ends()
    watchdog = Watchdog(lambda: next(calls), Defects(AlertRepeater(lambda: 0)), look_s=LOOK_S, end=ends)
    watching = asyncio.create_task(watchdog.watch(asyncio.Event()))

    await asyncio.sleep(0.2)

    watching.cancel()
    watchdog.close()
    assert ends.status is None
    assert [item["what"] for item in events if item["event"] == "defect"] == ["the watchdog"]


async def test_after_a_defect_in_the_signs_it_goes_on_and_fires(events: list[dict[str, object]]) -> None:
    ends, odd = Ends(), [KeyError("odd")] * 3

    def look() -> Signs:
        if odd:
            raise odd.pop()
        return signs(account_s=0.1, main=0)

    watchdog = Watchdog(look, Defects(AlertRepeater(lambda: 0)), look_s=LOOK_S, end=ends)
    watching = asyncio.create_task(watchdog.watch(asyncio.Event()))
    await until(lambda: ends.status == 3)

    watching.cancel()
    assert not odd
    assert [item["event"] for item in events] == ["defect", "daemon_stuck"]


async def test_stacks_that_can_not_be_had_keep_nobody_from_being_told(
    events: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def changes(_loop: object) -> list[str]:
        raise RuntimeError("Set changed size during iteration")

    monkeypatch.setattr(stacks, "of_tasks", changes)
    ends = Ends()
    watchdog = Watchdog(
        lambda: signs(account_s=0.1, main=0), Defects(AlertRepeater(lambda: 0)), look_s=LOOK_S, end=ends
    )
    watching = asyncio.create_task(watchdog.watch(asyncio.Event()))
    await until(lambda: ends.status == 3)

    watching.cancel()
    (told,) = [item for item in events if item["event"] == "daemon_stuck"]
    first, *others = told["stacks"]  # type: ignore[misc]
    assert "Set changed size" in str(first)
    assert any("MainThread" in str(item) for item in others)


# What systemd is told.


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.settimeout(20)
        yield heard


def test_a_manager_that_is_gone_or_does_not_listen_costs_nothing(tmp_path: Path) -> None:
    for environ in ({}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": str(tmp_path / "nobody")}):
        systemd = Systemd(environ)
        systemd.tell("READY=1")
        systemd.close()


def test_an_abstract_socket_is_told_too() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        name = f"ltv-guard-test-{os.getpid()}"
        heard.bind(f"\0{name}")
        heard.settimeout(20)
        systemd = Systemd({"NOTIFY_SOCKET": f"@{name}"})
        systemd.tell("READY=1")
        assert heard.recv(100) == b"READY=1"
        systemd.close()


async def test_a_run_tells_systemd_that_it_is_ready_alive_and_stopping(
    open_a_world: OpenWorld, listener: socket.socket, tmp_path: Path
) -> None:
    environ = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
    async with open_a_world() as world, command("run", "-c", world.config_file, environ=environ) as daemon:
        assert await asyncio.to_thread(listener.recv, 100) == b"READY=1"
        await until(lambda: bool(daemon.heard("daemon_started")))
        assert await asyncio.to_thread(listener.recv, 100) == b"WATCHDOG=1"
        daemon.process.terminate()
        said = b"WATCHDOG=1"
        while said == b"WATCHDOG=1":
            said = await asyncio.to_thread(listener.recv, 100)
        assert said == b"STOPPING=1"
        assert await daemon.ends() == 0


# The real daemon.


@pytest.mark.slow
@pytest.mark.parametrize("how", ["blocked", "hung"])
async def test_a_daemon_that_hangs_ends_with_status_3_and_the_next_one_guards(
    open_a_world: OpenWorld, how: str
) -> None:
    config = {"watchdog": {"stuck_after_s": 10}}
    async with open_a_world(config=config) as world:
        async with command(how, "run", "-c", world.config_file, program=(STUCK,)) as daemon:
            assert await daemon.ends(within_s=60) == 3, daemon.output
        (told,) = daemon.heard("daemon_stuck")
        assert "stuck_daemon.py" in "\n".join(told["stacks"])
        async with command("run", "-c", world.config_file) as again:
            await until(lambda: len(again.heard("cycle_finished")) > 1, why=lambda: again.output)
            again.process.send_signal(signal.SIGTERM)
            assert await again.ends() == 0


@pytest.mark.slow
async def test_an_exchange_that_answers_nothing_in_time_is_waited_for(open_a_world: OpenWorld) -> None:
    config = {
        "watchdog": {"stuck_after_s": 10},
        "exchange": {"recv_window_ms": 9000, "request_timeout_s": 7},
        "schedule": {"shutdown_timeout_s": 8},
    }
    async with open_a_world(config=config) as world, command("run", "-c", world.config_file) as daemon:
        await until(lambda: bool(daemon.heard("cycle_finished")), why=lambda: daemon.output)
        world.fault("hang_before", endpoint="orders", times=1000, seconds=60)
        await asyncio.sleep(40)
        daemon.process.terminate()
        assert await daemon.ends() == 0, daemon.output
