"""Signatures of the private API: over the exact bytes that are sent. Pure.

The text to sign is `timestamp + api_key + recv_window + (query string | body)` (v5/guide#authentication).
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

SIGN_TYPE = "2"  # sent by every official client; no part of what is signed


class Signer(Protocol):
    """Turns a text into the value of X-BAPI-SIGN. Its secret never shows in a repr."""

    def sign(self, text: bytes) -> str:
        """The signature of a text, as the header holds it."""


@dataclass(frozen=True, slots=True)
class HmacSigner:
    """HMAC-SHA256, lowercase hex: for keys that the exchange generated."""

    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        if not self.secret:
            raise ValueError("the API secret is empty")

    def sign(self, text: bytes) -> str:
        return hmac.digest(self.secret.encode(), text, "sha256").hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """An API key and what signs for it."""

    api_key: str = field(repr=False)
    signer: Signer = field(repr=False)

    def headers(self, *, timestamp_ms: int, recv_window_ms: int, payload: bytes) -> dict[str, str]:
        """The headers that authenticate `payload`: the raw query string, or the body."""
        prefix = f"{timestamp_ms}{self.api_key}{recv_window_ms}".encode()
        return {
            "X-BAPI-API-KEY": self.api_key,
            "X-BAPI-TIMESTAMP": str(timestamp_ms),
            "X-BAPI-RECV-WINDOW": str(recv_window_ms),
            "X-BAPI-SIGN-TYPE": SIGN_TYPE,
            "X-BAPI-SIGN": self.signer.sign(prefix + payload),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What authenticates one request: made once, for the bytes it was made for."""

    headers: Mapping[str, str]
    signed_at_ms: int
    recv_window_ms: int
