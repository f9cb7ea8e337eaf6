"""What others call says in its docstring what it is, and names the errors of ours that may come out."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import ltv_guard

PACKAGE = Path(ltv_guard.__file__).parent
Function = ast.FunctionDef | ast.AsyncFunctionDef
RAISED: dict[tuple[str, str], set[str]] = {}
MIGRATIONS = "ltv_guard.adapters.journal.migrations"
PARTS = "ltv_guard.guard.parts"  # each of them a class, which says what it is
CALLED_BY_LIBRARIES = {
    "connection_lost",
    "connection_made",
    "get_field_value",
    "get_next_fire_time",
    "isatty",
    "make_context",
}
OTHERS_WORDS = re.compile(r"[Rr]aises\s+(as|what)|^Implements ")  # said by what it refers to


@dataclass(frozen=True)
class Module:
    name: str
    tree: ast.Module
    functions: dict[str, Function]  # `name`, or `Class.name`
    origins: dict[str, str]  # name -> the module that it is imported from


@cache
def module(name: str) -> Module | None:
    path = PACKAGE.parent / name.replace(".", "/")
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if not name.startswith("ltv_guard") or not path.exists():
        return None
    tree = ast.parse(path.read_text())
    functions: dict[str, Function] = {}
    origins: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, Function):
            functions[node.name] = node
        if isinstance(node, ast.ClassDef):
            functions |= {
                f"{node.name}.{item.name}": item for item in node.body if isinstance(item, Function)
            }
        if isinstance(node, ast.ImportFrom) and node.module:
            origins |= {alias.asname or alias.name: node.module for alias in node.names}
    return Module(name, tree, functions, origins)


def modules() -> Iterator[Module]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found = module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
        if found is not None:
            yield found


@cache
def parents() -> dict[str, set[str]]:
    """Error of ours -> it, and the errors that it is a kind of."""
    bases = {
        node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}
        for found in modules()
        for node in found.tree.body
        if isinstance(node, ast.ClassDef)
    }

    def kinds(name: str) -> set[str]:
        return {name}.union(*(kinds(base) for base in bases.get(name, ())))

    return {name: kinds(name) for name in bases if "Exception" in kinds(name) or "ValueError" in kinds(name)}


class Raised(ast.NodeVisitor):
    """The errors that leave one function, by its own words and by the docstrings of those that it calls."""

    def __init__(self, home: Module, owner: str) -> None:
        self.home, self.owner = home, owner
        self.caught: list[set[str]] = []
        self.found: set[str] = set()

    def generic_visit(self, node: ast.AST) -> None:
        """All but other functions: those raise where they are called."""
        if not isinstance(node, Function | ast.Lambda):
            super().generic_visit(node)

    def visit_Try(self, node: ast.Try) -> None:
        self.caught.append({name for handler in node.handlers for name in names_in(handler.type)})
        for item in node.body:
            self.visit(item)
        self.caught.pop()
        for part in (*node.handlers, *node.orelse, *node.finalbody):
            self.visit(part)

    def visit_Raise(self, node: ast.Raise) -> None:
        error = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        if isinstance(error, ast.Name):
            self.note({error.id})
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        self.note(self.of_called(node.func))
        self.generic_visit(node)

    def note(self, names: set[str]) -> None:
        stopped = {"Exception", "BaseException"}
        for name in names & parents().keys():
            kinds = parents()[name]
            if not any(kinds & level or level & stopped for level in self.caught):
                self.found.add(name)

    def of_called(self, called: ast.expr) -> set[str]:
        home, name = self.home, ""
        if isinstance(called, ast.Name):
            name = called.id
            if name not in home.functions and name in home.origins:
                home = module(home.origins[name]) or home
        elif isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
            name = f"{self.owner}.{called.attr}" if called.value.id == "self" else ""
        if name not in home.functions:
            return set()
        return raised_by(home, name)


def names_in(node: ast.expr | None) -> set[str]:
    if node is None:
        return {"BaseException"}
    return {item.id for item in ast.walk(node) if isinstance(item, ast.Name)}


def raised_by(home: Module, name: str) -> set[str]:
    if (home.name, name) not in RAISED:
        RAISED[home.name, name] = set()  # whoever calls itself raises nothing more for it
        visitor = Raised(home, name.rpartition(".")[0])
        for item in home.functions[name].body:
            visitor.visit(item)
        RAISED[home.name, name] = visitor.found | named_by(home.functions[name])
    return RAISED[home.name, name]


def named_by(*nodes: Function | ast.ClassDef | ast.Module) -> set[str]:
    words = {word for node in nodes for word in re.findall(r"\w+", ast.get_docstring(node) or "")}
    return words & parents().keys()


def unnamed(home: Module, name: str) -> set[str]:
    node, (owner, _, _) = home.functions[name], name.rpartition(".")
    around = [item for item in home.tree.body if isinstance(item, ast.ClassDef) and item.name == owner]
    texts = [ast.get_docstring(item) or "" for item in (node, *around)]
    if any(OTHERS_WORDS.search(text) for text in texts):
        return set()
    named = named_by(node, *around, home.tree)
    return {error for error in raised_by(home, name) if not parents()[error] & named}


def is_public(name: str) -> bool:
    return not any(part.startswith("_") for part in name.split("."))


def is_described_elsewhere(home: Module, node: Function) -> bool:
    """It is what another class of ours describes (a port, say), or what a library calls by that name."""
    is_setter = any(isinstance(item, ast.Attribute) and item.attr == "setter" for item in node.decorator_list)
    names = described() | CALLED_BY_LIBRARIES
    return is_setter or node.name in names or home.name.startswith(MIGRATIONS)


@cache
def described() -> set[str]:
    """The names of the methods that have a docstring somewhere."""
    return {
        name.rpartition(".")[2]
        for found in modules()
        for name, node in found.functions.items()
        if "." in name and ast.get_docstring(node)
    }


def is_command(node: Function) -> bool:
    """Its docstring is what `--help` prints, and `exits` makes a sentence of its errors."""
    return any(isinstance(item, ast.Name) and item.id == "exits" for item in node.decorator_list)


def test_a_docstring_names_the_errors_of_ours_that_the_function_raises() -> None:
    missing = {
        f"{home.name}:{name}": errors
        for home in modules()
        for name in home.functions
        if is_public(name) and not is_command(home.functions[name]) and (errors := unnamed(home, name))
    }

    assert missing == {}, "say so there: Raises ..."


def test_what_others_call_has_a_docstring() -> None:
    silent = {
        f"{home.name}:{name}"
        for home in modules()
        for name, node in home.functions.items()
        if is_public(name) and not ast.get_docstring(node) and home.name != PARTS
    }
    told = {
        f"{home.name}:{name}"
        for home in modules()
        for name, node in home.functions.items()
        if is_described_elsewhere(home, node)
    }

    assert silent - told == set()


def test_each_class_that_others_use_has_a_docstring() -> None:
    classes = ((home.name, node) for home in modules() for node in home.tree.body)
    silent = {
        f"{name}:{node.name}"
        for name, node in classes
        if isinstance(node, ast.ClassDef) and is_public(node.name) and not ast.get_docstring(node)
    }

    assert silent == set()
