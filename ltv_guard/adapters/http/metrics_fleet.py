"""What a worker of a fleet shows in `/metrics`. Labels: its own name, and accounts of its egress."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from ltv_guard.core.model.leases import FleetStatus

PREFIX = "ltv_guard_"


def families(fleet: FleetStatus) -> Iterator[Metric]:
    """What it holds, and what its last look at the leases has shown of the others."""
    held = GaugeMetricFamily(
        f"{PREFIX}lease_epoch",
        "The epoch of each lease that this worker holds.",
        labels=["account", "worker"],
    )
    for account, epoch in sorted(fleet.epochs.items()):
        held.add_metric([account, fleet.worker], epoch)
    yield held
    for name, says, figure in (
        ("fleet_workers", "Workers of this egress that are alive.", fleet.workers),
        ("fleet_accounts", "Accounts of this egress.", fleet.accounts),
        ("fleet_accounts_unheld", "Of them, those that nobody holds.", fleet.unheld),
    ):
        yield GaugeMetricFamily(PREFIX + name, says, value=figure)
    taken = CounterMetricFamily(
        f"{PREFIX}leases_taken", "Accounts that came to this worker, by how.", labels=["how"]
    )
    for how, count in sorted(fleet.taken.items()):
        taken.add_metric([how], count)
    yield taken
    yield CounterMetricFamily(
        f"{PREFIX}leases_lost", "Accounts that another worker had taken from this one.", value=fleet.lost
    )
    refused = CounterMetricFamily(
        f"{PREFIX}refused_writes", "Writes refused for want of the lease.", labels=["account"]
    )
    for account, count in sorted(fleet.refused.items()):
        refused.add_metric([account], count)
    yield refused
