"""The loans of a replay, from a YAML file: docs/replay.md says what it may hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

from ltv_guard.adapters.settings import values
from ltv_guard.adapters.settings.errors import ConfigError
from ltv_guard.adapters.settings.yaml_file import read_yaml
from ltv_guard.core.model.loans import LoanKey, Product
from ltv_guard.core.model.tiers import Tier
from ltv_guard.replay.loan_spec import ORDER_LINES, POOL_LINES, LoanSpec

T = TypeVar("T")
MOST_DECIMALS = 18
LINES = ("initial_ltv", "margin_call_ltv", "liquidation_ltv")
EITHER = {"loan_id", "product", "hourly_rate", "accuracy", *LINES}
ORDER_KEYS = {*EITHER, "collateral_coin", "collateral_amount", "loan_coin", "debt", "start_ltv", "expires_at"}
POOL_KEYS = {*EITHER, "collateral", "debts", "loan_coin", "start_ltv", "tiers"}


def read_loans(path: Path, pool_lines: tuple[Decimal, ...] = POOL_LINES) -> list[LoanSpec]:
    """`pool_lines`: a pool's, where the file says nothing else. Raises ConfigError, which names the key."""
    tree = read_yaml(path, what="file of loans")
    written = tree.get("loans")
    if set(tree) - {"loans"} or not isinstance(written, list) or not written:
        raise ConfigError(f"{path} must hold a list `loans` with at least one loan, and nothing else")
    loans = [
        _WrittenLoan(path, f"loans.{n}", item, pool_lines).loan(str(n + 1)) for n, item in enumerate(written)
    ]
    names = [loan.key for loan in loans]
    twice = next((key.loan_id for key in names if names.count(key) > 1), None)
    if twice is not None:
        raise ConfigError(f"{path} holds the loan {twice} twice: give each its own loan_id, and one pool")
    return loans


