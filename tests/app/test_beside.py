"""What runs beside the guards: when something may be taken to be over, and what an odd value costs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from e2e_world import until
from secret_files import write_secret

from ltv_guard.adapters.settings import Settings, load
from ltv_guard.core.model.status import Health
from ltv_guard.guard.defects import Defects
from ltv_guard.log.alert_repeater import AlertRepeater
from ltv_guard.service.beside import Beside
from ltv_guard.service.latest import Latest
from ltv_guard.service.live_run import LiveRun
from ltv_guard.service.notify.outboxes import outbox_of
from ltv_guard.service.reload import Reloads
from ltv_guard.service.scheduler import Daemon
from ltv_guard.service.web import Listens, Shown, Web


class Run:
    """Opens nothing. Its successor is like it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.duties = None
        self.transport = SimpleNamespace(requests_ended=0)
        self.wiring = SimpleNamespace(clients={"main": SimpleNamespace(transport=self.transport)})
        self.journal = SimpleNamespace(slow_jobs_ended=0)

    async def successor(self, settings: Settings) -> Run:
        return Run(settings)

    async def greet(self) -> None:
        pass

    async def close(self, *, but: Run | None = None) -> None:
        pass


class Guarding:
    """A daemon whose accounts change guards once `may_change` is set."""

    def __init__(self) -> None:
        self.alerts = AlertRepeater(lambda: 0)
        self.cycles_ended: Counter[str] = Counter()
        self.begun = 0
        self.line = SimpleNamespace(progress=lambda _name: self.begun)
        self.may_change = asyncio.Event()

    async def adopt(self, _duties: object) -> None:
        await self.may_change.wait()


def settings_of(folder: Path, **changes: object) -> Settings:
    for name in ("main.key", "main.secret"):
        write_secret(folder / name, f"{name}-0123456789\n")
    tree = {
        "accounts": {"main": {"api_key_file": "main.key", "api_secret_file": "main.secret"}},
        "schedule": {"poll_interval_s": 15},
        **changes,
    }
    (folder / "config.yaml").write_text(str(tree))
    return load(folder / "config.yaml", environ={})


async def test_a_reload_begins_with_alerts_of_nobody_so_that_nothing_is_over_until_it_has_looked(
    tmp_path: Path,
) -> None:
    now_s, guarding = [1000.0], Guarding()
    run = Run(settings_of(tmp_path))
    reloads = Reloads(
        cast("LiveRun", run),
        cast("Daemon", guarding),
        read=lambda: settings_of(tmp_path, notify={"repeat_s": 60}),
        monotonic=lambda: now_s[0],
    )
    beside = Beside(reloads, cast("Daemon", guarding), Latest())
    seen: list[tuple[str, bool]] = []

    def look(when: str, later_s: float = 0) -> None:
        now_s[0] += later_s
        seen.append((when, beside.sees_all()))

    look("long after the start, without a cycle", 3600)
    guarding.cycles_ended["main"] = 1
    look("and with one")
    asked = asyncio.Event()
    watching: asyncio.Task[Any] = asyncio.create_task(reloads.watch(asked))
    asked.set()
    await until(lambda: reloads.is_taking_over)
    look("while guards are changed")
    guarding.may_change.set()
    await until(lambda: not reloads.is_taking_over)
    look("after a reload")
    look("a minute later", 100)
    look("once everything was looked at", 100)
    watching.cancel()

    assert [when for when, all_of_it in seen if all_of_it] == [
        "and with one",
        "once everything was looked at",
    ]


async def test_a_host_that_is_no_name_is_told_and_another_one_is_served(events: list[dict[str, Any]]) -> None:
    async def never(*_: object) -> Any:  # noqa: ANN401 - nobody asks
        raise AssertionError

    host = ["x" * 64 + ".example"]
    shown = Shown(
        listens=lambda: Listens(host=host[0], port=0, token=None),
        health=lambda: Health(troubles={}),
        see=lambda: cast("Any", None),
        pause=never,
        resume=never,
        ack=never,
        waiting=never,
        acknowledged=never,
        samples=dict,
        tell=lambda _: None,
    )
    web = Web(shown, lambda: True, Defects(AlertRepeater(lambda: 0)), look_s=0.01)
    watching = asyncio.create_task(web.watch())
    await until(lambda: bool(events))
    host[0] = "127.0.0.1"
    await until(lambda: len(events) > 1)
    watching.cancel()
    await asyncio.wait([watching])
    assert [item["event"] for item in events] == ["http_not_served", "http_served"]


def names(settings: Settings, *user_ids: str) -> Sequence[str] | None:
    """By which a daemon tells what is its own; None: all is its own."""
    given: list[Sequence[str]] = []
    journal = SimpleNamespace(outbox=None, outbox_of=given.append)
    outbox_of(cast("Any", journal), settings, user_ids)
    return given[0] if given else None


def test_on_a_database_a_daemon_is_known_by_its_users_and_by_its_keys(tmp_path: Path) -> None:
    shared = {"journal": {"url": "postgresql://db/ltv"}}
    settings = settings_of(tmp_path, **shared)
    (key,) = names(settings) or ()
    user, same_key = names(settings, "4711") or ()
    elsewhere = names(settings_of(tmp_path, exchange={"environment": "mainnet"}, **shared), "4711") or ()
    assert key == same_key
    assert len({key, user, *elsewhere}) == 4
    assert all(len(name) == 8 for name in (key, user))
    assert names(settings_of(tmp_path), "4711") is None


async def test_whatever_an_account_waits_for_is_progress_once_it_ends(tmp_path: Path) -> None:
    run, guarding = Run(settings_of(tmp_path)), Guarding()
    reloads = Reloads(cast("LiveRun", run), cast("Daemon", guarding))
    beside = Beside(reloads, cast("Daemon", guarding), Latest())
    seen = [beside.signs().progress]
    guarding.cycles_ended["main"] += 1
    seen.append(beside.signs().progress)
    run.transport.requests_ended += 1
    seen.append(beside.signs().progress)
    run.journal.slow_jobs_ended += 1
    seen.append(beside.signs().progress)
    guarding.begun += 1
    seen.append(beside.signs().progress)
    assert len({signs["main"] for signs in seen}) == 5
    assert beside.signs().progress == seen[-1]
