"""What many replays came to, as trees of JSON for the report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ltv_guard.replay.baselines import Baseline
from ltv_guard.replay.frontier import FrontierPoint, nearest_better, undominated
from ltv_guard.replay.replay_report import amounts, plain
from ltv_guard.replay.survival import Survival

Tree = dict[str, Any]
PLACES = 4


def comparison_tree(report: Tree, policy: str) -> Tree:
    """Another policy's replay, without its events."""
    loans = [{key: value for key, value in loan.items() if key != "events"} for loan in report["loans"]]
    return {"policy": policy, "loans": loans, "wallet_left": report["wallet_left"]}


def baselines_tree(found: Iterable[Baseline]) -> list[Tree]:
    """A row each, this policy's first."""
    return [
        {
            "name": item.name,
            "liquidated": list(item.lost),
            "worst_ltv": plain(item.worst_ltv),
            "adds": item.adds,
            "added": amounts(item.added),
            "capital_usd": plain(item.capital_usd),
            "liquidation_fee_usd": plain(item.fee_usd),
        }
        for item in found
    ]


def survival_tree(found: Survival) -> Tree:
    """By the size of the wallet, the share of starts that survive, with its interval."""
    return {
        "starts": found.starts,
        "skipped": found.skipped,
        "shares": [
            {
                "wallet_times": plain(item.size),
                "share": round(item.share, PLACES),
                "low": round(item.low, PLACES),
                "high": round(item.high, PLACES),
            }
            for item in found.shares
        ],
    }


def frontier_tree(points: Sequence[FrontierPoint]) -> Tree:
    """All points, those that no other beats, and the nearest one that beats the configured policy."""
    best, better = undominated(points), nearest_better(points)
    return {
        "points": [_point(point) | {"dominated": point not in best} for point in points],
        "undominated": [_point(point) for point in best],
        "configured": next(_point(point) for point in points if point.configured),
        "nearest_better": None if better is None else _point(better),
    }


def _point(point: FrontierPoint) -> Tree:
    return {
        "trigger_ltv": plain(point.trigger),
        "target_ltv": plain(point.target),
        "wallet_times": plain(point.size),
        "survivors": point.survivors,
        "capital_usd": plain(point.capital_usd),
        "worst_ltv": plain(point.worst_ltv),
        "configured": point.configured,
    }
