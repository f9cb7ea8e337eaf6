"""What `check` says of the exchange's host: whether it answers, its clock, and its TLS."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from ltv_guard.adapters.bybit import local_address
from ltv_guard.core.model.errors import ExchangeBanned, GuardError
from ltv_guard.service.chores import SKEW_MS
from ltv_guard.service.findings import Finding
from ltv_guard.service.wiring import Wiring

LONGEST_S = 8.0
HTTPS = 443
DAY_S = 86_400
SOON_DAYS = 3  # exchanges renew theirs weeks before: one that ends so soon is somebody else's, or forgotten


async def examine_host(wiring: Wiring, rest_url: str) -> list[Finding]:
    """Its clock, as every run measures it; its TLS only where it answers."""
    clock = await _clock(wiring, rest_url)
    return [clock, *([await examine_tls(rest_url, source=wiring.host.source_address)] if clock.good else [])]


async def _clock(wiring: Wiring, rest_url: str) -> Finding:
    try:
        await wiring.any_client.measure_clock()
    except ExchangeBanned as error:
        mend = "wait, and look after the loans in the exchange's app"
        return Finding(what="exchange", good=False, found=str(error), mend=mend)
    except GuardError as error:
        mend = error.mend or "check exchange.base_url, exchange.environment and the network"
        return Finding(what="exchange", good=False, found=str(error), mend=mend)
    skew_ms = wiring.clock.wall_skew_ms
    mend = "let this machine keep its clock by NTP" if abs(skew_ms) > SKEW_MS else ""
    found = f"{rest_url}, its clock {skew_ms:+} ms from ours"
    return Finding(what="exchange and clock", good=True, found=found, mend=mend)


async def examine_tls(
    url: str, context: ssl.SSLContext | None = None, *, source: str | None = None
) -> Finding:
    """The protocol, and whose certificate it is until when. What can't be looked at fails nothing."""
    parts = urlsplit(url)
    if parts.scheme != "https":
        return Finding(what="TLS", good=True, found="none, for it is this machine itself")
    try:
        async with asyncio.timeout(LONGEST_S):
            _, writer = await asyncio.open_connection(
                parts.hostname,
                parts.port or HTTPS,
                ssl=context or ssl.create_default_context(),
                local_addr=local_address(source),
            )
    except (OSError, TimeoutError) as error:
        why = str(error) or type(error).__name__
        return Finding(what="TLS", good=True, found=f"its certificate could not be looked at: {why}")
    try:
        return _of(writer.get_extra_info("ssl_object"))
    finally:
        writer.close()


def _of(session: Any) -> Finding:  # noqa: ANN401 - the class of asyncio's is its own
    certificate = session.getpeercert() or {}
    issuer = {key: value for pairs in certificate.get("issuer", ()) for key, value in pairs}
    by = issuer.get("organizationName") or issuer.get("commonName") or "nobody that it names"
    ends_s = ssl.cert_time_to_seconds(certificate["notAfter"])
    ends = datetime.fromtimestamp(ends_s, UTC)
    is_soon = (ends - datetime.now(UTC)).total_seconds() < SOON_DAYS * DAY_S
    mend = "is a proxy in between? Its certificate ends soon, and then nothing can be sent" if is_soon else ""
    return Finding(
        what="TLS",
        good=True,
        found=f"{session.version()}, certificate of {by}, good until {ends:%Y-%m-%d}",
        mend=mend,
    )
