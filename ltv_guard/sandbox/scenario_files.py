"""How a scenario is read from YAML."""

from __future__ import annotations

from decimal import InvalidOperation
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ltv_guard.sandbox.scenario import Scenario


class ScenarioError(ValueError):
    """The scenario cannot be used; the message names the file and the keys."""


class _ExactLoader(yaml.SafeLoader):
    """Leaves numbers with a point as text, so that no binary float stands between YAML and Decimal."""


def _mapping(loader: _ExactLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    """Refuses duplicate keys: YAML would keep the last one in silence."""
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    for key in keys:
        if keys.count(key) > 1:
            raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key!r}", node.start_mark)
    return loader.construct_mapping(node, deep=True)


_ExactLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_ExactLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:float"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse_scenario(document: object, source: str = "scenario") -> Scenario:
    """A mapping, validated as a scenario. Raises ScenarioError with one line for each mistake."""
    try:
        return Scenario.model_validate(document)
    except ValidationError as error:
        found = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'scenario'}: {item['msg']}" for item in error.errors()
        )
        raise ScenarioError(f"{source}: {found}") from error


def load_scenario(path: Path) -> Scenario:
    """Reads a scenario file. Raises ScenarioError where it is missing, not YAML, or makes no sense."""
    try:
        text = path.read_text(encoding="utf-8")
        document: Any = yaml.load(text, Loader=_ExactLoader)  # noqa: S506 a SafeLoader without floats
    except (OSError, UnicodeDecodeError, yaml.YAMLError, InvalidOperation) as error:
        raise ScenarioError(f"{path}: {error}") from error
    if isinstance(document, dict):
        document = {"ids": "new", **document}
    return parse_scenario(document, str(path))
