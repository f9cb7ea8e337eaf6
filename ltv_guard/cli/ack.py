"""`ltv-guard ack`: somebody looks after an alarm, so that it need not ring again."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from pathlib import Path

import click

from ltv_guard.adapters import settings
from ltv_guard.adapters.journal import SqlOutbox
from ltv_guard.cli.exit_status import DONE, FAILED, exits
from ltv_guard.cli.options import config_option
from ltv_guard.core.model.notices import Alarm
from ltv_guard.log.escaping import clean
from ltv_guard.service.heartbeat import wall_ms
from ltv_guard.service.kill_switch import journal_of


@click.command("ack")
@config_option
@click.argument("alarm_id", required=False, default="")
@exits
def command(config: Path | None, alarm_id: str) -> int:
    """Acknowledge an alarm: it is told again only if it gets worse, or in an hour.

    Example: ltv-guard ack 3f9a (the beginning of its id; without one, every alarm that lasts)

    In a database that several daemons share, that is every alarm of this configuration's accounts.

    Exit status 1 where there is none of that id.
    """
    loaded = settings.load_journal(config)

    async def work() -> int:
        async with journal_of(loaded) as journal:
            whose = loaded.account_names if loaded.journal.file is None and not alarm_id else None
            found = await _acknowledged(journal.outbox, alarm_id, whose)
        for alarm in found:
            click.echo(clean(f"{alarm.alarm_id} {alarm.event} {alarm.where}: acknowledged"))
        if not found:
            click.echo(
                "no alarm lasts" if not alarm_id else clean(f"no alarm that lasts begins with {alarm_id}")
            )
        return DONE if found or not alarm_id else FAILED

    return asyncio.run(work())


async def _acknowledged(outbox: SqlOutbox, alarm_id: str, whose: Collection[str] | None) -> Sequence[Alarm]:
    """`whose`: of these accounts alone, and of no account."""
    if whose is None:
        return await outbox.acknowledge(alarm_id, wall_ms())
    own = [alarm for alarm in await outbox.alarms() if not alarm.account or alarm.account in whose]
    return [alarm for item in own for alarm in await outbox.acknowledge(item.alarm_id, wall_ms())]
