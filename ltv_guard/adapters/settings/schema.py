"""The JSON schema of the YAML, for editors: from the models, with what the shipped YAML says of each key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, BeforeValidator

from ltv_guard.adapters.settings import values
from ltv_guard.adapters.settings.accounts import AccountSection
from ltv_guard.adapters.settings.keys import fields_of, is_model, kind_of, plain
from ltv_guard.adapters.settings.model import Settings
from ltv_guard.adapters.settings.shipped import shipped
from ltv_guard.adapters.settings.values import Marker

Schema = dict[str, Any]
Path = tuple[str, ...]

DIALECT = "http://json-schema.org/draft-07/schema#"
NAME = "ltv_guard.schema.json"
HEADER = "# yaml-language-server: $schema="
BY_NAME = "main"  # how the shipped YAML calls the account that stands for all

POSITIVE_PART = {"type": "number", "exclusiveMinimum": 0, "maximum": 1}
SECONDS = {"type": "number", "minimum": 0}
BOUNDS: dict[Callable[..., object], Schema] = {
    values.ltv: POSITIVE_PART,
    values.ratio: POSITIVE_PART,
    values.amount: {"type": "number", "minimum": 0},
    values.interval: {"type": "number", "exclusiveMinimum": 0},
    values.notice: {"type": "number", "exclusiveMinimum": 0},
    values.duration: SECONDS,
    values.count: {"type": "integer", "minimum": 0},
    values.milliseconds: {"type": "integer", "minimum": 0},
    values.coin: {"type": "string"},
    values.account_name: {"type": "string"},
    values.order_id: {"type": ["string", "integer"]},
}
TYPES: dict[type, Schema] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    Decimal: {"type": "number"},
}


def schema() -> Schema:
    """Of the whole file. Secrets are no keys of it: only files that hold them are."""
    comments = dict(_comments(shipped("ltv_guard.yaml").read_text()))
    return {
        "$schema": DIALECT,
        "title": "The configuration of ltv-guard",
        **_of_model(Settings, (), comments),
    }


def account_schema() -> Schema:
    """Of a file of `accounts_dir`."""
    comments = dict(_comments(shipped("ltv_guard.yaml").read_text()))
    return {
        "$schema": DIALECT,
        "title": "One account of ltv-guard",
        **_of_model(AccountSection, ("accounts", BY_NAME), comments),
    }


def with_header(text: str) -> str:
    """The shipped YAML with the schema's whole path in its first line, so that it may lie anywhere."""
    return text.replace(f"{HEADER}{NAME}", f"{HEADER}{shipped(NAME)}", 1)


def _of_model(model: type[BaseModel], path: Path, comments: dict[Path, str]) -> Schema:
    fields = {name: field for name, field in fields_of(model).items() if Marker.SECRET not in field.metadata}
    properties: Schema = {}
    for name, field in fields.items():
        found = _of(
            Annotated[kind_of(field), *field.metadata] if field.metadata else kind_of(field),
            (*path, name),
            comments,
        )
        nullable = Marker.NULLABLE in field.metadata or field.default is None
        described = _meaning((*path, name), comments)
        properties[name] = {**described, **(_or_null(found) if nullable else found)}
    required = [name for name, field in fields.items() if field.is_required() and name != "journal"]
    return {
        "type": ["object", "null"],
        "additionalProperties": False,
        "properties": properties,
        **({"required": required} if required else {}),
    }


def _meaning(path: Path, comments: dict[Path, str]) -> Schema:
    """What differs for an account or in an override means what it means for all."""
    found = comments.get(path) or comments.get(path[2:])
    return {"description": found} if found else {}


def _of(kind: Any, path: Path, comments: dict[Path, str]) -> Schema:  # noqa: ANN401 - a type
    bounds = _bounds(kind)
    if bounds is not None:
        return dict(bounds)
    kind = plain(kind)
    if is_model(kind):
        return _of_model(kind, path, comments)
    if get_origin(kind) is Literal:
        return {"enum": list(get_args(kind))}
    if get_origin(kind) is dict:
        name = BY_NAME if path == ("accounts",) else "*"
        return {
            "type": ["object", "null"],
            "additionalProperties": _of(get_args(kind)[1], (*path, name), comments),
        }
    if get_origin(kind) is tuple:
        return {"type": "array", "items": _of(get_args(kind)[0], (*path, "*"), comments)}
    return dict(TYPES.get(kind, {"type": "string"}))


def _bounds(kind: Any) -> Schema | None:  # noqa: ANN401 - a type
    """By the rule that reads the value, which may stand deep in `Annotated` and `| None`."""
    if get_origin(kind) is Annotated:
        inner, *marks = get_args(kind)
        rules = (BOUNDS.get(mark.func) for mark in marks if isinstance(mark, BeforeValidator))
        return next((found for found in rules if found is not None), _bounds(inner))
    if get_origin(kind) in (Union, UnionType):
        return next((found for item in get_args(kind) if (found := _bounds(item)) is not None), None)
    return None


def _or_null(found: Schema) -> Schema:
    if "enum" in found:
        return {"enum": [*found["enum"], None]}
    kinds = found["type"] if isinstance(found["type"], list) else [found["type"]]
    return {**found, "type": kinds if "null" in kinds else [*kinds, "null"]}


def _comments(text: str) -> Iterator[tuple[Path, str]]:
    """What stands above each key."""
    lines = text.splitlines()
    root = yaml.compose(text, yaml.SafeLoader)

    def below(node: yaml.Node | None, path: Path) -> Iterator[tuple[Path, str]]:
        for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
            above: list[str] = []
            at = key.start_mark.line
            while at > 0 and lines[at - 1].lstrip().startswith("#"):
                at -= 1
                above.insert(0, lines[at].lstrip().removeprefix("#").strip())
            if above:
                yield (*path, key.value), " ".join(above)
            yield from below(value, (*path, key.value))

    yield from below(root, ())
