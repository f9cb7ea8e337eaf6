"""What the server notes of each request, and what was asked for between two writes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any


@dataclass(slots=True)
class Seen:
    """One request: when it had arrived whole and when its answer left, on the monotonic clock."""

    key: str
    path: str
    begins_sweep: bool
    arrived: float
    left: float = 0.0
    ends_sweep: bool = False
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    ret_code: int | None = None
    is_single: bool = False
    address: str = ""

    @property
    def name(self) -> str:
        """What was asked for: the end of its path, `loan` where that is one order by its id."""
        return "loan" if self.is_single else self.path.rsplit("/", 1)[1]


def waits_of(writes: Sequence[Seen], every: Sequence[Seen]) -> list[dict[str, Any]]:
    """How far apart any two writes arrived, and what was read between: how long before, for how long."""
    return [
        {
            "apart_s": later.arrived - sooner.arrived,
            "reads": [
                [seen.name, later.arrived - seen.arrived, seen.left - seen.arrived]
                for seen in every
                if sooner.arrived < seen.arrived < later.arrived
            ],
        }
        for sooner, later in pairwise(writes)
    ]


def reads_of(every: Sequence[Seen], key: str, *, since: float) -> list[list[Any]]:
    """What a key read since then: when it was asked, and when its answer left, in seconds from then."""
    return [
        [seen.name, seen.arrived - since, (seen.left or seen.arrived) - since]
        for seen in every
        if seen.key == key and seen.arrived >= since and seen.name != "adjust-ltv"
    ]
