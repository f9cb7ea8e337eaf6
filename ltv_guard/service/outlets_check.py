"""What `check` says of those who watch: the HTTP port, and whether notifications arrive."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket

from ltv_guard.adapters.settings import Settings
from ltv_guard.service.findings import Finding
from ltv_guard.service.notify.delivery_thread import send

TIMEOUT_S = 5.0
TITLE = "ltv-guard: a test"
BODY = "This is what an alarm looks like. Nothing is wrong, and there is nothing to do."


async def examine_port(settings: Settings, *, is_in_use: bool | None) -> Finding:
    """`is_in_use`: whether a daemon lives on the journal, so that the port should be its; None: unknown."""
    host, port = settings.http.host, settings.http.port
    if not settings.http.enabled:
        return Finding(what="HTTP port", good=True, found="nothing is served: http.enabled is false")
    why = await asyncio.to_thread(_why_taken, host, port)
    if why is None:
        mend = "a daemon is running, and serves nothing there: look for http_not_served in its log"
        found = f"{host}:{port} is free"
        return Finding(what="HTTP port", good=True, found=found, mend=mend if is_in_use else "")
    if await asyncio.to_thread(_answers_as_we_do, settings.http.asked_at, port):
        mend = "it is not of this journal: set http.port to one that is free" if is_in_use is False else ""
        found = f"{host}:{port}: a daemon of ltv-guard answers"
        return Finding(what="HTTP port", good=True, found=found, mend=mend)
    mend = "set http.port to one that is free, or http.host; until then the guard runs without"
    return Finding(what="HTTP port", good=True, found=f"{host}:{port} can't be had: {why}", mend=mend)


def _why_taken(host: str, port: int) -> str | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind((host, port))
            tried.listen(1)
    except OSError as error:
        return error.strerror or str(error)
    return None


def _answers_as_we_do(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/api/v1/status")
        found = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()
    return isinstance(found, dict) and "accounts" in found


async def examine_targets(settings: Settings, *, tries: bool) -> list[Finding]:
    """`tries`: sends each a test message, one after the other."""
    targets = settings.notify.targets
    if not targets:
        mend = "name a phone or a chat in notify.targets" if settings.mode == "live" else ""
        return [Finding(what="notify.targets", good=True, found="nobody is told of trouble", mend=mend)]
    if not tries:
        found = f"{', '.join(f'{name} ({item.level})' for name, item in targets.items())}; not tried"
        return [Finding(what="notify.targets", good=True, found=f"{found}: check --notify does")]
    return [await _tried(name, targets[name].url.get_secret_value()) for name in targets]


async def _tried(name: str, url: str) -> Finding:
    taken = await asyncio.to_thread(send, url, TITLE, BODY, "info")
    mend = "" if taken else "check the URL in its url_file, and the network"
    found = "it took a test message" if taken else "it did not take a test message"
    return Finding(what=f"notify.targets.{name}", good=taken, found=found, mend=mend)
