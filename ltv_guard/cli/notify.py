"""`ltv-guard notify --test`: whether the targets of notifications can be reached."""

from __future__ import annotations

from pathlib import Path

import click

from ltv_guard.adapters import settings
from ltv_guard.adapters.settings import ConfigError
from ltv_guard.cli.exit_status import DONE, FAILED, exits
from ltv_guard.cli.options import config_option
from ltv_guard.service.notify.delivery_thread import send
from ltv_guard.service.outlets_check import BODY, TITLE


@click.command("notify")
@config_option
@click.option("--test", "testing", is_flag=True, required=True, help="Send each target a test message.")
@click.argument("target", required=False)
@exits
def command(config: Path | None, target: str | None, *, testing: bool) -> int:  # noqa: ARG001 - the only way so far
    """Send a test message to every notification target, or to one.

    Example: ltv-guard notify --test phone

    Exit status 1 where one did not take it.
    """
    targets = settings.load(config).notify.targets
    if not targets:
        raise ConfigError("notify.targets names nobody: give it a name and a url_file")
    if target is not None and target not in targets:
        raise ConfigError(f"there is no notify.targets.{target}, only {', '.join(targets)}")
    status = DONE
    for name in [target] if target is not None else targets:
        taken = send(targets[name].url.get_secret_value(), TITLE, BODY, "info")
        click.echo(
            f"{name}: {'sent' if taken else 'NOT sent: check the URL in its url_file, and the network'}"
        )
        status = status if taken else FAILED
    return status
