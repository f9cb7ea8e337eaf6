"""Ways to write: each signs and sends one kind of adjustment, and reads the list that shows how it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ltv_guard.adapters.bybit.answers import WriteFailed
from ltv_guard.adapters.bybit.client import BybitClient
from ltv_guard.adapters.bybit.doubts import RowNames
from ltv_guard.adapters.bybit.paging import ROWS_PER_PAGE, read_history
from ltv_guard.core.model.errors import WriteOutcomeUnknown
from ltv_guard.core.model.history import History, HistoryRow
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Channel
from ltv_guard.core.ports import SignedAdjustment


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where one kind of write goes, and where it is listed.

    `body` is what is signed and sent; `parse` reads a row (None: not of this kind), `names` says where one
    that it can't read holds what tells it apart; `written_id` makes the id of a history row from an answer's
    `id_field`. `gives_own_id`: that is the intent's, sent along.
    `span_ms`: how much of its past the list shows at once, where that is not all of it. `full_pages`: a page
    that is not full is taken for the last.
    """

    channel: Channel
    write: str
    history: str
    body: Callable[[Intent], bytes]
    parse: Callable[[object], HistoryRow | None]
    names: RowNames
    id_field: str = "adjustId"
    written_id: Callable[[str], str] = str
    gives_own_id: bool = False
    rows_per_page: int = ROWS_PER_PAGE
    span_ms: int | None = None
    full_pages: bool = False


class WriteEndpoint:
    """Implements ports.WritePath for what `endpoints` names."""

    def __init__(self, client: BybitClient, endpoints: Endpoints) -> None:
        self._client = client
        self._endpoints = endpoints

    @property
    def channel(self) -> Channel:
        return self._endpoints.channel

    async def history(self, since_ms: int) -> History:
        """Everything listed since `since_ms`."""
        found = self._endpoints
        return await read_history(
            self._client,
            found.history,
            found.parse,
            since_ms,
            names=found.names,
            rows_per_page=found.rows_per_page,
            span_ms=found.span_ms,
            full_pages=found.full_pages,
        )

    async def sign(self, intent: Intent) -> SignedAdjustment:
        """Waits for the account's turn to write there, then signs."""
        body = self._endpoints.body(intent)
        signed = await self._client.sign(self._endpoints.write, body)
        return SignedAdjustment(
            intent_id=intent.intent_id,
            body=body,
            headers=signed.headers,
            signed_at_ms=signed.signed_at_ms,
            recv_window_ms=signed.recv_window_ms,
        )

    async def send(self, signed: SignedAdjustment) -> str:
        found = self._endpoints
        try:
            answered = await self._client.send(found.write, signed.body, signed.headers, found.id_field)
        except WriteFailed as exc:
            self._of_ours(exc.written_id, signed)
            raise
        return self._of_ours(answered, signed)

    def _of_ours(self, answered: str, signed: SignedAdjustment) -> str:
        """The history's id for what was written. Raises WriteOutcomeUnknown where that is not ours."""
        found = self._endpoints
        written = found.written_id(answered)
        if found.gives_own_id and written != signed.intent_id:
            raise WriteOutcomeUnknown(f"{found.write}: answered with the id {answered}, which is not ours")
        return written
