"""Secrets as they look in earnest, and where any piece of one shows. None was ever used anywhere."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

PIECE = 8  # letters: what is shorter may be chance

API_KEY, API_SECRET = "xK7pQ2mW9vR4tZ6bN1", "hT5rLq8VzYw3nBc6KdJf0sPg2XuMa9EiRo4C"
RSA_API_KEY = "Yq3Lw8Xe5Rn2Vm7Kp0"
TOKEN = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c"
PASSWORD, PATH = "hunter2-Correct.Horse", "T024BE7LD-B0G9QF9C6-nIo17653672481bK"
DEADMAN_ID = "1d8f5c0e-7a43-4b9a-9c61-5e0f6b7a2d38"
PG_PASSWORD = "Vb6_dlMq-29xTzUj"


@cache
def rsa_pem() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def secrets() -> dict[str, str]:
    """Name -> the secret, in each shape that it has on its way."""
    body = "".join(rsa_pem().splitlines()[1:-1])
    return {
        "the API key": API_KEY,
        "the API secret": API_SECRET,
        "the other API key": RSA_API_KEY,
        "the RSA key": body,
        "the HTTP token": TOKEN,
        "a target's password": PASSWORD,
        "a target's path": PATH,
        "a target's password, encoded": b64encode(f"alice:{PASSWORD}".encode()).decode(),
        "the dead man's id": DEADMAN_ID,
        "the database's password": PG_PASSWORD,
    }


@dataclass
class Scan:
    """What was looked at, by name, and what it found there."""

    seen: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, shown: str | bytes) -> None:
        text = shown if isinstance(shown, str) else shown.decode("latin-1")
        self.seen[name] = f"{self.seen.get(name, '')}\n{text}"

    def found(self) -> list[str]:
        """Which piece of which secret shows where."""
        return [
            f"{name} shows {piece!r} of {secret}: {_around(text, piece)}"
            for name, text in self.seen.items()
            for secret, piece in _shown_in(text, secrets())
        ]


def _shown_in(text: str, hidden: Mapping[str, str]) -> list[tuple[str, str]]:
    pieces = {secret[at : at + PIECE]: name for name, secret in hidden.items() for at in _starts(secret)}
    shown = {text[at : at + PIECE] for at in _starts(text)}
    first = {pieces[piece]: piece for piece in sorted(shown & pieces.keys())}
    return list(first.items())


def _starts(text: str) -> range:
    return range(len(text) - PIECE + 1)


def _around(text: str, piece: str) -> str:
    at = text.index(piece)
    return text[max(0, at - 150) : at + 80]
