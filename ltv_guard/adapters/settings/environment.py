"""Reads the LTV_GUARD_* variables into the same tree that YAML gives. Pure: the environment comes in."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from ltv_guard.adapters.settings.errors import ConfigError, Path
from ltv_guard.adapters.settings.keys import (
    DELIMITER,
    PREFIX,
    Place,
    Tree,
    below,
    example_of,
    fit,
    is_model,
    leaves,
    merge,
    plain,
    variable_name,
)

CONFIG = "LTV_GUARD_CONFIG"
ACCOUNTS = "LTV_GUARD_ACCOUNTS"
ALIKE = 0.85  # a letter more or less, or two in the wrong order

# a Service named ltv-guard, or ltv-guard-something, makes Kubernetes set these in every pod of its namespace
_SERVICE_LINK = re.compile(
    r"LTV_GUARD_([A-Z0-9]+_)*"
    r"(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9]+)*|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)


def read_environment(
    model: type[BaseModel],
    environ: Mapping[str, str],
    *,
    wanted: Callable[[list[str]], bool] = lambda _: True,
) -> tuple[Tree, dict[Path, str]]:
    """The tree that the variables spell, and the variable that each path came from.

    The variables name keys of `model`. Names in `environ` count in any case, and empty ones are unset; those
    that are not `wanted`, by their keys, may hold anything. Raises ConfigError, which names the variable that
    is unknown or can't be read.
    """
    tree: Tree = {}
    origins: dict[Path, str] = {}
    variables = _ours(environ)
    # the shorter first, so that ..._ADD__TARGET_LTV lies over a JSON ..._ADD
    for name in sorted(variables, key=lambda name: (name.count(DELIMITER), name)):
        keys = name.removeprefix(PREFIX).lower().split(DELIMITER)
        if wanted(keys):
            kind, path = _locate(model, name, keys)
            value = fit(kind, _decoded(plain(kind), variables[name], name), Place(path=path, variable=name))
            tree = merge(tree, _nested(path, value))
            origins[path] = name
    return tree, origins


def overlooked(model: type[BaseModel], environ: Mapping[str, str]) -> dict[str, str]:
    """Variables that are not read, for their names are not quite ours; and which one each was meant to be.

    What Kubernetes sets for a Service holds an address where a key has a plain value.
    """
    found = {}
    for written, value in environ.items():
        name = written.upper()
        is_read = name.startswith(PREFIX) and not _SERVICE_LINK.fullmatch(name)
        if is_read or not value.strip() or "://" in value:
            continue
        if meant := _alike(model, name, name.lower().split(DELIMITER), ALIKE):
            found[written] = meant
    return found


def account_names(written: Mapping[str, Any], environ: Mapping[str, str]) -> frozenset[str] | None:
    """What the accounts are called, whatever else may be wrong with them; None where that can't be read."""
    accounts = written.get("accounts")
    if not isinstance(accounts, dict | None):
        return None
    try:
        variables = _ours(environ)
        more = json.loads(variables.get(ACCOUNTS, "{}"))
    except (ConfigError, ValueError, RecursionError):
        return None
    if not isinstance(more, dict):
        return None
    begun = ACCOUNTS + DELIMITER
    named = [
        name.removeprefix(begun).split(DELIMITER)[0].lower() for name in variables if name.startswith(begun)
    ]
    return frozenset(map(str, (*(accounts or {}), *more, *named)))


def _ours(environ: Mapping[str, str]) -> dict[str, str]:
    ours: dict[str, str] = {}
    for written, value in environ.items():
        name = written.upper()
        if (
            not name.startswith(PREFIX)
            or not value.strip()
            or name == CONFIG
            or _SERVICE_LINK.fullmatch(name)
        ):
            continue
        if name in ours:
            raise ConfigError(f"{name} is set twice, in upper and lower case")
        ours[name] = value
    return ours


def _locate(model: type[BaseModel], name: str, keys: list[str]) -> tuple[Any, Path]:
    kind: Any = model
    path: list[str] = []
    for key in keys:
        step = below(kind, key)
        if step is None:
            raise ConfigError(f"{name} is not a variable that ltv-guard knows{_closest(model, name, keys)}")
        kind, spelled = step
        path.append(spelled)
    return kind, tuple(path)


def _closest(model: type[BaseModel], name: str, keys: list[str]) -> str:
    meant = _alike(model, name, keys, 0.75)
    return f"; did you mean {meant}?" if meant else ""


def _alike(model: type[BaseModel], name: str, keys: list[str], cutoff: float) -> str:
    """The variable that is meant, as far as its name tells; "" where it tells none."""
    account = keys[1] if len(keys) > 1 and keys[1] else "main"
    known = [variable_name(path) for path in leaves(model, account)]
    return next(iter(difflib.get_close_matches(name, [*known, CONFIG], n=1, cutoff=cutoff)), "")


def _decoded(kind: Any, text: str, name: str) -> object:  # noqa: ANN401 - a type
    if _is_quoted(text.strip()):
        raise ConfigError(f"{name} is in quotes: take them off, for an env file keeps them as they are")
    if (
        get_origin(kind) is tuple
        and not is_model(plain(get_args(kind)[0]))
        and not text.lstrip().startswith("[")
    ):
        return [item.strip() for item in text.split(",")]
    if is_model(kind) or get_origin(kind) in (dict, tuple):
        try:
            # numbers stay text: they are parsed once, as Decimals
            return json.loads(
                text,
                parse_float=str,
                parse_int=str,
                parse_constant=str,
                object_pairs_hook=_without_duplicates,
            )
        except (ValueError, RecursionError):
            example = example_of(kind)
            such_as = "" if example is None else f", such as {json.dumps(example)}"
            raise ConfigError(f"{name} must be JSON, each key once{such_as}") from None
    return text.strip()


def _is_quoted(text: str) -> bool:
    return len(text) > 1 and text[0] == text[-1] and text[0] in "'\""


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise ValueError
    return mapping


def _nested(path: Path, value: object) -> Tree:
    for key in reversed(path):
        value = {str(key): value}
    return value if isinstance(value, dict) else {}
