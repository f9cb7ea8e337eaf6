"""Which events the code logs, read off its syntax trees: names, levels and fields, as far as written out."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "ltv_guard"
LEVELS = {"debug", "info", "warning", "error", "critical"}
IN_A_LINE = re.compile(r'"event": "(\w+)", "level": "(\w+)"')
OURS = {"exc_info": "exception"}  # what it is called in a line


@dataclass
class Logged:
    """What the code says of one event. `possible`: levels that one of several events may have."""

    levels: set[str] = field(default_factory=set)
    possible: set[str] = field(default_factory=set)
    fields: set[str] = field(default_factory=set)
    repeated: bool = False


@dataclass(frozen=True)
class Passer:
    """A function that logs the event whose name it is given, at its own level or at one that it is given."""

    event: int
    level: int | None
    levels: frozenset[str]


class Scan:
    """`found` by name, and `unseen`: places that log an event whose name can't be read off."""

    def __init__(self) -> None:
        self.found: dict[str, Logged] = defaultdict(Logged)
        self.unseen: list[str] = []
        self._passers: dict[str, Passer] = {}
        trees = {
            path: ast.parse(path.read_text())
            for path in PACKAGE.rglob("*.py")
            if "sandbox" not in path.relative_to(PACKAGE).parts  # it logs nothing of the daemon's
        }
        passers = [
            (path, name, passer)
            for path, tree in trees.items()
            for name, passer in map(_passer, _functions(tree))
            if passer is not None
        ]
        for path, tree in trees.items():
            self._table(tree)
            self._lines(tree)
            # A private one is called in its own module only, where another may well have its name.
            self._passers = {
                name: passer for where, name, passer in passers if where == path or name[0] != "_"
            }
            for function in _functions(tree):
                self._calls(path, function)

    def _calls(self, path: Path, function: ast.AST) -> None:
        is_passer = _passer(function)[1] is not None
        for call in _own_calls(function):
            levels = _levels_of(call.func, function)
            if levels and call.args:
                name, possible = call.args[0], isinstance(call.func, ast.Call)
                if _text(name) is not None:
                    self._tell(call, name, levels)
                elif possible and isinstance(name, ast.Name) and name.id == "event":
                    for each in _table_of(ast.parse(path.read_text())):
                        self.found[each].possible |= levels
                        self.found[each].fields |= _keywords(call)
                elif not is_passer:
                    self.unseen.append(f"{path.name}:{call.lineno}")
            passer = self._passers.get(_called(call))
            if passer is not None and len(call.args) > passer.event:
                given = {_text(call.args[passer.level]) or "?"} if passer.level is not None else set()
                if _text(call.args[passer.event]) is None:
                    self.unseen.append(f"{path.name}:{call.lineno}")
                    continue
                self._tell(call, call.args[passer.event], given | passer.levels)

    def _tell(self, call: ast.Call, name: ast.expr, levels: set[str] | frozenset[str]) -> None:
        logged = self.found[_text(name) or "?"]
        logged.levels |= levels
        logged.fields |= _keywords(call)
        logged.repeated |= _called(call) == "grave"

    def _table(self, tree: ast.AST) -> None:
        for name, level in _table_of(tree).items():
            self.found[name].levels.add(level)

    def _lines(self, tree: ast.AST) -> None:
        """Events that are made without the logger, by the writer of lines itself."""
        for node in ast.walk(tree):
            if isinstance(node, ast.Dict):
                items = {
                    _text(key): _text(value) for key, value in zip(node.keys, node.values, strict=True) if key
                }
                if items.get("event") and items.get("level"):
                    self.found[str(items["event"])].levels.add(str(items["level"]))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                for name, level in IN_A_LINE.findall(node.value):
                    self.found[name].levels.add(level)


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _own_calls(function: ast.AST) -> Iterator[ast.Call]:
    """Without those of functions within it, which are looked at by themselves."""
    for node in ast.iter_child_nodes(function):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.Call):
            yield node
        yield from _own_calls(node)


def _passer(function: ast.AST) -> tuple[str, Passer | None]:
    assert isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
    names = [arg.arg for arg in function.args.args if arg.arg not in {"self", "cls"}]
    if "event" not in names:
        return function.name, None
    levels: set[str] = set()
    logs = False
    for call in _own_calls(function):
        at = _levels_of(call.func, function)
        if (at or _is_getattr_of_log(call.func)) and call.args and ast.unparse(call.args[0]) == "event":
            logs, levels = True, levels | at
    level = names.index("level") if "level" in names else None
    return function.name, Passer(names.index("event"), level, frozenset(levels)) if logs else None


def _levels_of(called: ast.AST, function: ast.AST) -> set[str]:
    """Of `log.warning`, of a local name that stands for one of several, and of `getattr(log, ...)`."""
    if isinstance(called, ast.Attribute) and _is_log(called.value) and called.attr in LEVELS:
        return {called.attr}
    if isinstance(called, ast.Name):
        assigned = [
            node.value
            for node in ast.walk(function)
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == called.id
        ]
        attributes = [
            node for value in assigned for node in ast.walk(value) if isinstance(node, ast.Attribute)
        ]
        return {node.attr for node in attributes if _is_log(node.value) and node.attr in LEVELS}
    if _is_getattr_of_log(called):
        return {text for node in ast.walk(called) if (text := _text(node)) in LEVELS and text is not None}
    return set()


def _is_getattr_of_log(called: ast.AST) -> bool:
    return isinstance(called, ast.Call) and _called(called) == "getattr" and _is_log(called.args[0])


def _is_log(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "log"


def _table_of(tree: ast.AST) -> dict[str, str]:
    """A module's `EVENTS`: the level and the name of the event for each state."""
    return {
        ast.literal_eval(value)[1]: ast.literal_eval(value)[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "EVENTS"
        if isinstance(node.value, ast.Dict)
        for value in node.value.values
    }


def _called(call: ast.Call) -> str:
    return ast.unparse(call.func).rpartition(".")[2]


def _keywords(call: ast.Call) -> set[str]:
    return {OURS.get(word.arg, word.arg) for word in call.keywords if word.arg is not None}


def _text(node: ast.AST) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
