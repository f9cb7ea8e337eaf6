"""What tests of reloads do: ask for one and hear what came of it; put something absurd where a file was."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import Any

from e2e_world import Command, World


async def hup(world: World, daemon: Command) -> dict[str, Any]:
    """Sends SIGHUP, and returns what came of it."""
    before = len(daemon.heard("config_refused")) + len(daemon.heard("config_reloaded"))

    def answers() -> list[dict[str, Any]]:
        return [event for event in daemon.events if event["event"] in {"config_refused", "config_reloaded"}]

    daemon.process.send_signal(signal.SIGHUP)
    await world.until(lambda: len(answers()) > before)
    return answers()[-1]


def unreadable(path: Path, kind: str) -> None:
    path.unlink(missing_ok=True)
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "dangling":
            path.symlink_to(path.with_name("nothing"))
        case "device":
            path.symlink_to("/dev/zero")
        case "socket":
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(path))
            listener.close()
