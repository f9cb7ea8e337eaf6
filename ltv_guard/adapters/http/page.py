"""The page at `/`: how every loan stands, what is wrong and what to do, what was done. Text in, HTML out.

Whatever others wrote is escaped in one place, `_e`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from ltv_guard.adapters.http.page_bar import bar, lines_of
from ltv_guard.adapters.http.page_text import SCRIPT, STYLE
from ltv_guard.adapters.http.status_json import plain, time_of
from ltv_guard.core.amounts.survival import Held, missing_in, survived
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Product
from ltv_guard.core.model.status import AccountStatus, AlertStatus, LoanStatus, Status
from ltv_guard.log.escaping import clean
from ltv_guard.log.events import CATALOGUE, Level

MOST_LOANS = 50
MOST_DONE = 20
FALLS = tuple(Decimal(percent) / 100 for percent in (10, 20, 30, 50))
TO_SHOW = Decimal("0.0001")
LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


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
    at = datetime.fromtimestamp(status.at_ms / 1000, UTC).strftime("%H:%M:%S UTC")
    where = f"<small>{_e(status.environment)}, {at}</small>"
    yield f'<h1>ltv-guard <span class="word">{_e(status.mode)}</span> {where}</h1>'
    if _is_calm(status):
        yield '<p class="card well">Nothing is wrong.</p>'
    for name, why in status.health.troubles.items():
        yield f'<p class="alert"><b>{_e(name)}</b>: {_e(why)}</p>'
    for name in status.health.unseen:
        yield f'<p class="card"><b>{_e(name)}</b>: its first cycle has not ended yet.</p>'
    yield from map(_alert, status.alerts)
    for account in status.accounts:
        yield from _account(account)


def _alert(alert: AlertStatus) -> str:
    """What it means and what to do, as the catalogue has it."""
    event = CATALOGUE.get(alert.event)
    told = next((item for item in event.told if item.level is Level.CRITICAL), None) if event else None
    where = " ".join(filter(None, (alert.account, alert.product, alert.loan_id)))
    why = "; ".join(f"{name}: {value}" for name, value in alert.details.items())
    words = [f'<div class="alert"><h3>{_e(alert.event)}<small>since {time_of(alert.since_ms)}</small></h3>']
    words.append(f"<p><b>{_e(where)}</b> {_e(why)}</p>")
    if told is not None:
        words.append(f"<p>{_prose(told.means)}</p><p><b>What to do:</b> {_prose(told.do)}</p>")
    return "".join([*words, "</div>"])


def _account(account: AccountStatus) -> Iterable[str]:
    withheld = account.withheld
    word = account.outcome or "no cycle yet"
    yield f'<h2>{_e(account.name)} <span class="word">{_e(word)}</span></h2>'
    if withheld is not None:
        yield f'<p class="card">Nothing is sent: <b>{_e(withheld.kind.value)}</b> {_e(withheld.detail)}</p>'
    for product, loan_id, why in account.set_aside:
        yield f'<p class="alert"><b>{_e(product)} {_e(loan_id)}</b> is set aside: {_e(why)}</p>'
    yield from map(_loan, account.loans[:MOST_LOANS])
    if not account.loans:
        yield '<p class="soft">No loans.</p>'
    if len(account.loans) > MOST_LOANS:
        yield f'<p class="soft">and {len(account.loans) - MOST_LOANS} more, further from liquidation.</p>'
    yield from _wallet(account)
    yield from _done(account.adjustments)


def _loan(item: LoanStatus) -> str:
    loan = item.loan
    name = f"order {loan.key.loan_id}" if loan.key.product is Product.LEGACY else loan.key.loan_id
    secured = ", ".join(f"{plain(held.amount)} {held.coin}" for held in loan.collateral if held.amount > 0)
    owed = ", ".join(f"{plain(debt.amount)} {debt.coin}" for debt in loan.debts)
    falls = (
        f"{item.fall_to_trigger:.1%} to the trigger, {item.fall_to_margin_call:.1%} to the margin call, "
        f"{item.fall_to_liquidation:.1%} to liquidation"
    )
    return (
        f'<div class="card"><h3>{_e(name)}<span>LTV {_e(plain(loan.ltv))}</span></h3>{bar(item)}'
        f'<p class="soft">{" · ".join(f"{name} {ltv:f}" for name, ltv in lines_of(item))}</p>'
        f"<p>Prices may fall {falls}.</p><p>{_e(item.reason)}</p>"
        f'<p class="soft">{_e(secured)} against {_e(owed)}</p></div>'
    )


def _wallet(account: AccountStatus) -> Iterable[str]:
    yield "<h2>What the wallet survives</h2>"
    if account.wallet is None:
        yield '<p class="soft">It was not read yet: a quiet guard reads the loans alone.</p>'
        return
    loans = [Held(loan=it.loan, trigger_ltv=it.trigger_ltv, target_ltv=it.target_ltv) for it in account.loans]
    coins = [(coin, has, account.reserve.get(coin, Decimal(0))) for coin, has in account.wallet.items()]
    free = {coin: max(Decimal(0), has - kept) for coin, has, kept in coins}
    yield f"<p>As it was last read it survives a fall of <b>{survived(loans, free):.0%}</b>.</p>"
    yield _table(
        ("a fall of", ""), [(f"{fall:.0%}", _lacks(missing_in(fall, loans, free))) for fall in FALLS]
    )
    rows = [(coin, plain(has), plain(kept)) for coin, has, kept in coins]
    yield _table(("coin", "in the Funding wallet", "of it a reserve"), rows)


def _lacks(missing: Mapping[str, Decimal]) -> str:
    lacks = ", ".join(f"{amount.quantize(TO_SHOW):f} {coin}" for coin, amount in missing.items())
    return f"{lacks} more are needed" if lacks else "survives"


def _done(adjustments: Sequence[Intent]) -> Iterable[str]:
    yield "<h2>What was done</h2>"
    if not adjustments:
        yield '<p class="soft">Nothing lately.</p>'
        return
    yield _table(
        ("when", "loan", "what", "state", "LTV before, after"),
        [
            (
                time_of(item.created_at_ms),
                item.key.loan_id,
                f"{item.direction.value} {plain(item.amount)} {item.coin}",
                item.state.value,
                f"{plain(item.ltv_before)}, {'' if item.ltv_after is None else plain(item.ltv_after)}",
            )
            for item in reversed(adjustments[-MOST_DONE:])
        ],
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{_e(cell)}</th>" for cell in heads)
    body = "".join(f"<tr>{''.join(f'<td>{_e(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _switch() -> str:
    """The kill switch, for whoever has the token; works without a script."""
    given = '<input type="password" name="token" placeholder="token" autocomplete="off" required>'
    reason = '<input name="reason" placeholder="why" required>'
    return (
        f'<h2>Kill switch, and alarms</h2><form method="post" action="/api/v1/pause">{given}{reason}'
        "<button>Pause all accounts</button></form><p></p>"
        f'<form method="post" action="/api/v1/resume">{given}<button>Resume</button></form><p></p>'
        f'<form method="post" action="/api/v1/ack">{given}<button>Acknowledge all alarms</button></form>'
    )


def _prose(text: str) -> str:
    """A sentence of the catalogue, without its marks."""
    return _e(LINK.sub(r"\1", text).replace("`", "").replace("*", ""))


def _e(text: str) -> str:
    return html.escape(clean(text))
