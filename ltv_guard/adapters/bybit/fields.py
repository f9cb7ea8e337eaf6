"""Fields of the exchange's JSON, read strictly: whatever is not plainly right is Nonsense. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

Row = Mapping[str, Any]

NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,2})?", re.ASCII)
COIN = re.compile(r"[A-Za-z0-9]{1,32}", re.ASCII)
IDENTITY = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
LONGEST_SHOWN = 40


class Nonsense(ValueError):
    """A payload that no healthy exchange sends; says which field, and why."""


def field(row: Row, name: str) -> object:
    value = row.get(name)
    if value is None:
        raise Nonsense(f"its {name} is missing")
    return value


def decimal(row: Row, name: str) -> Decimal:
    """A finite number, from a string or a JSON number; never through a float."""
    value = field(row, name)
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise Nonsense(f"its {name} is no number but {shown(value)}")
    if NUMBER.fullmatch(str(value)) is None:
        raise Nonsense(f"its {name} is no number but {shown(value)}")
    return Decimal(value)


def amount(row: Row, name: str) -> Decimal:
    """A number that is not negative."""
    value = decimal(row, name)
    if value < 0:
        raise Nonsense(f"its {name} is negative: {value}")
    return value


def whole(row: Row, name: str) -> int:
    value = decimal(row, name)
    if value != value.to_integral_value():
        raise Nonsense(f"its {name} is no whole number but {value}")
    return int(value)


def identity(row: Row, name: str) -> str:
    """An id: the exchange writes some as strings, some as numbers."""
    return _matching(row, name, IDENTITY)


def coin(row: Row, name: str) -> str:
    return _matching(row, name, COIN)


def _matching(row: Row, name: str, pattern: re.Pattern[str]) -> str:
    value = field(row, name)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Nonsense(f"its {name} is {shown(value)}")
    if pattern.fullmatch(str(value)) is None:
        raise Nonsense(f"its {name} is {shown(value)}")
    return str(value)


def rows(result: Row, name: str) -> list[object]:
    value = field(result, name)
    if not isinstance(value, list):
        raise Nonsense(f"its {name} is no list but {shown(value)}")
    return value


def as_row(value: object) -> Row:
    if not isinstance(value, Mapping):
        raise Nonsense(f"it is no object but {shown(value)}")
    return value


def shown(value: object) -> str:
    """A value as it may appear in a sentence: short, on one line."""
    text = repr(str(value) if isinstance(value, Decimal) else value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."
