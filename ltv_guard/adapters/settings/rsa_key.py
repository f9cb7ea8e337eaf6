"""Whether an RSA private key can be used, in words that hold nothing of it."""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ltv_guard.adapters.settings.errors import ConfigError
from ltv_guard.adapters.settings.secret_files import QUOTES

_LONGEST_RSA_BITS = 8192


def check_rsa(key: str, pem: str) -> None:
    """`key` is where it was written. Raises ConfigError."""
    usable, bits = False, 0
    try:
        # Checking the numbers of an absurdly long key would take minutes: how long it is comes first.
        found = load_pem_private_key(pem.encode(), password=None, unsafe_skip_rsa_key_validation=True)
        bits = found.key_size if isinstance(found, RSAPrivateKey) else 0
        if 0 < bits <= _LONGEST_RSA_BITS:
            usable = isinstance(load_pem_private_key(pem.encode(), password=None), RSAPrivateKey)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        pass
    if bits > _LONGEST_RSA_BITS:
        raise ConfigError(f"{key} is an RSA key of {bits} bits: {_LONGEST_RSA_BITS} at most are possible")
    if not usable:
        raise ConfigError(f"{key} is not an RSA private key in PEM without a passphrase{_why_no_key(pem)}")


def _why_no_key(pem: str) -> str:
    text = pem.strip()
    if "PUBLIC KEY" in text:
        return ": it is the public key, which belongs to the exchange"
    if "ENCRYPTED" in text:
        return ": it is encrypted"
    return ": it is in quotes, take them off" if text[:1] in QUOTES else ""
