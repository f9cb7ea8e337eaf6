"""`ltv-guard sandbox`: the simulated exchange, served."""

from __future__ import annotations

import asyncio
import errno
import signal

import click

from ltv_guard import sandbox
from ltv_guard.adapters.settings import ConfigError
from ltv_guard.cli.exit_status import DONE, exits
from ltv_guard.cli.options import no_config_option
from ltv_guard.cli.scenario import played, scenario_file


@click.command("sandbox")
@no_config_option(
    "the sandbox", "give -c to the `ltv-guard run` beside it; what it plays is named by --scenario"
)
@click.option("--scenario", help="A file, or the name of one that ships.", default="calm", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True)
@exits
def command(scenario: str, port: int, host: str) -> int:
    """Serve a simulated exchange on this machine.

    Example: ltv-guard sandbox --scenario slow_decline
    """

    async def work() -> int:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        file = scenario_file(scenario)
        try:
            await played(sandbox.run(file, host, port, stop, lambda line: click.echo(line, err=True)))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise ConfigError(f"--port {port} of {host} is in use: give another, 0 for any free") from None
        return DONE

    return asyncio.run(work())
