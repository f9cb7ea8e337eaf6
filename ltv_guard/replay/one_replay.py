"""One replay: loans, a wallet and a policy over a path of prices; beside it the same loans unguarded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from ltv_guard.adapters.settings.errors import ConfigError
from ltv_guard.core.model.loans import LoanKey
from ltv_guard.core.model.maturity import GRACE_MS
from ltv_guard.core.model.policy import LoanPolicy, Rulebook
from ltv_guard.replay.attention import Attention
from ltv_guard.replay.candle_path import CandlePath
from ltv_guard.replay.engines import every_point, only_changes
from ltv_guard.replay.flight import Flights
from ltv_guard.replay.index_lag import shown_late, with_late_points
from ltv_guard.replay.loan_spec import LoanSpec
from ltv_guard.replay.position import Position, Prices, opened
from ltv_guard.replay.replay_account import ReplayAccount
from ltv_guard.replay.stress import NONE, Stress
from ltv_guard.replay.tally import Tally

FEE = Decimal("0.02")  # of the debt: what the exchange keeps of a liquidation
UNGUARDED = Rulebook(default=LoanPolicy(protect=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is replayed. The wallet holds coins of the Funding wallet; the Unified account is empty."""

    loans: Sequence[LoanSpec]
    wallet: Mapping[str, Decimal]
    rulebook: Rulebook = field(default_factory=Rulebook)
    latency_ms: int = 1_000
    seed: int = 0
    fee: Decimal = FEE
    stress: Stress = NONE

    @property
    def coins(self) -> list[str]:
        """Those that need prices: of the loans, and what a pool could be given of the wallet."""
        found = {coin for loan in self.loans for coin in (*loan.collateral, *loan.debts)}
        return sorted(found | self.takes)

    @property
    def takes(self) -> set[str]:
        """Coins of the wallet that a pool could be given."""
        pools = [loan for loan in self.loans if loan.is_pool]
        policies = (self.rulebook.default, *(policy for _, policy in self.rulebook.overrides))
        wanted = {coin for policy in policies for coin in policy.collateral_preference}
        return {coin for coin, amount in self.wallet.items() if amount > 0} & wanted if pools else set()


def played(case: Case, path: CandlePath, *, attention: Attention | None = None) -> ReplayAccount:
    """The account at the end of the path. `attention`: when it is looked after, where not by the guard.

    Raises ConfigError for a loan that is lost before it begins.
    """
    account, lag_ms = account_of(case, path), case.stress.index_lag_ms
    account.attention = attention or account.attention
    if lag_ms:
        account.index = shown_late(path, lag_ms)
        every_point(account, with_late_points(path, lag_ms))
    else:
        only_changes(account, path)
    return account


def played_unguarded(case: Case, path: CandlePath) -> ReplayAccount:
    """The same loans, for which nobody does anything; their lines are those of the guarded ones.

    Raises ConfigError as `played` does.
    """
    account = account_of(case, path)
    account.rulebook = UNGUARDED
    only_changes(account, path)
    return account


def account_of(case: Case, path: CandlePath) -> ReplayAccount:
    """The account at the first price. Raises ConfigError for a loan that is lost before it begins."""
    began_ms, prices = int(path.times[0]), path.at(0)
    positions = [opened(spec, began_ms, prices, sorted(case.takes)) for spec in case.loans]
    for position in positions:
        _check(position, began_ms, prices)
    account = ReplayAccount(
        rulebook=case.rulebook,
        wallet=dict(case.wallet),
        positions=positions,
        flights=Flights(latency_ms=case.latency_ms, seed=case.seed, stress=case.stress),
        attention=Attention(case.stress.ban, case.stress.poll_ms),
        fee=case.fee,
    )
    for position in positions:
        account.tallies[position.spec.key] = _tally(account, position, prices)
        account.remember(position, began_ms)
    return account


def with_wallet(case: Case, wallet: Mapping[str, Decimal]) -> Case:
    """The same case with this Funding wallet, in coins."""
    return replace(case, wallet=wallet)


def lost(account: ReplayAccount) -> set[LoanKey]:
    """The loans that were liquidated."""
    return {position.spec.key for position in account.positions if position.lost}


def _tally(account: ReplayAccount, position: Position, prices: Prices) -> Tally:
    limits = account.limits(position, prices)
    return Tally(
        trigger=limits.trigger, emergency=limits.emergency, margin_call=position.spec.margin_call_ltv
    )


def _check(position: Position, now_ms: int, prices: Prices) -> None:
    spec, ltv = position.spec, position.ltv(prices)
    if ltv >= spec.liquidation_ltv:
        raise ConfigError(
            f"the loan {spec.key.loan_id} has an LTV of {ltv:.4f} at the first price, and is liquidated at "
            f"{spec.liquidation_ltv:f}: there is nothing to replay; give it less debt, more collateral, or "
            "another --start"
        )
    if position.is_overdue(now_ms, GRACE_MS):
        raise ConfigError(f"the loan {spec.key.loan_id} ended before the first price: mend its expires_at")
