"""The local address that connections to the exchange leave from, where one is configured.

Keys are bound to addresses, and so are request limits: a machine with several addresses may use one for each.
"""

from __future__ import annotations

import errno
import ipaddress
import socket

LOST = errno.EADDRNOTAVAIL
MEND = "this machine has lost exchange.source_address: give it back to it, or change the key"


def local_address(address: str | None) -> tuple[str, int] | None:
    """As connections take it: from that address, and any port."""
    return None if address is None else (address, 0)


def is_lost(error: BaseException, address: str | None) -> bool:
    """Whether no connection was made because this machine has the address no more."""
    return address is not None and isinstance(error, OSError) and error.errno == LOST


def why_unusable(address: str) -> str | None:
    """Why nothing can leave from it now; None where something can. Sends nothing, and waits for nothing."""
    kind = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET  # noqa: PLR2004 - IPv6
    try:
        with socket.socket(kind, socket.SOCK_STREAM) as tried:
            tried.bind((address, 0))
    except OSError as error:
        if error.errno == LOST:
            return "no network interface of this machine has it"
        return str(error.strerror or error).lower()
    return None
