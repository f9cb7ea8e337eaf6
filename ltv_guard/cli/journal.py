"""`ltv-guard journal`: the intents, and how one ended that the guard could not tell."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from ltv_guard.adapters import settings
from ltv_guard.cli import intents_table
from ltv_guard.cli.exit_status import DONE, exits
from ltv_guard.cli.options import config_option
from ltv_guard.core.model.errors import ImpossibleTransition, JournalUnavailable
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.log.escaping import as_json
from ltv_guard.service import kill_switch as journals
from ltv_guard.service.heartbeat import wall_ms


@click.group("journal", invoke_without_command=True)
@config_option
@click.option("--json", "in_json", is_flag=True, help="One JSON object a line.")
@click.option("-n", "--limit", type=click.IntRange(min=1), help="At most so many.")
@click.pass_context
def command(ctx: click.Context, config: Path | None, limit: int | None, *, in_json: bool) -> None:
    """List the intents, newest first; or resolve one by hand.

    Example: ltv-guard journal -n 5
    """
    ctx.obj = config
    if ctx.invoked_subcommand is None:
        _list(config, limit, in_json=in_json)


@exits
def _list(config: Path | None, limit: int | None, *, in_json: bool) -> int:
    loaded = settings.load_journal(config)

    async def work() -> int:
        async with journals.journal_of(loaded) as store:
            intents = await store.list_intents(limit)
        if in_json:
            for intent in intents:
                click.echo(as_json(intents_table.intent_as_json(intent)))
        else:
            intents_table.print_intents(intents, loaded.journal.shown)
        return DONE

    return asyncio.run(work())


@command.command()
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
@exits
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

    Example: ltv-guard journal resolve 3f9a --as confirmed --adjust-id 17

    INTENT_ID may be abbreviated. Absent only counts once its receive window is over, and a margin.
    """
    loaded = settings.load_journal(config or ctx.obj)

    async def work() -> int:
        async with journals.journal_of(loaded) as store:
            try:
                after: Intent = await store.resolve(
                    intent_id, State(outcome), wall_ms(), adjust_id=adjust_id, forced=force
                )
            except ImpossibleTransition as error:
                raise JournalUnavailable(str(error)) from None
        click.echo(f"intent {after.intent_id} is {after.state} in {loaded.journal.shown}", err=True)
        return DONE

    return asyncio.run(work())
