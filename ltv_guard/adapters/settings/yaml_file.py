"""Reads a YAML file into mappings, lists, text and None; no value is guessed, no tag builds an object."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from ltv_guard.adapters.settings.errors import ConfigError
from ltv_guard.adapters.settings.files import read_file

_MOST_BYTES = 256 * 1024
_MOST_NODES = 20_000
"""Counted while reading, and after aliases are written out: a few lines can't stand for millions."""

_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = {_TAG + kind for kind in ("str", "null", "map", "seq", "merge")}


class _Loader(yaml.SafeLoader):
    """Every scalar is text, but for null and the merge key; duplicate keys are errors."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the parent's own declaration
        first: [(tag, pattern) for tag, pattern in known if tag in _PLAIN_TAGS]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.nodes += 1
        if self.nodes > _MOST_NODES:
            raise _TooManyNodesError
        node = super().compose_node(parent, index)
        if node is not None and node.tag not in _PLAIN_TAGS:
            raise yaml.constructor.ConstructorError(None, None, "tags can't be used here", node.start_mark)
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:  # noqa: ANN401 - as the parent has it
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _TAG + "null":
                raise yaml.constructor.ConstructorError(None, None, "a key must be text", key.start_mark)
            if key.value in seen:
                raise _DuplicateKeyError(key.value, key.start_mark.line + 1)
            seen.add(key.value)
        return node


class _TooManyNodesError(Exception):
    pass


class _DuplicateKeyError(Exception):
    def __init__(self, key: str, line: int) -> None:
        super().__init__(key)
        self.key = key
        self.line = line


def read_yaml(path: Path, *, what: str = "configuration file") -> dict[str, object]:
    """Reads the mapping that a configuration file holds; an empty file holds none.

    `what` the file is called. Raises ConfigError, which names the file, and the line where there is one.
    """
    text = _text(path, what)
    try:
        tree = _tree(text)
    except _DuplicateKeyError as error:
        raise ConfigError(f"{path} line {error.line} sets the key {error.key} a second time") from None
    except yaml.MarkedYAMLError as error:
        raise ConfigError(f"{path} is not YAML that can be read{_where(error)}") from None
    except yaml.YAMLError:
        raise ConfigError(
            f"{path} holds characters that no YAML file may hold; is it the right file?"
        ) from None
    except _TooManyNodesError:
        raise ConfigError(f"{path} stands for more than {_MOST_NODES} values; use fewer aliases") from None
    except RecursionError:
        raise ConfigError(f"{path} is nested too deeply") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        what = "a list" if isinstance(tree, list) else "a single value"
        raise ConfigError(f"{path} holds {what}; it must hold keys and values, such as `mode: dry_run`")
    return tree


def line_of(path: Path, keys: tuple[str | int, ...]) -> int | None:
    """The line of a key, or of the innermost section around it that is written there; None: there is none."""
    try:
        node: yaml.Node | None = _composed(_text(path, "configuration file"))
    except (ConfigError, yaml.YAMLError, _TooManyNodesError, _DuplicateKeyError, RecursionError):
        return None
    line = None
    for key in keys:
        found = _below(node, key)
        if found is None:
            break
        line, node = found
    return line


def _below(node: yaml.Node | None, key: str | int) -> tuple[int, yaml.Node] | None:
    """Where the value under a key stands, whatever its letters' case."""
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if name.value.casefold() == str(key).casefold():
                return name.start_mark.line + 1, value
    elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        return node.value[key].start_mark.line + 1, node.value[key]
    return None


def _composed(text: str) -> yaml.Node | None:
    loader = _Loader(text)
    try:
        node: yaml.Node | None = loader.get_single_node()
    finally:
        loader.dispose()
    return node


def _text(path: Path, what: str) -> str:
    try:
        data = read_file(path, _MOST_BYTES)
    except FileNotFoundError:
        raise ConfigError(f"the {what} {path} does not exist") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise ConfigError(f"the {what} {path} can't be read ({reason})") from None
    if len(data) > _MOST_BYTES:
        raise ConfigError(f"{path} is larger than {_MOST_BYTES} bytes; is it the right file?")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not text in UTF-8; is it the right file?") from None


def _tree(text: str) -> object:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _size(node, {}) > _MOST_NODES:
            raise _TooManyNodesError
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """How many nodes this one stands for; one that contains itself is as good as endless."""
    if id(node) not in known:
        known[id(node)] = _MOST_NODES + 1
        children = node.value if isinstance(node, yaml.CollectionNode) else []
        flat = (
            [part for pair in children for part in pair] if isinstance(node, yaml.MappingNode) else children
        )
        known[id(node)] = 1 + sum(_size(child, known) for child in flat)
    return known[id(node)]


def _where(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    place = f": line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    if r"'\t'" in (error.problem or ""):
        return f"{place} (a tab: indent with spaces)"
    # what PyYAML quotes may be the operator's secret; its own tokens look like '<scalar>' or ':'
    problem = re.sub(r" ?'(?!<)[^']{2,}'", "", error.problem or "").strip()
    return f"{place} ({problem})" if problem else place
