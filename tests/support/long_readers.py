"""The readers of single fields as they were before they had a short way for what is not odd.

`amount`, `whole` and `as_row` never had one: they are copied so that what is here calls what is here. So are
the patterns, so that a change of those is seen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

from ltv_guard.adapters.bybit.fields import MOMENTS_MS, MOST_COINS, MalformedPayload, Row, field, shown

NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,2})?", re.ASCII)
COIN = re.compile(r"[A-Za-z0-9]{1,32}", re.ASCII)
IDENTITY = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


def decimal(row: Row, name: str) -> Decimal:
    """A finite number, from a string or a JSON number; never through a float."""
    value = field(row, name)
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise MalformedPayload(f"its {name} is no number but {shown(value)}")
    if NUMBER.fullmatch(str(value)) is None:
        raise MalformedPayload(f"its {name} is no number but {shown(value)}")
    found = Decimal(value)
    if abs(found) >= MOST_COINS:
        raise MalformedPayload(f"its {name} is absurd: {shown(value)}")
    return found


def amount(row: Row, name: str) -> Decimal:
    """A number that is not negative."""
    value = decimal(row, name)
    if value < 0:
        raise MalformedPayload(f"its {name} is negative: {shown(value)}")
    return value


def whole(row: Row, name: str) -> int:
    value = decimal(row, name)
    if value != value.to_integral_value():
        raise MalformedPayload(f"its {name} is no whole number but {shown(value)}")
    return int(value)


def moment(row: Row, name: str) -> int:
    """An instant in ms since 1970, at which this exchange could have done something."""
    value = whole(row, name)
    if value not in MOMENTS_MS:
        raise MalformedPayload(f"its {name} is no time that can be: {value}")
    return value


def identity(row: Row, name: str) -> str:
    """An id: the exchange writes some as strings, some as numbers."""
    return _matching(row, name, IDENTITY)


def coin(row: Row, name: str) -> str:
    return _matching(row, name, COIN)


def _matching(row: Row, name: str, pattern: re.Pattern[str]) -> str:
    value = field(row, name)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise MalformedPayload(f"its {name} is {shown(value)}")
    if pattern.fullmatch(str(value)) is None:
        raise MalformedPayload(f"its {name} is {shown(value)}")
    return str(value)


def as_row(value: object) -> Row:
    if not isinstance(value, Mapping):
        raise MalformedPayload(f"it is no object but {shown(value)}")
    return value
