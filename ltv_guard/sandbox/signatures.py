"""Who signed, with what, and when: v5/guide, "Authentication". Independent of the guard's own signing."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from ltv_guard.sandbox.refusals import Refusal
from ltv_guard.sandbox.scenario import ApiKey

AHEAD_MS = 1000
DEFAULT_WINDOW_MS = "5000"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequest:
    """The headers of a signed request, and the exact bytes of its query string or body."""

    key: str
    timestamp: str
    recv_window: str
    signature: str
    payload: bytes


def signed_text(request: SignedRequest) -> bytes:
    """What a request's signature is over: timestamp, key, window, and query or body (v5/guide)."""
    return f"{request.timestamp}{request.key}{request.recv_window}".encode() + request.payload


def signature_fits(key: ApiKey, request: SignedRequest) -> bool:
    """Checks the signature over the bytes as they came in: HMAC-SHA256 in hex, or RSA in base64."""
    if key.rsa_public_key is not None:
        return _rsa_fits(key.rsa_public_key, request)
    wanted = hmac.new((key.secret or "").encode(), signed_text(request), hashlib.sha256).hexdigest()
    return hmac.compare_digest(wanted.encode(), request.signature.encode())


def _rsa_fits(pem: str, request: SignedRequest) -> bool:
    public_key = load_pem_public_key(pem.encode())
    if not isinstance(public_key, rsa.RSAPublicKey):
        return False
    try:
        signature = base64.b64decode(request.signature, validate=True)
        public_key.verify(signature, signed_text(request), padding.PKCS1v15(), SHA256())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def check_window(request: SignedRequest, server_ms: int) -> None:
    """Holds `server_time - recv_window <= timestamp < server_time + 1000`. Raises Refusal (10002)."""
    timestamp, window = _number(request.timestamp), _number(request.recv_window or DEFAULT_WINDOW_MS)
    if not server_ms - window <= timestamp < server_ms + AHEAD_MS:
        raise Refusal(
            10002,
            "invalid request, please check your server timestamp or recv_window param. "
            f"req_timestamp[{timestamp}],server_timestamp[{server_ms}],recv_window[{window}]",
        )


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise Refusal(10001, f"not a number: {text!r}")
    return int(text)


def check_key(keys: dict[str, ApiKey], request: SignedRequest, server_ms: int, address: str) -> ApiKey:
    """The key that signed. Raises Refusal: 10003 key, 10002 window, 10004 signature, 10010 address."""
    key = keys.get(request.key)
    if key is None:
        raise Refusal(10003, "API key is invalid.")
    check_window(request, server_ms)
    if not signature_fits(key, request):
        raise Refusal(10004, "error sign! please check your signature generation algorithm.")
    if key.ips and address not in key.ips:
        raise Refusal(10010, "Unmatched IP, please check your API key's bound IP addresses.")
    return key


def check_end(ends_ms: int | None, server_ms: int) -> None:
    """Raises Refusal (33004) for a key whose time is over."""
    if ends_ms is not None and server_ms >= ends_ms:
        raise Refusal(33004, "Your api key has expired.")


def check_permission(key: ApiKey, group: str, name: str, *, writes: bool) -> None:
    """Raises Refusal (10005) for what the key may not do."""
    if name not in key.permissions.get(group, []) or (writes and key.read_only):
        raise Refusal(10005, "Permission denied, please check your API key permissions.")
