"""What a service manager is told (sd_notify): ready, alive, stopping. Silent where nobody listens."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

READY, ALIVE, STOPPING = "READY=1", "WATCHDOG=1", "STOPPING=1"


class Systemd:
    """Datagrams to `NOTIFY_SOCKET`. A word that can't be sent is lost: it must hold up nothing."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._socket: socket.socket | None = None
        if address.startswith(("/", "@")):
            self._address = address.replace("@", "\0", 1) if address[0] == "@" else address
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.settimeout(0)

    def tell(self, word: str) -> None:
        """Sends a word of sd_notify; without systemd, and where it can't be sent, nothing happens."""
        if self._socket is None:
            return
        try:
            self._socket.sendto(word.encode(), self._address)
        except OSError:
            return

    def close(self) -> None:
        """Tells nothing any more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
