"""The page at `/`: what is wrong and what to do, then how every loan stands. Text in, HTML out."""

from __future__ import annotations

from collections.abc import Iterable

from ltv_guard.adapters.http.page_account import account_as_html
from ltv_guard.adapters.http.page_bar import colour_of
from ltv_guard.adapters.http.page_text import SCRIPT, STYLE
from ltv_guard.adapters.http.page_words import clock_of, escaped, prose
from ltv_guard.adapters.http.status_json import plain
from ltv_guard.core.model.notices import where
from ltv_guard.core.model.status import AlertStatus, LoanStatus, Status
from ltv_guard.log.events import CATALOGUE, Level

MINUTE_MS = 60_000


def as_html(status: Status, *, may_change: bool) -> bytes:
    """`may_change`: whether there is a token that lets somebody pause and resume."""
    title = "ltv-guard: all is well" if _is_calm(status) else "ltv-guard: LOOK"
    parts = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<noscript><meta http-equiv="refresh" content="15"></noscript>',
        f"<title>{title}</title><style>{STYLE}</style></head><body>",
        f"<main>{''.join(_main(status))}</main>",
        '<p id="lost" class="alert" hidden>The guard has not answered: what is shown may be old.</p>',
        _switch() if may_change else '<p class="soft">Read-only: no token is set (http.token_file).</p>',
        f"<script>{SCRIPT}</script></body></html>",
    )
    return "".join(parts).encode()


def _is_calm(status: Status) -> bool:
    return status.health.is_well and not status.alerts


def _main(status: Status) -> Iterable[str]:
    place = f"<small>{escaped(status.environment)}, {clock_of(status.at_ms)}</small>"
    yield f'<h1>ltv-guard <span class="word">{escaped(status.mode)}</span> {place}</h1>'
    yield _verdict(status)
    for name, why in status.health.troubles.items():
        yield f'<p class="alert"><b>{escaped(name)}</b>: {escaped(why)}</p>'
    for name in status.health.unseen:
        yield f'<p class="card"><b>{escaped(name)}</b>: its first cycle has not ended yet.</p>'
    for alert in status.alerts:
        yield _alert(alert, status.at_ms)
    for account in status.accounts:
        yield from account_as_html(status, account)


def _verdict(status: Status) -> str:
    """How bad it is, and which loan it is about: for whoever was woken."""
    loans = [(account.name, item) for account in status.accounts for item in account.loans]
    worst = max(loans, key=lambda pair: pair[1].loan.danger, default=None)
    calm = _is_calm(status)
    colour = "bad" if not calm else "calm" if worst is None else colour_of(worst[1])
    said = "Nothing is wrong." if calm else "Something is wrong: look, and do what is said below."
    about = "" if worst is None else f"<p>{_standing(*worst)}</p>"
    return f'<div class="verdict {colour}"><p class="head">{said}</p>{about}</div>'


def _standing(account: str, item: LoanStatus) -> str:
    loan = item.loan
    against = f"below its trigger of {plain(item.trigger_ltv)}"
    if loan.ltv >= loan.margin_call_ltv:
        against = f"<b>at its margin call of {plain(loan.margin_call_ltv)}</b>"
    elif loan.ltv >= item.trigger_ltv:
        against = f"<b>above its trigger of {plain(item.trigger_ltv)}</b>"
    named = f"{escaped(loan.key.short_name)} of {escaped(account)}"
    return (
        f"Nearest to liquidation: <b>{named}</b>, LTV <b>{plain(loan.ltv)}</b>, {against}. "
        f"It is liquidated once prices have fallen by <b>{item.fall_to_liquidation:.1%}</b>."
    )


def _alert(alert: AlertStatus, at_ms: int) -> str:
    """What to do, and what it means, as the catalogue has it."""
    event = CATALOGUE.get(alert.event)
    told = next((item for item in event.told if item.level is Level.CRITICAL), None) if event else None
    about = where(alert.account, alert.product, alert.loan_id)
    why = "; ".join(f"{name}: {value}" for name, value in alert.details.items())
    minutes = (at_ms - alert.since_ms) // MINUTE_MS
    lasts = f"{f'for {minutes} min, ' if minutes > 0 else ''}since {clock_of(alert.since_ms)}"
    if alert.has_happened:
        lasts = f"at {clock_of(alert.since_ms)}, {minutes} min ago; shown for a day, or until acknowledged"
    seen = alert.acknowledged_ms
    words = [f'<div class="alert"><h3>{escaped(alert.event)}<small>{lasts}</small></h3>']
    if seen is not None:
        words.append(f'<p><span class="word">acknowledged at {clock_of(seen)}</span></p>')
    words.append(f"<p><b>{escaped(about)}</b> {escaped(why)}</p>")
    if told is not None:
        words.append(f'<p class="todo"><b>What to do:</b> {prose(told.do)}</p>')
        words.append(f'<p class="soft">{prose(told.means)}</p>')
        words.append(f'<p class="soft">Runbook: docs/operations.md#{escaped(alert.event)}</p>')
    return "".join([*words, "</div>"])


def _switch() -> str:
    """The kill switch, for whoever has the token; works without a script."""
    return (
        '<h2>Kill switch, and alarms</h2><form class="card" method="post" action="/api/v1/pause">'
        '<input type="password" name="token" placeholder="token" autocomplete="off" required>'
        '<input name="reason" placeholder="why, for a pause">'
        "<button>Pause all accounts</button>"
        '<button formaction="/api/v1/resume">Resume</button>'
        '<button formaction="/api/v1/ack">Acknowledge all alarms</button></form>'
    )
