"""The command line: parses arguments, prints for people, and maps what happened to an exit status."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any

import click

from ltv_guard import __version__, sandbox, settings
from ltv_guard.cli import demo, overheard, tables
from ltv_guard.core.model.errors import GuardError, ImpossibleTransition, JournalUnavailable
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.log import format as logs
from ltv_guard.log.escaping import as_json, clean
from ltv_guard.service import check as checking
from ltv_guard.service import kill_switch as journals
from ltv_guard.service import run as app
from ltv_guard.service.descriptors import raise_limit
from ltv_guard.settings.shipped import scenario_names, shipped

DONE, FAILED, UNUSABLE = 0, 1, 2

config_option = click.option(
    "-c",
    "--config",
    "config",
    type=click.Path(path_type=Path),
    help="The YAML file; else LTV_GUARD_CONFIG, else /etc/ltv-guard/config.yaml, else the environment alone.",
)


def _status(command: Callable[..., Any]) -> Callable[..., None]:
    """Turns errors into one sentence on standard error, and what happened into the exit status."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - click's own arguments
        _write_whatever_it_is()
        try:
            status = command(*args, **kwargs) or DONE
        except (settings.ConfigError, sandbox.ScenarioError) as error:
            status = _failed(str(error), UNUSABLE)
        except GuardError as error:
            status = _failed(str(error), FAILED)
        except BrokenPipeError:
            status = FAILED  # whoever read our words has gone: there is nobody to tell
        except OSError as error:
            sentence = f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
            status = _failed(sentence, FAILED)
        _let_go_of_what_was_not_read()
        sys.exit(status)

    return run


def _write_whatever_it_is() -> None:
    """A stream in a small encoding shows what it lacks escaped: that must not be how a command fails."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _failed(sentence: str, status: int) -> int:
    with suppress(OSError):
        click.echo(f"ltv-guard: {clean(sentence)}", err=True)
    return status


def _say(sentence: str) -> None:
    click.echo(clean(sentence))


def _let_go_of_what_was_not_read() -> None:
    """Python flushes the streams once more at its end, and would complain of those that can't be written."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ltv-guard")
def main() -> None:
    """Keeps crypto-backed loans on Bybit out of liquidation."""


@main.command()
@config_option
@click.option("--once", is_flag=True, help="One cycle, and settle what it started; for cron.")
@_status
def run(config: Path | None, *, once: bool) -> int:
    """Watch the loans, and adjust them."""
    loaded = settings.load(config)
    _log(loaded)
    raise_limit()
    try:
        return asyncio.run(app.run_once(loaded) if once else app.run_daemon(loaded, adopted=_log))
    finally:
        logs.flush()


def _log(loaded: settings.Settings) -> None:
    logs.configure_daemon(style=loaded.logging.format, level=loaded.logging.level)


@main.command()
@config_option
@_status
def check(config: Path | None) -> int:
    """Validate configuration, key, clock, hosts and journal; say what to mend."""
    loaded = settings.load(config)
    logs.configure(style=loaded.logging.format, level="CRITICAL", stream=sys.stderr)

    async def work() -> int:
        findings = await checking.check(loaded)
        tables.print_findings(findings)
        return DONE if all(finding.good for finding in findings) else FAILED

    return asyncio.run(work())


@main.command()
@config_option
@click.option("--json", "in_json", is_flag=True, help="One JSON document instead of a table.")
@_status
def plan(config: Path | None, *, in_json: bool) -> int:
    """One read-only cycle: what it would do with each loan, and why."""
    loaded = settings.load(config)
    heard = overheard.listen()

    async def work() -> int:
        plans = overheard.with_words(await app.plan(loaded), heard, live=loaded.mode == "live")
        if in_json:
            click.echo(as_json(tables.plans_as_json(plans), indent=2))
        else:
            tables.print_plans(plans)
        return FAILED if any(item.blind for item in plans) else DONE

    return asyncio.run(work())


