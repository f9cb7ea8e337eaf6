"""Trigger x target x wallet: which loans survive, and how much capital that takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from ltv_guard.core.model.policy import AddRule, LoanPolicy, Rulebook
from ltv_guard.replay.candle_path import CandlePath
from ltv_guard.replay.capital import capital_usd
from ltv_guard.replay.one_replay import Case, lost, played, with_wallet
from ltv_guard.replay.policy_grid import COARSE, Grid
from ltv_guard.replay.position import Prices
from ltv_guard.replay.processes import spread
from ltv_guard.replay.replay_account import ReplayAccount


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierPoint:
    """`capital_usd`: the most that loans had of the wallet at a time, at the first prices."""

    trigger: Decimal
    target: Decimal
    size: Decimal
    survivors: int
    capital_usd: Decimal
    worst_ltv: Decimal
    configured: bool = False

    @property
    def merits(self) -> tuple[int, Decimal, Decimal]:
        """What it is judged by: loans alive, little capital, a low worst LTV."""
        return self.survivors, self.capital_usd, self.worst_ltv

    def beats(self, other: FrontierPoint) -> bool:
        """Whether it is no worse in anything, and better in something."""
        no_worse = (
            self.survivors >= other.survivors
            and self.capital_usd <= other.capital_usd
            and self.worst_ltv <= other.worst_ltv
        )
        return no_worse and self.merits != other.merits


def frontier(
    case: Case,
    path: CandlePath,
    tell: Callable[[int, int], None] = lambda *_: None,
    *,
    grid: Grid = COARSE,
    cores: int = 1,
) -> list[FrontierPoint]:
    """Every point of the grid, and first the policy as it is configured with the wallet as it is.

    `tell` hears how many of how many are done. Each core is a process, and has the prices for itself.
    Raises ConfigError for a loan that is lost before it begins.
    """
    points, trial = list(grid.points()), _Trial(case=case, path=path)
    found = [trial.configured()]
    for point in spread(trial, points, cores):
        found.append(point)
        tell(len(found), len(points) + 1)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    """Plays a point of the grid."""

    case: Case
    path: CandlePath

    def __call__(self, point: tuple[AddRule, Decimal]) -> FrontierPoint:
        rule, size = point
        wallet = {coin: amount * size for coin, amount in self.case.wallet.items()}
        case = replace(with_wallet(self.case, wallet), rulebook=_with_rule(self.case.rulebook, rule))
        return _point(played(case, self.path), rule, size, self.path.at(0))

    def configured(self) -> FrontierPoint:
        account, rule = played(self.case, self.path), self.case.rulebook.default.add
        return replace(_point(account, rule, Decimal(1), self.path.at(0)), configured=True)


def undominated(points: Sequence[FrontierPoint]) -> list[FrontierPoint]:
    """Those that no other beats, by rising capital."""
    best: dict[tuple[int, Decimal, Decimal], list[FrontierPoint]] = {}
    # What beats a point comes before it, so it is enough to look at those that nothing has beaten.
    for point in sorted(points, key=lambda point: (-point.survivors, point.capital_usd, point.worst_ltv)):
        if point.merits in best:
            best[point.merits].append(point)
        elif not any(alike[0].beats(point) for alike in best.values()):
            best[point.merits] = [point]
    return [point for alike in best.values() for point in alike]


def nearest_better(points: Sequence[FrontierPoint]) -> FrontierPoint | None:
    """Of those that beat the configured policy the one whose trigger and target are nearest to its own."""
    own = next(point for point in points if point.configured)
    better = (point for point in points if point.beats(own))
    return min(
        better,
        key=lambda point: (
            abs(point.trigger - own.trigger) + abs(point.target - own.target),
            abs(point.size - own.size),
        ),
        default=None,
    )


def _with_rule(rulebook: Rulebook, rule: AddRule) -> Rulebook:
    """For every loan, whatever the overrides say of its thresholds."""

    def changed(policy: LoanPolicy) -> LoanPolicy:
        return replace(policy, add=rule)

    overrides = tuple((match, changed(policy)) for match, policy in rulebook.overrides)
    return replace(rulebook, default=changed(rulebook.default), overrides=overrides)


def _point(account: ReplayAccount, rule: AddRule, size: Decimal, prices: Prices) -> FrontierPoint:
    return FrontierPoint(
        trigger=rule.trigger_ltv,
        target=rule.target_ltv,
        size=size,
        survivors=len(account.positions) - len(lost(account)),
        capital_usd=capital_usd(account.events, prices),
        worst_ltv=max(tally.worst for tally in account.tallies.values()),
    )
