"""`ltv-guard run`: the daemon, or one cycle."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
import structlog

from ltv_guard.adapters import settings
from ltv_guard.cli.exit_status import exits
from ltv_guard.cli.options import config_option
from ltv_guard.core.model.errors import GuardError
from ltv_guard.log import format as logs
from ltv_guard.service import run as app
from ltv_guard.service.descriptors import raise_limit

log = structlog.stdlib.get_logger()


@click.command("run")
@config_option
@click.option("--once", is_flag=True, help="One cycle, and settle what it started; for cron.")
@exits
def command(config: Path | None, *, once: bool) -> int:
    """Watch the loans, and adjust them.

    Example: ltv-guard run -c config.yaml
    """
    try:
        return _run(config, once=once)
    except (settings.ConfigError, GuardError, OSError) as error:
        log.critical("start_failed", why=str(error))
        raise
    finally:
        logs.flush()


def _run(config: Path | None, *, once: bool) -> int:
    logs.configure_daemon()  # for what is wrong with the configuration itself
    loaded = settings.load(config)
    _log(loaded)
    raise_limit()
    return asyncio.run(app.run_once(loaded) if once else app.run_daemon(loaded, adopted=_log))


def _log(loaded: settings.Settings) -> None:
    logs.configure_daemon(style=loaded.logging.format, level=loaded.logging.level)