@main.group(invoke_without_command=True)
@config_option
@click.option("--json", "in_json", is_flag=True, help="One JSON object a line.")
@click.option("-n", "--limit", type=click.IntRange(min=1), help="At most so many.")
@click.pass_context
def journal(ctx: click.Context, config: Path | None, limit: int | None, *, in_json: bool) -> None:
    """List the intents, newest first; or resolve one by hand."""
    ctx.obj = config
    if ctx.invoked_subcommand is None:
        _list_journal(config, limit, in_json=in_json)


@_status
def _list_journal(config: Path | None, limit: int | None, *, in_json: bool) -> int:
    loaded = settings.load_journal(config)

    async def work() -> int:
        async with journals.journal_of(loaded, create=False) as store:
            intents = await store.list_intents(limit)
        if in_json:
            for intent in intents:
                click.echo(as_json(tables.intent_as_json(intent)))
        else:
            tables.print_intents(intents, loaded.journal.shown)
        return DONE

    return asyncio.run(work())


@journal.command()
@config_option
@click.argument("intent_id")
@click.option(
    "--as",
    "outcome",
    required=True,
    type=click.Choice([State.CONFIRMED.value, State.ABSENT.value]),
    help="How it ended, as you saw it on the exchange.",
)
@click.option("--adjust-id", help="The id of its row in the exchange's history (confirmed).")
@click.option("--force", is_flag=True, help="Confirmed, though no row with an id can be named.")
@click.pass_context
@_status
def resolve(
    ctx: click.Context,
    config: Path | None,
    intent_id: str,
    outcome: str,
    adjust_id: str | None,
    *,
    force: bool,
) -> int:
    """Say how an intent ended that the guard could not tell.

    INTENT_ID may be abbreviated. Absent only counts once its receive window is over, and a margin.
    """
    loaded = settings.load_journal(config or ctx.obj)

    async def work() -> int:
        async with journals.journal_of(loaded, create=False) as store:
            try:
                after: Intent = await store.resolve(
                    intent_id, State(outcome), journals.now_ms(), adjust_id=adjust_id, forced=force
                )
            except ImpossibleTransition as error:
                raise JournalUnavailable(str(error)) from None
        click.echo(f"intent {after.intent_id} is {after.state} in {loaded.journal.shown}", err=True)
        return DONE

    return asyncio.run(work())


@main.command()
@config_option
@click.option("--reason", required=True, help="Why; it is shown wherever the pause is.")
@click.option("--account", help="Only this account.")
@_status
def pause(config: Path | None, reason: str, account: str | None) -> int:
    """Stop sending adjustments. Settling what was sent goes on."""
    if not reason.strip():
        raise settings.ConfigError("--reason is empty: say why, for it is shown wherever the pause is")
    loaded = settings.load_journal(config)
    return DONE if asyncio.run(journals.pause(loaded, account, reason, _say)) else FAILED


@main.command()
@config_option
@click.option("--account", help="Only this account.")
@_status
def resume(config: Path | None, account: str | None) -> int:
    """Send adjustments again."""
    loaded = settings.load_journal(config)
    return DONE if asyncio.run(journals.resume(loaded, account, _say)) else FAILED


@main.command("sandbox")
@config_option
@click.option("--scenario", help="A file, or the name of one that ships.", default="calm", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True)
@_status
def sandbox_command(config: Path | None, scenario: str, port: int, host: str) -> int:  # noqa: ARG001
    """Serve a simulated exchange on this machine."""

    async def work() -> int:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await sandbox.run(_scenario(scenario), host, port, stop, lambda line: click.echo(line, err=True))
        return DONE

    return asyncio.run(work())


@main.command("demo")
@config_option
@click.option(
    "--scenario", help="A file, or the name of one that ships.", default="flash_crash", show_default=True
)
@_status
def demo_command(config: Path | None, scenario: str) -> int:  # noqa: ARG001
    """Watch a loan survive a crash that liquidates its unguarded twin."""
    return asyncio.run(demo.run(_scenario(scenario)))


def _scenario(name: str) -> Path:
    """The scenario file, by path or by the name of one that ships."""
    if Path(name).exists():
        return Path(name)
    try:
        return shipped(f"scenarios/{name}.yaml")
    except FileNotFoundError:
        known = ", ".join(scenario_names())
        raise settings.ConfigError(
            f"--scenario {name} is neither a file nor one of those that ship: {known}"
        ) from None
