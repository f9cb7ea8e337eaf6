"""What goes wrong with the prices that the stream tells: the endpoint `ticks`, one at a time.

- hang_before: it is not told. close_before: the connection ends instead (`reset` makes it a TCP reset).
- not_json, json_not_object (`body`), empty_body: garbage in its place. padding: `size` bytes more in it.
- nonsense: `field` of the message, or of its data, becomes `value`, or is gone (`remove`): a lie, a NaN,
  another symbol. wild_time: its time is off by `offset_ms`. old_answer: it is `seconds` old.
- flood: it is told `size` times.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from ltv_guard.sandbox.faults import Fault

GARBAGE = {"not_json": "<html>502 Bad Gateway</html>", "json_not_object": "[1, 2]", "empty_body": ""}


def age_s(faults: list[Fault]) -> Decimal:
    """How long ago the price that is told was made."""
    return sum((fault.seconds or Decimal(0) for fault in faults if fault.kind == "old_answer"), Decimal(0))


def texts(snapshot: dict[str, Any], faults: list[Fault]) -> list[str]:
    """What goes over the wire for a snapshot."""
    told, text = 1, ""
    for fault in faults:
        match fault.kind:
            case "hang_before":
                return []
            case "nonsense":
                _disfigure(snapshot, fault)
            case "wild_time":
                snapshot["ts"] += fault.offset_ms
            case "padding":
                snapshot["data"]["padding"] = "x" * fault.size
            case "flood":
                told = fault.size
            case kind if kind in GARBAGE:
                text = fault.body or GARBAGE[kind]
                return [text]
            case _:
                pass
    return [json.dumps(snapshot)] * told


def _disfigure(snapshot: dict[str, Any], fault: Fault) -> None:
    for row in (snapshot, snapshot["data"]):
        if fault.field in row and fault.field is not None:
            if fault.remove:
                del row[fault.field]
            else:
                row[fault.field] = fault.value
