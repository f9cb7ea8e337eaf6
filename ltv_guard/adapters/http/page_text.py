"""The page's own style and script, which its Content-Security-Policy names by their hashes. Data only."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

STYLE = """
:root { color-scheme: light dark; --bg: #fff; --fg: #1b1f24; --soft: #57606a; --line: #d8dde3;
  --track: #e6eaee; --calm: #2a8055; --near: #b87500; --bad: #c62828; --card: #fafbfc; --on: #fff;
  --calm-bg: #e9f5ee; --near-bg: #fdf3df; --bad-bg: #c62828; }
@media (prefers-color-scheme: dark) { :root { --bg: #14171a; --fg: #e8eaed; --soft: #9aa4ae;
  --line: #333a41; --track: #2a3036; --calm: #4caf7d; --near: #e0aa3e; --bad: #ef6c6c; --card: #1a1e22;
  --calm-bg: #16261e; --near-bg: #2c2412; --bad-bg: #8e1f1f; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; background: var(--bg); color: var(--fg);
  font: 16px/1.45 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.15rem; margin: 0 0 .75rem; } h2 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
h3 { font-size: 1.05rem; margin: 0; display: flex; flex-wrap: wrap; justify-content: space-between;
  align-items: baseline; gap: 0 1rem; }
p { margin: .3rem 0; } small, .soft { color: var(--soft); font-size: .85rem; font-weight: normal; }
.word { border: 1px solid var(--line); border-radius: .4rem; padding: .05rem .4rem; font-weight: normal; }
.card, .alert, .verdict { border: 1px solid var(--line); border-radius: .5rem; padding: .7rem .9rem;
  margin: .6rem 0; background: var(--card); }
.alert { border-left: .35rem solid var(--bad); } .held { border-left: .35rem solid var(--near); }
.todo { font-size: 1.05rem; }
.head { font-size: 1.3rem; font-weight: 700; margin: 0 0 .2rem; }
.verdict.calm { background: var(--calm-bg); border-color: var(--calm); }
.verdict.near { background: var(--near-bg); border-color: var(--near); }
.verdict.bad { background: var(--bad-bg); border-color: var(--bad-bg); color: var(--on); }
.ltv { font-size: 1.3rem; font-variant-numeric: tabular-nums; }
.ltv.calm { color: var(--calm); } .ltv.near { color: var(--near); } .ltv.bad { color: var(--bad); }
svg { display: block; width: 100%; height: 3rem; overflow: visible; }
.track { fill: var(--track); } rect.calm, circle.calm { fill: var(--calm); }
rect.near, circle.near { fill: var(--near); } rect.bad, circle.bad { fill: var(--bad); }
.tick { stroke: var(--soft); stroke-width: 2; } .name { fill: var(--soft); font-size: 11px; }
.tick.trigger { stroke: var(--fg); } .limit.trigger { stroke: var(--near); }
.tick.call, .limit.call { stroke: var(--bad); }
.tick.end, .limit.end { stroke: var(--fg); }
.chart { height: 9rem; margin-top: .6rem; border-bottom: 1px solid var(--line); }
.chart svg { height: 100%; width: 98.5%; }
.limit, .curve { vector-effect: non-scaling-stroke; stroke-width: 1; }
.limit { stroke-dasharray: 5 4; }
.curve { fill: none; stroke-width: 2.5; stroke-linejoin: round; }
.curve.calm { stroke: var(--calm); } .curve.near { stroke: var(--near); } .curve.bad { stroke: var(--bad); }
.axis { display: flex; justify-content: space-between; color: var(--soft); font-size: .75rem;
  margin: .1rem 0; }
.prices { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: 0 .6rem; }
.prices .chart { height: 4.5rem; }
.wide { overflow-x: auto; margin: .5rem 0 1rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
td, th { text-align: left; padding: .25rem .4rem; border-bottom: 1px solid var(--line); vertical-align: top; }
td { overflow-wrap: normal; } th { color: var(--soft); font-weight: normal; }
form { display: flex; flex-wrap: wrap; gap: .5rem; }
input, button { font: inherit; padding: .45rem .6rem; max-width: 100%; }
"""

# It asks for the same page again, and puts what is new of it in place of what was.
SCRIPT = """
setInterval(async () => {
  try {
    const page = await (await fetch("/", {cache: "no-store"})).text();
    const found = new DOMParser().parseFromString(page, "text/html").querySelector("main");
    if (found) document.querySelector("main").replaceWith(found);
    document.querySelector("#lost").hidden = true;
  } catch { document.querySelector("#lost").hidden = false; }
}, 3000);
"""


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


POLICY = (
    f"default-src 'none'; style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
