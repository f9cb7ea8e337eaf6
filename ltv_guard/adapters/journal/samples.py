"""LTVs and prices of the last days, a row a minute and user: for charts, and for nothing that decides."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal

from ltv_guard.adapters.journal.records import owner_row
from ltv_guard.adapters.journal.session import Row, Session
from ltv_guard.adapters.journal.statements import put
from ltv_guard.adapters.journal.store import Store
from ltv_guard.core.model.loans import LoanKey, Owner, Product
from ltv_guard.core.model.samples import KEPT_MS, ChartSample

_OF = "FROM samples WHERE environment = :environment AND user_id = :user_id"
PUT_SAMPLE = put("samples", ("environment", "user_id", "at_ms"), ("ltvs", "prices"))
SINCE = f"SELECT * {_OF} AND at_ms >= :since_ms ORDER BY at_ms"
TOO_OLD = f"DELETE {_OF} AND at_ms < :before_ms"


class SqlSamples:
    """Every method raises JournalUnavailable."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def keep(self, owner: Owner, sample: ChartSample) -> None:
        """Writes it down, and forgets what is older than a week."""
        row = owner_row(owner)
        written = {"at_ms": sample.at_ms, "ltvs": _ltvs(sample.ltvs), "prices": _numbers(sample.prices)}

        def write(session: Session) -> None:
            session.execute(PUT_SAMPLE, row | written)
            session.execute(TOO_OLD, row | {"before_ms": sample.at_ms - KEPT_MS})

        await self._store.write(write)

    async def since(self, owner: Owner, since_ms: int) -> tuple[ChartSample, ...]:
        """The oldest first. A row that makes no sense is passed over: nothing depends on it."""
        asked = owner_row(owner) | {"since_ms": since_ms}
        rows = await self._store.read(lambda session: session.rows(SINCE, asked))
        return tuple(sample for row in rows if (sample := _sample_of(row)) is not None)


def _ltvs(ltvs: Mapping[LoanKey, Decimal]) -> str:
    return _numbers({f"{key.product.value} {key.loan_id}": ltv for key, ltv in ltvs.items()})


def _numbers(numbers: Mapping[str, Decimal]) -> str:
    return json.dumps({name: format(number, "f") for name, number in numbers.items()})


def _sample_of(row: Row) -> ChartSample | None:
    try:
        ltvs = {_key(name): Decimal(ltv) for name, ltv in json.loads(row["ltvs"]).items()}
        prices = {coin: Decimal(price) for coin, price in json.loads(row["prices"]).items()}
        if not all(number.is_finite() for number in (*ltvs.values(), *prices.values())):
            return None
    except (ValueError, TypeError, ArithmeticError, AttributeError):
        return None
    return ChartSample(at_ms=row["at_ms"], ltvs=ltvs, prices=prices)


def _key(written: str) -> LoanKey:
    product, _, loan_id = written.partition(" ")
    return LoanKey(Product(product), loan_id)
