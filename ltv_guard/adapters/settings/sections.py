"""The sections about exchange, pace and log: their keys and bounds. `rule_sections` has loans. Pure."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from ltv_guard.adapters.settings.errors import Clash
from ltv_guard.adapters.settings.values import (
    Count,
    Interval,
    LocalAddress,
    Marker,
    Milliseconds,
    RestUrl,
    StreamUrl,
    is_loopback,
    upper,
)
from ltv_guard.core.model.timing import TIMING
from ltv_guard.core.reconcile.settlement import SettlementTimeouts

REST = {"mainnet": "https://api.bybit.com", "testnet": "https://api-testnet.bybit.com"}
STREAM = {
    "mainnet": "wss://stream.bybit.com/v5/public/spot",
    "testnet": "wss://stream-testnet.bybit.com/v5/public/spot",
}

LEAST_RECV_WINDOW_MS, MOST_RECV_WINDOW_MS = 1_000, 60_000
LEAST_IP_BUDGET, IP_LIMIT = 20, 600


MS = 1000
TIMEOUTS = SettlementTimeouts()
"""Where the defaults are that the core has too, as TIMING is: it is the one place for them."""


class Section(BaseModel):
    """A part of the configuration. An unknown key is refused, and no value is shown in an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ExchangeSection(Section):
    """Where requests go, and for how long each is good."""

    environment: Literal["mainnet", "testnet"] = "testnet"
    base_url: Annotated[RestUrl | None, Marker.NULLABLE] = None
    stream_url: Annotated[StreamUrl | None, Marker.NULLABLE] = Field(
        default_factory=lambda given: _stream_of(given.get("environment"), given.get("base_url"))
    )
    """The public price stream; None beside a loopback `base_url`, for the real one would not fit it."""
    source_address: Annotated[LocalAddress | None, Marker.NULLABLE] = None
    """Where connections to it leave from; None: the operating system's choice."""
    recv_window_ms: Milliseconds = TIMING.recv_window_ms
    request_timeout_s: Interval = TIMING.request_timeout_ms // MS
    ip_budget_per_5s: Count = TIMING.ip_budget_per_5s
    """Requests of all accounts of this process. The exchange bans an address at 600."""

    @property
    def rest_url(self) -> str:
        """Where requests go, without a trailing slash."""
        return self.base_url or REST[self.environment]

    @field_validator("ip_budget_per_5s")
    @classmethod
    def _stays_below_a_ban(cls, value: int) -> int:
        if not LEAST_IP_BUDGET <= value < IP_LIMIT:
            raise ValueError(
                f"must be from {LEAST_IP_BUDGET} to {IP_LIMIT - 1} requests: the exchange bans an address at "
                f"{IP_LIMIT}"
            )
        return value

    @field_validator("recv_window_ms")
    @classmethod
    def _window_is_sane(cls, value: int) -> int:
        if not LEAST_RECV_WINDOW_MS <= value <= MOST_RECV_WINDOW_MS:
            raise ValueError(f"must be from {LEAST_RECV_WINDOW_MS} to {MOST_RECV_WINDOW_MS} milliseconds")
        return value

    @model_validator(mode="after")
    def _leaves_from_where_it_can_arrive(self) -> Self:
        source = self.source_address
        if source is not None and ip_address(source).is_loopback and not is_loopback(self.base_url):
            raise Clash(
                "source_address", "is one of this machine alone, from which no exchange can be reached"
            )
        return self

    @model_validator(mode="after")
    def _requests_end_within_the_window(self) -> Self:
        window = self.recv_window_ms / 1000
        if self.request_timeout_s >= window:
            raise Clash(
                "request_timeout_s",
                f"({self.request_timeout_s:g}) must be below recv_window_ms ({window:g} s)",
            )
        return self


def _stream_of(environment: str | None, base_url: str | None) -> str | None:
    return None if is_loopback(base_url) else STREAM.get(environment or "")


class Schedule(Section):
    """How often is looked (seconds), and how old what was read may be when it is acted on."""

    poll_interval_s: Interval = TIMING.poll_interval_ms // MS
    fastest_poll_s: Interval = TIMING.fastest_poll_ms // MS
    price_stream: bool = True
    settle_interval_s: Interval = 2
    blind_after_cycles: Count = TIMING.blind_after_cycles
    max_snapshot_age_s: Interval = TIMING.max_snapshot_age_ms // MS
    shutdown_timeout_s: Interval = 8

    @field_validator("blind_after_cycles")
    @classmethod
    def _at_least_one_cycle(cls, value: int) -> int:
        if value < 1:
            raise ValueError("must be 1 or more cycles")
        return value


class Settlement(Section):
    """How late the exchange may be: to carry out a request, and to list it. Seconds."""

    processing_margin_s: Interval = TIMEOUTS.processing_margin_ms // MS
    history_lag_s: Interval = TIMEOUTS.history_lag_ms // MS


class Logging(Section):
    """The form and the least level of log lines."""

    format: Literal["auto", "console", "json"] = "auto"
    level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(upper)] = (
        "INFO"
    )
