"""Notifications in words for people: which loan, how it stands, what was found, what to do now. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any

from ltv_guard.core.amounts.survival import free_in, survived
from ltv_guard.core.model.intents import State
from ltv_guard.core.model.notices import LEVELS, Alarm, Notice, where
from ltv_guard.core.model.status import AccountStatus, LoanStatus, Status
from ltv_guard.log.events import CATALOGUE, Level, plain

SKIPPED = {
    *("event", "level", "timestamp", "account", "product", "loan_id"),
    *("cycle_id", "exc_info", "why", "mend"),
}
DAY_MS = 86_400_000
MOST_LOANS, MOST_TITLES = 10, 20
LONGEST = 300  # of a detail
RUNBOOK = "Runbook: docs/operations.md#{name}"

Event = Mapping[str, Any]


def title_of(event: str, level: str, about: str) -> str:
    """One line: how grave, what, about which loan."""
    return f"ltv-guard {level.upper()}: {event}{f', {about}' if about else ''}"


def body_of(event: Event, loan: LoanStatus | None) -> str:
    """An event of the log. `loan`: as it was last seen, where the event is about one."""
    name, level = str(event["event"]), str(event["level"])
    known = CATALOGUE[name].told if name in CATALOGUE else ()
    told = next((item for item in known if item.level == level), None)
    details = [f"{key}: {_text(value)}" for key, value in event.items() if _is_told(key, value)]
    to_do = event.get("mend") or (plain(told.do) if told is not None else "")
    lines = [
        _text(event.get("why", "")),
        *(standing(loan) if loan is not None else ()),
        "; ".join(details),
        plain(told.means) if told is not None else "",
        f"What to do: {_text(to_do)}",
    ]
    return "\n".join(
        line for line in (*lines, RUNBOOK.format(name=name) if level == Level.CRITICAL else "") if line
    )


def _is_told(key: str, value: object) -> bool:
    return key not in SKIPPED and value is not None


def standing(item: LoanStatus) -> list[str]:
    """How a loan stands, and at which price it is liquidated."""
    loan, price = item.loan, liquidation_price(item)
    at = "" if price is None else f" (at {price:,.2f} {loan.debts[0].coin} a {loan.collateral[0].coin})"
    first = f"{loan.key.short_name}: LTV {loan.ltv:f}; trigger {item.trigger_ltv:f}, "
    first += f"margin call {loan.margin_call_ltv:f}, liquidation {loan.liquidation_ltv:f}, "
    lines = [f"{first}{item.fall_to_liquidation:.1%} of falling prices away{at}"]
    if item.last_adjustment is not None:
        last = item.last_adjustment
        lines.append(f"last: {last.direction.value} {last.amount:f} {last.coin}, {last.state.value}")
    return lines


def liquidation_price(item: LoanStatus) -> Decimal | None:
    """Of an order: what a coin of its collateral costs, in coins of its debt, when it is liquidated."""
    loan = item.loan
    if loan.totals is not None or len(loan.debts) != 1 or len(loan.collateral) != 1:
        return None
    amount = loan.collateral[0].amount
    return loan.debts[0].amount / (amount * loan.liquidation_ltv) if amount > 0 else None


def again(alarm: Alarm, now_ms: int, *, has_happened: bool = False) -> str:
    """What is said of an alarm that lasts, or of what has happened. `now_ms` is wall time."""
    minutes = max(1, (now_ms - alarm.since_ms) // 60_000)
    how = f"It happened {minutes} min ago" if has_happened else f"It has lasted for {minutes} min"
    return f"{how}, and nobody has acknowledged it."


def over(alarm: Alarm) -> tuple[str, str]:
    """Title and body of its end."""
    return f"ltv-guard: over: {alarm.event}, {alarm.where}".rstrip(", "), f"{alarm.event} is over."


def summary(notices: Sequence[Notice]) -> tuple[str, str]:
    """What waited, as one: the gravest first."""
    levels = [notice.level for notice in notices]
    told = ", ".join(f"{levels.count(level)} {level}" for level in reversed(LEVELS) if level in levels)
    gravest = sorted(notices, key=lambda item: LEVELS.index(item.level), reverse=True)
    titles = list(dict.fromkeys(f"- {notice.title}" for notice in gravest))[:MOST_TITLES]
    last = notices[-1]
    return (
        f"ltv-guard: {len(notices)} notices have waited ({told})",
        "\n".join([*titles, "", "The newest:", last.title, last.body]),
    )


def digest(status: Status) -> tuple[str, str]:
    """Title and body of how everything stands."""
    lines = [line for account in status.accounts for line in _of_account(account)]
    alerts = _first((where(alert.event, alert.loan_id) for alert in status.alerts), len(status.alerts))
    lines.append(f"wrong now: {', '.join(alerts)}" if alerts else "nothing is wrong")
    title = f"ltv-guard: {len(status.accounts)} accounts, {'look' if alerts else 'all is well'}"
    return title, "\n".join(lines)


def _of_account(account: AccountStatus) -> Iterable[str]:
    yield f"{account.name}: {len(account.loans)} loans, {account.outcome or 'no cycle yet'}"
    yield from _first((standing(loan)[0] for loan in account.loans), len(account.loans))
    sums: dict[str, Decimal] = {}
    for item in account.adjustments:
        if item.state is State.CONFIRMED and account.exchange_ms - item.created_at_ms < DAY_MS:
            what = f"{item.direction.value} {item.coin}"
            sums[what] = sums.get(what, Decimal(0)) + item.amount
    for what, amount in sums.items():
        yield f"in 24 h: {what} {amount:f}"
    if account.wallet is not None:
        coins = ", ".join(f"{amount:f} {coin}" for coin, amount in account.wallet.items() if amount > 0)
        fall = survived(account.loans, free_in(account.wallet, account.reserve, account.due))
        yield f"wallet: {coins or 'empty'}; it survives a fall of {fall:.0%}"


def _first(said: Iterable[str], number: int) -> list[str]:
    """The first lines, as many as fit into one message, and how many more there are."""
    more = number - MOST_LOANS
    return [*islice(said, MOST_LOANS), *([f"and {more} more"] if more > 0 else [])]


def _text(value: object) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    text = "; ".join(map(_text, value)) if isinstance(value, list | tuple) else str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
