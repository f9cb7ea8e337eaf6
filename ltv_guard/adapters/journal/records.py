"""What the journal keeps beside intents, episodes and pauses, and how rows become values and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ltv_guard.core.model.errors import ImpossibleTransition, JournalUnavailable
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Direction, LoanKey, Owner, Product
from ltv_guard.core.ports import Episode, Pause
from ltv_guard.log.escaping import clean

ALL_ACCOUNTS = "*"  # no account can bear this name
LONGEST_WORDS, LONGEST_ID = 2_000, 200  # characters
BEYOND_ANY_CODE = 2**63
INTENT_COLUMNS = (
    *("intent_id", "environment", "user_id", "account", "product", "loan_id", "direction", "coin", "amount"),
    *("state", "reason", "coins_before", "ltv_before", "observed_at_ms", "seen_ids", "created_at_ms"),
    *("updated_at_ms", "rescue_of", "signed_at_ms", "recv_window_ms", "adjust_id", "ret_code", "ret_msg"),
    *("ltv_after", "awaits_row", "collateral_coin", "collateral_before", "contract_id"),
)
CHANGING_COLUMNS = (
    *("state", "updated_at_ms", "rescue_of", "signed_at_ms", "recv_window_ms", "adjust_id", "ret_code"),
    *("ret_msg", "ltv_after", "awaits_row"),
)
RUNS_KEPT_MS = 24 * 3600 * 1000  # so long a run is remembered after it was last heard of


@dataclass(frozen=True, slots=True, kw_only=True)
class Ban:
    """The exchange has shut a host out until `until_ms`; written down at `set_at_ms`. Both are wall time."""

    host: str
    until_ms: int
    set_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One start of the daemon. Times are wall time, ms.

    `acknowledged` are the pauses (account, or None for all) that it obeys.
    """

    run_id: str
    host: str
    pid: int
    started_at_ms: int
    alive_at_ms: int
    ended_at_ms: int | None = None
    acknowledged: frozenset[str | None] = frozenset()


def owner_row(owner: Owner) -> dict[str, Any]:
    """The columns that name an owner."""
    return {"environment": owner.environment, "user_id": owner.user_id}


def row_of(intent: Intent) -> dict[str, Any]:
    """Its columns, which are `INTENT_COLUMNS`."""
    return {
        "intent_id": intent.intent_id,
        "environment": intent.owner.environment,
        "user_id": intent.owner.user_id,
        "account": intent.account,
        "product": intent.key.product.value,
        "loan_id": intent.key.loan_id,
        "direction": intent.direction.value,
        "coin": intent.coin,
        "amount": _plain(intent.amount),
        "state": intent.state.value,
        "reason": storable(intent.reason),
        "coins_before": _plain(intent.coins_before),
        "ltv_before": _plain(intent.ltv_before),
        "observed_at_ms": intent.observed_at_ms,
        "seen_ids": json.dumps(sorted(intent.seen_ids)),
        "created_at_ms": intent.created_at_ms,
        "updated_at_ms": intent.updated_at_ms,
        "rescue_of": intent.rescue_of,
        "signed_at_ms": intent.signed_at_ms,
        "recv_window_ms": intent.recv_window_ms,
        "adjust_id": None if intent.adjust_id is None else storable(intent.adjust_id, LONGEST_ID),
        "ret_code": _code(intent.ret_code),
        "ret_msg": None if intent.ret_msg is None else storable(intent.ret_msg),
        "ltv_after": None if intent.ltv_after is None else _plain(intent.ltv_after),
        "awaits_row": intent.awaits_row,
        "collateral_coin": intent.collateral_coin,
        "collateral_before": None if intent.collateral_before is None else _plain(intent.collateral_before),
        "contract_id": intent.contract_id,
    }


def check_is_planned(intent: Intent) -> None:
    """Raises ImpossibleTransition where it is not planned."""
    if intent.state is not State.PLANNED:
        raise ImpossibleTransition(f"intent {intent.intent_id} begins as {intent.state}, not as planned")


def check_is_sent(intent: Intent) -> None:
    """Raises ImpossibleTransition where it is not sent."""
    if intent.state is not State.SENT:
        raise ImpossibleTransition(f"intent {intent.intent_id} is {intent.state}, not sent")


