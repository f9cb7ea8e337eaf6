"""The core stays pure: read from its syntax trees, so that no import or call slips in."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import ltv_guard.core

PURE = {
    *("__future__", "bisect", "collections", "collections.abc", "dataclasses", "decimal"),
    *("enum", "functools", "itertools", "operator", "typing"),
}
CORE = Path(ltv_guard.core.__file__).parent
IMPURE_CALLS = {"open", "print", "input", "exec", "eval", "compile", "globals", "id", "hash", "__import__"}
CLOCKS_AND_CHANCE = {"now", "utcnow", "today", "time", "monotonic", "perf_counter", "random", "getcontext"}
# Ports are in the core, for they are its words; what they name is awaited elsewhere.
MODULES = sorted(set(CORE.rglob("*.py")) - {CORE / "ports.py"})

with_each_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(CORE)))


def nodes(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text()))


def test_there_is_a_core_to_look_at() -> None:
    assert {"decide", "settlement", "freshness", "fingerprint"} <= {path.stem for path in MODULES}


@with_each_module
def test_it_imports_only_what_is_pure_and_itself(path: Path) -> None:
    for node in nodes(path):
        if isinstance(node, ast.Import):
            assert {alias.name for alias in node.names} <= PURE
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            assert node.module in PURE or str(node.module).startswith("ltv_guard.core.")


@with_each_module
def test_it_asks_no_clock_no_chance_and_nothing_outside(path: Path) -> None:
    for node in nodes(path):
        if isinstance(node, ast.Call):
            function = node.func
            assert not (isinstance(function, ast.Name) and function.id in IMPURE_CALLS)
            assert not (isinstance(function, ast.Attribute) and function.attr in CLOCKS_AND_CHANCE)


@with_each_module
def test_it_does_not_wait_and_counts_without_floats(path: Path) -> None:
    for node in nodes(path):
        assert not isinstance(node, ast.Await | ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith)
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float))
        assert not (isinstance(node, ast.Name) and node.id == "float" and isinstance(node.ctx, ast.Load)) or (
            path.stem
            in {"errors", "status"}  # seconds until a ban ends, or of a histogram: spans, no amounts
        )


@with_each_module
def test_it_keeps_no_state_of_its_own(path: Path) -> None:
    for node in nodes(path):
        assert not isinstance(node, ast.Global | ast.Nonlocal)
    for statement in ast.parse(path.read_text()).body:
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            assert not isinstance(statement.value, ast.List | ast.Set | ast.ListComp | ast.SetComp)