@dataclass(frozen=True, slots=True)
class _WrittenLoan:
    """One loan as it is written; `place` says where."""

    path: Path
    place: str
    written: object
    pool_lines: tuple[Decimal, ...]

    def loan(self, name: str) -> LoanSpec:
        tree = self._tree
        product = self._read("product", _product) or Product.LEGACY
        pool = product is Product.CRYPTO_LOAN
        unknown = sorted(set(tree) - (POOL_KEYS if pool else ORDER_KEYS))
        if unknown:
            raise self._wrong(unknown[0], f"is no key of a {'pool' if pool else 'legacy order'}")
        start_ltv = self._read("start_ltv", values.ltv)
        lines = self._lines(self.pool_lines if pool else ORDER_LINES)
        loan_id = self._read("loan_id", values.order_id) or name
        return LoanSpec(
            key=LoanKey(product, "pool" if pool else loan_id),
            collateral=self._collateral(pool=pool),
            debts=self._debts(start_ltv, pool=pool),
            start_ltv=start_ltv,
            hourly_rate=self._read("hourly_rate", values.amount) or Decimal(0),
            expires_at_ms=self._read("expires_at", time_ms),
            initial_ltv=lines[0],
            margin_call_ltv=lines[1],
            liquidation_ltv=lines[2],
            tiers={coin: self._tiers(coin, item) for coin, item in self._mapping("tiers").items()},
            accuracy={coin: self._decimals(coin, item) for coin, item in self._mapping("accuracy").items()},
        )

    @property
    def _tree(self) -> dict[str, object]:
        if not isinstance(self.written, dict):
            raise ConfigError(f"{self.path}: {self.place} must hold keys and values")
        return self.written

    def _collateral(self, *, pool: bool) -> dict[str, Decimal]:
        if pool:
            return self._amounts("collateral")
        coin = self._needed("collateral_coin", values.coin)
        return {coin: self._positive("collateral_amount", self._tree.get("collateral_amount"))}

    def _debts(self, start_ltv: Decimal | None, *, pool: bool) -> dict[str, Decimal]:
        other = "debts" if pool else "debt"
        if (start_ltv is None) == (self._tree.get(other) is None):
            raise self._wrong(other, f"or start_ltv must say what is owed: one of the two, with {other}")
        if start_ltv is not None or not pool:
            coin = self._needed("loan_coin", values.coin)
            owed = Decimal(0) if start_ltv is not None else self._positive("debt", self._tree.get("debt"))
            return {coin: owed}
        return self._amounts("debts")

    def _lines(self, lines: tuple[Decimal, ...]) -> tuple[Decimal, ...]:
        found = tuple(self._read(key, values.ltv) or line for key, line in zip(LINES, lines, strict=True))
        if not found[0] <= found[1] < found[2]:
            raise self._wrong("margin_call_ltv", "must be at least initial_ltv, and below liquidation_ltv")
        return found

    def _tiers(self, coin: str, written: object) -> tuple[Tier, ...]:
        place = f"tiers.{coin}"
        if not isinstance(written, list) or not all(isinstance(item, dict) for item in written):
            raise self._wrong(place, "must be a list of {min, max, ratio}; without max for the last")
        try:
            tiers = tuple(
                Tier(
                    ratio=values.ratio(item.get("ratio")),
                    lower=values.amount(item.get("min", "0")),
                    upper=values.amount(item["max"]) if "max" in item else Decimal("Infinity"),
                )
                for item in written
            )
        except ValueError as error:
            raise self._wrong(place, str(error)) from None
        edges = [tier.lower for tier in tiers] + [tier.upper for tier in tiers[-1:]]
        if any(tier.upper != edge for tier, edge in zip(tiers, edges[1:], strict=True)) or edges[:1] != [0]:
            raise self._wrong(place, "must begin at 0, and each tier where the one before ends")
        return tiers

    def _decimals(self, coin: str, written: object) -> int:
        try:
            found = values.count(written)
        except ValueError as error:
            raise self._wrong(f"accuracy.{coin}", str(error)) from None
        if not 0 <= found <= MOST_DECIMALS:
            raise self._wrong(f"accuracy.{coin}", f"must be 0 to {MOST_DECIMALS} decimals")
        return found

    def _amounts(self, key: str) -> dict[str, Decimal]:
        found = {coin: self._positive(f"{key}.{coin}", item) for coin, item in self._mapping(key).items()}
        if not found:
            raise self._wrong(key, "must name at least one coin, such as {BTC: 1}")
        return found

    def _mapping(self, key: str) -> Mapping[str, object]:
        written = self._tree.get(key) or {}
        if not isinstance(written, dict):
            raise self._wrong(key, "must be a coin and a value each, such as {BTC: 1}")
        try:
            return {values.coin(coin): item for coin, item in written.items()}
        except ValueError as error:
            raise self._wrong(key, str(error)) from None

    def _positive(self, key: str, written: object) -> Decimal:
        try:
            found = values.amount(written)
        except ValueError as error:
            raise self._wrong(key, str(error)) from None
        if found == 0:
            raise self._wrong(key, "must be more than 0 coins")
        return found

    def _needed(self, key: str, parse: Callable[[object], T]) -> T:
        found = self._read(key, parse)
        if found is None:
            raise self._wrong(key, "is missing")
        return found

    def _read(self, key: str, parse: Callable[[object], T]) -> T | None:
        written = self._tree.get(key)
        if written is None:
            return None
        try:
            return parse(written)
        except ValueError as error:
            raise self._wrong(key, str(error)) from None

    def _wrong(self, key: str, complaint: str) -> ConfigError:
        return ConfigError(f"{self.path}: {self.place}.{key} {complaint}")


def time_ms(written: object) -> int:
    """A time in UTC, in ms since 1970: `2020-03-12`, `2020-03-12T10:00`. Raises ValueError."""
    try:
        found = datetime.fromisoformat(str(written).strip())
    except ValueError:
        raise ValueError("must be a time in UTC, such as 2020-03-12 or 2020-03-12T10:00") from None
    return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)


def _product(written: object) -> Product:
    if written not in {Product.LEGACY.value, Product.CRYPTO_LOAN.value}:
        raise ValueError("must be crypto_loan_legacy (an order) or crypto_loan (the pool)")
    return Product(str(written))
