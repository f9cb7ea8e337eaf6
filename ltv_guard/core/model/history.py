"""What the exchange lists of writes: adjustments, repayments, transfers, ours and others'. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum

from ltv_guard.core.model.loans import Direction, Kind, LoanKey, Moment


class RowStatus(StrEnum):
    """How far an adjustment in the history has come. Legacy rows are always a success."""

    SUCCESS = "success"
    PROCESSING = "processing"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    """One adjustment (repayment, transfer) in the exchange's history: ours or made by the user's own hand.

    `adjust_id` is what the exchange calls it: an adjustId, `repay-` and a repayId, or our own intent's id.
    `with_collateral`: it was paid with collateral; None where its row does not say. `fixed`: it is
    listed among repayments of a pool's fixed loans; `contract_id` is which, where it is known to be one.
    `by_exchange`: it was done by itself (at the loan's end, by liquidation), so that it is nobody's request.
    """

    adjust_id: str
    key: LoanKey
    coin: str
    direction: Direction
    amount: Decimal
    at_ms: int
    ltv_before: Decimal | None
    ltv_after: Decimal | None
    status: RowStatus = RowStatus.SUCCESS
    with_collateral: bool | None = False
    fixed: bool = False
    contract_id: str | None = None
    by_exchange: bool = False

    @property
    def kind(self) -> Kind:
        """The kind of write that it is the row of."""
        return Kind.FIXED_REPAYMENT if self.fixed else self.direction.kind

    @property
    def change(self) -> Decimal:
        """Coins that this row moved into (+) or out of (-) what it acts on; 0 until it succeeded."""
        return self.amount * self.direction.sign if self.status is RowStatus.SUCCESS else Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubtfulRow:
    """A row of the history that is not understood: what could be read of it, and None for the rest.

    `name` tells it apart from other rows: its id, or one made from all that it says. `why` is for people.
    """

    name: str
    why: str
    adjust_id: str | None = None
    key: LoanKey | None = None
    coin: str | None = None
    direction: Direction | None = None
    amount: Decimal | None = None
    at_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A complete read of what one channel of an account shows, begun at `began`.

    `is_old`: it lacked rows that an earlier read had, or that they had ended. They are among its rows as they
    had been, but it proves no absence.
    `doubtful` rows explain nothing, but nothing that one of them could be is absent.
    """

    rows: tuple[HistoryRow, ...]
    began: Moment
    is_old: bool = False
    doubtful: tuple[DoubtfulRow, ...] = ()

    _of_loans: Mapping[LoanKey, tuple[HistoryRow, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        found: dict[LoanKey, list[HistoryRow]] = {}
        for row in self.rows:
            found.setdefault(row.key, []).append(row)
        object.__setattr__(self, "_of_loans", {key: tuple(rows) for key, rows in found.items()})

    def of(self, key: LoanKey) -> tuple[HistoryRow, ...]:
        """The rows of one loan (of a transfer: of the wallet's coin), in the exchange's order."""
        return self._of_loans.get(key, ())

    def with_what_it_lost(self, earlier: History, since_ms: int) -> History:
        """This read with the rows from `since_ms` on that `earlier` had, and that it lacks.

        One that was understood, and is shown as a doubtful one now, is what it was. So is one that had ended,
        and is shown as being processed.
        """
        ids = {row.adjust_id for row in self.rows}
        ended = {row.adjust_id: row for row in earlier.rows if row.status is not RowStatus.PROCESSING}
        back = {row.adjust_id for row in self.rows if row.status is RowStatus.PROCESSING} & ended.keys()
        missing = [row for row in earlier.rows if row.adjust_id not in ids and row.at_ms >= since_ms]
        doubted = {row.name for row in self.doubtful}
        known = {row.adjust_id for row in missing} & doubted
        return replace(
            self,
            rows=(*(ended[row.adjust_id] if row.adjust_id in back else row for row in self.rows), *missing),
            doubtful=tuple(row for row in self.doubtful if row.name not in known),
            is_old=len(missing) > len(known) or bool(back),
        )
