"""Faults: what goes wrong, for which requests, how often. How each looks on the wire is in mishaps.py."""

from __future__ import annotations

import random
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Kind = Literal[
    "close_before",
    "close_after",
    "hang_before",
    "hang_after",
    "apply_late",
    "http_error",
    "empty_body",
    "not_json",
    "json_not_object",
    "ret_code",
    "no_adjust_id",
    "wild_time",
    "clock_offset",
    "redirect",
    "stale_reads",
    "history_lag",
    "slow",
    "nonsense",
    "cursor_loop",
    "duplicate_key",
    "old_answer",
    "padding",
    "status_processing",
    "status_failed",
    "flood",
]


NAMES = frozenset(
    {
        *("time", "tickers", "kline", "status", "stream", "ticks"),
        *("key", "wallet", "transfer", "transfers"),
        *("orders", "position", "maximum", "adjust", "history", "terms", "repay", "repayments"),
        *("borrowed", "loanable", "contracts", "repay_fixed", "repay_collateral", "fixed_repayments"),
    }
)


NEED_SECONDS = frozenset({"stale_reads", "history_lag", "slow", "status_processing", "old_answer"})


class Fault(BaseModel):
    """One fault and the requests that it strikes.

    Which: `endpoint` is a short name (NAMES), a path, or `*`; with it `product`
    (crypto_loan_legacy, crypto_loan), `direction` (add, reduce), `user`, `loan_id`.
    When: `after` matching requests are spared, then `times` are struck (null: all), each with
    `probability`, only between `from_s` and `until_s` real seconds after the start.

    What each kind does, with its own parameters (`seconds` is how long it lasts; a hang without it lasts
    until the client goes away or the sandbox ends):

    - close_before, close_after: the connection ends without an answer, before or after the request was
      carried out; `reset` makes it a TCP reset. hang_before, hang_after: the same after `seconds`.
    - apply_late: admitted now, carried out `delay_s` later. `answer`: lost (closed at once), hung (held
      open), given. `check`: the receive window counts at arrival, or at application.
    - http_error (`status`, `body`; a 403 with `seconds` is a ban), empty_body, not_json (`body`),
      json_not_object (`body`), ret_code (`code`, `message`), no_adjust_id: useless answers with
      `headers`; `applied` says whether the request was carried out nevertheless.
    - redirect (`status`, `location`), never carried out. slow: the answer comes after `seconds`.
    - wild_time: the times of that answer are off by `offset_ms`. clock_offset: the server's clock is,
      for that request: receive window and times.
    - stale_reads: what is shown is `seconds` old. `variant`: whole (prices too), old_collateral (at
      today's prices), new_collateral_old_ltv; new_collateral_old_worth: so are a pool's totals and USD.
    - history_lag: on history, repayments and transfers, rows younger than `seconds` are missing; on adjust,
      repay and transfer, the row of that request is, for so long.
    - nonsense: `field` becomes `value`, or is gone (`remove`), in the row named by `loan_id` (an order
      id, a coin, `pool`, or every row). cursor_loop: the same page and cursor again and again
      (`value: endless`: ever new cursors). duplicate_key: a second retCode, `code`, in the answer.
    - old_answer: the answer that an earlier request to that path had, at least `seconds` ago, times and
      all, as from a broken cache. padding: the result holds `size` bytes more.
    - status_processing: a pool's adjustment or repayment stays at status 2 for `seconds`, then is carried
      out, if it still can be. status_failed: it ends at status 3. Transfers likewise: PENDING, FAILED. What a
      legacy loan is asked is final at once.
    - Of the price stream: `stream` is its connection (stream.py), `ticks` are what it tells (tick_faults.py),
      which `*` does not strike; `loan_id` is a coin there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    endpoint: str = "*"
    product: str | None = None
    direction: Literal["add", "reduce"] | None = None
    user: str | None = None
    loan_id: str | None = None
    after: int = Field(default=0, ge=0)
    times: int | None = Field(default=1, ge=1)
    probability: Decimal = Field(default=Decimal(1), ge=0, le=1)
    from_s: Decimal = Decimal(0)
    until_s: Decimal | None = None

    applied: bool = True
    seconds: Decimal | None = Field(default=None, ge=0)
    delay_s: Decimal = Field(default=Decimal(1), ge=0)
    answer: Literal["lost", "hung", "given"] = "lost"
    check: Literal["arrival", "application"] = "arrival"
    reset: bool = False
    status: int = 502
    code: int = 10016
    message: str = "sandbox fault"
    headers: dict[str, str] = Field(default_factory=dict)
    body: str | None = None
    location: str = "/v5/market/time"
    offset_ms: int = 0
    variant: Literal["whole", "old_collateral", "new_collateral_old_ltv", "new_collateral_old_worth"] = (
        "whole"
    )
    field: str | None = None
    value: Any = None
    remove: bool = False
    size: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.endpoint != "*" and not self.endpoint.startswith("/") and self.endpoint not in NAMES:
            raise ValueError(f"endpoint {self.endpoint!r} is none of {', '.join(sorted(NAMES))}")
        if self.kind == "nonsense" and self.field is None:
            raise ValueError("nonsense needs a field")
        if self.kind in NEED_SECONDS and self.seconds is None:
            raise ValueError(f"{self.kind} needs seconds")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a request is about, as far as faults choose by it."""

    endpoint: str
    path: str
    product: str | None = None
    direction: str | None = None
    user: str | None = None
    loan_id: str | None = None


@dataclass(slots=True)
class _Entry:
    fault: Fault
    seen: int = 0
    struck: int = 0


class FaultBook:
    """The faults that are in force. Chance comes from a seeded generator."""

    def __init__(self, faults: list[Fault], seed: int) -> None:
        self._entries = [_Entry(fault) for fault in faults]
        self._random = random.Random(seed)  # noqa: S311 chance, not secrecy

    def add(self, fault: Fault) -> None:
        """Has a fault strike from now on."""
        self._entries.append(_Entry(fault))

    def clear(self) -> None:
        """Has no fault strike any more."""
        self._entries.clear()

    def state(self) -> list[dict[str, Any]]:
        """Each with how many requests it has seen, and how many it has struck."""
        return [
            entry.fault.model_dump(mode="json", exclude_defaults=True)
            | {"seen": entry.seen, "struck": entry.struck}
            for entry in self._entries
        ]

    def take(self, target: Target, real_s: Decimal) -> list[Fault]:
        """The faults that strike this request, which is counted."""
        return [entry.fault for entry in self._entries if self._strikes(entry, target, real_s)]

    def _strikes(self, entry: _Entry, target: Target, real_s: Decimal) -> bool:
        fault = entry.fault
        if real_s < fault.from_s or (fault.until_s is not None and real_s >= fault.until_s):
            return False
        if not _matches(fault, target):
            return False
        entry.seen += 1
        if entry.seen <= fault.after or (fault.times is not None and entry.struck >= fault.times):
            return False
        if fault.probability < 1 and Decimal(str(self._random.random())) >= fault.probability:
            return False
        entry.struck += 1
        return True


def _matches(fault: Fault, target: Target) -> bool:
    if fault.endpoint not in {"*", target.endpoint, target.path}:
        return False
    if fault.endpoint == "*" and target.endpoint == "ticks":
        return False
    # For `nonsense` loan_id names the row to spoil in a list of loans, not the request.
    chosen = [("product", fault.product), ("direction", fault.direction), ("user", fault.user)]
    if fault.kind != "nonsense":
        chosen.append(("loan_id", fault.loan_id))
    return all(wanted is None or getattr(target, name) == wanted for name, wanted in chosen)
