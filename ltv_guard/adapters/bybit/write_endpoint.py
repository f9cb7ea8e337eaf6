"""Ways to write: each signs and sends one kind of adjustment, and reads the list that shows how it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ltv_guard.adapters.bybit.answers import WriteFailed
from ltv_guard.adapters.bybit.client import BybitClient
from ltv_guard.adapters.bybit.paging import HistoryList, read_history
from ltv_guard.adapters.bybit.second_page import SecondPage
from ltv_guard.core.model.errors import WriteOutcomeUnknown
from ltv_guard.core.model.history import History
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Channel
from ltv_guard.core.ports import SignedAdjustment


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where one kind of write goes, and where it is listed.

    `body` is what is signed and sent; `written_id` makes the id of a history row from an answer's `id_field`.
    `gives_own_id`: that is the intent's, sent along. `with_collateral` is where a repayment goes that is paid
    with collateral: no id comes back from there.
    """

    channel: Channel
    write: str
    body: Callable[[Intent], bytes]
    history: HistoryList
    id_field: str = "adjustId"
    written_id: Callable[[str], str] = str
    gives_own_id: bool = False
    with_collateral: str | None = None


class WriteEndpoint:
    """Implements ports.WritePath for what `endpoints` names."""

    def __init__(self, client: BybitClient, endpoints: Endpoints) -> None:
        self._client = client
        self._endpoints = endpoints
        self._in_use = {endpoints.write: None}  # in this order
        self._second_page = SecondPage()

    @property
    def channel(self) -> Channel:
        return self._endpoints.channel

    async def history(self, since_ms: int) -> History:
        """Everything listed since `since_ms`."""
        listed, second = self._endpoints.history, self._second_page
        return await read_history(self._client, listed, since_ms, second)

    async def turn(self) -> bool:
        waited = [await self._client.turns.until_write(path) for path in self._in_use]
        return any(waited)

    async def sign(self, intent: Intent) -> SignedAdjustment:
        """Waits for the account's turn to write there, then signs."""
        body, path = self._endpoints.body(intent), self._path(intent)
        self._in_use[path] = None
        signed = await self._client.sign(path, body)
        return SignedAdjustment(
            intent_id=intent.intent_id,
            body=body,
            headers=signed.headers,
            signed_at_ms=signed.signed_at_ms,
            recv_window_ms=signed.recv_window_ms,
            path=path,
        )

    def _path(self, intent: Intent) -> str:
        if intent.collateral_coin is None:
            return self._endpoints.write
        if self._endpoints.with_collateral is None:
            raise ValueError(f"{self.channel}: nothing is repaid with collateral there")
        return self._endpoints.with_collateral

    async def send(self, signed: SignedAdjustment) -> str | None:
        found = self._endpoints
        if signed.path == found.with_collateral:
            await self._client.send(signed.path, signed.body, signed.headers, None)
            return None
        try:
            answered = await self._client.send(found.write, signed.body, signed.headers, found.id_field)
        except WriteFailed as exc:
            self._of_ours(exc.written_id, signed)
            raise
        return self._of_ours(answered or "", signed)

    def _of_ours(self, answered: str, signed: SignedAdjustment) -> str:
        """The history's id for what was written. Raises WriteOutcomeUnknown where that is not ours."""
        found = self._endpoints
        written = found.written_id(answered)
        if found.gives_own_id and written != signed.intent_id:
            raise WriteOutcomeUnknown(f"{found.write}: answered with the id {answered}, which is not ours")
        return written
