import hashlib
import hmac
import json

import ccxt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from pybit._http_manager import generate_signature, generate_signature_binary

from ltv_guard.adapters.bybit import Credentials, HmacSigner
from ltv_guard.adapters.bybit.rsa_signatures import RsaSigner
from ltv_guard.adapters.bybit.wire import query_string

AT_MS, WINDOW_MS = 1_658_384_314_791, 5000
PARAMS = {"accountType": "FUND", "coin": "BTC,USDT"}
BODY = {"orderId": "1794267532472646144", "amount": "0.00000001", "direction": "0"}


def pem_of(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, passphrase: bytes | None = None) -> str:
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


@pytest.fixture(scope="module")
def pem() -> str:
    return pem_of(rsa.generate_private_key(public_exponent=65537, key_size=2048))


def signed(credentials: Credentials, payload: bytes) -> str:
    headers = credentials.headers(timestamp_ms=AT_MS, recv_window_ms=WINDOW_MS, payload=payload)
    return headers["X-BAPI-SIGN"]


def signed_by_ccxt(secret: str, method: str, params: dict[str, str]) -> tuple[str, bytes]:
    client = ccxt.bybit({"apiKey": "key", "secret": secret, "options": {"recvWindow": WINDOW_MS}})
    client.nonce = lambda: AT_MS
    made = client.sign("v5/crypto-loan/adjust-ltv", ["private", "x"], method, params)
    payload = made["body"] if method == "POST" else made["url"].partition("?")[2]
    return made["headers"]["X-BAPI-SIGN"], payload.encode()


def test_the_text_to_sign_is_timestamp_key_window_and_payload() -> None:
    expected = hmac.new(b"secret", b"1658384314791key5000a=1", hashlib.sha256).hexdigest()
    credentials = Credentials(api_key="key", signer=HmacSigner("secret"))
    headers = credentials.headers(timestamp_ms=AT_MS, recv_window_ms=WINDOW_MS, payload=b"a=1")
    assert headers == {
        "X-BAPI-API-KEY": "key",
        "X-BAPI-TIMESTAMP": "1658384314791",
        "X-BAPI-RECV-WINDOW": "5000",
        "X-BAPI-SIGN-TYPE": "2",
        "X-BAPI-SIGN": expected,
    }


def test_a_known_hmac_vector() -> None:
    """RFC 4231, case 2."""
    assert HmacSigner("Jefe").sign(b"what do ya want for nothing?") == (
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )


def test_pybit_agrees_on_a_query_and_on_a_body(pem: str) -> None:
    query, body = query_string(PARAMS), json.dumps(BODY)
    for by_rsa, secret in ((False, "secret"), (True, pem)):
        signer = RsaSigner.from_pem(secret) if by_rsa else HmacSigner(secret)
        credentials = Credentials(api_key="key", signer=signer)
        text = f"{AT_MS}key{WINDOW_MS}"
        assert signed(credentials, query.encode()) == generate_signature(by_rsa, secret, text + query)
        assert signed(credentials, body.encode()) == generate_signature_binary(
            by_rsa, secret, (text + body).encode()
        )


@pytest.mark.parametrize(("method", "params"), [("GET", PARAMS), ("POST", BODY)])
def test_ccxt_agrees(pem: str, method: str, params: dict[str, str]) -> None:
    for secret, signer in (("secret", HmacSigner("secret")), (pem, RsaSigner.from_pem(pem))):
        theirs, payload = signed_by_ccxt(secret, method, params)
        assert signed(Credentials(api_key="key", signer=signer), payload) == theirs


def test_no_secret_shows_in_a_repr(pem: str) -> None:
    for signer in (HmacSigner("the-secret"), RsaSigner.from_pem(pem)):
        shown = repr(signer) + repr(Credentials(api_key="the-key", signer=signer))
        assert "the-secret" not in shown
        assert "the-key" not in shown
        assert "RSAPrivateKey" not in shown


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "not a private key in PEM"),
        ("swordfish", "not a private key in PEM"),
        (
            "-----BEGIN PRIVATE KEY-----\nc3dvcmRmaXNo\n-----END PRIVATE KEY-----",
            "not a private key in PEM",
        ),
        (pem_of(ec.generate_private_key(ec.SECP256R1())), "not an RSA key"),
        (pem_of(rsa.generate_private_key(public_exponent=65537, key_size=2048), b"x"), "encrypted"),
    ],
    ids=["empty", "no pem", "garbage in a pem", "an elliptic curve", "encrypted"],
)
def test_an_unusable_key_is_one_sentence_without_the_keys_text(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        RsaSigner.from_pem(text)
    assert "swordfish" not in str(caught.value)
    assert "c3dvcmRmaXNo" not in str(caught.value)


def test_an_empty_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        HmacSigner("")
