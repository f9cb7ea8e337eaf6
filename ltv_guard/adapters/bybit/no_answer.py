"""Why a request got no answer: of which kind that was, in words, and what a person can do about it."""

from __future__ import annotations

import errno

import aiohttp

from ltv_guard.adapters.bybit.fields import brief
from ltv_guard.adapters.bybit.source_address import MEND, is_lost

NO_DESCRIPTORS = {errno.EMFILE: "this process", errno.ENFILE: "this machine"}


class TooLarge(Exception):
    """The answer exceeds what any endpoint of ours sends."""


# The first that fits: some of these are kinds of others.
MENDS: tuple[tuple[type[BaseException], str], ...] = (
    (
        aiohttp.ClientConnectorDNSError,
        "the host's name can't be looked up: check the network, the DNS server, and exchange.base_url",
    ),
    (
        aiohttp.ClientSSLError,
        "the connection is not secure: check this machine's date, its CA certificates, and for a proxy",
    ),
    (
        aiohttp.ClientConnectorError,
        "nothing answers there: check exchange.base_url, the network, and the firewall",
    ),
    (
        TimeoutError,
        "the network or the exchange is slow: check the network; exchange.request_timeout_s bounds it",
    ),
    (
        TooLarge,
        "something between this machine and the exchange answers in its place: check exchange.base_url",
    ),
    (aiohttp.ClientError, "the connection broke: check the network, if it lasts"),
)


def mend_of(exc: BaseException, source_address: str | None) -> str:
    """What a person can do about it."""
    if is_lost(exc, source_address):
        return MEND
    return next((mend for kind, mend in MENDS if isinstance(exc, kind)), "")


def kind_of(exc: BaseException) -> str:
    """As it is counted: `unsent` is proof that no connection was made."""
    if isinstance(exc, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)):
        return "unsent"
    return "timeout" if isinstance(exc, TimeoutError) else "failed"


def words_of(exc: BaseException) -> str:
    """An exception for the log: aiohttp's timeouts come without a message."""
    if isinstance(exc, OSError) and exc.errno in NO_DESCRIPTORS:
        return f"{NO_DESCRIPTORS[exc.errno]} has no file descriptor left"
    text = brief(exc)
    if isinstance(exc, TimeoutError) and not text:
        return "no answer in time"
    return f"{type(exc).__name__}: {text}" if text else type(exc).__name__
