"""What others would have done with the same loans and wallet, beside the policy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from ltv_guard.replay.attention import Alerted, AlertLine, Attention
from ltv_guard.replay.candle_path import CandlePath
from ltv_guard.replay.candles import MINUTE_MS
from ltv_guard.replay.capital import capital_usd
from ltv_guard.replay.foresight import foresight
from ltv_guard.replay.one_replay import Case, lost, played
from ltv_guard.replay.position import CENT, ZERO
from ltv_guard.replay.replay_account import ReplayAccount
from ltv_guard.replay.replay_event import Happening

PERSON_MS = 30 * MINUTE_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """`capital_usd`: the most of the wallet that loans had at a time, in first prices. `fee_usd`: paid."""

    name: str
    lost: tuple[str, ...]
    worst_ltv: Decimal
    adds: int
    added: Mapping[str, Decimal]
    capital_usd: Decimal
    fee_usd: Decimal


def baselines(
    case: Case, path: CandlePath, guarded: ReplayAccount, unguarded: ReplayAccount
) -> Iterator[Baseline]:
    """This policy first, perfect foresight last. Bans hold up guard and loop alone: people have browsers.

    Raises ConfigError for a loan that is lost before it begins.
    """
    yield _baseline("this policy", guarded, path)
    yield _baseline("nothing done", unguarded, path)
    others = {
        "a person, 30 min after an alert": Alerted(AlertLine.TRIGGER, PERSON_MS),
        "a top-up at the margin call": Alerted(AlertLine.MARGIN_CALL, 0),
        "a loop each minute": Attention(case.stress.ban, MINUTE_MS),
    }
    for name, attention in others.items():
        yield _baseline(name, played(case, path, attention=attention), path)
    yield _foreseen(case, path)


def _baseline(name: str, account: ReplayAccount, path: CandlePath) -> Baseline:
    adds = [event for event in account.events if event.what is Happening.ADD]
    added: dict[str, Decimal] = {}
    for event in adds:
        coin = event.coin or ""
        added[coin] = added.get(coin, ZERO) + (event.amount or ZERO)
    fees = (event.details["fee_usd"] for event in account.events if event.what is Happening.LIQUIDATED)
    return Baseline(
        name=name,
        lost=tuple(sorted(key.loan_id for key in lost(account))),
        worst_ltv=max(tally.worst for tally in account.tallies.values()),
        adds=len(adds),
        added=added,
        capital_usd=capital_usd(account.events, path.at(0)),
        fee_usd=sum(fees, ZERO).quantize(CENT),
    )


def _foreseen(case: Case, path: CandlePath) -> Baseline:
    found, prices = foresight(case, path), path.at(0)
    plain = _baseline("perfect foresight", found.account, path)
    added: dict[str, Decimal] = {}
    for coins in found.given.values():
        for coin, amount in coins.items():
            added[coin] = added.get(coin, ZERO) + amount
    return Baseline(
        name=plain.name,
        lost=plain.lost,
        worst_ltv=plain.worst_ltv,
        adds=sum(len(coins) for coins in found.given.values()),
        added=added,
        capital_usd=sum((amount * prices[coin] for coin, amount in added.items()), ZERO).quantize(CENT),
        fee_usd=plain.fee_usd,
    )
