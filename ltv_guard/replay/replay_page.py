"""The report as one HTML file: it asks for nothing, and the same inputs give the same file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from bokeh.embed import components
from bokeh.resources import Resources

from ltv_guard.log.escaping import clean
from ltv_guard.replay.answer_charts import answer_charts
from ltv_guard.replay.replay_charts import charts
from ltv_guard.replay.replay_report import Outcome, Tree

LOANS = {
    "twin_liquidated": "unguarded: liquidated",
    "liquidated": "guarded: liquidated",
    "twin_worst_ltv": "unguarded: worst LTV",
    "worst_ltv": "guarded: worst LTV",
    "adds": "adds",
    "added": "added",
    "releases": "releases",
    "released": "released",
    "minutes_above_trigger": "min above trigger",
    "minutes_above_emergency": "min above emergency",
    "minutes_above_margin_call": "min above margin call",
    "liquidation_fee_usd": "fee paid, USD",
    "twin_liquidation_fee_usd": "unguarded: fee, USD",
}
EVENTS = ("at", "what", "amount", "coin", "ltv_before", "ltv_after", "delay_s")
BESIDE = {
    "name": "",
    "liquidated": "liquidated",
    "worst_ltv": "worst LTV",
    "adds": "adds",
    "added": "added",
    "capital_usd": "capital, USD",
    "liquidation_fee_usd": "fee, USD",
}
POINTS = ("trigger_ltv", "target_ltv", "wallet_times", "survivors", "capital_usd", "worst_ltv", "configured")
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
STYLE = """
:root { color-scheme: light dark; --bg: #fff; --fg: #1b1f24; --soft: #57606a; --line: #d8dde3; }
@media (prefers-color-scheme: dark) {
  :root { --bg: #14171a; --fg: #e8eaed; --soft: #9aa4ae; --line: #333a41; } }
@media print { :root { --bg: #fff; --fg: #000; --soft: #333; --line: #999; }
  section { break-inside: avoid; } }
body { margin: 0 auto; max-width: 64rem; padding: 1rem; background: var(--bg); color: var(--fg);
  font: 16px/1.45 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.3rem; } h2 { font-size: 1.05rem; margin: 1.5rem 0 .5rem; } .soft { color: var(--soft); }
.wide { overflow-x: auto; } .chart { margin: .5rem 0 1rem; }
table { border-collapse: collapse; font-size: .9rem; }
td, th { text-align: left; padding: .25rem .5rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: normal; }
td, th { overflow-wrap: normal; } td { font-variant-numeric: tabular-nums; }
"""


def page(outcome: Outcome, tree: Tree) -> str:
    """The file's text."""
    drawn, answers = charts(outcome, tree), answer_charts(tree)
    script, places = components([*drawn, *answers.values()])
    library = Resources(mode="inline", components=["bokeh"], minified=True).render()
    divs = [f'<div class="chart">{place}</div>' for place in places]
    shown = dict(zip(answers, divs[len(drawn) :], strict=True))
    body = "".join(_body(tree, "".join(divs[: len(drawn)]), shown))
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>ltv-guard replay</title><style>{STYLE}</style>{library}"
    )
    text = (
        f"<!doctype html><html lang=en><head>{head}</head><body><main>{body}</main>{script}</body></html>\n"
    )
    return _same_names(text)


def _same_names(text: str) -> str:
    """Bokeh names its parts at random: numbered, the same report is the same file."""
    names = {
        name: f"{number:08d}-0000-4000-8000-000000000000"
        for number, name in enumerate(dict.fromkeys(UUID.findall(text)))
    }
    return UUID.sub(lambda found: names[found[0]], text)


def _body(tree: Tree, divs: str, shown: Mapping[str, str]) -> Iterable[str]:
    """`shown`: charts of the answers, by their key."""
    inputs = tree["inputs"]
    yield "<h1>What the policy would have done</h1>"
    window = f"{inputs['start']} to {inputs['end']}, {inputs['policy']} policy"
    yield f'<p class="soft">{_text(window)}</p>'
    yield _loans("Loans", tree["loans"])
    rows = [[item[key] for key in BESIDE] for item in tree.get("baselines", ())]
    yield _table("Beside it", BESIDE.values(), rows)
    if "compare" in tree:
        other = tree["compare"]
        yield _loans(f"The same with {other['policy']}", other["loans"])
    yield f"<section><h2>Over time</h2>{divs}</section>"
    yield from _answers(tree, shown)
    for loan in tree["loans"]:
        rows = [[event.get(key) for key in EVENTS] for event in loan["events"]]
        yield _table(f"What happened to {loan['loan_id']}", EVENTS, rows)
    yield _table("The wallet at the end", ("coin", "coins"), tree["wallet_left"].items())
    gaps = [[coin, gap["from"], gap["candles"]] for coin, every in tree["gaps"].items() for gap in every]
    if gaps:
        yield _table("Candles that are missing", ("coin", "from", "candles"), gaps)
    yield _table("Inputs", ("", ""), inputs.items())


def _loans(title: str, loans: Sequence[Tree]) -> str:
    """A column a loan."""
    rows = [[name, *(loan[key] for loan in loans)] for key, name in LOANS.items()]
    return _table(title, ("", *(loan["loan_id"] for loan in loans)), rows)


def _answers(tree: Tree, shown: Mapping[str, str]) -> Iterable[str]:
    if "least_wallet" in tree:
        least = tree["least_wallet"]
        rows = [["none saves these loans", ""]] if least is None else least.items()
        yield _table("The least wallet with which no loan is lost", ("coin", "coins"), rows)
    if "survival" in tree:
        found = tree["survival"]
        rows = [list(item.values()) for item in found["shares"]]
        title = f"Survival from {found['starts']} starts"
        yield _table(
            title, ("wallet x", "share of starts", "from", "to (95 %)"), rows, shown.get("survival", "")
        )
    if "frontier" in tree:
        rows = [[point[key] for key in POINTS] for point in tree["frontier"]["undominated"]]
        yield _table("Policies and wallets that no other beats", POINTS, rows, shown["frontier"])


def _table(title: str, heads: Iterable[str], rows: Iterable[Sequence[Any]], chart: str = "") -> str:
    top = "".join(f"<th>{_text(head)}</th>" for head in heads)
    body = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    table = f"<table><tr>{top}</tr>{body}</table>"
    return f'<section><h2>{_text(title)}</h2>{chart}<div class="wide">{table}</div></section>'


def _text(value: object) -> str:
    """As people read it, and harmless."""
    if isinstance(value, bool):
        value = "yes" if value else "no"
    if isinstance(value, dict):
        value = ", ".join(f"{name}: {item}" for name, item in value.items())
    if isinstance(value, list):
        value = "; ".join(_plain(item) for item in value)
    return escape(clean("" if value is None else str(value)))


def _plain(item: object) -> str:
    return ", ".join(f"{name} {part}" for name, part in item.items()) if isinstance(item, dict) else str(item)
