"""One account on the page: its loans against their lines, prices, what the wallet survives, what was done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

from ltv_guard.adapters.http.page_bar import bar, colour_of, lines_of
from ltv_guard.adapters.http.page_chart import chart, points_of
from ltv_guard.adapters.http.page_words import escaped, table
from ltv_guard.adapters.http.status_json import plain, time_of
from ltv_guard.core.amounts.survival import Held, free_in, missing_in, survived
from ltv_guard.core.model.contracts import AtEnd, Contract
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.samples import MOST_LOANS as MOST_CHARTS
from ltv_guard.core.model.samples import ChartSample
from ltv_guard.core.model.status import AccountStatus, LoanStatus, Status
from ltv_guard.core.model.withheld import Why

MOST_LOANS = 50
MOST_DONE = 20
MOST_PRICES = 12
MOST_CONTRACTS = 30
FALLS = tuple(Decimal(percent) / 100 for percent in (10, 20, 30, 50))
TO_SHOW = Decimal("0.0001")
OVERDUE = "its end is past: repaid, or overdue"
AT_END = {
    AtEnd.NOTHING: "overdue unless you repay it",
    AtEnd.REPAID: "repaid from the Funding wallet",
    AtEnd.FLEXIBLE: "turned flexible",
    AtEnd.UNTOLD: "the exchange does not say",
}


def account_as_html(status: Status, account: AccountStatus) -> Iterable[str]:
    """One account as lines of HTML: what holds it back, its loans, its wallet. All text is escaped."""
    samples, at_ms, withheld = status.samples.get(account.name, ()), status.at_ms, account.withheld
    word = account.outcome or "no cycle yet"
    yield f'<h2>{escaped(account.name)} <span class="word">{escaped(word)}</span></h2>'
    if withheld is not None:
        why = f"<b>{escaped(withheld.kind.value)}</b> {escaped(withheld.detail)}"
        mend = "<p>Resume it below, or with ltv-guard resume.</p>" if withheld.kind is Why.PAUSED else ""
        yield f'<div class="card held"><p>Nothing is sent: {why}</p>{mend}</div>'
    for product, loan_id, why in account.set_aside:
        named = f"<b>{escaped(product)} {escaped(loan_id)}</b>"
        yield f'<p class="alert">{named} is set aside: {escaped(why)}</p>'
    for number, item in enumerate(account.loans[:MOST_LOANS]):
        yield _loan(item, samples if number < MOST_CHARTS else None, at_ms)
    if not account.loans:
        yield '<p class="soft">No loans.</p>'
    if len(account.loans) > MOST_LOANS:
        yield f'<p class="soft">and {len(account.loans) - MOST_LOANS} more, further from liquidation.</p>'
    yield from _prices(account, status.prices or {}, samples, at_ms)
    yield from _contracts(account.contracts, at_ms)
    yield from _wallet(account)
    yield from _done(account.adjustments)


def _loan(item: LoanStatus, samples: Sequence[ChartSample] | None, at_ms: int) -> str:
    loan = item.loan
    secured = ", ".join(f"{plain(held.amount)} {held.coin}" for held in loan.collateral if held.amount > 0)
    owed = ", ".join(f"{plain(debt.amount)} {debt.coin}" for debt in loan.debts)
    falls = (
        f"{item.fall_to_trigger:.1%} to the trigger, {item.fall_to_margin_call:.1%} to the margin call, "
        f"{item.fall_to_liquidation:.1%} to liquidation"
    )
    return (
        f'<div class="card"><h3>{escaped(loan.key.short_name)}'
        f'<span class="ltv {colour_of(item)}">LTV {escaped(plain(loan.ltv))}</span></h3>{bar(item)}'
        f'<p class="soft">{" · ".join(f"{name} {ltv:f}" for name, ltv in lines_of(item))}</p>'
        f"<p>Prices may fall <b>{falls}</b>.</p><p>{escaped(item.reason)}</p>"
        f"{'' if samples is None else _curve(item, samples, at_ms)}"
        f'<p class="soft">{escaped(secured)} against {escaped(owed)}</p></div>'
    )


def _curve(item: LoanStatus, samples: Sequence[ChartSample], at_ms: int) -> str:
    key, ltv = item.loan.key, item.loan.ltv
    points = points_of(samples, lambda sample: sample.ltvs.get(key), (at_ms, ltv))
    highest, lowest = max(value for _, value in points), min(value for _, value in points)
    said = f"LTV of the last 24 hours: {lowest:f} to {highest:f}, now {ltv:f}"
    lines = (
        ("trigger", "trigger", item.trigger_ltv),
        ("call", "margin call", item.loan.margin_call_ltv),
        ("end", "liquidation", item.loan.liquidation_ltv),
    )
    return f"{chart(points, lines, colour_of(item), said)}{AXIS}"


AXIS = '<p class="axis"><span>24 h ago</span><span>12 h</span><span>now</span></p>'


def _prices(
    account: AccountStatus, prices: Mapping[str, Decimal], samples: Sequence[ChartSample], at_ms: int
) -> Iterable[str]:
    """Of the coins that secure its loans, as the price stream tells them."""
    coins = {held.coin for item in account.loans for held in item.loan.collateral if held.amount > 0}
    shown = [coin for coin in sorted(coins) if prices.get(coin)][:MOST_PRICES]
    if not shown:
        return
    yield '<h2>Prices of the last 24 hours</h2><div class="prices">'
    for coin in shown:
        yield _price(coin, prices[coin], samples, at_ms)
    yield "</div>"


def _price(coin: str, price: Decimal, samples: Sequence[ChartSample], at_ms: int) -> str:
    points = points_of(samples, lambda sample: sample.prices.get(coin) or None, (at_ms, price))
    change = price / points[0][1] - 1
    colour = "bad" if change <= Decimal("-0.1") else "near" if change <= Decimal("-0.05") else "calm"
    said = f"Price of the last 24 hours, now {price:f} USD"
    return (
        f'<div class="card"><h3>{escaped(coin)}<span>{price:,f} USD <small>{change:+.1%}</small></span></h3>'
        f"{chart(points, (), colour, said)}{AXIS}</div>"
    )


def _wallet(account: AccountStatus) -> Iterable[str]:
    yield "<h2>What the wallet survives</h2>"
    if account.wallet is None:
        yield '<p class="soft">It was not read yet: a quiet guard reads the loans alone.</p>'
        return
    loans = [Held(loan=it.loan, trigger_ltv=it.trigger_ltv, target_ltv=it.target_ltv) for it in account.loans]
    free = free_in(account.wallet, account.reserve, account.due)
    yield f"<p>As it was last read it survives a fall of <b>{survived(loans, free):.0%}</b>.</p>"
    rows = [(f"{fall:.0%}", _lacks(missing_in(fall, loans, free))) for fall in FALLS]
    yield table(("a fall of", ""), rows)
    yield table(
        ("coin", "in the Funding wallet", "of it a reserve", "of it due soon"),
        [
            (
                coin,
                plain(has),
                *(plain(kept.get(coin, Decimal(0))) for kept in (account.reserve, account.due)),
            )
            for coin, has in account.wallet.items()
        ],
    )


def _contracts(contracts: Sequence[Contract], at_ms: int) -> Iterable[str]:
    """Of a pool, the soonest end first."""
    if not contracts:
        return
    yield "<h2>Fixed loans</h2>"
    yield table(
        ("loan", "owed", "ends", "then"),
        [
            (
                item.loan_id,
                f"{plain(item.owed)} {item.coin}",
                time_of(item.ends_at_ms),
                OVERDUE if item.overdue or item.ends_at_ms <= at_ms else AT_END[item.at_end],
            )
            for item in contracts[:MOST_CONTRACTS]
        ],
    )
    if len(contracts) > MOST_CONTRACTS:
        yield f'<p class="soft">and {len(contracts) - MOST_CONTRACTS} more, that end later.</p>'


def _lacks(missing: Mapping[str, Decimal]) -> str:
    lacks = ", ".join(f"{amount.quantize(TO_SHOW):f} {coin}" for coin, amount in missing.items())
    return f"{lacks} more are needed" if lacks else "survives"


def _done(adjustments: Sequence[Intent]) -> Iterator[str]:
    yield "<h2>What was done</h2>"
    if not adjustments:
        yield '<p class="soft">Nothing lately.</p>'
        return
    yield table(
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
