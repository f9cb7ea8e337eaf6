"""Keys, signatures and the receive window."""

import base64
import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ltv_guard.sandbox.refusals import Refusal
from ltv_guard.sandbox.scenario import ApiKey
from ltv_guard.sandbox.signatures import SignedRequest, check_key, check_permission, check_window

NOW = 1_700_000_000_000
HMAC_KEY = ApiKey(key="k", secret="s", user="1", ips=["10.0.0.1"])


def request(
    timestamp: int = NOW, window: str = "5000", signature: str = "", payload: bytes = b"a=%2C"
) -> SignedRequest:
    return SignedRequest(
        key="k", timestamp=str(timestamp), recv_window=window, signature=signature, payload=payload
    )


def signed(secret: bytes = b"s", payload: bytes = b"a=%2C") -> SignedRequest:
    text = f"{NOW}k5000".encode() + payload
    return request(signature=hmac.new(secret, text, hashlib.sha256).hexdigest(), payload=payload)


@pytest.mark.parametrize(
    ("timestamp", "window", "accepted"),
    [
        (NOW, "5000", True),
        (NOW - 5000, "5000", True),
        (NOW - 5001, "5000", False),
        (NOW + 999, "5000", True),
        (NOW + 1000, "5000", False),
        (NOW - 1, "0", False),
        (NOW - 5000, "", True),
        (NOW - 5001, "", False),
    ],
)
def test_the_receive_window_is_exact(timestamp: int, window: str, *, accepted: bool) -> None:
    if accepted:
        check_window(request(timestamp, window), NOW)
    else:
        with pytest.raises(Refusal) as refused:
            check_window(request(timestamp, window), NOW)
        assert refused.value.code == 10002


@pytest.mark.parametrize(
    ("sent", "address", "code"),
    [
        (signed(), "10.0.0.1", None),
        (signed(b"wrong"), "10.0.0.1", 10004),
        (signed(), "10.0.0.2", 10010),
        (request(NOW - 90_000), "10.0.0.1", 10002),
    ],
)
def test_a_key_is_checked_by_window_signature_and_address(
    sent: SignedRequest, address: str, code: int | None
) -> None:
    if code is None:
        assert check_key({"k": HMAC_KEY}, sent, NOW, address) is HMAC_KEY
    else:
        with pytest.raises(Refusal) as refused:
            check_key({"k": HMAC_KEY}, sent, NOW, address)
        assert refused.value.code == code


def test_an_unknown_key_gets_10003() -> None:
    with pytest.raises(Refusal) as refused:
        check_key({}, signed(), NOW, "10.0.0.1")
    assert refused.value.code == 10003


def test_an_rsa_signature_is_checked_with_the_public_key() -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    key = ApiKey(key="k", rsa_public_key=pem, user="1")
    made = private.sign(f"{NOW}k5000a=%2C".encode(), padding.PKCS1v15(), SHA256())
    assert check_key({"k": key}, request(signature=base64.b64encode(made).decode()), NOW, "") is key
    for wrong in (signed(), request(signature=base64.b64encode(made[::-1]).decode())):
        with pytest.raises(Refusal) as refused:
            check_key({"k": key}, wrong, NOW, "")
        assert refused.value.code == 10004


def test_a_key_that_only_reads_may_not_write_and_one_without_the_right_may_nothing() -> None:
    reader = HMAC_KEY.model_copy(update={"read_only": True})
    check_permission(reader, "Spot", "SpotTrade", writes=False)
    for key, group in ((reader, "Spot"), (HMAC_KEY, "Options")):
        with pytest.raises(Refusal) as refused:
            check_permission(key, group, "SpotTrade", writes=True)
        assert refused.value.code == 10005
