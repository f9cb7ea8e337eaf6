"""What an event of the log is: its name, its fields, and what is to be told of it. Data only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

NOTHING = "Nothing."
LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


class Level(StrEnum):
    """From the gravest to the least: the order of the tables."""

    CRITICAL = "critical"
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    DEBUG = "debug"


class Shape(StrEnum):
    """What a field's value is in a line of JSON."""

    TEXT = "text"
    TEXTS = "list of texts"
    DECIMAL = "decimal, as text"
    AMOUNTS = "decimals as text, by name"
    TIME = "time, ISO 8601"
    INTEGER = "integer"
    NUMBER = "number"
    FLAG = "true or false"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One name has one kind and one meaning in all events."""

    kind: Shape
    means: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an event means at one level, and what to do: sentences, with links as seen from `docs`.

    `repeated`: said again after 1, 2, 4 ... 30 minutes for as long as it lasts. Otherwise: once a cause.
    `case` tells two that share a level apart.
    """

    level: Level
    means: str
    do: str
    repeated: bool = False
    case: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """`fields` are what it may carry beside those that every event may (`fields.COMMON`)."""

    name: str
    told: tuple[Told, ...]
    fields: tuple[str, ...] = ()

    @property
    def levels(self) -> frozenset[Level]:
        """Every level at which it may be logged."""
        return frozenset(told.level for told in self.told)


def plain(sentence: str) -> str:
    """A sentence of the catalogue without its marks: a link is what it says."""
    return LINK.sub(r"\1", sentence).replace("`", "").replace("*", "")


def event(name: str, *told: Told, fields: tuple[str, ...] = ()) -> Event:
    """An event of the catalogue: `told` at one level or several, with these fields."""
    return Event(name=name, told=told, fields=fields)


def critical(means: str, do: str, *, case: str = "", once: bool = False) -> Told:
    """What it means at level CRITICAL, and what to do; it is said again with growing pauses, or `once`."""
    return Told(level=Level.CRITICAL, means=means, do=do, case=case, repeated=not once)


def error(means: str, do: str) -> Told:
    """What it means at level ERROR, and what to do."""
    return Told(level=Level.ERROR, means=means, do=do)


def warning(means: str, do: str = NOTHING) -> Told:
    """What it means at level WARNING, and what to do."""
    return Told(level=Level.WARNING, means=means, do=do)


def info(means: str, do: str = NOTHING) -> Told:
    """What it means at level INFO, and what to do."""
    return Told(level=Level.INFO, means=means, do=do)


def debug(means: str, do: str = NOTHING) -> Told:
    """What it means at level DEBUG, and what to do."""
    return Told(level=Level.DEBUG, means=means, do=do)
