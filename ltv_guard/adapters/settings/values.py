"""The kinds of value that a configuration holds, each with the sentence for a bad one. Pure.

YAML and environment both give text, so a number is parsed here, once, as a Decimal.
"""

from __future__ import annotations

import enum
import ipaddress
import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, SecretStr

Product = Literal["crypto_loan", "crypto_loan_legacy"]

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,4})?", re.ASCII | re.IGNORECASE)
_WITH_UNIT = re.compile(r"[+-]?[\d.]+\s*(?P<unit>%|[A-Za-z]+|,\d+)", re.ASCII)
_SECONDS = " of seconds"
_NUMBER_LENGTH = 64
_MOST_DECIMALS = 18
_MOST_DIGITS = 24
_YEAR_S = 366 * 86400
_SHORTEST_INTERVAL_S = Decimal("0.05")


class Marker(enum.Enum):
    """What a field's type doesn't say about how it may be written."""

    NULLABLE = enum.auto()
    """null counts as not written."""
    RESOLVED = enum.auto()
    """Filled in by us; no key of its own."""
    SECRET = enum.auto()
    """Refused in YAML."""


@dataclass(frozen=True, slots=True)
class Patch:
    """Marks a mapping that holds some of a model's keys, to be laid over another such mapping."""

    model: type[BaseModel]


def number(value: object, such_as: str = "0.75", of: str = "") -> Decimal:
    """The number that was written. `such_as` is an example that fits the key, `of` what it counts.

    Raises ValueError, as all of these do: a sentence without the key.
    """
    if isinstance(value, Decimal):
        text = str(value)
    else:
        text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if len(text) > _NUMBER_LENGTH or not _NUMBER.fullmatch(text):
        raise ValueError(f"must be a number{of}, such as {such_as}{_hint(text)}")
    parsed = Decimal(text)
    exponent = parsed.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -_MOST_DECIMALS or parsed.adjusted() >= _MOST_DIGITS:
        raise ValueError(f"must be a number below 1e{_MOST_DIGITS} with at most {_MOST_DECIMALS} decimals")
    return parsed


def _hint(text: str) -> str:
    """What to leave out of a number that was written with more than its digits."""
    found = _WITH_UNIT.fullmatch(text)
    if found is None:
        return ""
    if found["unit"] == "%":
        return " (0.75 means 75 %)"
    return ": write the point as a point" if found["unit"].startswith(",") else ", without a unit"


def ltv(value: object) -> Decimal:
    """An LTV, above 0 and at most 1. Raises ValueError."""
    parsed = number(value)
    if not 0 < parsed <= 1:
        raise ValueError("must be above 0 and at most 1 (0.75 means 75 %)")
    return parsed


def ratio(value: object) -> Decimal:
    """A part of a whole, above 0 and at most 1. Raises ValueError."""
    parsed = number(value, "0.002")
    if not 0 < parsed <= 1:
        raise ValueError("must be above 0 and at most 1 (0.002 means 0.2 %)")
    return parsed


def amount(value: object) -> Decimal:
    """Coins, 0 or more. Raises ValueError."""
    parsed = number(value, "0.5", " of coins")
    if parsed < 0:
        raise ValueError("must be 0 or more coins")
    return parsed


def interval(value: object, such_as: str = "15") -> float:
    """Seconds between two things, more than 0 and at most a year. Raises ValueError."""
    parsed = number(value, such_as, _SECONDS)
    if not _SHORTEST_INTERVAL_S <= parsed <= _YEAR_S:
        raise ValueError(f"must be at least {_SHORTEST_INTERVAL_S} seconds and at most {_YEAR_S}")
    return float(parsed)


def notice(value: object) -> float:
    """Seconds before an end. Raises ValueError."""
    return interval(value, "86400")


def duration(value: object) -> float:
    """Seconds, 0 or more and at most a year. Raises ValueError."""
    parsed = number(value, "900", _SECONDS)
    if not 0 <= parsed <= _YEAR_S:
        raise ValueError(f"must be 0 or more seconds and at most {_YEAR_S}")
    return float(parsed)


def count(value: object) -> int:
    """A whole number. Raises ValueError."""
    return _whole(number(value, "3"), "3")


def milliseconds(value: object) -> int:
    """A whole number of milliseconds. Raises ValueError."""
    return _whole(number(value, "5000", " of milliseconds"), "5000")


