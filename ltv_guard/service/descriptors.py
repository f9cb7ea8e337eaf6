"""File descriptors of this process: without one no connection is made, no name looked up, no file opened."""

from __future__ import annotations

import os
import resource
from contextlib import suppress


def raise_limit() -> None:
    """As many as the system lets us have: the usual first limit is there for programs of other times."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def why_none_left() -> str | None:
    """Why no further descriptor is to be had, or None where one is. Opens no file."""
    try:
        both = os.pipe()
    except OSError as error:
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return f"{error.strerror}; the limit is {limit} (ulimit -n, LimitNOFILE)"
    for descriptor in both:
        os.close(descriptor)
    return None
