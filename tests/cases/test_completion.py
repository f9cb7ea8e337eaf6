"""A shell completes commands, options and their values, though commands are imported only when they run."""

from __future__ import annotations

import pytest
from click.shell_completion import ShellComplete

from ltv_guard.cli.main import COMMANDS, main


def completed(*before: str, begun: str = "") -> list[str]:
    shell = ShellComplete(main, {}, "ltv-guard", "_LTV_GUARD_COMPLETE")
    return [item.value for item in shell.get_completions(list(before), begun)]


@pytest.mark.parametrize(
    ("before", "begun", "offered"),
    [
        ((), "res", ["resume"]),
        (("journal",), "", ["resolve"]),
        (("config",), "", ["example"]),
        (("check",), "--n", ["--notify"]),
        (("init", "--environment"), "t", ["testnet"]),
        (("journal", "resolve", "--as"), "", ["confirmed", "absent"]),
    ],
)
def test_what_a_shell_offers(before: tuple[str, ...], begun: str, offered: list[str]) -> None:
    assert completed(*before, begun=begun) == offered


def test_every_command_is_offered() -> None:
    assert set(completed()) == set(COMMANDS)
