"""A file fits in a head and a function in a glance: what is larger holds a second idea."""

from __future__ import annotations

import ast
import statistics
from pathlib import Path
from typing import TYPE_CHECKING

import ltv_guard

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(ltv_guard.__file__).parent
MOST_LINES, MEDIAN_LINES = 250, 110
MOST_LINES_OF_A_FUNCTION, MOST_PARAMETERS = 40, 7

Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules() -> Iterator[tuple[str, str]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), path.read_text()


def functions() -> Iterator[tuple[str, Function]]:
    for name, text in modules():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, Function):
                yield f"{name}: {node.name}", node


def lines_of(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def parameters_of(function: Function) -> int:
    given = function.args
    names = [item.arg for item in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    own = [name for name in names if name not in {"self", "cls"}]
    return len(own) + (given.vararg is not None) + (given.kwarg is not None)


def test_no_module_is_longer_than_a_head_holds() -> None:
    assert {name for name, text in modules() if len(text.splitlines()) > MOST_LINES} == set()


def test_half_of_the_modules_are_short() -> None:
    assert statistics.median(len(text.splitlines()) for _, text in modules()) <= MEDIAN_LINES


def test_no_function_is_longer_than_a_glance() -> None:
    assert {name for name, node in functions() if lines_of(node) > MOST_LINES_OF_A_FUNCTION} == set()


def test_no_function_takes_more_than_is_easily_called() -> None:
    assert {name for name, node in functions() if parameters_of(node) > MOST_PARAMETERS} == set()
