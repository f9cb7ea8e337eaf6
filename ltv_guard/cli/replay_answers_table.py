"""What many replays came to, for people: another policy, survival against the wallet, the frontier."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from ltv_guard.cli.terminal import add_row, table_of
from ltv_guard.log.escaping import clean

Tree = dict[str, Any]
POINT = ("trigger_ltv", "target_ltv", "wallet_times", "survivors", "capital_usd", "worst_ltv")
MERITS = ("survivors", "capital_usd", "worst_ltv")
HEADS = ("trigger", "target", "wallet x", "loans alive", "capital, USD", "worst LTV", "")


def answers(tree: Tree) -> Iterator[RenderableType]:
    """Whatever was asked for, in the order of the report."""
    if "least_wallet" in tree:
        yield Text(clean(_least(tree["least_wallet"])))
    if "survival" in tree:
        yield from _survival(tree["survival"])
    if "frontier" in tree:
        yield from _frontier(tree["frontier"])


def coins(of: dict[str, str]) -> str:
    """`1.5 BTC, 5000 USDT`; `-` for none."""
    return ", ".join(f"{amount} {coin}" for coin, amount in of.items()) or "-"


def _least(least: dict[str, str] | None) -> str:
    if least is None:
        return "No wallet saves these loans: the fall is faster than help can be."
    if not least:
        return "The least wallet: none is needed."
    return f"The least wallet with which no loan is lost: {coins(least)}."


def _survival(found: Tree) -> Iterator[RenderableType]:
    head = f"Survival from {found['starts']} starts to the end, by the size of the wallet:"
    if found["skipped"]:
        head += f" (from {found['skipped']} more a loan is lost at once)"
    yield Text(clean(head))
    table = table_of("wallet x", "starts survived", "95 % interval")
    for item in found["shares"]:
        add_row(
            table, item["wallet_times"], f"{item['share']:.1%}", f"{item['low']:.1%} to {item['high']:.1%}"
        )
    yield table


def _frontier(found: Tree) -> Iterator[RenderableType]:
    yield Text(f"Of {len(found['points'])} policies and wallets no other beats these (alike ones once):")
    table = table_of(*HEADS)
    alike: set[tuple[str, ...]] = set()
    for point in found["undominated"]:
        merits = tuple(str(point[key]) for key in MERITS)
        if merits not in alike:
            add_row(table, *_cells(point), "yours" if point["configured"] else "")
        alike.add(merits)
    if not any(point["configured"] for point in found["undominated"]):
        add_row(table, *_cells(found["configured"]), "yours, beaten")
    yield table
    better = found["nearest_better"]
    if better is not None:
        policy = f"trigger {better['trigger_ltv']}, target {better['target_ltv']}"
        yield Text(clean(f"The nearest that beats yours: {policy}, wallet x {better['wallet_times']}."))


def _cells(point: Tree) -> tuple[str, ...]:
    return tuple(str(point[key]) for key in POINT)