def _whole(parsed: Decimal, such_as: str) -> int:
    if parsed != parsed.to_integral_value():
        raise ValueError(f"must be a whole number, such as {such_as}")
    return int(parsed)


def coin(value: object) -> str:
    """A coin's name, in capitals. Raises ValueError."""
    text = value.strip().upper() if isinstance(value, str) else ""
    if not re.fullmatch(r"[A-Z0-9]{1,24}", text):
        raise ValueError("must be a coin's name, such as USDT")
    return text


def account_name(value: object) -> str:
    """What an account is called in the configuration. Raises ValueError."""
    if not isinstance(value, str) or not re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", value):
        raise ValueError("must be an account's name: lower-case letters and digits, words parted by one _")
    return value


def order_id(value: object) -> str:
    """An order's id, as the exchange shows it. Raises ValueError."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", value):
        raise ValueError("must be an order's id, as the exchange shows it")
    return value


def upper(value: object) -> object:
    """Text in capitals, and what is no text as it is."""
    return value.upper() if isinstance(value, str) else value


def rest_url(value: str) -> str:
    """Scheme, host and port of the exchange, without a trailing slash. Raises ValueError."""
    parts = _url(value, secure="https", plain="http")
    if parts.path not in ("", "/"):
        raise ValueError("must be a scheme, a host and a port only, such as https://api.bybit.nl")
    return value.rstrip("/")


def stream_url(value: str) -> str:
    """The address of the price stream. Raises ValueError."""
    _url(value, secure="wss", plain="ws")
    return value


def local_address(value: str) -> str:
    """An IP address that connections may leave from. Raises ValueError."""
    try:
        found = ipaddress.ip_address(value)
    except ValueError:
        raise ValueError("must be an address of this machine, such as 192.0.2.10 or 2001:db8::10") from None
    if found.is_unspecified or found.is_multicast:
        raise ValueError("must be the address of one network interface; null leaves the choice to the system")
    return str(found)


def is_loopback(url: object) -> bool:
    """Whether a URL names this very machine; False for whatever is no URL."""
    if not isinstance(url, str):
        return False
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_host(name: str) -> bool:
    """Whether it is an address, or a name that can be looked up."""
    if ":" in name:
        return bool(ipaddress.ip_address(name))
    labels = name.removesuffix(".").split(".")
    return all(re.fullmatch(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", label) for label in labels)


def _url(value: str, *, secure: str, plain: str) -> SplitResult:
    if not re.fullmatch(r"[!-~]+", value):
        raise ValueError(f"must be a URL, such as {secure}://api.example.com")
    try:
        parts = urlsplit(value)
        usable = _is_host(parts.hostname or "") and parts.port != 0
    except ValueError:
        raise ValueError("is not a URL: its host or its port can't be read") from None
    if parts.scheme not in (secure, plain) or not usable:
        raise ValueError(f"must be a URL that begins with {secure}:// and names a host")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("must not hold a user, a password, a query or a fragment")
    if parts.scheme == plain and not is_loopback(value):
        raise ValueError(
            f"must begin with {secure}://; {plain}:// is for this machine (127.0.0.1, ::1, localhost)"
        )
    return parts


Ltv = Annotated[Decimal, BeforeValidator(ltv)]
Ratio = Annotated[Decimal, BeforeValidator(ratio)]
Amount = Annotated[Decimal, BeforeValidator(amount)]
Interval = Annotated[float, BeforeValidator(interval)]
Duration = Annotated[float, BeforeValidator(duration)]
Notice = Annotated[float, BeforeValidator(notice)]
Count = Annotated[int, BeforeValidator(count)]
Milliseconds = Annotated[int, BeforeValidator(milliseconds)]
Coin = Annotated[str, BeforeValidator(coin)]
AccountName = Annotated[str, BeforeValidator(account_name)]
OrderId = Annotated[str, BeforeValidator(order_id)]
RestUrl = Annotated[str, AfterValidator(rest_url)]
LocalAddress = Annotated[str, AfterValidator(local_address)]
StreamUrl = Annotated[str, AfterValidator(stream_url)]
File = Annotated[Path | None, Marker.NULLABLE]
Secret = Annotated[SecretStr, Marker.SECRET]
OptionalSecret = Annotated[SecretStr | None, Marker.SECRET]
