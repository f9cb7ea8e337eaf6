"""Who of a fleet guards what, as the server of a worker shows it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from http_world import Shop, open_shop
from metric_figures import figures

from ltv_guard.cli.main import main
from ltv_guard.core.model.leases import FleetRegister, FleetStatus, Lease, Worker

LEASE = Lease(
    account="main", egress="e", worker="w1", epoch=3, expires_at_ms=9_500, since_ms=1_000, last_cycle_ms=4_000
)
RUN_OUT = Lease(account="old", egress="e", worker="w0", epoch=7, expires_at_ms=4_999)
REGISTER = FleetRegister(
    now_ms=5_000,
    leases=(LEASE, RUN_OUT, Lease(account="of another configuration", egress="e")),
    workers=(
        Worker(name="w1", egress="e", host="here", pid=4, since_ms=500, expires_at_ms=9_500),
        Worker(name="w0", egress="e", host="here", pid=3, since_ms=500, expires_at_ms=4_999),
    ),
)


async def test_the_workers_are_shown_with_what_they_hold_and_when_it_was_last_looked_at() -> None:
    register = REGISTER.of({"main": "e", "old": "e", "new": "f"})
    async with open_shop(Shop(register=register)) as asked:
        status, text = await asked.get("/api/v1/workers")
    shown = json.loads(text)
    assert status == 200
    assert shown["accounts"] == [
        {
            "account": "main",
            "egress": "e",
            "worker": "w1",
            "epoch": 3,
            "since": "1970-01-01T00:00:01.000Z",
            "left_s": 4,
            "last_cycle": "1970-01-01T00:00:04.000Z",
        },
        {
            "account": "old",
            "egress": "e",
            "worker": None,
            "epoch": 7,
            "since": None,
            "left_s": None,
            "last_cycle": None,
        },
        {
            "account": "new",
            "egress": "f",
            "worker": None,
            "epoch": 0,
            "since": None,
            "left_s": None,
            "last_cycle": None,
        },
    ]
    assert [(row["worker"], row["accounts"], row["alive"]) for row in shown["workers"]] == [
        ("w1", 1, True),
        ("w0", 0, False),
    ]


async def test_where_accounts_are_not_shared_there_are_no_workers_and_no_figures_of_them() -> None:
    async with open_shop(Shop()) as asked:
        status, text = await asked.get("/api/v1/workers")
        _, metrics = await asked.get("/metrics")
    assert status == 404
    assert "fleet.enabled is false" in text
    assert "lease" not in metrics
    assert "fleet" not in metrics


async def test_metrics_hold_what_a_worker_holds_and_what_was_taken_lost_and_refused() -> None:
    fleet = FleetStatus(
        worker="w1",
        epochs={"main": 3},
        accounts=5,
        unheld=2,
        workers=3,
        taken={"first": 1, "expired": 2},
        lost=4,
        refused={"main": 6},
    )
    async with open_shop(Shop(fleet=fleet)) as asked:
        _, text = await asked.get("/metrics")
    found = figures(text)
    assert found["ltv_guard_lease_epoch", "main", "w1"] == 3
    assert found["ltv_guard_fleet_accounts",] == 5
    assert found["ltv_guard_fleet_accounts_unheld",] == 2
    assert found["ltv_guard_fleet_workers",] == 3
    assert found["ltv_guard_leases_taken_total", "first"] == 1
    assert found["ltv_guard_leases_taken_total", "expired"] == 2
    assert found["ltv_guard_leases_lost_total",] == 4
    assert found["ltv_guard_refused_writes_total", "main"] == 6


def test_a_configuration_that_shares_no_accounts_is_said_to_have_no_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTV_GUARD_ACCOUNTS__MAIN__API_KEY", "key-of-the-exchange")
    monkeypatch.setenv("LTV_GUARD_ACCOUNTS__MAIN__API_SECRET", "secret-of-it")
    monkeypatch.setenv("LTV_GUARD_JOURNAL__URL", f"sqlite:///{tmp_path}/journal.db")
    said = CliRunner().invoke(main, ["workers"])
    assert (said.exit_code, "fleet.enabled is false" in said.output) == (2, True)
