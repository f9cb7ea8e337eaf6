"""Settings that fit nothing the exchange has: a limit on a coin that is not there protects nothing. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from ltv_guard.core.model.loans import Loan, LoanKey, Product
from ltv_guard.core.model.policy import LoanPolicy, Match, Rulebook

SHOWN_IDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmatched:
    """`key` is where it was written, `why` what is missing at the exchange: a `coin`, or a loan."""

    key: str
    why: str
    coin: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What the exchange has: its coins, and this account's loans (those set aside by their keys alone)."""

    coins: Collection[str]
    loans: Sequence[Loan]
    keys: Collection[LoanKey]
    products: Collection[Product]


def unmatched(rulebook: Rulebook, known: Inventory) -> tuple[Unmatched, ...]:
    """Each setting that nothing at the exchange matches, in the order of the configuration."""
    found = [
        Unmatched(key=f"{key}.{coin}", why=f"the exchange has no coin {coin}", coin=coin)
        for key, coin in _coins_of(rulebook)
        if coin not in known.coins
    ]
    for match, policy in rulebook.overrides:
        coins = (match.collateral_coin, match.loan_coin)
        coin = next((name for name in coins if name is not None and name not in known.coins), None)
        why = f"the exchange has no coin {coin}" if coin is not None else _why_no_loan(match, known)
        if why is not None:
            found.append(Unmatched(key=policy.name, why=why, coin=coin))
    return tuple(dict.fromkeys(found))


def coins_named(rulebook: Rulebook) -> set[str]:
    """Every coin that a setting names."""
    matched = {coin for match, _ in rulebook.overrides for coin in (match.collateral_coin, match.loan_coin)}
    return {coin for _, coin in _coins_of(rulebook)} | {coin for coin in matched if coin is not None}


def _coins_of(rulebook: Rulebook) -> Iterator[tuple[str, str]]:
    """Every coin that a setting names, with the setting."""
    wallet, transfers = rulebook.wallet, rulebook.transfers
    limits: dict[str, Mapping[str, Decimal]] = {
        "wallet.reserve": wallet.reserve,
        "wallet.max_add_24h": wallet.max_add_24h,
        "wallet.max_repay_24h": wallet.max_repay_24h,
        "sources.unified_transfer.max_transfer": transfers.max_transfer,
        "sources.unified_transfer.max_transfer_24h": transfers.max_transfer_24h,
    }
    for key, coins in limits.items():
        for coin in coins:
            yield key, coin
    inherited = tuple(_coins_of_policy(rulebook.default))
    for setting, coin in inherited:
        yield f"policy.{setting}", coin
    for _, policy in rulebook.overrides:
        for setting, coin in _coins_of_policy(policy):
            if (setting, coin) not in inherited:
                yield f"{policy.name}.policy.{setting}", coin


def _coins_of_policy(policy: LoanPolicy) -> Iterator[tuple[str, str]]:
    for setting, coins in (
        ("limits.max_add", policy.limits.max_add),
        ("repay.max_repay", policy.repay.max_repay),
        ("collateral_preference", policy.collateral_preference),
    ):
        for coin in coins:
            yield setting, coin


def _why_no_loan(match: Match, known: Inventory) -> str | None:
    """Why the override is for no loan; None where it is, or may be once there is such a loan."""
    if match.product is not None and match.product not in known.products:
        return f"the account does not read {match.product} (accounts.NAME.products)"
    if match.order_id is None or any(key.loan_id == match.order_id for key in known.keys):
        return None
    ids = sorted(key.loan_id for key in known.keys)
    there = f"only {', '.join(ids[:SHOWN_IDS])}{' ...' if len(ids) > SHOWN_IDS else ''}" if ids else "no loan"
    return f"there is no loan {match.order_id}: the exchange shows {there}"
