"""What was logged, held against the catalogue of events."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from ltv_guard.log.events import CATALOGUE, COMMON, FIELDS, Shape

PLAIN = re.compile(r"-?\d+(\.\d+)?")


def misfits(events: Iterable[Mapping[str, Any]]) -> list[str]:
    """What is not as the catalogue says, a line each: an event, its level, a field or its kind."""
    return sorted({misfit for event in events for misfit in _misfits(event)})


def _misfits(event: Mapping[str, Any]) -> Iterable[str]:
    known = CATALOGUE.get(event["event"])
    if known is None:
        yield f"{event['event']} is in no catalogue"
        return
    if event["level"] not in known.levels:
        yield f"{known.name} is logged as {event['level']}"
    for name, value in event.items():
        if value is None or name == "exc_info":  # left out, and put into words
            continue
        if name not in {*known.fields, *COMMON}:
            yield f"{known.name} has no field {name}"
        elif not IS[FIELDS[name].kind](value):
            yield f"{name} of {known.name} is not {FIELDS[name].kind}: {value!r}"


def _is_decimal(value: object) -> bool:
    return isinstance(value, Decimal) or (isinstance(value, str) and bool(PLAIN.fullmatch(value)))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


IS: dict[Shape, Callable[[Any], bool]] = {
    Shape.TEXT: lambda value: isinstance(value, str),
    Shape.TEXTS: lambda value: isinstance(value, list | tuple) and all(isinstance(one, str) for one in value),
    Shape.DECIMAL: _is_decimal,
    Shape.AMOUNTS: lambda value: isinstance(value, dict) and all(map(_is_decimal, value.values())),
    Shape.TIME: lambda value: isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None,
    Shape.FLAG: lambda value: isinstance(value, bool),
    Shape.INTEGER: lambda value: isinstance(value, int) and _is_number(value),
    Shape.NUMBER: _is_number,
}
