"""Fits what was written, in YAML or in the environment, to the keys that the models have. Pure.

Unknown keys, empty values, secrets in the wrong place and the spelling of coins are settled here, for each
source on its own and before the sources are merged; what a value means is left to the models.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from ltv_guard.adapters.settings.errors import ConfigError, Path, dotted
from ltv_guard.adapters.settings.values import Marker, Patch

PREFIX = "LTV_GUARD_"
DELIMITER = "__"

Tree = dict[str, Any]

_LISTS: dict[object, list[str]] = {str: ["USDT", "BTC"], float: ["604800", "86400"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a value stands: its path, and its variable if it came from the environment."""

    path: Path = ()
    variable: str | None = None

    def __str__(self) -> str:
        name = dotted(self.path) or "the configuration"
        return f"{name} (from {self.variable})" if self.variable else name

    def at(self, key: str | int) -> Place:
        """The place of a key within this one."""
        return replace(self, path=(*self.path, key))


def variable_name(path: Path) -> str:
    """The environment variable of a key."""
    return PREFIX + DELIMITER.join(str(part).upper() for part in path)


def fit(kind: Any, value: object, place: Place) -> Any:  # noqa: ANN401 - a model, a dict, a tuple or a leaf
    """The value with null sections emptied, coins upper-cased and secrets wrapped.

    Raises ConfigError, which names the place of what does not fit.
    """
    kind = plain(kind)
    if is_model(kind):
        return dict(_fitted_fields(kind, _mapping(value, place), place))
    if get_origin(kind) is dict:
        return _fit_dict(kind, _mapping(value, place, example_of(kind)), place)
    if get_origin(kind) is tuple:
        return _fit_list(get_args(kind)[0], value, place)
    if value is None or value == "":
        comma = _comma(str(place.path[-1])) if place.path else ""
        raise ConfigError(f"{place} has no value: give it one, or take the key out{comma}", place.path)
    if isinstance(value, dict | list):
        raise ConfigError(f"{place} must be a single value", place.path)
    return SecretStr(str(value)) if kind is SecretStr else value


def below(kind: Any, key: str) -> tuple[Any, str] | None:  # noqa: ANN401 - as above
    """The kind that stands under a key, and the key as it should be spelled; None if there is none.

    Raises ConfigError where it is a name that no coin or account can have.
    """
    kind = plain(kind)
    if is_model(kind):
        field = fields_of(kind).get(key)
        return (kind_of(field), key) if field else None
    if get_origin(kind) is dict and key:
        spell, item = get_args(kind)
        return item, _spelled(spell, key, Place(path=(key,)))
    return None


def kind_of(field: FieldInfo) -> Any:  # noqa: ANN401 - as above
    """The type whose keys a field is written with."""
    return next((mark.model for mark in field.metadata if isinstance(mark, Patch)), field.annotation)


