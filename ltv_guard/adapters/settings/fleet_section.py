"""The section about a fleet: several workers that share a journal, and the accounts."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from ltv_guard.adapters.settings.sections import Section
from ltv_guard.adapters.settings.values import AccountName, Interval

DEFAULT_EGRESS = "default"
LEAST_LEASE_S, MOST_LEASE_S = 3, 300


def _sane(value: float) -> float:
    if not LEAST_LEASE_S <= value <= MOST_LEASE_S:
        raise ValueError(f"must be from {LEAST_LEASE_S} to {MOST_LEASE_S} seconds")
    return value


class FleetSection(Section):
    """Whether accounts are shared with other workers, and for how long (seconds) one is leased."""

    enabled: bool = False
    lease_s: Annotated[Interval, AfterValidator(_sane)] = 15
    egress: AccountName = DEFAULT_EGRESS
    """From which address this worker calls: it guards accounts of the same `egress`."""