def intent_of(row: Mapping[str, Any]) -> Intent:
    """The intent that a row holds.

    Raises JournalUnavailable where the row makes no sense: to skip it might be to send twice.
    """
    try:
        return _intent_of(row)
    except (ValueError, TypeError, ArithmeticError) as error:
        raise JournalUnavailable(
            f"the journal's intent {row['intent_id']} makes no sense ({error}): "
            "restore the journal from a copy, or mend that row by hand"
        ) from error


def _intent_of(row: Mapping[str, Any]) -> Intent:
    ltv_after, collateral_before = row["ltv_after"], row["collateral_before"]
    return Intent(
        intent_id=row["intent_id"],
        owner=Owner(row["environment"], row["user_id"]),
        account=row["account"],
        key=LoanKey(Product(row["product"]), row["loan_id"]),
        direction=Direction(row["direction"]),
        coin=row["coin"],
        amount=Decimal(row["amount"]),
        state=State(row["state"]),
        reason=row["reason"],
        coins_before=Decimal(row["coins_before"]),
        ltv_before=Decimal(row["ltv_before"]),
        observed_at_ms=row["observed_at_ms"],
        seen_ids=frozenset(json.loads(row["seen_ids"])),
        created_at_ms=row["created_at_ms"],
        updated_at_ms=row["updated_at_ms"],
        rescue_of=row["rescue_of"],
        signed_at_ms=row["signed_at_ms"],
        recv_window_ms=row["recv_window_ms"],
        adjust_id=row["adjust_id"],
        ret_code=row["ret_code"],
        ret_msg=row["ret_msg"],
        ltv_after=None if ltv_after is None else Decimal(ltv_after),
        awaits_row=bool(row["awaits_row"]),  # SQLite has 0 and 1
        collateral_coin=row["collateral_coin"],
        collateral_before=None if collateral_before is None else Decimal(collateral_before),
        contract_id=row["contract_id"],
    )


def episode_of(row: Mapping[str, Any]) -> Episode | None:
    """The episode that a row holds; None where its product is none that is known: of no loan of ours."""
    try:
        product = Product(row["product"])
    except ValueError:
        return None
    return Episode(
        key=LoanKey(product, row["loan_id"]),
        opened_at_ms=row["opened_at_ms"],
        closed_at_ms=row["closed_at_ms"],
    )


def odd_episode(row: Mapping[str, Any]) -> str:
    """A sentence about an episode's row that is passed over."""
    return storable(f"the episode of loan {row['loan_id']!r} is of an unknown product, {row['product']!r}")


def episode_row(owner: Owner, episode: Episode) -> dict[str, Any]:
    """Its columns."""
    return owner_row(owner) | {
        "product": episode.key.product.value,
        "loan_id": episode.key.loan_id,
        "opened_at_ms": episode.opened_at_ms,
        "closed_at_ms": episode.closed_at_ms,
    }


def pause_of(row: Mapping[str, Any]) -> Pause:
    """The pause that a row holds."""
    return Pause(
        account=account_of(row["account"]),
        reason=row["reason"],
        since_ms=row["since_ms"],
        until_ms=row["until_ms"],
    )


def stored_account(account: str | None) -> str:
    """An account as it is stored: all of them have a name that no account can have."""
    return ALL_ACCOUNTS if account is None else account


def account_of(stored: str) -> str | None:
    """The account that is stored so; None: all of them."""
    return None if stored == ALL_ACCOUNTS else stored


def _plain(number: Decimal) -> str:
    return format(number, "f")


def storable(words: str, longest: int = LONGEST_WORDS) -> str:
    """The words as any database takes them and anybody may read them: on one line, and of bounded length.

    The exchange's messages may hold what no database takes as text: NUL, halves of surrogate pairs.
    """
    kept = clean(words[:longest])
    return kept if len(words) <= longest and len(kept) <= longest else f"{kept[: longest - 1]}…"


def _code(number: int | None) -> int | None:
    """No database takes a number beyond 64 bits; no code of the exchange is one."""
    return number if number is not None and abs(number) < BEYOND_ANY_CODE else None
