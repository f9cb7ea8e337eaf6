"""The page's own style and script, which its Content-Security-Policy names by their hashes. Data only."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

STYLE = """
:root { color-scheme: light dark; --bg: #fff; --fg: #1b1f24; --soft: #5d6670; --line: #d8dde3;
  --track: #eef1f4; --calm: #2e8b57; --near: #c98a00; --bad: #c62828; --card: #fafbfc; }
@media (prefers-color-scheme: dark) { :root { --bg: #14171a; --fg: #e8eaed; --soft: #9aa4ae;
  --line: #333a41; --track: #22272c; --calm: #4caf7d; --near: #e0aa3e; --bad: #ef6c6c; --card: #1a1e22; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; background: var(--bg); color: var(--fg);
  font: 16px/1.45 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.15rem; margin: 0 0 .75rem; } h2 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
h3 { font-size: 1rem; margin: 0; display: flex; flex-wrap: wrap; justify-content: space-between;
  gap: 0 1rem; }
p { margin: .3rem 0; } small, .soft { color: var(--soft); font-size: .85rem; font-weight: normal; }
.word { border: 1px solid var(--line); border-radius: .4rem; padding: .05rem .4rem; font-weight: normal; }
.card, .alert { border: 1px solid var(--line); border-radius: .5rem; padding: .7rem .9rem;
  margin: .6rem 0; background: var(--card); }
.alert { border-left: .35rem solid var(--bad); } .well { border-left: .35rem solid var(--calm); }
svg { display: block; width: 100%; height: 2.8rem; }
.track { fill: var(--track); } .calm { fill: var(--calm); }
.near { fill: var(--near); } .bad { fill: var(--bad); }
.tick { stroke: var(--fg); stroke-width: 2; } .name { fill: var(--soft); font-size: 11px; }
.wide { overflow-x: auto; margin: .5rem 0 1rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
td, th { text-align: left; padding: .25rem .4rem; border-bottom: 1px solid var(--line); vertical-align: top; }
td { overflow-wrap: normal; } th { color: var(--soft); font-weight: normal; }
form { display: flex; flex-wrap: wrap; gap: .5rem; }
input, button { font: inherit; padding: .3rem .5rem; max-width: 100%; }
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
