"""The command line: its commands by name. What one of them needs is imported when it runs, not before."""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module
from typing import Any

import click

# Each is the `command` of the module of its name, whose docstring begins with the same sentence.
COMMANDS = {
    "init": "Ask a few questions, write configuration and secrets, and check them.",
    "config": "Print the commented YAML with every key and its default.",
    "schema": "Print the JSON schema of the configuration, for editors.",
    "run": "Watch the loans, and adjust them.",
    "check": "Look at configuration, keys, loans, wallet and outlets; say what to mend.",
    "plan": "One read-only cycle: what it would do with each loan, and why.",
    "status": "Show what the running daemon sees: each loan, and what is wrong.",
    "health": "Say whether the daemon is alive and gets on, by its own sign of life.",
    "journal": "List the intents, newest first; or resolve one by hand.",
    "export": "Print every adjustment in the journal, oldest first.",
    "pause": "Stop sending adjustments.",
    "resume": "Send adjustments again.",
    "ack": "Acknowledge an alarm: it is told again only if it gets worse, or in an hour.",
    "notify": "Send a test message to every notification target, or to one.",
    "workers": "Show the workers of a fleet, and who guards which account.",
    "sandbox": "Serve a simulated exchange on this machine.",
    "replay": "What a policy would have done with your loans in a crash: of files, or made up.",
    "prices": "Fetch candles for `replay`.",
    "demo": "Watch a loan survive a crash that liquidates its unguarded twin.",
}


HOW_TO_CONFIGURE = "a configuration is named with -c"
PLAYED = {"sandbox", "demo"}  # they read none


class Later(click.Command):
    """Stands for a command in the list of all; the command itself is imported once it is called."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401 - click's own
    ) -> click.Context:
        files = [arg for arg in args if arg.endswith((".yaml", ".yml"))]
        try:
            return command_of(str(self.name)).make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            if not any(f"unexpected extra argument ({file})" in error.message for file in files):
                raise
            how = "a scenario is named with --scenario" if self.name in PLAYED else HOW_TO_CONFIGURE
            raise click.UsageError(f"{error.message}: {how}", error.ctx) from None


def command_of(name: str) -> click.Command:
    """The command of that name, imported now."""
    _import_alone("structlog", "tenacity")
    # aiohttp keeps hooks in such lists, and a guard has none: those in C++ bring a library of 1 MB.
    os.environ.setdefault("FROZENLIST_NO_EXTENSIONS", "1")
    # All that is imported stays: to look through it for garbage while it grows is a fifth of a start.
    gc.disable()
    try:
        command: click.Command = import_module(f"ltv_guard.cli.{name}").command
    finally:
        gc.enable()
    gc.freeze()
    return command


def _import_alone(*modules: str) -> None:
    """They import what a guard has no use for, where that is installed: 5 MB, and time."""
    alone = {name for name in ("rich", "greenlet", "tornado") if name not in sys.modules}
    sys.modules.update(dict.fromkeys(alone))  # type: ignore[arg-type]  # as if they were not installed
    for module in modules:
        import_module(module)
    for name in alone:
        del sys.modules[name]


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    commands=[Later(name, help=says) for name, says in COMMANDS.items()],
)
@click.version_option(package_name="ltv-guard", prog_name="ltv-guard")
def main() -> None:
    """Keeps crypto-backed loans on Bybit out of liquidation."""
