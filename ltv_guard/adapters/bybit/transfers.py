"""Transfers from the Unified account to the Funding wallet (v5/asset/transfer): bodies out, rows in.

The one write that takes an id of ours: the exchange carries none out twice, and its list shows it by that id.
"""

from __future__ import annotations

import json
import re
from uuid import UUID

from ltv_guard.adapters.bybit.client import BybitClient
from ltv_guard.adapters.bybit.doubts import RowNames
from ltv_guard.adapters.bybit.fields import (
    MalformedPayload,
    Row,
    amount,
    as_row,
    coin,
    identity,
    moment,
    shown,
)
from ltv_guard.adapters.bybit.paging import HistoryList
from ltv_guard.adapters.bybit.wire import plain
from ltv_guard.adapters.bybit.write_endpoint import Endpoints, WriteEndpoint
from ltv_guard.core.model.history import HistoryRow, RowStatus
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Channel, Direction, Kind, LoanKey, Product

TRANSFER = "/v5/asset/transfer/inter-transfer"
TRANSFERS = "/v5/asset/transfer/query-inter-transfer-list"
MOST_ROWS = 50
WEEK_MS = 7 * 86_400_000
FROM, TO = "UNIFIED", "FUND"
UUID_SOMEWHERE = re.compile(
    r"(?<![0-9a-fA-F])[0-9a-fA-F]{8}(?:-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}(?![0-9a-fA-F])", re.ASCII
)
STATUSES = {
    "SUCCESS": RowStatus.SUCCESS,
    "PENDING": RowStatus.PROCESSING,
    "STATUS_UNKNOWN": RowStatus.PROCESSING,
    "FAILED": RowStatus.FAILED,
}


def transfers(client: BybitClient) -> WriteEndpoint:
    """Moves coins to Funding (v5/asset/transfer/create-inter-transfer)."""
    return WriteEndpoint(
        client,
        Endpoints(
            channel=Channel(Product.FUNDING, Kind.TRANSFER),
            write=TRANSFER,
            body=transfer_body,
            history=HistoryList(
                path=TRANSFERS,
                parse=parse_transfer,
                names=TRANSFER_ROW,
                rows_per_page=MOST_ROWS,
                span_ms=WEEK_MS,
                # Its reads are few, and one that misses a row only moves coins that the wallet lacks.
                full_pages=True,
            ),
            id_field="transferId",
            written_id=own_id,
            gives_own_id=True,
        ),
    )


def transfer_body(intent: Intent) -> bytes:
    """The body of POST /v5/asset/transfer/inter-transfer: the intent's own id is the transfer's."""
    body = {
        "transferId": str(UUID(hex=intent.intent_id)),
        "coin": intent.coin,
        "amount": plain(intent.amount),
        "fromAccountType": FROM,
        "toAccountType": TO,
    }
    return json.dumps(body, separators=(",", ":")).encode()


def parse_transfer(item: object) -> HistoryRow | None:
    """A row of v5/asset/transfer/inter-transfer-list; None for one that goes another way.

    Raises MalformedPayload: a row that can't be read can't be left out, for the list proves absence.
    """
    row = as_row(item)
    if (identity(row, "fromAccountType"), identity(row, "toAccountType")) != (FROM, TO):
        return None
    status = STATUSES.get(identity(row, "status"))
    if status is None:
        raise MalformedPayload(f"its status is {shown(row['status'])}, which is none that is known")
    name = coin(row, "coin")
    return HistoryRow(
        adjust_id=own_id(identity(row, "transferId")),
        key=LoanKey(Product.FUNDING, name),
        coin=name,
        direction=Direction.TRANSFER,
        amount=amount(row, "amount"),
        at_ms=moment(row, "timestamp"),
        ltv_before=None,
        ltv_after=None,
        status=status,
    )


def own_id(transfer_id: str) -> str:
    """The id of the intent that a transferId was made from; another's is left as it is.

    The list writes `selfTransfer_` before the UUID that the answer gives bare.
    """
    found = UUID_SOMEWHERE.search(transfer_id)
    return UUID(found.group()).hex if found is not None else transfer_id


def _wallet_of(row: Row) -> LoanKey:
    return LoanKey(Product.FUNDING, coin(row, "coin"))


TRANSFER_ROW = RowNames(
    adjust_id="transferId",
    written_id=own_id,
    key=_wallet_of,
    direction=lambda _: Direction.TRANSFER,
    coin="coin",
    at="timestamp",
)
