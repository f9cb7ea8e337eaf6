"""Fields of the exchange's JSON, read strictly: whatever is not plainly right is MalformedPayload. Pure."""

from __future__ import annotations

import re
import reprlib
import sys
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeVar

from ltv_guard.log.escaping import clean

Row = Mapping[str, Any]
T = TypeVar("T")

NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,2})?", re.ASCII)
PLAIN = re.compile(r"[0-9]{1,29}(\.[0-9]{1,40})?", re.ASCII)  # such a number is neither negative nor absurd
COIN = re.compile(r"[A-Za-z0-9]{1,32}", re.ASCII)
IDENTITY = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
LONGEST_SHOWN = 40
MOST_COINS = Decimal("1e30")  # no coin has so many; beyond it arithmetic on steps of a coin is not exact
MOMENTS_MS = range(1_262_304_000_000, 4_102_444_800_000)  # 2010 to 2100
LONGEST_NUMBER = 40
DIGITS_OF_A_MOMENT = 13


class MalformedPayload(ValueError):
    """A payload that no healthy exchange sends; says which field, and why."""


def field(row: Row, name: str) -> object:
    """A field of a row. Raises MalformedPayload where the row lacks it."""
    value = row.get(name)
    if value is None:
        raise MalformedPayload(f"its {name} is missing")
    return value


def decimal(row: Row, name: str) -> Decimal:
    """A finite number, from a string or a JSON number; never through a float."""
    value = row.get(name)
    if (
        type(value) is str and PLAIN.fullmatch(value) is not None
    ):  # as all are that are not odd: the short way
        return Decimal(value)
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
    """A whole number, from a string or a JSON number. Raises MalformedPayload."""
    value = decimal(row, name)
    if value != value.to_integral_value():
        raise MalformedPayload(f"its {name} is no whole number but {shown(value)}")
    return int(value)


def moment(row: Row, name: str) -> int:
    """An instant in ms since 1970, at which this exchange could have done something."""
    text = row.get(name)
    if type(text) is str and len(text) == DIGITS_OF_A_MOMENT and text.isascii() and text.isdigit():
        found = int(text)
        if found in MOMENTS_MS:
            return found
    value = whole(row, name)
    if value not in MOMENTS_MS:
        raise MalformedPayload(f"its {name} is no time that can be: {value}")
    return value


def identity(row: Row, name: str) -> str:
    """An id: the exchange writes some as strings, some as numbers."""
    return _matching(row, name, IDENTITY)


def coin(row: Row, name: str) -> str:
    """A coin's name: one object for all of a thousand rows that hold it. Raises MalformedPayload."""
    return sys.intern(_matching(row, name, COIN))


def _matching(row: Row, name: str, pattern: re.Pattern[str]) -> str:
    value = row.get(name)
    if type(value) is str and pattern.fullmatch(value) is not None:
        return value
    value = field(row, name)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise MalformedPayload(f"its {name} is {shown(value)}")
    if pattern.fullmatch(str(value)) is None:
        raise MalformedPayload(f"its {name} is {shown(value)}")
    return str(value)


def rows(result: Row, name: str) -> list[object]:
    """A list. The exchange writes null where it is empty; one that is not there at all was not answered."""
    return [] if name in result and result[name] is None else filled_rows(result, name)


def filled_rows(result: Row, name: str) -> list[object]:
    """A list that is never empty, so that null is none."""
    value = field(result, name)
    if not isinstance(value, list):
        raise MalformedPayload(f"its {name} is no list but {shown(value)}")
    return value


def as_row(value: object) -> Row:
    """A JSON object. Raises MalformedPayload where it is something else."""
    if type(value) is not dict and not isinstance(value, Mapping):
        raise MalformedPayload(f"it is no object but {shown(value)}")
    return value


def readable(row: Row, name: str, read: Callable[[Row, str], T]) -> T | None:
    """The field, or None where it can't be read."""
    try:
        return read(row, name)
    except MalformedPayload:
        return None


def shown(value: object) -> str:
    """A value as it may appear in a sentence: short, on one line, nothing in it that a terminal obeys."""
    if isinstance(value, Decimal):
        value = str(value)
    text = reprlib.repr(value) if isinstance(value, list | dict) else repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def brief(value: object, longest: int = 200) -> str:
    """Words of others on one line, harmless to show and of bounded length."""
    return clean(" ".join(str(value)[: 4 * longest].split()))[:longest]


def json_number(text: str) -> int | Decimal | str:
    """A number of a JSON text: one that no field can hold stays text, and costs its own field only."""
    if len(text) > LONGEST_NUMBER:
        return text
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return Decimal(text)
    except ArithmeticError:
        return text