def fields_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields that are keys of the configuration."""
    return {
        name: field for name, field in model.model_fields.items() if Marker.RESOLVED not in field.metadata
    }


def plain(kind: Any) -> Any:  # noqa: ANN401 - as above
    """A type without Annotated and `| None`."""
    while True:
        if get_origin(kind) is Annotated:
            kind = get_args(kind)[0]
        elif get_origin(kind) in (Union, UnionType):
            kind = next(member for member in get_args(kind) if member is not type(None))
        else:
            return kind


def example_of(kind: Any) -> object:  # noqa: ANN401 - as above
    """What may stand in a list or a mapping of that kind, to be shown; None where an example tells little."""
    kind = plain(kind)
    if get_origin(kind) is tuple:
        return _LISTS.get(plain(get_args(kind)[0]))
    return {"BTC": "0.5"} if get_origin(kind) is dict and plain(get_args(kind)[1]) is Decimal else None


def is_model(kind: Any) -> bool:  # noqa: ANN401 - as above
    """Whether it is a section with keys of its own."""
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def leaves(kind: Any, account: str, path: Path = ()) -> Iterator[Path]:  # noqa: ANN401 - as above
    """Every key with a value of its own; `account` is the name that stands for all accounts."""
    kind = plain(kind)
    if is_model(kind):
        for name, field in fields_of(kind).items():
            yield from leaves(kind_of(field), account, (*path, name))
    elif get_origin(kind) is dict and is_model(plain(get_args(kind)[1])):
        yield from leaves(get_args(kind)[1], account, (*path, account))
    else:
        yield path


def merge(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> Tree:
    """One tree laid over another: mappings merge, everything else replaces."""
    merged = dict(lower)
    for key, value in upper.items():
        both = isinstance(merged.get(key), Mapping) and isinstance(value, Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def _fitted_fields(model: type[BaseModel], given: Tree, place: Place) -> Iterator[tuple[str, Any]]:
    known = fields_of(model)
    for key, value in given.items():
        _check_spaced(key, place)
        if key not in known:
            raise ConfigError(
                f"{place.at(key)} is not a key that ltv-guard knows{_closest(key, known, place)}",
                place.at(key).path,
            )
        marks = known[key].metadata
        if Marker.SECRET in marks and not place.variable:
            path = (*place.path, key)
            raise ConfigError(
                f"{dotted(path)} is a secret, which must not stand in the configuration file: "
                f"use {key}_file, or the variable {variable_name(path)}",
                path,
            )
        if Marker.NULLABLE not in marks or value not in (None, ""):
            yield key, fit(kind_of(known[key]), value, place.at(key))


def _fit_dict(kind: Any, given: Tree, place: Place) -> Tree:  # noqa: ANN401 - as above
    spell, item = get_args(kind)
    fitted: Tree = {}
    for written, value in given.items():
        _check_spaced(written, place)
        if is_model(plain(item)) and written in fields_of(plain(item)) and not isinstance(value, dict):
            named = dotted((*place.path, "NAME", written))
            raise ConfigError(f"{place.at(written)} stands where a name belongs: write {named}", place.path)
        key = _spelled(spell, written, place.at(written))
        if key in fitted:
            raise ConfigError(f"{place.at(key)} is given twice, in upper and lower case", place.at(key).path)
        fitted[key] = fit(item, value, place.at(key))
    return fitted


def _fit_list(item: Any, value: object, place: Place) -> list[Any]:  # noqa: ANN401 - as above
    if value is None and is_model(plain(item)):
        return []
    if not isinstance(value, list):
        raise ConfigError(f"{place} must be a list{_such_as(_LISTS.get(plain(item)))}", place.path)
    return [fit(item, each, place.at(index)) for index, each in enumerate(value)]


def _mapping(value: object, place: Place, example: object = None) -> Tree:
    if value is None:
        return {}
    if not isinstance(value, dict):
        not_so = ", not a list" if isinstance(value, list) else ""
        raise ConfigError(f"{place} must hold keys and values{not_so}{_such_as(example)}", place.path)
    return value


def _such_as(example: object) -> str:
    return "" if example is None else f", such as {json.dumps(example)}"


def _spelled(spell: Any, key: str, place: Place) -> str:  # noqa: ANN401 - a type with its validator
    try:
        return str(get_args(spell)[1].func(key))
    except ValueError as error:
        raise ConfigError(f"the name in {place} {error}", place.path) from None


def _check_spaced(key: str, place: Place) -> None:
    """`{BTC:0.5}` is one long key. What stands behind its colon may be a secret, and is not told."""
    name, colon, _ = key.partition(":")
    if colon:
        raise ConfigError(f"{place.at(name)} needs a space after its colon", place.at(name).path)


def _closest(key: str, known: Mapping[str, FieldInfo], place: Place) -> str:
    """What was meant, as far as that can be told."""
    sections = {name: plain(kind_of(field)) for name, field in known.items()}
    inside = [f"{name}.{key}" for name, kind in sections.items() if is_model(kind) and key in fields_of(kind)]
    alike = [f"{key}_file"] if f"{key}_file" in known else difflib.get_close_matches(key, known, n=1)
    meant = [dotted((*place.path, match)) for match in inside or alike]
    return f"; did you mean {' or '.join(meant)}?" if meant else _comma(key)


def _comma(key: str) -> str:
    """`{trigger_ltv: 0,75}` makes a key of the decimals."""
    return "; write the point as a point, not as a comma" if key.isdecimal() else ""
