"""What the running daemon of a configuration says of itself: asked over HTTP, on its own port."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from typing import Any

from ltv_guard.adapters.settings import ConfigError, Settings
from ltv_guard.core.model.errors import ExchangeUnavailable

TIMEOUT_S = 10.0
FOUND = 200
OURS = {"version", "mode", "environment", "at", "ready", "troubles", "unseen", "accounts", "alerts"}


class DaemonSilent(ExchangeUnavailable):
    """No daemon of this configuration answers where it should; `str()` says where."""


def status_of(settings: Settings) -> dict[str, Any]:
    """Raises ConfigError where nothing is served, DaemonSilent where nobody answers, or another one."""
    if not settings.http.enabled:
        raise ConfigError(
            "http.enabled is false, so a daemon of this configuration tells nobody how it stands"
        )
    host, port = settings.http.asked_at, settings.http.port
    silent = (
        f"no daemon answers at {host}:{port}: is one running with this configuration? `ltv-guard check` says "
        "whether one is, and its log (http_served, http_not_served) where it is asked"
    )
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/api/v1/status")
        answer = connection.getresponse()
        found = json.loads(answer.read()) if answer.status == FOUND else None
    except (OSError, http.client.HTTPException, ValueError):
        raise DaemonSilent(silent) from None
    finally:
        connection.close()
    if not isinstance(found, dict) or not found.keys() >= OURS:
        raise DaemonSilent(f"something else than ltv-guard answers at {host}:{port}")
    _check_is_ours(found, settings, f"{host}:{port}")
    return found


def _check_is_ours(found: dict[str, Any], settings: Settings, place: str) -> None:
    """Whoever asks for his loans must not be told of others' that all is well."""
    exchange = settings.exchange
    theirs = (found["environment"], found.get("exchange", exchange.rest_url), sorted(found["accounts"]))
    ours = (exchange.environment, exchange.rest_url, sorted(settings.accounts))
    if theirs != ours:
        raise DaemonSilent(
            f"the daemon at {place} is not one of {settings.source or 'this configuration'}: it guards "
            f"{_named(*theirs)}, and this names {_named(*ours)}. Give each daemon an http.port of its own, "
            "name its configuration with -c, or send it SIGHUP if you have changed it"
        )


def _named(environment: str, exchange: str, accounts: Sequence[str]) -> str:
    return f"{', '.join(accounts) or 'no account'} ({environment}, {exchange})"
