"""Trigger x target x wallet: which loans survive, and how much capital that takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from ltv_guard.core.model.policy import AddRule, LoanPolicy, Rulebook
from ltv_guard.replay.candle_path import CandlePath
from ltv_guard.replay.capital import capital_usd
from ltv_guard.replay.one_replay import Case, lost, played, with_wallet
from ltv_guard.replay.position import Prices
from ltv_guard.replay.replay_account import ReplayAccount

SIZES = tuple(Decimal(size) for size in ("0.25", "0.5", "0.75", "1", "1.5", "2"))
TRIGGERS = tuple(Decimal(ltv) for ltv in ("0.60", "0.63", "0.66", "0.69", "0.72", "0.75", "0.78"))
TARGETS = tuple(Decimal(ltv) for ltv in ("0.50", "0.55", "0.60", "0.65", "0.70"))
APART = Decimal("0.03")  # a target nearer to its trigger is reached by chance


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
    case: Case, path: CandlePath, tell: Callable[[int, int], None] = lambda *_: None
) -> list[FrontierPoint]:
    """Every point of the grid, and first the policy as it is configured with the wallet as it is.

    Raises ConfigError for a loan that is lost before it begins.
    """
    grid = list(_grid(case.rulebook.default.add))
    found = []
    for number, (rule, size) in enumerate(grid, 1):
        tell(number, len(grid))
        wallet = {coin: amount * size for coin, amount in case.wallet.items()}
        rules = case.rulebook if number == 1 else _with_rule(case.rulebook, rule)
        account = played(replace(with_wallet(case, wallet), rulebook=rules), path)
        found.append(_point(account, rule, size, path.at(0), configured=number == 1))
    return found


def undominated(points: Sequence[FrontierPoint]) -> list[FrontierPoint]:
    """Those that no other beats, by rising capital."""
    best = [point for point in points if not any(other.beats(point) for other in points)]
    return sorted(best, key=lambda point: (-point.survivors, point.capital_usd))


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


def _grid(own: AddRule) -> Iterator[tuple[AddRule, Decimal]]:
    yield own, Decimal(1)
    for trigger in TRIGGERS:
        for target in TARGETS:
            if target <= trigger - APART:
                yield from ((AddRule(trigger_ltv=trigger, target_ltv=target), size) for size in SIZES)


def _with_rule(rulebook: Rulebook, rule: AddRule) -> Rulebook:
    """For every loan, whatever the overrides say of its thresholds."""

    def changed(policy: LoanPolicy) -> LoanPolicy:
        return replace(policy, add=rule)

    overrides = tuple((match, changed(policy)) for match, policy in rulebook.overrides)
    return replace(rulebook, default=changed(rulebook.default), overrides=overrides)


def _point(
    account: ReplayAccount, rule: AddRule, size: Decimal, prices: Prices, *, configured: bool
) -> FrontierPoint:
    return FrontierPoint(
        trigger=rule.trigger_ltv,
        target=rule.target_ltv,
        size=size,
        survivors=len(account.positions) - len(lost(account)),
        capital_usd=capital_usd(account.events, prices),
        worst_ltv=max(tally.worst for tally in account.tallies.values()),
        configured=configured,
    )
