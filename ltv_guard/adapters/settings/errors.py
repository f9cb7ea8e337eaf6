"""What is wrong with a configuration, in one sentence that never holds a secret."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

Path = tuple[str | int, ...]
Origins = Mapping[Path, str]


class ConfigError(Exception):
    """The configuration can't be used; `str()` is one sentence that names the key or the file.

    `path` is the key's, where the sentence is about one.
    """

    def __init__(self, sentence: str, path: Path = ()) -> None:
        super().__init__(sentence)
        self.path = path


class Clash(ValueError):
    """Two values of a section contradict each other; `key` is relative to the section."""

    def __init__(self, key: str, complaint: str) -> None:
        super().__init__(complaint)
        self.key = key


def dotted(path: Path) -> str:
    """A path of keys as people write it: `accounts.main.policy`."""
    return ".".join(str(part) for part in path)


def refusal(error: ValidationError, origins: Origins, within: Path = ()) -> ConfigError:
    """The first of pydantic's complaints in our words, naming the key and the variable it came from.

    `within` is where the section stands that was refused.
    """
    # the input is left out, for it may be a secret
    first = error.errors(include_url=False, include_input=False)[0]
    path = _as_written((*within, *first["loc"]))
    context = first.get("ctx", {})
    cause = context.get("error")
    if isinstance(cause, Clash):
        path = (*path, *cause.key.split("."))
    return ConfigError(f"{dotted(path)}{_variable(path, origins)} {_complaint(first['type'], context)}", path)


def _as_written(loc: Path) -> Path:
    """Where the operator wrote it: an account's rules come from the list of overrides."""
    if "by_override" in loc:
        return ("overrides", *loc[loc.index("by_override") + 1 :])
    return loc


def _variable(path: Path, origins: Origins) -> str:
    for length in range(len(path), 0, -1):
        if variable := origins.get(path[:length]):
            return f" (from {variable})"
    return ""


def _complaint(kind: str, context: Mapping[str, object]) -> str:
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return f"must be {context['expected']}"
    if kind.startswith("bool"):
        return "must be true or false"
    if kind == "missing":
        return "is missing"
    return f"can't be used ({kind.replace('_', ' ')})"
