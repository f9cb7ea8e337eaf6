"""Signatures with an RSA key. Imported only where an account has one: the library is slow to import. Pure."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key


@dataclass(frozen=True, slots=True)
class RsaSigner:
    """RSA with PKCS#1 v1.5 and SHA-256, base64: for self-generated keys."""

    key: RSAPrivateKey = field(repr=False)

    @classmethod
    def from_pem(cls, pem: str) -> RsaSigner:
        """Reads an unencrypted PEM. Raises ValueError, with a sentence that shows nothing of the key."""
        try:
            key = load_pem_private_key(pem.encode(), password=None)
        except TypeError:
            raise ValueError("the RSA private key is encrypted: give it without a passphrase") from None
        except Exception:  # noqa: BLE001 - the library's own message may quote the key's text
            raise ValueError("the RSA private key is not a private key in PEM format") from None
        if not isinstance(key, RSAPrivateKey):
            raise ValueError("the private key is not an RSA key: the exchange takes no other kind")  # noqa: TRY004
        return cls(key)

    def sign(self, text: bytes) -> str:
        return base64.b64encode(self.key.sign(text, padding.PKCS1v15(), hashes.SHA256())).decode()
