"""The way out: Apprise, imported by the thread that sends the first message, and not before."""

from __future__ import annotations

from importlib import import_module

APPRISE = "ltv_guard.adapters.apprise_target"


def send(url: str, title: str, body: str, level: str) -> bool:
    """Blocks until the service has answered. Whether it has taken the message."""
    try:
        return bool(import_module(APPRISE).send(url, title, body, level))
    except Exception:  # noqa: BLE001 - a library of many services: its error may hold the URL, and costs a try
        return False
