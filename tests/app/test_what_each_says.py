"""What HTTP, metrics, notifications and the dead man's switch say of each trouble: as the runbook's table."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from e2e_world import NEEDY, World, merged, scenario_of
from http_world import a_free_port, asking
from metric_figures import figures
from secret_files import write_secret
from watch_targets import ALIVE, a_box, a_switch

from ltv_guard.service import run as app

if TYPE_CHECKING:
    from conftest import OpenWorld

ROOT = Path(__file__).parents[2]


UNSIGHTED = "unsighted_seconds grows"
USUAL_S = 5.0  # no account stays unsighted for so long while its loans can be read


@dataclass(frozen=True, kw_only=True)
class Says:
    """`ready`: /readyz. `tells`: the critical event that is notified, and shown in the metrics.

    `shows`: what else the metrics show, as the runbook writes it.
    """

    ready: int
    tells: str | None
    switch: str
    exit_status: int = 0
    shows: frozenset[str] = frozenset()

    @property
    def metrics(self) -> set[str]:
        alerts = {"alerts"} if self.tells else set()
        return {f"ready {int(self.ready == 200)}", *alerts, *self.shows}


def shown(found: Mapping[tuple[str, ...], float]) -> set[str]:
    """What a page of metrics shows of troubles, as the runbook writes it."""
    names = {key[0] for key in found}
    signs = {
        f"ready {found['ltv_guard_ready',]:.0f}": True,
        "journal_usable 0": found["ltv_guard_journal_usable",] == 0,
        "alerts": "ltv_guard_alerts" in names,
        "withheld": "ltv_guard_withheld" in names,
        UNSIGHTED: found["ltv_guard_unsighted_seconds", "main"] > USUAL_S,
    }
    return {sign for sign, is_so in signs.items() if is_so}


def nothing(world: World) -> None:
    """All is well."""


def blind(world: World) -> None:
    world.fault("http_error", endpoint="orders", times=None)


def dead_key(world: World) -> None:
    world.fault("ret_code", endpoint="orders", code=10003, message="API key is invalid.", times=None)


def a_fall(world: World) -> None:
    world.price(NEEDY["add"])


def no_journal(world: World) -> None:
    (world.folder / "journal.db").rename(world.folder / "elsewhere.db")


CASES: dict[str, tuple[Callable[[World], None], dict[str, object], Says]] = {
    "all is well": (nothing, {}, Says(ready=200, tells=None, switch=ALIVE)),
    "blind exchange": (
        blind,
        {},
        Says(ready=503, tells="guard_blind", switch="fail", shows=frozenset({UNSIGHTED})),
    ),
    "dead key": (
        dead_key,
        {},
        Says(ready=503, tells="needs_human", switch="fail", shows=frozenset({UNSIGHTED})),
    ),
    "empty wallet": (a_fall, {"wallet": {}}, Says(ready=200, tells="protection_short", switch=ALIVE)),
    "unwritable journal": (
        no_journal,
        {},
        Says(
            ready=503,
            tells="journal_unavailable",
            switch="fail",
            exit_status=1,
            shows=frozenset({"journal_usable 0"}),
        ),
    ),
    "pause, loan at its trigger": (
        a_fall,
        {"pause": True},
        Says(ready=200, tells="breach_unanswered", switch=ALIVE, shows=frozenset({"withheld"})),
    ),
    "dry run, loan at its trigger": (
        a_fall,
        {"mode": "dry_run"},
        Says(ready=200, tells="breach_unanswered", switch=ALIVE, shows=frozenset({"withheld"})),
    ),
}
TOLD_ELSEWHERE = {"stuck loop": ["no answer"] * 3 + ["none", "silence, then its alarm", "3, by itself"]}
SOON = {"all is well", "dry run, loan at its trigger"}
PARAMETERS = [pytest.param(name, marks=() if name in SOON else pytest.mark.slow, id=name) for name in CASES]


@pytest.mark.parametrize("name", PARAMETERS)
async def test_each_says_of_a_trouble_what_the_table_says(open_a_world: OpenWorld, name: str) -> None:
    strike, how, says = CASES[name]
    scenario = scenario_of()
    if "wallet" in how:
        scenario["users"]["1"]["funding"] = {"BTC": "0"}
    async with a_box() as box, a_switch() as switch, open_a_world(scenario) as world:
        port = watched_by(world, box.port, switch.url, str(how.get("mode", "live")))
        stop = asyncio.Event()
        daemon = asyncio.create_task(app.run_daemon(world.settings(), stop))
        world.daemons.append(daemon)
        await world.until(lambda: bool(world.heard("http_served")) and switch.words[-1:] == [ALIVE])
        async with asking(port) as asked:
            if "pause" in how:
                await asked.post("/api/v1/pause", {"reason": "a look"})
                await world.until(lambda: bool(world.heard("guard_paused")))
            strike(world)
            if says.tells is None:
                seen = len(world.heard("cycle_finished"))
                await world.until(lambda: len(world.heard("cycle_finished")) > seen + 3)

            async def is_said() -> bool:
                found = figures((await asked.get("/metrics"))[1])
                told = {key[1] for key in found if key[0] == "ltv_guard_alerts"}
                return (
                    (await asked.get("/livez"))[0] == 200
                    and (await asked.get("/readyz"))[0] == says.ready
                    and shown(found) == says.metrics
                    and (says.tells in told if says.tells else not told)
                    and (any(says.tells in title for title in box.titles) if says.tells else not box.titles)
                    and switch.words[-1] == says.switch
                )

            await world.until(is_said, within_s=40)
        stop.set()
        assert await daemon == says.exit_status


def watched_by(world: World, box: int, switch: str, mode: str) -> int:
    for name, text in (
        ("phone.url", f"json://127.0.0.1:{box}/"),
        ("deadman.url", switch),
        ("http.token", "a-token-that-nobody-may-see"),
    ):
        write_secret(world.folder / name, text)
    port = a_free_port()
    world.configure(
        merged(
            {"mode": mode},
            {
                "http": {"enabled": True, "port": port, "token_file": "http.token"},
                "deadman": {"url_file": "deadman.url", "interval_s": 1},
                "notify": {"targets": {"phone": {"url_file": "phone.url"}}},
            },
        )
    )
    return port


def test_the_runbook_has_the_same_table() -> None:
    page = (ROOT / "docs/operations.md").read_text()
    rows = {
        cells[0]: cells[1:]
        for line in page.splitlines()
        if line.startswith("| ") and len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == 7
    }
    assert {name: rows.pop(name) for name in TOLD_ELSEWHERE} == TOLD_ELSEWHERE
    assert rows.keys() == {"trouble", *CASES}
    for name, (_, _, says) in CASES.items():
        live, ready, metrics, told, switch, ends = rows[name]
        assert (live, ready) == ("200", str(says.ready)), name
        assert {item.replace("`", "") for item in metrics.split(", ")} == says.metrics, name
        assert re.findall(r"`(\w+)`", told) == ([says.tells] if says.tells else []), name
        assert ("fail" in switch) == (says.switch == "fail"), name
        assert ends == str(says.exit_status), name
